//! Events as FHIR AuditEvents (R4, <https://hl7.org/fhir/R4/auditevent.html>), with codes of DICOM's audit messages (PS3.15, A.5; CID 400 ff.).
//!
//! Exams are named by the gateway's own identifiers: the log says nothing of a patient that the work list would not have to explain.

use serde_json::{Value, json};

use crate::times::{now, rfc3339};
use crate::worklist::State;

/// DICOM's terms (PS3.16).
const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Agent {
    /// A person, or a machine with a name, what the provider of identities calls them, and from where.
    User { name: String, subject: Option<String>, from: Option<String> },
    /// Nobody has to sign in.
    Anyone { from: Option<String> },
    /// The gateway itself.
    Gateway,
}

/// Something that is written down.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    agent: Agent,
    /// DICOM's code of the kind of event, and its meaning.
    kind: (&'static str, &'static str),
    /// Our own word for what happened.
    what: &'static str,
    /// C, R, U, D or E (create, read, update, delete, execute).
    action: &'static str,
    /// Whether it succeeded.
    outcome: bool,
    exam: Option<String>,
    details: Vec<(&'static str, String)>,
    at: String,
}

const ACTIVITY: (&str, &str) = ("110100", "Application Activity");
const SIGN_IN: (&str, &str) = ("110114", "User Authentication");
const INSTANCES: (&str, &str) = ("110103", "DICOM Instances Accessed");
const BEGIN_TRANSFER: (&str, &str) = ("110102", "Begin Transferring DICOM Instances");
const TRANSFERRED: (&str, &str) = ("110104", "DICOM Instances Transferred");
const STUDY_DELETED: (&str, &str) = ("110105", "DICOM Study Deleted");
const EXPORT: (&str, &str) = ("110106", "Export");
const IMPORT: (&str, &str) = ("110107", "Import");
const QUERY: (&str, &str) = ("110112", "Query");

impl Event {
    fn new(agent: Agent, kind: (&'static str, &'static str), what: &'static str, action: &'static str) -> Self {
        Self { agent, kind, what, action, outcome: true, exam: None, details: Vec::new(), at: rfc3339(now()) }
    }

    fn of(mut self, exam: &str) -> Self {
        self.exam = Some(exam.to_owned());
        self
    }

