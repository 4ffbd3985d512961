//! `cloister provider init`, `retire` and `public-key`.

use std::path::PathBuf;

use clap::Args;
use cloister_accounts::{Account, FoundKey, KeyUse, KeyWish, Plan, RepositoryName, statement};
use serde_json::{Map, Value};

use super::{MODEL_ALIAS, REPOSITORY, SIGNING_ALIAS};
use crate::accounts::{Common, failure};
use crate::failure::Failure;
use crate::{files, output};

/// The names of what is made.
#[derive(Args)]
struct Names {
    /// The alias of the key that models are sealed under.
    #[arg(long, default_value = MODEL_ALIAS, value_parser = alias)]
    alias: String,
    /// The alias of the key that signs.
    #[arg(long, default_value = SIGNING_ALIAS, value_parser = alias)]
    signing_alias: String,
    /// The repository.
    #[arg(long, default_value = REPOSITORY)]
    repository: RepositoryName,
}

/// What `cloister provider init` takes.
#[derive(Args)]
pub struct Init {
    #[command(flatten)]
    names: Names,
    /// What people read of the model's key in the console.
    #[arg(long, default_value = "Wraps the keys of Cloister model packages; opens for attested enclaves alone")]
    description: String,
    /// Give the alias to this key of yours, instead of making one.
    #[arg(long, value_name = "ARN")]
    key: Option<String>,
    /// Give the signing alias to this key of yours, instead of making one.
    #[arg(long, value_name = "ARN", conflicts_with = "no_signing_key")]
    signing_key: Option<String>,
    /// Make no key that signs: images are signed with a key file.
    #[arg(long)]
    no_signing_key: bool,
    #[command(flatten)]
    common: Common,
}

/// What `cloister provider retire` takes.
#[derive(Args)]
pub struct Retire {
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    common: Common,
}

/// What `cloister provider public-key` takes.
#[derive(Args)]
pub struct PublicKey {
    /// The signing key.
    #[arg(long, default_value = SIGNING_ALIAS)]
    key: String,
    /// Where to write it, in PEM.
    #[arg(long, value_name = "PEM")]
    out: PathBuf,
    #[command(flatten)]
    common: Common,
}

/// An alias as KMS names them.
pub fn alias(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("alias/").unwrap_or_default();
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte);
    if (1..=250).contains(&name.len()) && !name.starts_with("aws/") && name.bytes().all(letters) {
        Ok(text.to_owned())
    } else {
        Err("an alias is alias/NAME, with A-Z, a-z, 0-9, /, _ and - in NAME, which does not begin with aws/".to_owned())
    }
}

/// Makes what is not there.
pub async fn init(arguments: &Init) -> Result<(), Failure> {
    let account = arguments.common.open().await?;
    let names = &arguments.names;
    let undo = undo("retire", names);
    let root = format!("arn:aws:iam::{}:root", account.id);
    let model = KeyWish {
        called: "key",
        alias: names.alias.clone(),
        adopt: arguments.key.clone(),
        description: arguments.description.clone(),
        usage: KeyUse::Encrypt,
        policy: statement::administered(
            &account.id,
            &[statement::users(&root, &["kms:GenerateDataKey"], Some(cloister_kms::context::PURPOSE_MODEL))],
        ),
    };
    let (mut plan, model_key) = account.plan_key(&model, &undo).await.map_err(failure)?;
    warn_of_policy(&account, model_key.as_ref(), &mut plan).await?;
    let mut signing_key = None;
    if !arguments.no_signing_key {
        let signing = KeyWish {
            called: "signing_key",
            alias: names.signing_alias.clone(),
            adopt: arguments.signing_key.clone(),
            description: "Signs Cloister images and what is said of them".to_owned(),
            usage: KeyUse::Sign,
            policy: statement::administered(&account.id, &[statement::users(&root, &["kms:Sign"], None)]),
        };
        let (signing, found) = account.plan_key(&signing, &undo).await.map_err(failure)?;
        plan = plan.and(signing);
        signing_key = found;
    }
    let mut plan = plan.and(account.plan_repository(&names.repository, &undo).await.map_err(failure)?);
    plan.next.extend([
        "seal the model: cloister model seal --package DIR --key-id ARN --out model.sealed".to_owned(),
        format!(
            "have the data owner make the role of its pods: cloister consumer init --model-key ARN …, with the ARN of {}",
            names.alias
        ),
        format!("let that role in: cloister provider policy --key {} --measurements F --sealed model.sealed --consumer ACCOUNT:ROLE --apply", names.alias),
    ]);
    let mut result = Map::new();
    for (name, key) in [("key", model_key), ("signing_key", signing_key)] {
        if let Some(key) = key {
            result.insert(name.to_owned(), key.arn.into());
        }
    }
    arguments.common.carry_out("provider init", &account, &plan, result).await
}

async fn warn_of_policy(account: &Account, key: Option<&FoundKey>, plan: &mut Plan) -> Result<(), Failure> {
    let Some(key) = key else { return Ok(()) };
    let policy = account.key_policy(&key.arn).await.map_err(failure)?;
    plan.warnings.extend(statement::warnings(&policy));
    Ok(())
}

fn undo(verb: &str, names: &Names) -> String {
    let Names { alias, signing_alias, repository } = names;
    format!("cloister provider {verb} --alias {alias} --signing-alias {signing_alias} --repository {repository}")
}

/// Takes away what `init` made.
pub async fn retire(arguments: &Retire) -> Result<(), Failure> {
    let account = arguments.common.open().await?;
    let names = &arguments.names;
    let mut undo = undo("init", names);
    for (alias, flag) in [(&names.alias, "--key"), (&names.signing_alias, "--signing-key")] {
        if let Some(key) = account.find_key(alias).await.map_err(failure)? {
            undo.push_str(&format!(" {flag} {}", key.arn));
        }
    }
    let mut plan = Plan::default();
    for alias in [&names.alias, &names.signing_alias] {
        plan = plan.and(account.plan_key_deletion(alias, &undo).await.map_err(failure)?);
    }
    let plan = plan.and(account.plan_repository_deletion(&names.repository, &undo).await.map_err(failure)?);
    arguments.common.carry_out("provider retire", &account, &plan, Map::new()).await
}

/// Writes the public half of the signing key.
pub async fn public_key(arguments: &PublicKey) -> Result<(), Failure> {
    let account = arguments.common.open().await?;
    let pem = account.public_key(&arguments.key).await.map_err(failure)?;
    if !arguments.common.dry_run() {
        files::write(&arguments.out, pem.as_bytes())?;
    }
    if arguments.common.json() {
        return output::json(&Value::from(pem));
    }
    output::line(format_args!("wrote {}: give it to the data owner by a way that both trust", arguments.out.display()))
}
