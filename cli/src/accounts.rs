//! What every verb that changes an AWS account does: it says who it acts as and what it will change, changes it, and says what it did, how to
//! take it back, and what the other side has to do then.

use clap::Args;
use cloister_accounts::{Account, AccountId, Action, Change, Error, Plan, Settings, statement};
use cloister_aws_http::Roots;
use serde::Serialize;
use serde_json::{Map, Value};
use std::path::PathBuf;

use crate::failure::Failure;
use crate::{files, output};

/// What every verb takes.
#[derive(Args, Clone)]
pub struct Common {
    /// The region; by default what the profile or AWS_REGION says.
    #[arg(long)]
    region: Option<String>,
    /// The account that the credentials have to be of: with another's, nothing is done.
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<AccountId>,
    /// Certificates in PEM that vouch for AWS's endpoints, instead of the public authorities.
    #[arg(long, value_name = "PEM")]
    ca: Option<PathBuf>,
    /// Say what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is to change, and what is to be said of it.
pub struct Outcome<'a> {
    /// In the order in which they are made.
    pub changes: &'a [Change],
    /// In words.
    pub warnings: &'a [String],
    /// What comes next, and whose turn it is.
    pub next: &'a [String],
    /// What the verb found.
    pub result: Map<String, Value>,
}

/// What was planned and done, for a script.
#[derive(Serialize)]
struct Report<'a> {
    command: &'a str,
    account: &'a str,
    identity: &'a str,
    region: &'a str,
    dry_run: bool,
    changes: Vec<Reported<'a>>,
    warnings: &'a [String],
    next: &'a [String],
    /// What the verb found or made: ARNs, digests, states.
    #[serde(flatten)]
    result: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct Reported<'a> {
    #[serde(flatten)]
    change: &'a Change,
    applied: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<String>,
}

impl Common {
    /// The same, and with nothing changed where `preview` says so.
    pub fn preview_if(&self, preview: bool) -> Self {
        Self { dry_run: self.dry_run || preview, ..self.clone() }
    }

    /// Whether nothing is to be changed.
    pub fn dry_run(&self) -> bool {
        self.dry_run
    }

    /// Whether JSON is wanted.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Whose certificates vouch for AWS.
    pub fn roots(&self) -> Result<Roots, Failure> {
        Ok(self.ca.as_deref().map(files::read_text).transpose()?.map_or(Roots::WebPki, Roots::Pem))
    }

    /// Finds out who acts.
    pub async fn open(&self) -> Result<Account, Failure> {
        let (region, account, roots) = (self.region.clone(), self.account.clone(), self.roots()?);
        Account::open(Settings { region, account, roots }).await.map_err(failure)
    }

    /// Shows a plan, and carries it out unless it is only to be shown.
    pub async fn carry_out(
        &self,
        command: &str,
        account: &Account,
        plan: &Plan,
        result: Map<String, Value>,
    ) -> Result<(), Failure> {
        let changes: Vec<_> = plan.steps.iter().map(|step| step.change.clone()).collect();
        let outcome = Outcome { changes: &changes, warnings: &plan.warnings, next: &plan.next, result };
        let apply = async |index: usize| match plan.steps.get(index) {
            Some(step) => account.apply(step).await.map_err(failure),
            None => Ok(None),
        };
        self.carry_out_each(command, account, outcome, apply).await
    }

