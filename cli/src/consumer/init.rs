//! `cloister consumer init` and `retire`: the pods' role, and the data owner's own key.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use cloister_accounts::{
    Account, Consumer, FoundKey, KeyUse, KeyWish, Plan, RoleWish, ServiceAccount, role_arn, statement, trust_policy,
};
use cloister_kms::context::PURPOSE_IMAGE;
use serde_json::{Map, Value};
use statement::{Attested, Purpose};

use super::DATA_ALIAS;
use crate::accounts::{Common, failure};
use crate::failure::Failure;
use crate::policy;
use crate::provider::init::alias;

/// What `cloister consumer init` takes.
#[derive(Args)]
pub struct Init {
    /// The role's name.
    #[arg(long, default_value = "cloister-parent")]
    role: String,
    /// The model owner's key, which the role has to be able to ask KMS for.
    #[arg(long, value_name = "ARN", value_parser = key_arn)]
    model_key: String,
    /// The namespace of the pods.
    #[arg(long, default_value = "cloister")]
    namespace: String,
    /// Their service account.
    #[arg(long, default_value = "cloister")]
    service_account: String,
    /// The cluster's OIDC issuer, for IAM roles for service accounts.
    #[arg(long, value_name = "URL")]
    oidc_issuer: Vec<String>,
    /// The cluster that EKS Pod Identity may give the role out in; any of the account's by default.
    #[arg(long, value_name = "NAME", requires = "pod_identity")]
    cluster: Option<String>,
    /// Let EKS Pod Identity give the role out.
    #[arg(long, required_unless_present = "oidc_issuer")]
    pod_identity: bool,
    /// Make a data key of your own, for sealed images and results, which these people's or systems' role seals and opens with.
    #[arg(long, value_name = "ROLE-ARN", requires = "policy", value_parser = role_arn)]
    data_owner: Vec<String>,
    /// The data key's alias.
    #[arg(long, default_value = DATA_ALIAS, value_parser = alias)]
    alias: String,
    /// The policy file by which you verify enclaves: the data key opens for what it accepts, and for nothing else.
    #[arg(long, value_name = "TOML", requires = "data_owner")]
    policy: Option<PathBuf>,
    /// Give the alias to this key of yours, instead of making one.
    #[arg(long, value_name = "ARN")]
    key: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// What `cloister consumer retire` takes.
#[derive(Args)]
pub struct Retire {
    /// The role's name.
    #[arg(long, default_value = "cloister-parent")]
    role: String,
    /// The data key's alias.
    #[arg(long, default_value = DATA_ALIAS, value_parser = alias)]
    alias: String,
    #[command(flatten)]
    common: Common,
}

fn key_arn(text: &str) -> Result<String, String> {
    cloister_kms::region_of(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Makes what is not there.
pub async fn init(arguments: &Init) -> Result<(), Failure> {
    let account = arguments.common.open().await?;
    let undo = format!("cloister consumer retire --role {} --alias {}", arguments.role, arguments.alias);
    let (data, found) = data_key(arguments, &account, &undo).await?;
    let pods = ServiceAccount {
        namespace: arguments.namespace.clone(),
        name: arguments.service_account.clone(),
        cluster: arguments.cluster.clone(),
    };
    let wish = RoleWish {
        name: arguments.role.clone(),
        description: "The parent process beside Cloister's enclaves: it carries their requests to KMS".to_owned(),
        trust: trust_policy(account.id.as_str(), &pods, &arguments.oidc_issuer, arguments.pod_identity),
        model_key: arguments.model_key.clone(),
        data_alias: arguments.policy.is_some().then(|| arguments.alias.clone()),
    };
    // KMS takes no policy that names a role which is not there.
    let mut plan = account.plan_role(&wish, &undo).await.map_err(failure)?.and(data);
    let role = account.role_arn(&arguments.role);
    plan.next.push(format!(
        "the model owner lets the role in: cloister provider policy --measurements F --sealed model.sealed --consumer {}:{} --apply",
        account.id, arguments.role
    ));
    plan.next.push(format!("put the role into the manifests: {role} (docs/eks.md)"));
    let mut result = Map::from_iter([("role".to_owned(), Value::from(role))]);
    result.extend(found.map(|key| ("data_key".to_owned(), Value::from(key.arn))));
    arguments.common.carry_out("consumer init", &account, &plan, result).await
}

async fn data_key(arguments: &Init, account: &Account, undo: &str) -> Result<(Plan, Option<FoundKey>), Failure> {
    let Some(path) = &arguments.policy else { return Ok((Plan::default(), None)) };
    let owners = arguments.data_owner.iter().flat_map(|owner| {
        let uses = statement::users(owner, &["kms:GenerateDataKey", "kms:Decrypt"], Some(PURPOSE_IMAGE));
        [uses, statement::users(owner, &["kms:DescribeKey"], None)]
    });
    let owners: Vec<_> = owners.collect();
    let base = statement::administered(&account.id, &owners);
    let consumer = Consumer { account: account.id.clone(), role: Some(arguments.role.clone()) };
    let mut wanted = Vec::new();
    for accepted in policy::read(path)?.accept() {
        let attested = Attested {
            consumer: consumer.clone(),
            pcrs: accepted.pcrs.iter().map(|(index, value)| (*index, *value)).collect(),
            context: BTreeMap::new(),
            purpose: Purpose::Image,
        };
        attested.check().map_err(failure)?;
        wanted.push(attested.to_statement());
    }
    let all = wanted.iter().try_fold(base, |policy, statement| statement::with(&policy, statement, &arguments.alias));
    let all = all.map_err(failure)?;
    let wish = KeyWish {
        called: "data_key",
        alias: arguments.alias.clone(),
        adopt: arguments.key.clone(),
        description: "Wraps the keys of images and results; opens for their owner, and for attested enclaves"
            .to_owned(),
        usage: KeyUse::Encrypt,
        policy: all.clone(),
    };
    let (plan, found) = account.plan_key(&wish, undo).await.map_err(failure)?;
    let Some(found) = found else { return Ok((plan, None)) };
    let before = account.key_policy(&found.arn).await.map_err(failure)?;
    let after = statement::statements(&all, &arguments.alias).and_then(|statements| {
        let kept = statement::without_openings(&before, &found.arn)?;
        statements.iter().try_fold(kept, |policy, statement| statement::with(&policy, statement, &found.arn))
    });
    let mut changed = account.plan_policy(&found.arn, &before, &after.map_err(failure)?, None);
    // Its owner opens it without an enclave: that is what it is for.
    let of_owners =
        |warning: &String| owners.iter().any(|owner| owner["Sid"].as_str().is_some_and(|sid| warning.contains(sid)));
    changed.warnings.retain(|warning| !of_owners(warning));
    Ok((plan.and(changed), Some(found)))
}

/// Takes away what `init` made.
pub async fn retire(arguments: &Retire) -> Result<(), Failure> {
    let account = arguments.common.open().await?;
    let mut undo = format!("cloister consumer init --role {} --alias {} …", arguments.role, arguments.alias);
    if let Some(key) = account.find_key(&arguments.alias).await.map_err(failure)? {
        undo.push_str(&format!(" --key {}", key.arn));
    }
    let key = account.plan_key_deletion(&arguments.alias, &undo).await.map_err(failure)?;
    let mut plan = key.and(account.plan_role_deletion(&arguments.role, &undo).await.map_err(failure)?);
    plan.next.push("a role that is made anew is another to KMS: the model owner has to run cloister provider policy once more for it".to_owned());
    arguments.common.carry_out("consumer retire", &account, &plan, Map::new()).await
}
