//! The role that the pods' parent process acts as: who may take it on, and the little that it may do.

use aws_sdk_iam::types::Tag;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::account::Account;
use crate::error::{Error, Result, absent, refused};
use crate::keys::quoted;
use crate::limits::TRUST_POLICY_BYTES;
use crate::names::role_name;
use crate::plan::{Action, Call, MADE_BY, Plan, US};
use crate::statement;

const NO_ROLE: [&str; 2] = ["NoSuchEntity", "NoSuchEntityException"];
/// The name of the one inline policy.
const PERMISSIONS: &str = "cloister";

/// A role as it should be.
pub struct RoleWish {
    /// Its name.
    pub name: String,
    /// What people read in the console.
    pub description: String,
    /// Who may take it on.
    pub trust: Vec<Value>,
    /// The key of another account that it may ask KMS to open for an attested enclave.
    pub model_key: String,
    /// The alias of the key of this account that it may ask for too.
    pub data_alias: Option<String>,
}

/// Which pods may take the role on.
pub struct ServiceAccount {
    /// The namespace.
    pub namespace: String,
    /// The service account's name in it.
    pub name: String,
    /// The cluster, for EKS Pod Identity; any of the account's where none is named.
    pub cluster: Option<String>,
}

/// The statements of a trust policy: for IAM roles for service accounts where a cluster's OIDC issuer is given, and for EKS Pod Identity where that
/// is wanted. Both for this service account alone (EKS user guide, "IAM roles for service accounts" and "EKS Pod Identities").
pub fn trust_policy(account: &str, pods: &ServiceAccount, issuers: &[String], pod_identity: bool) -> Vec<Value> {
    let ServiceAccount { namespace, name, cluster } = pods;
    let mut statements = Vec::new();
    for issuer in issuers {
        let issuer = issuer.trim_start_matches("https://").trim_end_matches('/');
        statements.push(json!({
            "Sid": format!("CloisterIrsa{}", statement::short_digest(issuer)),
            "Effect": "Allow",
            "Principal": {"Federated": format!("arn:aws:iam::{account}:oidc-provider/{issuer}")},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {
                format!("{issuer}:aud"): "sts.amazonaws.com",
                format!("{issuer}:sub"): format!("system:serviceaccount:{namespace}:{name}"),
            }},
        }));
    }
    if pod_identity {
        let mut tags = json!({
            "aws:RequestTag/kubernetes-namespace": namespace,
            "aws:RequestTag/kubernetes-service-account": name,
        });
        if let Some(cluster) = cluster {
            tags["aws:RequestTag/eks-cluster-name"] = cluster.as_str().into();
        }
        statements.push(json!({
            "Sid": "CloisterPodIdentity",
            "Effect": "Allow",
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {"StringEquals": tags},
        }));
    }
    statements
}

