//! `cloister provider policy`: which images may open the model's key, in whose hands.

use std::path::PathBuf;

use clap::Args;
use cloister_accounts::{Consumer, statement};
use cloister_attest::parse_pcr;
use cloister_kms::context;
use cloister_seal::{Purpose as SealedAs, Sealed};
use serde_json::{Map, Value};
use statement::{Attested, Purpose};
use std::collections::BTreeMap;

use super::MODEL_ALIAS;
use crate::accounts::{Common, failure};
use crate::failure::Failure;
use crate::files;
use crate::policy::measurements;

/// What `cloister provider policy` takes.
#[derive(Args)]
pub struct KeyPolicy {
    /// The key, by alias or ARN.
    #[arg(long, default_value = MODEL_ALIAS)]
    key: String,
    /// The image's measurements, as `cloister eif build` and nitro-cli write them: PCR0, and PCR8 where the image is signed.
    #[arg(long, value_name = "JSON")]
    measurements: PathBuf,
    /// A further measurement to ask for, as INDEX=HEX.
    #[arg(long = "pcr", value_name = "INDEX=HEX")]
    pcrs: Vec<String>,
    /// Whose enclaves: an account's role, or whoever the account's own policies let use the key.
    #[arg(long, value_name = "ACCOUNT[:ROLE]", required_unless_present = "withdraw")]
    consumer: Option<Consumer>,
    /// Open for this sealed model alone: its name, version and digest are pinned.
    #[arg(long, value_name = "FILE", group = "what", required_unless_present_any = ["model", "any_model", "withdraw"])]
    sealed: Option<PathBuf>,
    /// Open for every version of the model of this name.
    #[arg(long, value_name = "NAME", group = "what")]
    model: Option<String>,
    /// Open for every model that is sealed under the key.
    #[arg(long, group = "what")]
    any_model: bool,
    /// Take back what was let in: this image, of this consumer where one is named.
    #[arg(long)]
    withdraw: bool,
    /// Take back this statement of that image alone, by its Sid.
    #[arg(long, value_name = "SID", requires = "withdraw")]
    statement: Option<String>,
    /// Change the policy. Without it, the difference is shown.
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    common: Common,
}

/// Shows the difference, and makes it where that is wanted.
pub async fn run(arguments: &KeyPolicy) -> Result<(), Failure> {
    let pcrs = pcrs(arguments)?;
    let account = arguments.common.open().await?;
    let missing = || Failure::input(format!("there is no key {} in {} {}", arguments.key, account.id, account.region));
    let key = account.find_key(&arguments.key).await.map_err(failure)?.ok_or_else(missing)?;
    let before = account.key_policy(&key.arn).await.map_err(failure)?;
    let (kept, gone) = statement::without_gone(&before, &key.arn).map_err(failure)?;
    let (after, undo) = match (&arguments.statement, arguments.withdraw) {
        (Some(sid), _) => (statement::without(&kept, &Value::from(sid.as_str()), &key.arn).map_err(failure)?, None),
        (None, true) => {
            let consumer = arguments.consumer.as_ref();
            (statement::without_image(&kept, &pcrs, consumer, &key.arn).map_err(failure)?, None)
        }
        (None, false) => with(arguments, &kept, &key.arn, pcrs).map(|(after, undo)| (after, Some(undo)))?,
    };
    let mut plan = account.plan_policy(&key.arn, &before, &after, undo.filter(|_| gone.is_empty()).as_deref());
    plan.warnings.extend(gone.iter().map(|sid| {
        format!("the statement {sid:?} names a role that is gone, and is taken out: a role of the same name has to be let in anew")
    }));
    if !plan.steps.is_empty() {
        plan.next.extend(next(arguments, &key.arn));
    }
    let result = Map::from_iter([("key".to_owned(), Value::from(key.arn))]);
    arguments.common.preview_if(!arguments.apply).carry_out("provider policy", &account, &plan, result).await
}

/// The policy with what lets the image in, and the command that takes just that back.
fn with(arguments: &KeyPolicy, before: &Value, arn: &str, pcrs: statement::Pcrs) -> Result<(Value, String), Failure> {
    let Some(consumer) = arguments.consumer.clone() else {
        return Err(Failure::usage("--consumer ACCOUNT[:ROLE] says whose enclaves are let in"));
    };
    let attested = Attested { consumer, pcrs, context: model_context(arguments, arn)?, purpose: Purpose::Model };
    attested.check().map_err(failure)?;
    let statement = attested.to_statement();
    let (key, file) = (&arguments.key, arguments.measurements.display());
    let sid = statement["Sid"].as_str().unwrap_or_default();
    let undo =
        format!("cloister provider policy --key {key} --measurements {file} --withdraw --statement {sid} --apply");
    Ok((statement::with(before, &statement, arn).map_err(failure)?, undo))
}

fn model_context(arguments: &KeyPolicy, arn: &str) -> Result<BTreeMap<String, String>, Failure> {
    if let Some(path) = &arguments.sealed {
        let about = |error: &dyn std::fmt::Display| Failure::input(format!("{}: {error}", path.display()));
        let file = std::fs::File::open(path).map_err(|error| about(&error))?;
        let sealed = Sealed::read_header(file).map_err(|error| about(&error))?;
        if sealed.header().purpose != SealedAs::Model {
            return Err(about(&"it is no sealed model"));
        }
        if sealed.header().key_arn != arn {
            return Err(about(&format!("it was sealed under {}, and not under {arn}", sealed.header().key_arn)));
        }
        return Ok(sealed.header().context.clone());
    }
    let name = arguments.model.iter().map(|name| (context::MODEL.to_owned(), name.clone()));
    Ok(name.collect())
}

/// PCR0, PCR8 where there is one, and what else was asked for. PCR1 and PCR2 measure parts of what PCR0 measures.
fn pcrs(arguments: &KeyPolicy) -> Result<statement::Pcrs, Failure> {
    let path = &arguments.measurements;
    let mut pcrs = measurements::parse(&files::read(path)?)
        .map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
    pcrs.retain(|index, _| [0, 8].contains(index));
    for text in &arguments.pcrs {
        let (index, value) = parse_pcr(text).map_err(|error| Failure::usage(format!("--pcr: {error}")))?;
        if pcrs.insert(index, value).is_some_and(|before| before != value) {
            return Err(Failure::usage(format!("PCR{index} is given twice, and not the same")));
        }
    }
    Ok(pcrs)
}

fn next(arguments: &KeyPolicy, arn: &str) -> Vec<String> {
    if arguments.withdraw {
        return vec![
            "enclaves of that image that run already keep the model until they end: have the data owner end them"
                .to_owned(),
        ];
    }
    vec![format!(
        "the data owner's role needs kms:Decrypt on {arn} in its own account: cloister consumer init --model-key {arn} …"
    )]
}
