//! Repositories of ECR's, what they replicate, and what another account may replicate into them.

use std::time::SystemTime;

use aws_sdk_ecr::types::{
    ImageIdentifier, ImageScanningConfiguration, ImageTagMutability, ReplicationConfiguration, ReplicationDestination,
    ReplicationRule, RepositoryFilter, RepositoryFilterType, Tag,
};
use base64::Engine;
use serde::Serialize;
use serde_json::{Value, json};

use crate::account::Account;
use crate::error::{Error, Result, absent, refused};
use crate::limits::{LISTED_REPOSITORIES, REGISTRY_POLICY_BYTES};
use crate::names::{AccountId, RepositoryName};
use crate::plan::{Action, Call, MADE_BY, Plan, US};
use crate::replication::{Destination, Rule, covered, replicates, with, without};
use crate::statement;

/// What an error of ECR's says where a repository, an image, or a registry's policy is not there.
const NO_REPOSITORY: [&str; 1] = ["RepositoryNotFoundException"];
const NO_IMAGE: [&str; 2] = ["ImageNotFoundException", "RepositoryNotFoundException"];
const NO_POLICY: [&str; 1] = ["RegistryPolicyNotFoundException"];

/// An image as the registry has it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The manifest's digest, `sha256:…`.
    pub digest: String,
    /// Since when.
    pub pushed: Option<SystemTime>,
    /// Bytes, compressed.
    pub bytes: Option<i64>,
}

/// How far an image's copy to one other registry is.
#[derive(Clone, Debug, Serialize)]
pub struct ReplicationStatus {
    /// To where.
    pub to: Destination,
    /// ECR's word: IN_PROGRESS, COMPLETE or FAILED.
    pub status: String,
    /// Why it failed.
    pub failure: Option<String>,
}

pub(crate) enum RegistryCall {
    Create { name: RepositoryName },
    Immutable { name: RepositoryName },
    Scan { name: RepositoryName },
    Delete { name: RepositoryName },
    DeleteImages { name: RepositoryName, tags: Vec<String> },
    Replicate { rules: Vec<Rule> },
    Policy { policy: Value },
    NoPolicy,
}

impl Account {
    /// What has to change for a repository to be there, with tags that cannot be moved and a scan of what is pushed.
    ///
    /// # Errors
    /// A call's failure.
    pub async fn plan_repository(&self, name: &RepositoryName, undo: &str) -> Result<Plan> {
        let mut plan = Plan::default();
        let resource = format!("repository {name}");
        let wanted = json!({"tags": "immutable", "scan_on_push": true});
        let answer = self.ecr.describe_repositories().repository_names(name.as_str()).send().await;
        let found = absent("ecr:DescribeRepositories", answer, &NO_REPOSITORY)?;
        let Some(found) = found.and_then(|answer| answer.repositories.and_then(|found| found.into_iter().next()))
        else {
            let change = self.change(Action::Create, &resource, Value::Null, wanted, undo);
            plan.push(Call::Registry(RegistryCall::Create { name: name.clone() }), change);
            return Ok(plan);
        };
        if found.image_tag_mutability() != Some(&ImageTagMutability::Immutable) {
            let now = found.image_tag_mutability().map_or("MUTABLE", ImageTagMutability::as_str);
            let undo =
                format!("aws ecr put-image-tag-mutability --repository-name {name} --image-tag-mutability {now}");
            let [before, after] = [now, "IMMUTABLE"].map(|tags| json!({"tags": tags.to_lowercase()}));
            let change = self.change(Action::Update, &resource, before, after, &undo);
            plan.push(Call::Registry(RegistryCall::Immutable { name: name.clone() }), change);
        }
        if !found.image_scanning_configuration().is_some_and(|scan| scan.scan_on_push()) {
            let scan = "--image-scanning-configuration scanOnPush=false";
            let undo = format!("aws ecr put-image-scanning-configuration --repository-name {name} {scan}");
            let [before, after] = [false, true].map(|scan| json!({"scan_on_push": scan}));
            let change = self.change(Action::Update, &resource, before, after, &undo);
            plan.push(Call::Registry(RegistryCall::Scan { name: name.clone() }), change);
        }
        Ok(plan)
    }

