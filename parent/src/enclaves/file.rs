//! The list of enclaves in a file, for a hand-over; and how one is described.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use cloister_transport::{ANY_CID, Address};
use serde::{Deserialize, Serialize};

use crate::limits;

/// One enclave, as its operator describes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Described {
    /// What it is called in logs and metrics.
    pub name: String,
    /// Where it takes clients.
    pub address: Address,
    /// The sealed model that it gets.
    pub model: PathBuf,
    /// A control endpoint of its own. On vsock all enclaves share one, and are told apart by their numbers.
    #[serde(default)]
    pub control: Option<Address>,
    /// What it is asked to set, as far as its measured configuration lets it.
    #[serde(default)]
    pub set: BTreeMap<String, Value>,
}

impl Described {
    /// Whether it is the same enclave: what it is to set may have changed.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.address, &self.model, &self.control)
            == (&other.name, &other.address, &other.model, &other.control)
    }

    /// Whether both cannot run at once, because a client or the control endpoint could not tell them apart.
    pub(crate) fn clashes(&self, other: &Self) -> bool {
        let shared = self.control.is_none() && other.control.is_none();
        let unknown = self.number().is_none() || other.number().is_none() || self.number() == other.number();
        self.address == other.address || (shared && unknown) || (!shared && self.control == other.control)
    }

    /// The CID that the shared control endpoint knows it by.
    fn number(&self) -> Option<u32> {
        match self.address {
            Address::Vsock { cid, .. } if cid != ANY_CID => Some(cid),
            _ => None,
        }
    }
}

/// A setting's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number from 0, or text")]
pub enum Value {
    /// A number.
    Number(u64),
    /// Text.
    Text(String),
}

impl Value {
    /// A number where it is one, else text.
    pub fn of(text: &str) -> Self {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if digits { text.parse().ok() } else { None };
        number.map_or_else(|| Self::Text(text.to_owned()), Self::Number)
    }
}

