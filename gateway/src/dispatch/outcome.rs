//! What a request came to: an answer that is kept, another try, or an end with its reason.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA384, digest};
use cloister_client::{Attested, Error as ClientError, Exam, Proof, Session, finding_words, receipt};
use serde::Serialize;

use super::ask;
use crate::delivery::results;
use crate::enclaves::Check;
use crate::gateway::Gateway;
use crate::times::words;
use crate::worklist::{Answered, AnsweredBy, ModelName, Reason, ReceiptName, State, Work, work};
use crate::{Error, audit, limits, metric};

/// What a request came to.
pub(super) enum Outcome {
    /// An answer, on disk but for the work list.
    Answered(Box<Answered>),
    /// Another try, after a while.
    Again { after: Option<Duration>, reason: Reason },
    /// No score, because one would mislead.
    Abstained(Reason),
    /// No answer, and none to be had by trying again.
    Failed(Reason),
}

/// Makes all that follows from an answer, and has it on disk.
pub(super) async fn of_answer(
    gateway: &Gateway,
    index: usize,
    work: &Work,
    session: &Session,
    checks: Vec<Check>,
    name: String,
    mut answer: Exam,
) -> Outcome {
    let attested = session.attested();
    let model = ModelName {
        name: answer.model.name.clone(),
        version: answer.model.version,
        digest: answer.model.digest.clone(),
    };
    gateway.enclaves.answered(index, model);
    let verified = match receipt::verify(&answer.receipt.0, gateway.enclaves.policy()) {
        Ok(verified) => verified,
        Err(error) => return of_error(gateway, index, ClientError::Receipt(error.into())),
    };
    let by = AnsweredBy {
        name,
        label: attested.label.clone(),
        module_id: attested.module_id.clone(),
        document_time: words(attested.timestamp),
        checks,
    };
    let maps = ask::maps(&mut answer);
    let receipt_digest = digest(&SHA384, &answer.receipt.0);
    let receipt_name = ReceiptName { digest: hex::encode(receipt_digest), key_id: hex::encode(verified.key_sha384) };
    let (Ok(report), Ok(json)) = (report(gateway, attested, &answer), serde_json::to_string(&answer)) else {
        return Outcome::Failed(Reason::new("internal", "The answer could not be written as JSON."));
    };
    let made = results::Made { answer, maps, claims: verified.claims, report: report.clone() };
    let (made, results) = match results::make(gateway, work, made).await {
        Ok(results) => results,
        Err(error) => {
            tracing::error!(%error, exam = %work.id, "results cannot be kept");
            return Outcome::Again {
                after: None,
                reason: Reason::new("spool", "Results could not be written to disk."),
            };
        }
    };
    Outcome::Answered(Box::new(Answered {
        answer: json,
        by,
        report,
        receipt: made.answer.receipt.0,
        receipt_name,
        maps: made.maps,
        results,
        targets: gateway.targets(),
    }))
}

/// What `cloister exam --json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    answer: &'a Exam,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    finding_words: BTreeMap<&'a str, &'static str>,
    verified: Proof,
}

fn report(gateway: &Gateway, attested: &Attested, answer: &Exam) -> serde_json::Result<String> {
    let found = answer.views.iter().flat_map(|view| &view.findings).chain(&answer.findings);
    let finding_words = found.filter_map(|code| Some((code.as_str(), finding_words(code)?))).collect();
    serde_json::to_string(&Report { answer, finding_words, verified: Proof::new(gateway.enclaves.policy(), attested) })
}

/// Whether another try may help, and otherwise why not. The enclave's words are about the image, and never repeat what identifies a patient.
pub(super) fn of_error(gateway: &Gateway, index: usize, error: ClientError) -> Outcome {
    let sentence = format!("{error}.");
    match &error {
        ClientError::Refused { kind, .. } if ask::is_without_maps(bare(kind)) => {
            gateway.enclaves.without_maps(index);
            Outcome::Again { after: Some(Duration::ZERO), reason: Reason::new(bare(kind), sentence) }
        }
        ClientError::Refused { status: 408 | 429 | 500..=599, retry_after, kind, .. } => {
            Outcome::Again { after: *retry_after, reason: Reason::new(bare(kind), sentence) }
        }
        // Credentials are for whoever runs the gateway to mend, and exams wait for that.
        ClientError::Refused { status: 401 | 403, kind, .. } => {
            Outcome::Again { after: Some(limits::LONGEST_BACKOFF), reason: Reason::new(bare(kind), sentence) }
        }
        ClientError::Refused { status: 413 | 415 | 422, kind, .. } => {
            Outcome::Abstained(Reason::new(bare(kind), sentence))
        }
        ClientError::Refused { kind, .. } => Outcome::Failed(Reason::new(bare(kind), sentence)),
        ClientError::Views { .. } => Outcome::Failed(Reason::new("missing-view", sentence)),
        ClientError::Receipt(_) | ClientError::OtherResult(_) => {
            gateway.enclaves.distrust(index, &error);
            Outcome::Failed(Reason::new("receipt-not-believed", sentence))
        }
        ClientError::TooLarge { .. } | ClientError::Malformed { .. } => {
            Outcome::Failed(Reason::new("answer-not-understood", sentence))
        }
        _ => Outcome::Again { after: None, reason: Reason::new("connection", sentence) },
    }
}

/// A problem's type without its prefix.
fn bare(kind: &str) -> &str {
    kind.strip_prefix("urn:cloister:problem:").unwrap_or(kind)
}

/// Has the outcome in the work list.
pub(super) async fn settle(gateway: &Gateway, work: &Work, outcome: Outcome) -> Result<(), Error> {
    let number = work.number;
    let began = SystemTime::now();
    match outcome {
        Outcome::Answered(answered) => {
            gateway.audit(audit::Event::answered(&work.id, &answered.by.name, &answered.receipt_name.digest)).await?;
            gateway.worklist.with(move |list| work::answered(list, number, &answered)).await?;
            metric::exam(State::Answered);
        }
        Outcome::Again { after, reason } => {
            tracing::warn!(exam = %work.id, reason = %reason.kind, "an exam is to be sent again");
            let told = reason.clone();
            if gateway.worklist.with(move |list| work::again(list, number, after, &reason)).await? {
                gateway.audit(audit::Event::ended(&work.id, State::Failed, &told.kind)).await?;
                metric::exam(State::Failed);
            }
        }
        Outcome::Abstained(reason) => end(gateway, work, State::Abstained, reason).await?,
        Outcome::Failed(reason) => end(gateway, work, State::Failed, reason).await?,
    }
    tracing::debug!(exam = %work.id, took = ?began.elapsed(), "an exam was settled");
    Ok(())
}

async fn end(gateway: &Gateway, work: &Work, state: State, reason: Reason) -> Result<(), Error> {
    tracing::info!(exam = %work.id, state = state.as_str(), reason = %reason.kind, "an exam ended without scores");
    gateway.audit(audit::Event::ended(&work.id, state, &reason.kind)).await?;
    let number = work.number;
    gateway.worklist.with(move |list| work::ended(list, number, state, &reason)).await?;
    metric::exam(state);
    Ok(())
}