    /// What has to change for a repository to be gone. ECR deletes none that holds images.
    ///
    /// # Errors
    /// A call's failure.
    pub async fn plan_repository_deletion(&self, name: &RepositoryName, undo: &str) -> Result<Plan> {
        let mut plan = Plan::default();
        let answer = self.ecr.describe_repositories().repository_names(name.as_str()).send().await;
        let found = absent("ecr:DescribeRepositories", answer, &NO_REPOSITORY)?;
        let Some(found) = found.and_then(|answer| answer.repositories.and_then(|found| found.into_iter().next()))
        else {
            return Ok(plan);
        };
        let tags =
            self.ecr.list_tags_for_resource().resource_arn(found.repository_arn().unwrap_or_default()).send().await;
        let tags = tags.map_err(refused("ecr:ListTagsForResource"))?;
        if !tags.tags().iter().any(|tag| tag.key() == MADE_BY && tag.value() == US) {
            plan.warnings.push(format!("repository {name} was not made by this command and stays"));
            return Ok(plan);
        }
        let images = self.ecr.list_images().repository_name(name.as_str()).max_results(1).send().await;
        if !images.map_err(refused("ecr:ListImages"))?.image_ids().is_empty() {
            plan.warnings.push(format!("repository {name} holds images and stays until they are deleted"));
            return Ok(plan);
        }
        let before = json!({"images": 0});
        let change = self.change(Action::Remove, &format!("repository {name}"), before, Value::Null, undo);
        plan.push(Call::Registry(RegistryCall::Delete { name: name.clone() }), change);
        Ok(plan)
    }

    /// What has to change for a repository to be copied to there.
    ///
    /// # Errors
    /// A call's failure, or [`Error::TooMany`].
    pub async fn plan_share(&self, name: &RepositoryName, to: &Destination, undo: &str) -> Result<Plan> {
        let rules = self.replication().await?;
        let mut plan = self.plan_replication(&rules, with(&rules, name, to)?, undo);
        if !plan.steps.is_empty() {
            let names = self.repositories().await?;
            for other in replicates(name, &names) {
                plan.warnings.push(format!(
                    "a replication filter is a prefix: the repository {other} is copied to {} as well, once something is pushed to it",
                    to.account
                ));
            }
            plan.warnings.push(
                "what was pushed before the rule is not copied: ECR copies what is pushed from then on".to_owned(),
            );
        }
        Ok(plan)
    }

    /// What has to change for a repository no longer to be copied to there.
    ///
    /// # Errors
    /// A call's failure.
    pub async fn plan_unshare(&self, name: &RepositoryName, to: &Destination, undo: &str) -> Result<Plan> {
        let rules = self.replication().await?;
        let after = without(&rules, name, to);
        let still = covered(&after, name, to);
        let mut plan = self.plan_replication(&rules, after, undo);
        if still {
            plan.warnings.push(format!("a wider rule of the registry copies {name} to {} still", to.account));
        }
        if !plan.steps.is_empty() {
            plan.warnings.push(format!("what was copied to {} stays there", to.account));
        }
        Ok(plan)
    }

    fn plan_replication(&self, before: &[Rule], after: Vec<Rule>, undo: &str) -> Plan {
        let mut plan = Plan::default();
        if before != after {
            let change = self.change(Action::Update, "the registry's replication", json!(before), json!(after), undo);
            plan.push(Call::Registry(RegistryCall::Replicate { rules: after }), change);
        }
        plan
    }

