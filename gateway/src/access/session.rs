//! Browsers' sessions. They are in memory: a gateway that starts anew asks its users to sign in once more.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use http::{HeaderMap, header};

use super::User;
use crate::{Error, limits, random};

/// The header that says that a change is meant.
const MEANT: &str = "x-cloister-csrf";

/// A session's longest life, in seconds, as a cookie says it.
const SESSION_SECONDS: u64 = limits::SESSION_LIFETIME.as_secs();

/// A session, to whoever has it.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) user: User,
    pub(crate) csrf: String,
}

struct Kept {
    session: Session,
    began: Instant,
    used: Instant,
}

/// All of them, by a digest of the cookie's secret: a copy of this memory opens none.
pub(super) struct Sessions {
    kept: Mutex<HashMap<[u8; 32], Kept>>,
    idle: Duration,
}

/// The cookie's name; where there is TLS, one that browsers take from this very host over TLS alone.
fn cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-cloister" } else { "cloister" }
}

/// A cookie out of a request.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|value| value.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

/// What a browser is to keep.
pub(super) fn set_cookie(name: &str, value: &str, site: &str, seconds: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite={site}; Max-Age={seconds}{secure}")
}

/// Whether a request says that it is meant.
pub(super) fn is_meant(headers: &HeaderMap, csrf: &str) -> bool {
    let shown = headers.get(MEANT).map(|value| value.as_bytes()).unwrap_or_default();
    verify_slices_are_equal(shown, csrf.as_bytes()).is_ok()
}

fn key(secret: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    key
}

impl Sessions {
    pub(super) fn new(idle_seconds: Option<u64>) -> Self {
        let idle = idle_seconds.map_or(limits::DEFAULT_SESSION_IDLE, Duration::from_secs);
        Self { kept: Mutex::default(), idle }
    }

    fn lives(&self, kept: &Kept) -> bool {
        kept.used.elapsed() < self.idle && kept.began.elapsed() < limits::SESSION_LIFETIME
    }

    /// The session of a request, which counts as used.
    pub(super) fn of(&self, headers: &HeaderMap, secure: bool) -> Option<Session> {
        let key = key(cookie(headers, cookie_name(secure))?);
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = all.get_mut(&key)?;
        if !self.lives(kept) {
            all.remove(&key);
            return None;
        }
        kept.used = Instant::now();
        Some(kept.session.clone())
    }

    /// Whether a request's session goes on; asking is no use of it.
    pub(super) fn goes_on(&self, headers: &HeaderMap, secure: bool) -> bool {
        let all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        cookie(headers, cookie_name(secure))
            .and_then(|cookie| all.get(&key(cookie)))
            .is_some_and(|kept| self.lives(kept))
    }

    /// Begins one: its cookie, and itself.
    pub(super) fn begin(&self, user: User, secure: bool) -> Result<(String, Session), Error> {
        let (secret, csrf) = (random::secret()?, random::secret()?);
        let session = Session { user, csrf };
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, kept| self.lives(kept));
        if all.len() >= limits::MAX_SESSIONS {
            let longest = all.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| *key);
            longest.map(|key| all.remove(&key));
        }
        let now = Instant::now();
        all.insert(key(&secret), Kept { session: session.clone(), began: now, used: now });
        Ok((set_cookie(cookie_name(secure), &secret, "Strict", SESSION_SECONDS, secure), session))
    }

    /// Ends one, and gives the cookie that takes its place.
    pub(super) fn end(&self, headers: &HeaderMap, secure: bool) -> String {
        if let Some(secret) = cookie(headers, cookie_name(secure)) {
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(secret));
        }
        set_cookie(cookie_name(secure), "", "Strict", 0, secure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;

    fn user() -> User {
        User { name: "ruth".to_owned(), subject: None, display: "Ruth".to_owned(), role: Role::Reader }
    }

    fn browser(cookie: &str) -> HeaderMap {
        let kept = cookie.split(';').next().unwrap();
        HeaderMap::from_iter([(header::COOKIE, format!("a=b; {kept}").parse().unwrap())])
    }

    #[test]
    fn a_session_is_its_cookies_until_it_ends() {
        let sessions = Sessions::new(None);
        let (cookie, session) = sessions.begin(user(), true).unwrap();
        assert!(cookie.starts_with("__Host-cloister=") && cookie.contains("; Path=/; HttpOnly; SameSite=Strict"));
        assert!(cookie.ends_with("; Secure"));
        assert_eq!(sessions.of(&browser(&cookie), true).map(|found| found.user), Some(session.user));
        assert!(sessions.of(&browser("__Host-cloister=AAAA"), true).is_none());
        assert!(sessions.goes_on(&browser(&cookie), true) && !sessions.goes_on(&browser(&cookie), false));
        assert!(sessions.end(&browser(&cookie), true).contains("Max-Age=0"));
        assert!(!sessions.goes_on(&browser(&cookie), true));
        assert!(sessions.of(&browser(&cookie), true).is_none());
    }

    #[test]
    fn a_session_that_nobody_uses_ends() {
        let sessions = Sessions::new(Some(0));
        let (cookie, _) = sessions.begin(user(), false).unwrap();
        assert!(sessions.of(&browser(&cookie), false).is_none());
    }

    #[test]
    fn there_are_not_more_sessions_than_there_may_be() {
        let sessions = Sessions::new(None);
        let first = sessions.begin(user(), false).unwrap().0;
        let all: Vec<_> = (0..limits::MAX_SESSIONS).map(|_| sessions.begin(user(), false).unwrap().0).collect();
        assert!(sessions.of(&browser(&first), false).is_none());
        assert!(sessions.of(&browser(&all[limits::MAX_SESSIONS - 1]), false).is_some());
    }
}