    fn detail(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    fn failed(mut self) -> Self {
        self.outcome = false;
        self
    }

    /// The gateway started.
    pub(crate) fn started() -> Self {
        Self::new(Agent::Gateway, ACTIVITY, "start", "E").detail("version", env!("CARGO_PKG_VERSION"))
    }

    /// The gateway ends, by order.
    pub(crate) fn stopped() -> Self {
        Self::new(Agent::Gateway, ACTIVITY, "stop", "E")
    }

    /// Somebody signed in.
    pub(crate) fn signed_in(agent: Agent) -> Self {
        Self::new(agent, SIGN_IN, "sign-in", "E")
    }

    /// Somebody did not.
    pub(crate) fn sign_in_refused(agent: Agent, reason: &'static str) -> Self {
        Self::new(agent, SIGN_IN, "sign-in", "E").failed().detail("reason", reason)
    }

    /// Somebody signed out.
    pub(crate) fn signed_out(agent: Agent) -> Self {
        Self::new(agent, SIGN_IN, "sign-out", "E")
    }

    /// An exam, or one of its images, came in.
    pub(crate) fn received(agent: Agent, exam: &str, source: &'static str, images: usize) -> Self {
        Self::new(agent, IMPORT, "receive", "C").of(exam).detail("source", source).detail("images", images.to_string())
    }

    /// An exam is about to leave for an enclave that was verified.
    pub(crate) fn sent(exam: &str, enclave: &str, label: &str) -> Self {
        Self::new(Agent::Gateway, BEGIN_TRANSFER, "send", "E")
            .of(exam)
            .detail("enclave", enclave)
            .detail("accepted-as", label)
    }

    /// It was answered.
    pub(crate) fn answered(exam: &str, enclave: &str, receipt: &str) -> Self {
        Self::new(Agent::Gateway, TRANSFERRED, "answer", "U")
            .of(exam)
            .detail("enclave", enclave)
            .detail("receipt-sha384", receipt)
    }

    /// It ended without an answer.
    pub(crate) fn ended(exam: &str, state: State, reason: &str) -> Self {
        Self::new(Agent::Gateway, TRANSFERRED, state.as_str(), "U").failed().of(exam).detail("reason", reason)
    }

    /// A result was delivered.
    pub(crate) fn delivered(exam: &str, result: &str, target: &'static str) -> Self {
        Self::new(Agent::Gateway, EXPORT, "deliver", "R").of(exam).detail("result", result).detail("target", target)
    }

    /// Somebody looked at an exam, or took a file of it.
    pub(crate) fn looked(agent: Agent, exam: &str, what: &'static str) -> Self {
        Self::new(agent, INSTANCES, "read", "R").of(exam).detail("what", what)
    }

    /// Somebody looked at the work list.
    pub(crate) fn listed(agent: Agent) -> Self {
        Self::new(agent, QUERY, "list", "E")
    }

    /// Somebody had an exam sent once more.
    pub(crate) fn retried(agent: Agent, exam: &str) -> Self {
        Self::new(agent, INSTANCES, "retry", "U").of(exam)
    }

    /// An exam was deleted.
    pub(crate) fn deleted(agent: Agent, exam: &str) -> Self {
        Self::new(agent, STUDY_DELETED, "delete", "D").of(exam)
    }

    /// An exam's images were deleted.
    pub(crate) fn images_deleted(exam: &str) -> Self {
        Self::new(Agent::Gateway, STUDY_DELETED, "delete-images", "D").of(exam)
    }

    /// As FHIR has it.
    pub(super) fn to_fhir(&self) -> Value {
        let (code, meaning) = self.kind;
        let mut event = json!({
            "resourceType": "AuditEvent",
            "type": {"system": DCM, "code": code, "display": meaning},
            "subtype": [{"system": "urn:cloister:audit", "code": self.what}],
            "action": self.action,
            "recorded": self.at,
            "outcome": if self.outcome { "0" } else { "4" },
            "agent": [self.agent.to_fhir()],
            "source": {"observer": {"display": "cloister gateway"}},
        });
        let details: Vec<Value> =
            self.details.iter().map(|(name, value)| json!({"type": name, "valueString": value})).collect();
        if self.exam.is_some() || !details.is_empty() {
            let mut entity = json!({});
            if let Some(exam) = &self.exam {
                entity["what"] = json!({"identifier": {"system": "urn:cloister:exam", "value": exam}});
            }
            if !details.is_empty() {
                entity["detail"] = Value::Array(details);
            }
            event["entity"] = json!([entity]);
        }
        event
    }
}

impl Agent {
    fn to_fhir(&self) -> Value {
        let (name, subject, from, requestor) = match self {
            Self::User { name, subject, from } => (name.as_str(), subject.as_deref(), from.as_deref(), true),
            Self::Anyone { from } => ("anyone", None, from.as_deref(), true),
            Self::Gateway => ("gateway", None, None, false),
        };
        let mut agent = json!({"who": {"identifier": {"value": name}}, "requestor": requestor});
        if let Some(subject) = subject {
            agent["altId"] = json!(subject);
        }
        if let Some(from) = from {
            agent["network"] = json!({"address": from, "type": "2"});
        }
        agent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_an_audit_event_of_fhir() {
        let agent =
            Agent::User { name: "ruth".to_owned(), subject: Some("f:1".to_owned()), from: Some("10.0.0.7".to_owned()) };
        let event = Event::received(agent, "4711", "page", 4).to_fhir();
        assert_eq!(event["resourceType"], "AuditEvent");
        assert_eq!((&event["action"], &event["outcome"]), (&json!("C"), &json!("0")));
        assert_eq!(event["agent"][0]["who"]["identifier"]["value"], "ruth");
        assert_eq!(event["agent"][0]["altId"], "f:1");
        assert_eq!(event["agent"][0]["network"], json!({"address": "10.0.0.7", "type": "2"}));
        assert_eq!(event["entity"][0]["what"]["identifier"]["value"], "4711");
        // What R4 asks for: type, recorded, agent with requestor, source with observer.
        assert!(event["type"]["code"].is_string() && event["recorded"].is_string());
        assert!(event["agent"][0]["requestor"].is_boolean() && event["source"]["observer"].is_object());
    }

    #[test]
    fn what_did_not_succeed_says_so() {
        let event = Event::sign_in_refused(Agent::Anyone { from: None }, "password").to_fhir();
        assert_eq!(event["outcome"], "4");
        assert_eq!(event["entity"][0]["detail"][0], json!({"type": "reason", "valueString": "password"}));
    }
}
