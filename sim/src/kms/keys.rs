//! The simulated keys: made, found by id or ARN, used, and kept in a file when asked.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};

use super::limits::{MAX_CIPHERTEXT, MAX_KEYS};
use super::material::{Material, Spec};
use super::policy::Policy;
use crate::certificate::TlsAuthority;
use crate::exception::Exception;

const STATE_VERSION: u32 = 1;
/// First byte of every ciphertext blob: "simulated", so that none is taken for AWS's.
const BLOB_MAGIC: u8 = b'S';
const ID_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// One key.
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) account: String,
    pub(crate) arn: String,
    pub(crate) description: String,
    /// Seconds since 1970.
    pub(crate) created: i64,
    pub(crate) policy_text: String,
    pub(crate) policy: Policy,
    pub(crate) material: Material,
    pub(crate) state: KeyState,
}

/// Whether a key may be used (developer guide, "Key states of KMS keys").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum KeyState {
    #[default]
    Enabled,
    Disabled,
    PendingDeletion,
}

/// What a control plane holds of a key.
pub(crate) struct Held {
    pub(crate) id: String,
    pub(crate) account: String,
    pub(crate) arn: String,
    pub(crate) description: String,
    pub(crate) created: i64,
    pub(crate) policy: String,
    pub(crate) spec: Spec,
    pub(crate) state: KeyState,
}

/// Every key of the simulator, by ARN.
pub(crate) struct Keys {
    keys: BTreeMap<String, Key>,
    region: String,
    file: Option<StateFile>,
}

struct StateFile {
    path: PathBuf,
    authority: TlsAuthority,
}

/// What the state file holds, secrets included: it is a simulator's, and readable to its owner only.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    version: u32,
    authority: TlsAuthority,
    keys: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    id: String,
    account: String,
    arn: String,
    description: String,
    created: i64,
    policy: String,
    #[serde(default)]
    spec: Spec,
    material: String,
}

/// Why the state file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Reading or writing failed.
    #[error("the state file {path} cannot be used: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file is there but is not the simulator's.
    #[error("the state file {path} is not one of this simulator: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        reason: String,
    },
}

impl Key {
    /// Encrypts under the key, bound to its ARN and to the context: another key or another context will not open it.
    pub(crate) fn encrypt(&self, plaintext: &[u8], context: &BTreeMap<String, String>) -> Result<Vec<u8>, Exception> {
        let id = self.id_bytes().ok_or_else(Exception::internal)?;
        let mut sealed = plaintext.to_vec();
        let nonce = self
            .cipher()?
            .seal_in_place_append_tag(Aad::from(self.associated_data(context)), &mut sealed)
            .map_err(|_| Exception::internal())?;
        Ok([&[BLOB_MAGIC], id.as_slice(), nonce.as_ref(), &sealed].concat())
    }

    fn decrypt(&self, sealed: &[u8], context: &BTreeMap<String, String>) -> Result<Vec<u8>, Exception> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES).ok_or_else(Exception::invalid_ciphertext)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Exception::invalid_ciphertext())?;
        let mut sealed = sealed.to_vec();
        let opened = self
            .cipher()?
            .open_in_place(nonce, Aad::from(self.associated_data(context)), &mut sealed)
            .map_err(|_| Exception::invalid_ciphertext())?
            .len();
        sealed.truncate(opened);
        Ok(sealed)
    }

    /// Refuses a use that the key's state does not admit.
    pub(crate) fn check_usable(&self) -> Result<(), Exception> {
        match self.state {
            KeyState::Enabled => Ok(()),
            KeyState::Disabled => Err(Exception::new("DisabledException", format!("{} is disabled.", self.arn))),
            KeyState::PendingDeletion => Err(self.invalid_state("is pending deletion")),
        }
    }

    pub(crate) fn invalid_state(&self, what: &str) -> Exception {
        Exception::new("KMSInvalidStateException", format!("{} {what}.", self.arn))
    }

    fn cipher(&self) -> Result<RandomizedNonceKey, Exception> {
        self.material.cipher()
    }

    fn id_bytes(&self) -> Option<Vec<u8>> {
        hex::decode(self.id.replace('-', "")).ok()
    }

    /// The ARN and the context's sorted pairs, each with its length before it so that no two contexts read alike.
    fn associated_data(&self, context: &BTreeMap<String, String>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let pairs = context.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        for part in std::iter::once(self.arn.as_bytes()).chain(pairs) {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

/// A ciphertext blob whose key is known, still closed.
pub(crate) struct Blob<'k> {
    pub(crate) key: &'k Key,
    sealed: Vec<u8>,
}

impl Blob<'_> {
    pub(crate) fn open(&self, context: &BTreeMap<String, String>) -> Result<Vec<u8>, Exception> {
        self.key.decrypt(&self.sealed, context)
    }
}