/// Opening wrapped keys for an enclave, and nothing else: what such an answer holds, the role itself cannot read. Which enclave is the key
/// policies' matter. The data key goes by its alias, because it may be made after the role.
fn permissions(wish: &RoleWish, account: &str, region: &str) -> Value {
    let attested = json!({"kms:RecipientAttestation:ImageSha384": "false"});
    let mut statements = vec![json!({
        "Sid": "OpenModelForEnclaves",
        "Effect": "Allow",
        "Action": "kms:Decrypt",
        "Resource": wish.model_key,
        "Condition": {"Null": attested},
    })];
    statements.extend(wish.data_alias.iter().map(|alias| {
        json!({
            "Sid": "OpenImagesForEnclaves",
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": format!("arn:aws:kms:{region}:{account}:key/*"),
            "Condition": {"Null": attested, "ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}},
        })
    }));
    json!({"Version": "2012-10-17", "Statement": statements})
}

pub(crate) enum RoleCall {
    Create { name: String, description: String, trust: Value },
    Trust { name: String, trust: Value },
    Permissions { name: String, policy: Value },
    Delete { name: String },
}

impl Account {
    /// What has to change for a role to be there, with that trust and those permissions. Statements of a trust policy that others wrote stay.
    ///
    /// # Errors
    /// A call's failure, [`Error::Name`] or [`Error::Policy`].
    pub async fn plan_role(&self, wish: &RoleWish, undo: &str) -> Result<Plan> {
        let mut plan = Plan::default();
        let name = role_name(&wish.name)?;
        if name.contains('/') {
            let rule = "a name without a path: roles are made without one";
            return Err(Error::Name { what: "a role's name", given: name, rule });
        }
        let resource = self.role_arn(&name);
        let answer = self.iam.get_role().role_name(&name).send().await;
        let found = absent("iam:GetRole", answer, &NO_ROLE)?.and_then(|answer| answer.role);
        let before = found.as_ref().map(|role| document(role.assume_role_policy_document(), "the role's trust policy"));
        let before = before.transpose()?.unwrap_or_else(|| json!({"Version": "2012-10-17", "Statement": []}));
        let mut trust = statement::without_doors(&before, &wish.trust, "the role's trust policy")?;
        for statement in &wish.trust {
            trust = statement::with_at_most(&trust, statement, "the role's trust policy", TRUST_POLICY_BYTES)?;
        }
        match found {
            None => {
                let call = RoleCall::Create {
                    name: name.clone(),
                    description: wish.description.clone(),
                    trust: trust.clone(),
                };
                plan.push(
                    Call::Role(call),
                    self.change(Action::Create, &resource, Value::Null, json!({"trust": trust}), undo),
                );
            }
            Some(_) if trust != before => {
                let document = quoted(&before.to_string());
                let undo = format!("aws iam update-assume-role-policy --role-name {name} --policy-document {document}");
                let change =
                    self.change(Action::Update, &resource, json!({"trust": before}), json!({"trust": trust}), &undo);
                plan.push(Call::Role(RoleCall::Trust { name: name.clone(), trust }), change);
            }
            Some(_) => {}
        }
        let wanted = permissions(wish, self.id.as_str(), &self.region);
        let before = self.permissions_of(&name).await?;
        if before.as_ref() != Some(&wanted) {
            let action = if before.is_some() { Action::Update } else { Action::Create };
            let resource = format!("{resource} policy {PERMISSIONS}");
            let undo = match &before {
                Some(before) => format!("put-role-policy --policy-document {}", quoted(&before.to_string())),
                None => "delete-role-policy".to_owned(),
            };
            let undo = format!("aws iam {undo} --role-name {name} --policy-name {PERMISSIONS}");
            let change = self.change(action, &resource, before.unwrap_or_default(), wanted.clone(), &undo);
            plan.push(Call::Role(RoleCall::Permissions { name, policy: wanted }), change);
        }
        Ok(plan)
    }

    /// What has to change for the role to be gone.
    ///
    /// # Errors
    /// A call's failure.
    pub async fn plan_role_deletion(&self, name: &str, undo: &str) -> Result<Plan> {
        let mut plan = Plan::default();
        let answer = self.iam.get_role().role_name(name).send().await;
        if let Some(role) = absent("iam:GetRole", answer, &NO_ROLE)?.and_then(|answer| answer.role) {
            if !role.tags().iter().any(|tag| tag.key() == MADE_BY && tag.value() == US) {
                plan.warnings.push(format!("the role {name} was not made by this command and stays"));
                return Ok(plan);
            }
            let before = json!({"trust": document(role.assume_role_policy_document(), "the role's trust policy")?});
            let change = self.change(Action::Remove, &self.role_arn(name), before, Value::Null, undo);
            plan.push(Call::Role(RoleCall::Delete { name: name.to_owned() }), change);
        }
        Ok(plan)
    }

    /// A role of this account's.
    pub fn role_arn(&self, name: &str) -> String {
        format!("arn:aws:iam::{}:role/{name}", self.id)
    }

    async fn permissions_of(&self, role: &str) -> Result<Option<Value>> {
        let answer = self.iam.get_role_policy().role_name(role).policy_name(PERMISSIONS).send().await;
        let found = absent("iam:GetRolePolicy", answer, &NO_ROLE)?;
        found.map(|found| document(Some(found.policy_document()), "the role's policy")).transpose()
    }

    pub(crate) async fn apply_role(&self, call: &RoleCall) -> Result<()> {
        match call {
            RoleCall::Create { name, description, trust } => {
                const CALL: &str = "iam:CreateRole";
                let tag = Tag::builder().key(MADE_BY).value(US).build();
                let tag = tag.map_err(|_| Error::Incomplete { call: CALL, what: "tag" })?;
                let call = self.iam.create_role().role_name(name).description(description).tags(tag);
                let call = call.assume_role_policy_document(trust.to_string());
                call.send().await.map(drop).map_err(refused(CALL))
            }
            RoleCall::Trust { name, trust } => {
                let call = self.iam.update_assume_role_policy().role_name(name).policy_document(trust.to_string());
                call.send().await.map(drop).map_err(refused("iam:UpdateAssumeRolePolicy"))
            }
            RoleCall::Permissions { name, policy } => {
                let call = self.iam.put_role_policy().role_name(name).policy_name(PERMISSIONS);
                call.policy_document(policy.to_string()).send().await.map(drop).map_err(refused("iam:PutRolePolicy"))
            }
            RoleCall::Delete { name } => {
                let answer = self.iam.delete_role_policy().role_name(name).policy_name(PERMISSIONS).send().await;
                absent("iam:DeleteRolePolicy", answer, &NO_ROLE)?;
                // IAM refuses while anything else is attached to it, which then is not ours to take away.
                self.iam.delete_role().role_name(name).send().await.map(drop).map_err(refused("iam:DeleteRole"))
            }
        }
    }
}

/// A policy as IAM gives it out: percent-encoded (RFC 3986).
fn document(text: Option<&str>, what: &str) -> Result<Value> {
    let refused = |problem| Error::Policy { what: what.to_owned(), problem };
    let text = percent_decode_str(text.unwrap_or_default()).decode_utf8().map_err(|_| refused("it is not UTF-8"))?;
    serde_json::from_str(&text).map_err(|_| refused("it is not JSON"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_role_is_for_one_service_account() {
        let pods = ServiceAccount { namespace: "imaging".to_owned(), name: "cloister".to_owned(), cluster: None };
        let issuers = ["https://oidc.eks.eu-central-1.amazonaws.com/id/AB".to_owned()];
        let both = trust_policy("444455556666", &pods, &issuers, true);
        let [irsa, identity] = &both[..] else { panic!("{both:?}") };
        let issuer = "oidc.eks.eu-central-1.amazonaws.com/id/AB";
        assert_eq!(irsa["Principal"]["Federated"], format!("arn:aws:iam::444455556666:oidc-provider/{issuer}"));
        let subject = &irsa["Condition"]["StringEquals"][format!("{issuer}:sub")];
        assert_eq!(subject, "system:serviceaccount:imaging:cloister");
        assert_eq!(identity["Condition"]["StringEquals"]["aws:RequestTag/kubernetes-namespace"], "imaging");
        assert!(trust_policy("444455556666", &pods, &[], false).is_empty());
    }

    #[test]
    fn documents_are_read_as_iam_encodes_them() {
        let text = "%7B%22Version%22%3A%20%222012-10-17%22%7D";
        assert_eq!(document(Some(text), "").unwrap(), json!({"Version": "2012-10-17"}));
        for wrong in [None, Some("%"), Some("%FF"), Some("{")] {
            assert!(document(wrong, "").is_err());
        }
    }
}