    /// What has to change for another account to copy into a repository here, and into no other.
    ///
    /// # Errors
    /// A call's failure, or [`Error::Policy`].
    pub async fn plan_accept(&self, provider: &AccountId, name: &RepositoryName, undo: &str) -> Result<Plan> {
        let before = self.registry_policy().await?;
        let empty = json!({"Version": "2012-10-17", "Statement": []});
        let statement = self.replication_statement(provider, name);
        let before_or_empty = before.as_ref().unwrap_or(&empty);
        let after =
            statement::with_at_most(before_or_empty, &statement, "the registry's policy", REGISTRY_POLICY_BYTES)?;
        Ok(self.plan_registry_policy(before, after, undo))
    }

    /// What has to change for it no longer to.
    ///
    /// # Errors
    /// A call's failure, or [`Error::Policy`].
    pub async fn plan_decline(&self, provider: &AccountId, name: &RepositoryName, undo: &str) -> Result<Plan> {
        let Some(before) = self.registry_policy().await? else { return Ok(Plan::default()) };
        let sid = &self.replication_statement(provider, name)["Sid"];
        let after = statement::without(&before, sid, "the registry's policy")?;
        Ok(self.plan_registry_policy(Some(before), after, undo))
    }

    fn plan_registry_policy(&self, before: Option<Value>, after: Value, undo: &str) -> Plan {
        let mut plan = Plan::default();
        let changed = before.as_ref() != Some(&after);
        let call = if statement::statements(&after, "").is_ok_and(|left| left.is_empty()) {
            RegistryCall::NoPolicy
        } else {
            RegistryCall::Policy { policy: after.clone() }
        };
        if changed {
            let action = if before.is_none() { Action::Create } else { Action::Update };
            let change = self.change(action, "the registry's policy", before.unwrap_or_default(), after, undo);
            plan.push(Call::Registry(call), change);
        }
        plan
    }

    /// Copying, and no making of repositories: those that replication makes have tags that can be moved.
    fn replication_statement(&self, provider: &AccountId, name: &RepositoryName) -> Value {
        json!({
            "Sid": format!("CloisterReplication{provider}{}", statement::short_digest(name.as_str())),
            "Effect": "Allow",
            "Principal": {"AWS": format!("arn:aws:iam::{provider}:root")},
            "Action": "ecr:ReplicateImage",
            "Resource": format!("arn:aws:ecr:{}:{}:repository/{name}", self.region, self.id),
        })
    }

    /// What has to change for these tags to be gone.
    ///
    /// # Errors
    /// A call's failure.
    pub async fn plan_unpublish(&self, name: &RepositoryName, tags: &[String], undo: &str) -> Result<Plan> {
        let mut plan = Plan::default();
        let mut there = Vec::new();
        for tag in tags {
            if self.stored(name, tag).await?.is_some() {
                there.push(tag.clone());
            }
        }
        if !there.is_empty() {
            let change =
                self.change(Action::Remove, &format!("repository {name}"), json!({"tags": there}), Value::Null, undo);
            plan.push(Call::Registry(RegistryCall::DeleteImages { name: name.clone(), tags: there }), change);
            plan.warnings.push("copies in other accounts stay: deletions are not replicated".to_owned());
        }
        Ok(plan)
    }

    /// An image by its tag; none where it is not there.
    ///
    /// # Errors
    /// A call's failure.
    pub async fn stored(&self, name: &RepositoryName, tag: &str) -> Result<Option<Stored>> {
        const CALL: &str = "ecr:DescribeImages";
        let id = ImageIdentifier::builder().image_tag(tag).build();
        let answer = self.ecr.describe_images().repository_name(name.as_str()).image_ids(id).send().await;
        let Some(answer) = absent(CALL, answer, &NO_IMAGE)? else { return Ok(None) };
        let Some(image) = answer.image_details.and_then(|images| images.into_iter().next()) else { return Ok(None) };
        Ok(Some(Stored {
            pushed: image.image_pushed_at.and_then(|time| SystemTime::try_from(time).ok()),
            bytes: image.image_size_in_bytes,
            digest: image.image_digest.ok_or(Error::Incomplete { call: CALL, what: "digest" })?,
        }))
    }

