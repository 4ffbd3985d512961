//! What is to change, before it does.

use serde::Serialize;
use serde_json::Value;

use crate::account::Account;
use crate::error::Result;
use crate::keys::KeyCall;
use crate::repositories::RegistryCall;
use crate::roles::RoleCall;

/// The tag of what is made here, by which a later run knows what it may take away.
pub(crate) const MADE_BY: &str = "made-by";
/// See [`MADE_BY`].
pub(crate) const US: &str = "cloister";

/// What happens to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is not there, and will be.
    Create,
    /// It is there, and will be otherwise.
    Update,
    /// It is there, and will not be.
    Remove,
}

/// One change of one resource.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// What happens.
    pub action: Action,
    /// To what: a kind and a name, or an ARN.
    pub resource: String,
    /// What is there; null for nothing.
    pub before: Value,
    /// What will be there; null for nothing.
    pub after: Value,
    /// The command that takes it back.
    pub undo: String,
    /// What a script calls what is made, where AWS gives it its name.
    #[serde(skip)]
    pub called: Option<&'static str>,
}

/// A change, and the call that makes it.
pub struct Step {
    /// The change.
    pub change: Change,
    pub(crate) call: Call,
}

/// A call of AWS's.
pub(crate) enum Call {
    Key(KeyCall),
    Registry(RegistryCall),
    Role(RoleCall),
}

/// What is to change, what is worth a warning, and what the other side has to do then.
#[derive(Default)]
pub struct Plan {
    /// In the order in which they are carried out.
    pub steps: Vec<Step>,
    /// In words for a person.
    pub warnings: Vec<String>,
    /// What comes next, and whose turn it is.
    pub next: Vec<String>,
}

impl Plan {
    /// One plan after another.
    pub fn and(mut self, other: Self) -> Self {
        self.steps.extend(other.steps);
        self.warnings.extend(other.warnings);
        self.next.extend(other.next);
        self
    }

    pub(crate) fn push(&mut self, call: Call, change: Change) {
        self.steps.push(Step { change, call });
    }
}

impl Account {
    /// Carries out one step, for what it made where that has a name of AWS's choice: a key's ARN.
    ///
    /// # Errors
    /// The call's failure. What earlier steps did stays.
    pub async fn apply(&self, step: &Step) -> Result<Option<String>> {
        match &step.call {
            Call::Key(call) => self.apply_key(call).await,
            Call::Registry(call) => self.apply_registry(call).await.map(|()| None),
            Call::Role(call) => self.apply_role(call).await.map(|()| None),
        }
    }
}
