//! Who asks: user and password, straight (ECR) or for a token of the registry's own service (distribution's "token authentication").

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::http1::{Payload, Wire};
use super::target::Target;
use crate::error::{Error, Result, Source};
use crate::limits;

/// User and password; for ECR `AWS` and the token.
#[derive(Clone)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Zeroizing<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Where user and password come from.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// Asked when the registry first wants to know, and again, with `renew`, when it refuses what was given: what was kept is to be
    /// thrown away then.
    async fn login(&self, renew: bool) -> Result<Login, Source>;
}

/// The same login every time.
#[async_trait]
impl Credentials for Login {
    async fn login(&self, _: bool) -> Result<Login, Source> {
        Ok(self.clone())
    }
}

/// How the registry wants to be told (RFC 9110, `WWW-Authenticate`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

impl Challenge {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let parameter = |name: &str| {
            // Values are quoted, and may hold commas.
            let mut parts = rest.split('"');
            while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
                let key = key.trim_start_matches([',', ' ']).trim_end();
                if key.strip_suffix('=').is_some_and(|key| key.eq_ignore_ascii_case(name)) {
                    return Some(value.to_owned());
                }
            }
            None
        };
        Some(Self::Bearer { realm: parameter("realm")?, service: parameter("service") })
    }
}

#[derive(Default)]
struct State {
    login: Option<Login>,
    challenge: Option<Challenge>,
    /// For each scope.
    tokens: HashMap<String, HeaderValue>,
}

pub(super) struct Auth {
    host: String,
    credentials: Option<Arc<dyn Credentials>>,
    state: Mutex<State>,
}

impl Auth {
    pub(super) fn new(host: String, credentials: Option<Arc<dyn Credentials>>) -> Self {
        Self { host, credentials, state: Mutex::default() }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Whether other credentials may be had.
    pub(super) fn can_renew(&self) -> bool {
        self.credentials.is_some()
    }

    /// What to send, going by what the registry wanted before.
    pub(super) async fn header(&self, scope: &str) -> Result<Option<HeaderValue>> {
        let state = self.state.lock().await;
        match (&state.challenge, &state.login) {
            (Some(Challenge::Basic), Some(login)) => self.basic(login).map(Some),
            (Some(Challenge::Bearer { .. }), _) => Ok(state.tokens.get(scope).cloned()),
            _ => Ok(None),
        }
    }

    /// Meets a challenge; with new credentials where the old ones were refused.
    pub(super) async fn answer(
        &self,
        wire: &Wire,
        challenge: Option<Challenge>,
        scope: &str,
        renew: bool,
    ) -> Result<()> {
        let mut state = self.state.lock().await;
        if let Some(challenge) = challenge {
            state.challenge = Some(challenge);
        }
        if renew {
            state.login = None;
            state.tokens.clear();
        }
        if state.login.is_none()
            && let Some(credentials) = &self.credentials
        {
            let login = credentials.login(renew).await;
            state.login = Some(login.map_err(|source| Error::Credentials { host: self.host.clone(), source })?);
        }
        match (state.challenge.clone(), &state.login) {
            (Some(Challenge::Bearer { realm, service }), login) => {
                let token = self.token(wire, &realm, service.as_deref(), scope, login.as_ref()).await?;
                state.tokens.insert(scope.to_owned(), token);
                Ok(())
            }
            (_, Some(_)) => Ok(()),
            (_, None) => Err(Error::Credentials {
                host: self.host.clone(),
                source: "it asks for user and password, and none are given".into(),
            }),
        }
    }

    fn basic(&self, login: &Login) -> Result<HeaderValue> {
        let pair = Zeroizing::new(format!("{}:{}", login.user, *login.password));
        self.sensitive(&format!("Basic {}", STANDARD.encode(pair.as_bytes())))
    }

    fn sensitive(&self, text: &str) -> Result<HeaderValue> {
        let mut value = HeaderValue::try_from(text).map_err(|_| Error::Protocol {
            host: self.host.clone(),
            problem: "its token cannot be sent in a header".to_owned(),
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Fetches a token for the scope.
    async fn token(
        &self,
        wire: &Wire,
        realm: &str,
        service: Option<&str>,
        scope: &str,
        login: Option<&Login>,
    ) -> Result<HeaderValue> {
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let mut target = Target::of_registry(&self.host, wire.plain)?.follow(realm, wire.plain)?;
        if let Some(service) = service {
            target = target.with_query("service", service);
        }
        let target = target.with_query("scope", scope);
        let mut headers = HeaderMap::new();
        if let Some(login) = login {
            headers.insert(header::AUTHORIZATION, self.basic(login)?);
        }
        let answer = wire.send(&target, &Method::GET, headers, &Payload::Empty).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(answer.not_authorised().await),
            _ => return Err(answer.refused(&target.path).await),
        }
        let bytes = Zeroizing::new(answer.bytes("a token", limits::ANSWER).await?);
        let token: Option<Token> = serde_json::from_slice(&bytes).ok();
        let token = token.and_then(|token| token.token.or(token.access_token)).map(Zeroizing::new);
        let token = token.ok_or_else(|| Error::Protocol {
            host: target.authority.clone(),
            problem: "its answer holds no token".to_owned(),
        })?;
        self.sensitive(&format!("Bearer {}", *token))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn challenges_are_read() {
        assert_eq!(Challenge::parse("Basic realm=\"x\""), Some(Challenge::Basic));
        let bearer = "Bearer realm=\"https://a.example/token\", service=\"r.example\",scope=\"repository:a:pull,push\"";
        let expected =
            Challenge::Bearer { realm: "https://a.example/token".to_owned(), service: Some("r.example".to_owned()) };
        assert_eq!(Challenge::parse(bearer), Some(expected));
        assert_eq!(Challenge::parse("Bearer scope=\"realm=x\""), None);
        assert_eq!(Challenge::parse("Negotiate"), None);
    }

    #[test]
    fn a_login_does_not_show_its_password() {
        let login = Login { user: "AWS".to_owned(), password: Zeroizing::new("geheim".to_owned()) };
        assert!(!format!("{login:?}").contains("geheim"));
    }

    proptest! {
        #[test]
        fn any_challenge_is_read_or_not(text in "(Bearer |Basic )?[ -~]{0,60}") {
            let _ = Challenge::parse(&text);
        }
    }
}