impl Keys {
    /// No keys, kept nowhere.
    pub(crate) fn in_memory(region: &str) -> Self {
        Self { keys: BTreeMap::new(), region: region.to_owned(), file: None }
    }

    /// Reads the state file, or starts one with `fresh`'s authority when there is none. Returns the authority in force.
    pub(crate) fn in_file(
        path: &Path,
        region: &str,
        fresh: impl FnOnce() -> TlsAuthority,
    ) -> Result<(Self, TlsAuthority), StateError> {
        let state = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice::<State>(&bytes).map_err(|error| content(path, error.to_string()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                State { version: STATE_VERSION, authority: fresh(), keys: Vec::new() }
            }
            Err(error) => return Err(StateError::File { path: path.to_owned(), error }),
        };
        if state.version != STATE_VERSION {
            return Err(content(path, format!("its version is {} instead of {STATE_VERSION}", state.version)));
        }
        let mut keys = BTreeMap::new();
        for stored in state.keys {
            let key = stored.into_key().map_err(|reason| content(path, reason))?;
            keys.insert(key.arn.clone(), key);
        }
        let authority = state.authority;
        let file = Some(StateFile { path: path.to_owned(), authority: authority.clone() });
        let keys = Self { keys, region: region.to_owned(), file };
        keys.save()?;
        Ok((keys, authority))
    }

    pub(crate) fn create(
        &mut self,
        account: &str,
        spec: Spec,
        description: String,
        policy: Option<String>,
        created: i64,
    ) -> Result<&Key, Exception> {
        self.check_room()?;
        let policy_text = policy.unwrap_or_else(|| Policy::default_text(account));
        let policy = Policy::parse(&policy_text)?;
        let id = random_uuid()?;
        let arn = format!("arn:aws:kms:{}:{account}:key/{id}", self.region);
        let material = Material::generate(spec)?;
        let account = account.to_owned();
        let state = KeyState::default();
        let key = Key { id, account, arn: arn.clone(), description, created, policy_text, policy, material, state };
        self.keys.insert(arn.clone(), key);
        self.save_or_fail()?;
        self.keys.get(&arn).ok_or_else(Exception::internal)
    }

    fn check_room(&self) -> Result<(), Exception> {
        if self.keys.len() >= MAX_KEYS {
            return Err(Exception::new(
                "LimitExceededException",
                format!("The simulator holds at most {MAX_KEYS} keys"),
            ));
        }
        Ok(())
    }

    /// Takes over what a control plane holds of a key now. The first time, the key gets its material, which then stays.
    pub(crate) fn mirror(&mut self, held: Held) -> Result<(), Exception> {
        let Held { id, account, arn, description, created, policy: policy_text, spec, state } = held;
        if let Some(key) = self.keys.get_mut(&arn) {
            (key.description, key.state) = (description, state);
            return if key.policy_text == policy_text { Ok(()) } else { self.put_policy(&arn, policy_text) };
        }
        self.check_room()?;
        let (policy, material) = (Policy::parse(&policy_text)?, Material::generate(spec)?);
        let key = Key { id, account, arn: arn.clone(), description, created, policy_text, policy, material, state };
        self.keys.insert(arn, key);
        self.save_or_fail()
    }

    pub(crate) fn put_policy(&mut self, arn: &str, text: String) -> Result<(), Exception> {
        let policy = Policy::parse(&text)?;
        let key = self.keys.get_mut(arn).ok_or_else(|| not_found(arn))?;
        key.policy = policy;
        key.policy_text = text;
        self.save_or_fail()
    }