    /// The same, with another way to make each change: `apply` takes its place in the list, and says what it made.
    pub async fn carry_out_each(
        &self,
        command: &str,
        account: &Account,
        mut outcome: Outcome<'_>,
        apply: impl AsyncFn(usize) -> Result<Option<String>, Failure>,
    ) -> Result<(), Failure> {
        if !self.json {
            self.announce(account, &outcome)?;
        }
        let mut done = Vec::new();
        let mut failed = None;
        let wanted = if self.dry_run { &[][..] } else { outcome.changes };
        for (index, change) in wanted.iter().enumerate() {
            match apply(index).await {
                Ok(made) => {
                    if let (Some(name), Some(made)) = (change.called, &made) {
                        outcome.result.insert(name.to_owned(), Value::from(made.as_str()));
                    }
                    if !self.json {
                        let made = made.as_deref().unwrap_or(&change.resource);
                        output::line(format_args!("{} {made}", past(change.action)))?;
                    }
                    done.push(made);
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        if self.json {
            self.report(command, account, &outcome, &done)?;
        } else if failed.is_none() {
            self.conclude(&outcome)?;
        }
        let Some(failure) = failed else { return Ok(()) };
        let (done, all) = (done.len(), outcome.changes.len());
        Err(failure.about(&format!("{done} of {all} changes were made, and stay")))
    }

    fn announce(&self, account: &Account, outcome: &Outcome<'_>) -> Result<(), Failure> {
        output::line(format_args!("account {} in {}, as {}", account.id, account.region, account.arn))?;
        for change in outcome.changes {
            describe(change)?;
        }
        for warning in outcome.warnings {
            output::line(format_args!("WARNING: {warning}"))?;
        }
        Ok(())
    }

    fn conclude(&self, outcome: &Outcome<'_>) -> Result<(), Failure> {
        match (outcome.changes.is_empty(), self.dry_run) {
            (true, _) => output::line("nothing to change: all is as it should be")?,
            (false, true) => output::line("dry run: nothing was changed")?,
            (false, false) => {}
        }
        for (name, value) in &outcome.result {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            output::line(format_args!("{name:14} {text}"))?;
        }
        outcome.next.iter().try_for_each(|next| output::line(format_args!("next: {next}")))
    }

    fn report(
        &self,
        command: &str,
        account: &Account,
        outcome: &Outcome<'_>,
        done: &[Option<String>],
    ) -> Result<(), Failure> {
        let changes = outcome.changes.iter().enumerate().map(|(index, change)| Reported {
            change,
            applied: index < done.len(),
            made: done.get(index).cloned().flatten(),
        });
        output::json(&Report {
            command,
            account: account.id.as_str(),
            identity: &account.arn,
            region: &account.region,
            dry_run: self.dry_run,
            changes: changes.collect(),
            warnings: outcome.warnings,
            next: outcome.next,
            result: &outcome.result,
        })
    }
}

/// One change, before it is made: policies statement by statement, anything else as it will be.
fn describe(change: &Change) -> Result<(), Failure> {
    let verb = match change.action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Remove => "remove",
    };
    output::line(format_args!("will {verb} {}", change.resource))?;
    let [before, after] = [&change.before, &change.after].map(parts);
    for (sign, rest) in [('-', before.0), ('+', after.0)] {
        if !rest.is_null() {
            output::line(format_args!("    {sign} {rest}"))?;
        }
    }
    for line in statement::difference(&before.1, &after.1) {
        output::line(format_args!("    {line}"))?;
    }
    output::line(format_args!("    to undo it: {}", change.undo))
}

/// What is there or will be, without its policy, and the policy.
fn parts(value: &Value) -> (Value, Value) {
    if value.get("Statement").is_some() {
        return (Value::Null, value.clone());
    }
    let mut rest = value.clone();
    let mut policy = Value::Null;
    if let Some(members) = rest.as_object_mut() {
        policy = members.remove("policy").or_else(|| members.remove("trust")).unwrap_or_default();
    }
    let rest = if rest.as_object().is_some_and(Map::is_empty) { Value::Null } else { rest };
    (rest, policy)
}

fn past(action: Action) -> &'static str {
    match action {
        Action::Create => "created",
        Action::Update => "updated",
        Action::Remove => "removed",
    }
}

/// What a failure of this kind is to a script.
pub fn failure(error: Error) -> Failure {
    match error {
        Error::Name { .. } | Error::NoRegion => Failure::usage(error),
        Error::Policy { .. } | Error::TooMany { .. } | Error::Measurements(_) | Error::Conflict(_) => {
            Failure::input(error)
        }
        Error::OtherAccount { .. } | Error::Denied { .. } => Failure::not_verified(error),
        _ => Failure::unavailable(error),
    }
}
