//! Users with passwords: a file in TOML, with hashes by argon2 as PHC strings.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use super::{Role, User};
use crate::{Error, files, limits, random};

/// Bytes of a salt (RFC 9106, section 3.1).
const SALT_BYTES: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersFile {
    #[serde(rename = "user", default)]
    users: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    display: Option<String>,
    role: Role,
    password: String,
}

/// The hash of a password by argon2id with the crate's default costs (19 MiB, two passes), as a PHC string for the users' file.
///
/// # Errors
/// [`Error::Users`] for one that is empty or longer than 256 bytes.
pub fn hash_password(password: &[u8]) -> Result<String, Error> {
    if !(1..=limits::MAX_PASSWORD_BYTES).contains(&password.len()) {
        return Err(Error::Users("a password has 1 to 256 bytes".to_owned()));
    }
    let salt: [u8; SALT_BYTES] = random::bytes()?;
    let hashed = Argon2::default().hash_password_with_salt(password, &salt);
    let hashed: PasswordHash = hashed.map_err(|error| Error::Users(error.to_string()))?;
    Ok(hashed.to_string())
}

/// Name and password of RFC 7617.
pub(super) fn basic(encoded: &str) -> Option<(String, Zeroizing<String>)> {
    let pair = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    let (name, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some((name.to_owned(), Zeroizing::new(password.to_owned())))
}

/// The users.
pub(super) struct Passwords {
    users: HashMap<String, (User, String)>,
    /// What a name is judged by that nobody has, so that it takes as long.
    nobody: String,
    hashing: Arc<Semaphore>,
    remembered: Mutex<HashMap<[u8; 32], (User, Instant)>>,
    key: hmac::Key,
}

impl Passwords {
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let wrong = |problem: String| Error::Users(format!("{}: {problem}", path.display()));
        let text = files::bounded_text(path, limits::MAX_USERS_BYTES)?;
        // The parser's words would quote a line, which may hold a password.
        let file: UsersFile = toml::from_str(&text).map_err(|error| wrong(error.message().to_owned()))?;
        let mut users = HashMap::new();
        for Entry { name, display, role, password } in file.users {
            if name.is_empty() || name.len() > limits::MAX_NAME_BYTES || name.contains(':') {
                return Err(wrong("a name has 1 to 128 bytes, and no colon".to_owned()));
            }
            PasswordHash::new(&password)
                .map_err(|_| wrong(format!("the password of {name} is not what cloister gateway password prints")))?;
            let user =
                User { display: display.unwrap_or_else(|| name.clone()), name: name.clone(), subject: None, role };
            if users.insert(name.clone(), (user, password)).is_some() {
                return Err(wrong(format!("{name} is there twice")));
            }
        }
        if users.is_empty() {
            return Err(wrong("it has no [[user]]".to_owned()));
        }
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| Error::Random)?;
        let hashing = Arc::new(Semaphore::new(limits::MAX_HASHING));
        Ok(Self { users, nobody: hash_password(b"nobody")?, hashing, remembered: Mutex::default(), key })
    }

    /// Waits for a place among those whose passwords are hashed.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.hashing).acquire_owned().await.ok()
    }

    /// Judges a password by its hash.
    pub(super) async fn judge(
        &self,
        turn: OwnedSemaphorePermit,
        name: &str,
        password: Zeroizing<String>,
    ) -> Option<User> {
        let known = self.users.get(name).filter(|_| password.len() <= limits::MAX_PASSWORD_BYTES);
        let hash = known.map_or_else(|| self.nobody.clone(), |(_, hash)| hash.clone());
        let digest = self.digest(name, &password);
        let right = tokio::task::spawn_blocking(move || {
            let right = PasswordHash::new(&hash)
                .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
            drop(turn);
            right
        });
        let right = right.await.unwrap_or(false);
        let user = known.filter(|_| right).map(|(user, _)| user.clone());
        if let Some(user) = &user {
            let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            remembered.retain(|_, (_, at)| at.elapsed() < limits::BASIC_REMEMBERED);
            if remembered.len() < limits::MAX_REMEMBERED {
                remembered.insert(digest, (user.clone(), Instant::now()));
            }
        }
        user
    }

    /// The user of a password that was right a short while ago.
    pub(super) fn remembered(&self, name: &str, password: &str) -> Option<User> {
        let digest = self.digest(name, password);
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let (user, at) = remembered.get(&digest)?;
        (at.elapsed() < limits::BASIC_REMEMBERED).then(|| user.clone())
    }

    fn digest(&self, name: &str, password: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        // Names have no zero.
        for part in [name, "\0", password] {
            context.update(part.as_bytes());
        }
        context.sign().as_ref().first_chunk().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Passwords, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.toml");
        std::fs::write(&path, text).unwrap();
        Passwords::read(&path)
    }

    #[tokio::test]
    async fn the_right_password_and_no_other_is_the_users() {
        let hash = hash_password(b"correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let users = read(&format!("[[user]]\nname = \"ruth\"\nrole = \"reader\"\npassword = \"{hash}\"\n")).unwrap();
        let judge = async |name: &str, password: &str| {
            let turn = users.turn().await.unwrap();
            users.judge(turn, name, Zeroizing::new(password.to_owned())).await.map(|user| user.role)
        };
        assert!(users.remembered("ruth", "correct horse").is_none());
        assert_eq!(judge("ruth", "correct horse").await, Some(Role::Reader));
        assert!(users.remembered("ruth", "correct horse").is_some());
        for (name, password) in [("ruth", "correct horsf"), ("ruth", ""), ("anna", "correct horse"), ("", "nobody")] {
            assert_eq!(judge(name, password).await, None, "{name} {password}");
            assert!(users.remembered(name, password).is_none());
        }
    }

    #[test]
    fn a_users_file_that_cannot_be_meant_is_refused_and_no_password_is_repeated() {
        let hash = hash_password(b"x").unwrap();
        let user = |name: &str, password: &str| {
            format!("[[user]]\nname = {name:?}\nrole = \"reader\"\npassword = {password:?}\n")
        };
        for text in [
            String::new(),
            user("ruth", "hunter42"),
            user("a:b", &hash),
            user("ruth", &hash) + &user("ruth", &hash),
            "[[user]]\nname = \"ruth\"\npassword = \"hunter42".to_owned(),
        ] {
            let error = read(&text).err().map(|error| error.to_string()).expect("it is refused");
            assert!(!error.contains("hunter42"), "{error}");
        }
    }

    #[test]
    fn basic_credentials_are_those_of_rfc_7617() {
        // The example of its section 2.
        let (name, password) = basic("QWxhZGRpbjpvcGVuIHNlc2FtZQ==").unwrap();
        assert_eq!((name.as_str(), password.as_str()), ("Aladdin", "open sesame"));
        assert!(basic("QWxhZGRpbg==").is_none() && basic("!").is_none());
    }
}