    /// Finds a key by ARN, or by its bare id in the caller's account, as KMS does.
    pub(crate) fn find(&self, key_id: &str, caller_account: &str) -> Result<&Key, Exception> {
        let arn = if key_id.starts_with("arn:") {
            key_id.to_owned()
        } else {
            format!("arn:aws:kms:{}:{caller_account}:key/{key_id}", self.region)
        };
        self.keys.get(&arn).ok_or_else(|| not_found(&arn))
    }

    /// Reads which key a ciphertext blob was made under.
    pub(crate) fn blob(&self, ciphertext: &[u8]) -> Result<Blob<'_>, Exception> {
        if ciphertext.is_empty() || ciphertext.len() > MAX_CIPHERTEXT {
            return Err(Exception::validation(format!("CiphertextBlob has 1 to {MAX_CIPHERTEXT} bytes")));
        }
        let (header, sealed) = ciphertext.split_at_checked(1 + ID_BYTES).ok_or_else(Exception::invalid_ciphertext)?;
        let [BLOB_MAGIC, id @ ..] = header else { return Err(Exception::invalid_ciphertext()) };
        if sealed.len() < NONCE_BYTES + TAG_BYTES {
            return Err(Exception::invalid_ciphertext());
        }
        let key = self.keys.values().find(|key| key.id_bytes().as_deref() == Some(id));
        let key = key.ok_or_else(Exception::invalid_ciphertext)?;
        Ok(Blob { key, sealed: sealed.to_vec() })
    }

    fn save_or_fail(&self) -> Result<(), Exception> {
        self.save().map_err(|error| {
            tracing::error!(%error, "state not saved");
            Exception::internal()
        })
    }

    /// Writes the whole state beside the file and then renames it over, so that a reader sees all of it or none.
    fn save(&self) -> Result<(), StateError> {
        let Some(file) = &self.file else { return Ok(()) };
        let keys = self.keys.values().map(StoredKey::of).collect();
        let state = State { version: STATE_VERSION, authority: file.authority.clone(), keys };
        let bytes = serde_json::to_vec_pretty(&state).map_err(|error| content(&file.path, error.to_string()))?;
        write_privately(&file.path, &bytes).map_err(|error| StateError::File { path: file.path.clone(), error })
    }
}

impl StoredKey {
    fn of(key: &Key) -> Self {
        Self {
            id: key.id.clone(),
            account: key.account.clone(),
            arn: key.arn.clone(),
            description: key.description.clone(),
            created: key.created,
            policy: key.policy_text.clone(),
            spec: key.material.spec(),
            material: key.material.to_base64(),
        }
    }

    fn into_key(self) -> Result<Key, String> {
        let policy = Policy::parse(&self.policy).map_err(|exception| exception.to_string())?;
        let material = Material::from_base64(self.spec, &self.material);
        let material = material.ok_or_else(|| format!("the material of {} is not that of such a key", self.arn))?;
        Ok(Key {
            id: self.id,
            account: self.account,
            arn: self.arn,
            description: self.description,
            created: self.created,
            policy_text: self.policy,
            policy,
            material,
            state: KeyState::default(),
        })
    }
}

/// Writes a file that only its owner may read, atomically.
pub(crate) fn write_privately(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;

    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

/// A random UUID of version 4 (RFC 9562, 5.4), the form of KMS's key and request ids.
pub(crate) fn random_uuid() -> Result<String, Exception> {
    let mut bytes = [0_u8; 16];
    rand::fill(&mut bytes).map_err(|_| Exception::internal())?;
    let mut digits = u128::from_be_bytes(bytes);
    digits = digits & !(0xf << 76) | 0x4 << 76;
    digits = digits & !(0x3 << 62) | 0x2 << 62;
    let digits = format!("{digits:032x}");
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| digits.get(range).unwrap_or_default());
    Ok(groups.join("-"))
}

pub(super) fn not_found(arn: &str) -> Exception {
    Exception::new("NotFoundException", format!("Key '{arn}' does not exist"))
}

fn content(path: &Path, reason: String) -> StateError {
    StateError::Content { path: path.to_owned(), reason }
}