/// Why a list of enclaves cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The file cannot be read.
    #[error("the list of enclaves {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than any true one.
    #[error("the list of enclaves {} is larger than {} bytes", .0.display(), limits::MAX_LIST_BYTES)]
    TooLarge(PathBuf),
    /// The file is no list of enclaves.
    #[error("the list of enclaves {} cannot be used: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An enclave that cannot be as it is described.
    #[error("the enclave {name:?} {problem}")]
    Enclave {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// None, or too many.
    #[error("there are {0} enclaves in the list; 1 to {most} can be", most = limits::MAX_ENCLAVES)]
    Count(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    enclave: Option<Vec<Described>>,
}

/// Reads and checks a list. `shared` is the control endpoint of enclaves that have none of their own. A list that says `enclave = []` has
/// none, so that all can drain; a file that says nothing is a mistake.
///
/// # Errors
/// [`ListError`], naming the enclave.
pub fn read(path: &Path, shared: Option<&Address>) -> Result<Vec<Described>, ListError> {
    let unreadable = |source| ListError::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(limits::MAX_LIST_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > limits::MAX_LIST_BYTES {
        return Err(ListError::TooLarge(path.to_owned()));
    }
    let list: List = toml::from_str(&text).map_err(|error| {
        // One sentence for a log: the parser's own display quotes the file over several lines.
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let reason = format!("line {}: {}", before.matches('\n').count() + 1, error.message().replace('\n', " "));
        ListError::Malformed { path: path.to_owned(), reason }
    })?;
    match list.enclave {
        Some(none) if none.is_empty() => Ok(none),
        listed => {
            let listed = listed.unwrap_or_default();
            check(&listed, shared)?;
            Ok(listed)
        }
    }
}

/// Refuses enclaves that could not be told apart.
pub(crate) fn check(enclaves: &[Described], shared: Option<&Address>) -> Result<(), ListError> {
    if !(1..=limits::MAX_ENCLAVES).contains(&enclaves.len()) {
        return Err(ListError::Count(enclaves.len()));
    }
    let sharing = enclaves.iter().filter(|enclave| enclave.control.is_none()).count();
    let by_number = matches!(shared, Some(Address::Vsock { .. }));
    let (mut names, mut addresses, mut numbers) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for enclave in enclaves {
        let refused = |problem| Err(ListError::Enclave { name: enclave.name.clone(), problem });
        if !plain(&enclave.name, limits::MAX_NAME_BYTES, |c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            return refused("has a name that is not 1 to 64 letters, digits, '-', '_' and '.'");
        }
        if !names.insert(&enclave.name) {
            return refused("is there twice");
        }
        if !addresses.insert(enclave.address.to_string())
            || enclave.control.as_ref().is_some_and(|control| !addresses.insert(control.to_string()))
        {
            return refused("has an address that another has");
        }
        if enclave.control.is_none() && shared.is_none() {
            return refused("has no control endpoint: give it `control`, or give --control-listen for all");
        }
        let mut own_number = || by_number && enclave.number().is_some_and(|number| numbers.insert(number));
        if enclave.control.is_none() && sharing > 1 && !own_number() {
            return refused("cannot be told apart on the shared control endpoint: give it `control`");
        }
        check_settings(enclave)?;
    }
    Ok(())
}

fn check_settings(enclave: &Described) -> Result<(), ListError> {
    let refused = |problem| Err(ListError::Enclave { name: enclave.name.clone(), problem });
    if enclave.set.len() > limits::MAX_SETTINGS {
        return refused("is asked to set more than 32 things");
    }
    for (name, value) in &enclave.set {
        if !plain(name, limits::MAX_SETTING_BYTES, |c| c.is_ascii_lowercase() || c == '_') {
            return refused("is asked to set something whose name is not 1 to 32 of a to z and '_'");
        }
        if matches!(value, Value::Text(text) if text.len() > limits::MAX_NAME_BYTES) {
            return refused("is asked to set a text that is longer than 64 bytes");
        }
    }
    Ok(())
}

fn plain(text: &str, longest: usize, allowed: impl Fn(char) -> bool) -> bool {
    (1..=longest).contains(&text.len()) && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Described>, ListError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("enclaves.toml");
        std::fs::write(&path, text).unwrap();
        read(&path, Some(&"vsock://any:9001".parse().unwrap()))
    }

    fn enclave(name: &str, address: &str, more: &str) -> String {
        format!("[[enclave]]\nname = {name:?}\naddress = {address:?}\nmodel = \"/m\"\n{more}\n")
    }

    #[test]
    fn enclaves_are_read_in_their_order_with_what_they_are_to_set() {
        let text = enclave("old", "vsock://16:5000", "")
            + &enclave("new", "vsock://17:5000", "set = { queue = 4, mode = \"x\" }");
        let list = read_text(&text).unwrap();
        assert_eq!(list.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["old", "new"]);
        assert_eq!(list[1].set["queue"], Value::Number(4));
        assert_eq!(list[1].set["mode"], Value::Text("x".to_owned()));
    }

    #[test]
    fn enclaves_that_cannot_be_told_apart_are_refused() {
        let one = enclave("one", "vsock://16:5000", "");
        for (other, words) in [
            (enclave("one", "vsock://17:5000", ""), "is there twice"),
            (enclave("two", "vsock://16:5000", ""), "an address that another has"),
            (enclave("two", "unix:///enclave", ""), "cannot be told apart"),
            (enclave("two", "vsock://any:5000", ""), "cannot be told apart"),
            (enclave("two", "vsock://16:6000", ""), "cannot be told apart"),
            (enclave("t w o", "vsock://17:5000", ""), "has a name"),
            (enclave("two", "vsock://17:5000", "set = { Queue = 1 }"), "whose name is not"),
        ] {
            let error = read_text(&(one.clone() + &other)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert!(read_text(&(one.clone() + &enclave("two", "unix:///e", "control = \"unix:///c\""))).is_ok());
        let two = read_text(&(one + &enclave("two", "vsock://17:5000", ""))).unwrap();
        for shared in ["unix:///control", "hybrid:///vm:9001", "tcp://127.0.0.1:9001"] {
            let error = check(&two, Some(&shared.parse().unwrap())).unwrap_err().to_string();
            assert!(error.contains("cannot be told apart"), "{shared} knows nobody's number: {error}");
        }
    }

    #[test]
    fn a_malformed_list_is_refused_in_one_line_that_says_where() {
        let good = enclave("one", "vsock://16:5000", "set = { queue = 1 }");
        for (from, to, words) in [
            ("model", "weights", "line 4: unknown field `weights`"),
            ("vsock://16:5000", "16:5000", "line 3: "),
            ("queue = 1", "queue = -1", "a number from 0, or text"),
            ("[[enclave]]", "[[enclave", "line 1: "),
        ] {
            let error = read_text(&good.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn digits_alone_are_a_number() {
        assert_eq!(Value::of("0"), Value::Number(0));
        for text in ["", "+1", "-1", "1.5", "fast", "99999999999999999999999"] {
            assert_eq!(Value::of(text), Value::Text(text.to_owned()));
        }
    }

    #[test]
    fn none_can_be_listed_but_not_by_a_file_that_says_nothing() {
        assert!(read_text("enclave = []").unwrap().is_empty());
        for text in ["", "# enclave = []"] {
            assert!(matches!(read_text(text), Err(ListError::Count(0))), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let many: String = (0..9).map(|n| enclave(&format!("e{n}"), &format!("vsock://{}:5000", 16 + n), "")).collect();
        assert!(matches!(read_text(&many), Err(ListError::Count(9))));
        for text in
            ["[[enclave]]", "enclaves = 1", &enclave("a", "16:5000", ""), &enclave("a", "vsock://16:1", "sett = 1")]
        {
            assert!(matches!(read_text(text), Err(ListError::Malformed { .. })), "{text}");
        }
        let large = "#".repeat(usize::try_from(limits::MAX_LIST_BYTES).unwrap() + 1);
        assert!(matches!(read_text(&large), Err(ListError::TooLarge(_))));
        assert!(matches!(check(&[], None), Err(ListError::Count(0))));
    }
}