    /// How far the copies of an image are.
    ///
    /// # Errors
    /// A call's failure.
    pub async fn replication_status(&self, name: &RepositoryName, digest: &str) -> Result<Vec<ReplicationStatus>> {
        let id = ImageIdentifier::builder().image_digest(digest).build();
        let call = self.ecr.describe_image_replication_status().repository_name(name.as_str()).image_id(id);
        let answer = call.send().await.map_err(refused("ecr:DescribeImageReplicationStatus"))?;
        let text = |text: Option<String>| text.unwrap_or_default();
        let statuses = answer.replication_statuses.unwrap_or_default().into_iter().map(|status| ReplicationStatus {
            to: Destination { region: text(status.region), account: text(status.registry_id) },
            status: status.status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
            failure: status.failure_code,
        });
        Ok(statuses.collect())
    }

    /// Where a repository's registry is, without https://.
    pub fn registry_host(&self) -> String {
        format!("{}.dkr.ecr.{}.amazonaws.com", self.id, self.region)
    }

    /// A user and a password of the registry's, for twelve hours.
    ///
    /// # Errors
    /// The call's failure.
    pub async fn registry_login(&self) -> Result<(String, String)> {
        const CALL: &str = "ecr:GetAuthorizationToken";
        let incomplete = || Error::Incomplete { call: CALL, what: "token" };
        let answer = self.ecr.get_authorization_token().send().await.map_err(refused(CALL))?;
        let token = answer.authorization_data.and_then(|data| data.into_iter().next()?.authorization_token);
        let token = base64::engine::general_purpose::STANDARD.decode(token.ok_or_else(incomplete)?);
        let token = String::from_utf8(token.map_err(|_| incomplete())?).map_err(|_| incomplete())?;
        let (user, password) = token.split_once(':').ok_or_else(incomplete)?;
        Ok((user.to_owned(), password.to_owned()))
    }

    async fn repositories(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let mut pages = self.ecr.describe_repositories().into_paginator().items().send();
        while let Some(found) = pages.next().await {
            names.extend(found.map_err(refused("ecr:DescribeRepositories"))?.repository_name);
            if names.len() >= LISTED_REPOSITORIES {
                break;
            }
        }
        Ok(names)
    }

    async fn replication(&self) -> Result<Vec<Rule>> {
        let answer = self.ecr.describe_registry().send().await.map_err(refused("ecr:DescribeRegistry"))?;
        let rules = answer.replication_configuration.map(|configuration| configuration.rules).unwrap_or_default();
        let rule = |rule: &ReplicationRule| Rule {
            destinations: rule
                .destinations()
                .iter()
                .map(|to| Destination { region: to.region().to_owned(), account: to.registry_id().to_owned() })
                .collect(),
            prefixes: rule.repository_filters().iter().map(|filter| filter.filter().to_owned()).collect(),
        };
        Ok(rules.iter().map(rule).collect())
    }

    async fn registry_policy(&self) -> Result<Option<Value>> {
        const CALL: &str = "ecr:GetRegistryPolicy";
        let answer = absent(CALL, self.ecr.get_registry_policy().send().await, &NO_POLICY)?;
        let Some(text) = answer.and_then(|answer| answer.policy_text) else { return Ok(None) };
        let policy = serde_json::from_str(&text);
        policy
            .map(Some)
            .map_err(|_| Error::Policy { what: "the registry's policy".to_owned(), problem: "it is not JSON" })
    }

    pub(crate) async fn apply_registry(&self, call: &RegistryCall) -> Result<()> {
        match call {
            RegistryCall::Create { name } => {
                const CALL: &str = "ecr:CreateRepository";
                let scan = ImageScanningConfiguration::builder().scan_on_push(true).build();
                let tag = Tag::builder().key(MADE_BY).value(US).build();
                let tag = tag.map_err(|_| Error::Incomplete { call: CALL, what: "tag" })?;
                let call = self.ecr.create_repository().repository_name(name.as_str()).tags(tag);
                let call = call.image_tag_mutability(ImageTagMutability::Immutable).image_scanning_configuration(scan);
                call.send().await.map(drop).map_err(refused(CALL))
            }
            RegistryCall::Immutable { name } => {
                let call = self.ecr.put_image_tag_mutability().repository_name(name.as_str());
                let call = call.image_tag_mutability(ImageTagMutability::Immutable);
                call.send().await.map(drop).map_err(refused("ecr:PutImageTagMutability"))
            }
            RegistryCall::Scan { name } => {
                let scan = ImageScanningConfiguration::builder().scan_on_push(true).build();
                let call = self.ecr.put_image_scanning_configuration().repository_name(name.as_str());
                let call = call.image_scanning_configuration(scan);
                call.send().await.map(drop).map_err(refused("ecr:PutImageScanningConfiguration"))
            }
            RegistryCall::Delete { name } => {
                let call = self.ecr.delete_repository().repository_name(name.as_str());
                call.send().await.map(drop).map_err(refused("ecr:DeleteRepository"))
            }
            RegistryCall::DeleteImages { name, tags } => self.delete_images(name, tags).await,
            RegistryCall::Replicate { rules } => self.put_replication(rules).await,
            RegistryCall::Policy { policy } => {
                let call = self.ecr.put_registry_policy().policy_text(policy.to_string());
                call.send().await.map(drop).map_err(refused("ecr:PutRegistryPolicy"))
            }
            RegistryCall::NoPolicy => {
                let answer = self.ecr.delete_registry_policy().send().await;
                answer.map(drop).map_err(refused("ecr:DeleteRegistryPolicy"))
            }
        }
    }

    async fn delete_images(&self, name: &RepositoryName, tags: &[String]) -> Result<()> {
        const CALL: &str = "ecr:BatchDeleteImage";
        let ids = tags.iter().map(|tag| ImageIdentifier::builder().image_tag(tag).build()).collect();
        let call = self.ecr.batch_delete_image().repository_name(name.as_str()).set_image_ids(Some(ids));
        let answer = call.send().await.map_err(refused(CALL))?;
        match answer.failures().first() {
            None => Ok(()),
            Some(failure) => Err(Error::Refused {
                call: CALL,
                code: failure.failure_code().map(|code| code.as_str().to_owned()).unwrap_or_default(),
                said: failure.failure_reason().unwrap_or_default().to_owned(),
            }),
        }
    }

    async fn put_replication(&self, rules: &[Rule]) -> Result<()> {
        const CALL: &str = "ecr:PutReplicationConfiguration";
        let incomplete = |_| Error::Incomplete { call: CALL, what: "whole rule" };
        let mut wanted = Vec::new();
        for rule in rules {
            let mut builder = ReplicationRule::builder();
            for to in &rule.destinations {
                let to = ReplicationDestination::builder().region(&to.region).registry_id(&to.account).build();
                builder = builder.destinations(to.map_err(incomplete)?);
            }
            for prefix in &rule.prefixes {
                let kind = RepositoryFilterType::PrefixMatch;
                let filter = RepositoryFilter::builder().filter(prefix).filter_type(kind).build();
                builder = builder.repository_filters(filter.map_err(incomplete)?);
            }
            wanted.push(builder.build().map_err(incomplete)?);
        }
        let configuration = ReplicationConfiguration::builder().set_rules(Some(wanted)).build().map_err(incomplete)?;
        let call = self.ecr.put_replication_configuration().replication_configuration(configuration);
        call.send().await.map(drop).map_err(refused(CALL))
    }
}
