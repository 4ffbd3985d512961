//! Sign-in at a provider of identities: OpenID Connect's code flow with PKCE (RFC 7636), and its tokens as bearers.
//!
//! What the provider says is bounded and kept for a while. A token counts if the provider signed it with a key that it publishes, by an
//! asymmetric algorithm, for this gateway, and it has not ended.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::session::{cookie, set_cookie};
use super::{Denied, Role, User};
use crate::outbound::{Outbound, Roots};
use crate::{Error, config, files, limits, random};

/// What signs tokens: nothing that the gateway's own secret could verify.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// The cookie that ties a sign-in to the browser that began it.
fn binding_name(secure: bool) -> &'static str {
    if secure { "__Host-cloister-signing-in" } else { "cloister-signing-in" }
}

/// A provider's own description (OpenID Connect Discovery 1.0, section 3).
#[derive(Clone, Deserialize)]
struct Discovered {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

#[derive(Clone)]
struct Keys {
    set: JwkSet,
    at: Instant,
}

struct Pending {
    nonce: String,
    verifier: Zeroizing<String>,
    binding: String,
    at: Instant,
}

/// A sign-in that was begun: where the browser goes, and what it keeps meanwhile.
pub(crate) struct Begun {
    pub(crate) location: String,
    pub(crate) cookie: String,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

pub(super) struct Oidc {
    config: config::Oidc,
    secret: Option<Zeroizing<String>>,
    outbound: Outbound,
    discovered: Mutex<Option<(Discovered, Instant)>>,
    keys: Mutex<Option<Keys>>,
    pending: Mutex<HashMap<String, Pending>>,
}

impl Oidc {
    pub(super) fn new(config: &config::Oidc) -> Result<Self, Error> {
        for url in [&config.issuer, &config.public_url] {
            if !is_safe(url) {
                return Err(Error::Provider(format!("{url} does not begin with https://, and is not on this machine")));
            }
        }
        Ok(Self {
            secret: config.client_secret_file.as_deref().map(files::secret).transpose()?,
            outbound: Outbound::new(&Roots::read(config.ca.as_deref())?)?,
            config: config.clone(),
            discovered: Mutex::default(),
            keys: Mutex::default(),
            pending: Mutex::default(),
        })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: String,
    ) -> Result<T, Denied> {
        if !is_safe(url) {
            tracing::warn!("the provider names an address without TLS");
            return Err(Denied::Provider);
        }
        let answer = self.outbound.send(method, url, headers, Bytes::from(body), limits::MAX_PROVIDER_BYTES).await;
        let answer = answer.map_err(|error| {
            tracing::warn!(%error, "the provider of identities cannot be asked");
            Denied::Provider
        })?;
        if !answer.status.is_success() {
            tracing::warn!(status = answer.status.as_u16(), "the provider of identities refused");
            return Err(if answer.status.is_client_error() { Denied::Unknown } else { Denied::Provider });
        }
        serde_json::from_slice(&answer.body).map_err(|_| Denied::Provider)
    }

    async fn discovered(&self) -> Result<Discovered, Denied> {
        let kept = self.discovered.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((discovered, at)) = kept
            && at.elapsed() < limits::KEYS_LIFETIME
        {
            return Ok(discovered);
        }
        let url = format!("{}/.well-known/openid-configuration", self.config.issuer.trim_end_matches('/'));
        // What it refuses is no fault of whoever signs in.
        let discovered = self.ask(Method::GET, &url, HeaderMap::new(), String::new()).await;
        let discovered: Discovered = discovered.map_err(|_| Denied::Provider)?;
        if discovered.issuer != self.config.issuer {
            tracing::warn!("the provider of identities says that it is another issuer");
            return Err(Denied::Provider);
        }
        *self.discovered.lock().unwrap_or_else(PoisonError::into_inner) = Some((discovered.clone(), Instant::now()));
        Ok(discovered)
    }

    /// The key of that name; the provider is asked anew for one that is not known, though not at every turn.
    async fn key(&self, name: Option<&str>) -> Result<DecodingKey, Denied> {
        let find = |keys: &Keys| {
            let jwk = match name {
                Some(name) => keys.set.find(name),
                None => keys.set.keys.first().filter(|_| keys.set.keys.len() == 1),
            };
            jwk.and_then(|jwk| DecodingKey::from_jwk(jwk).ok())
        };
        let kept = self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(kept) = &kept {
            let fresh = kept.at.elapsed() < limits::KEYS_LIFETIME;
            match find(kept) {
                Some(key) if fresh => return Ok(key),
                None if kept.at.elapsed() < limits::KEYS_PAUSE => return Err(Denied::Unknown),
                _ => {}
            }
        }
        let url = self.discovered().await?.jwks_uri;
        let set = self.ask(Method::GET, &url, HeaderMap::new(), String::new()).await?;
        let keys = Keys { set, at: Instant::now() };
        let found = find(&keys).ok_or(Denied::Unknown);
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Some(keys);
        found
    }

    /// The claims of a token that the provider signed for `audience`.
    async fn claims(&self, token: &str, audience: &str) -> Result<Map<String, Value>, Denied> {
        if token.len() > limits::MAX_TOKEN_BYTES {
            return Err(Denied::Unknown);
        }
        let head = decode_header(token).map_err(|_| Denied::Unknown)?;
        if !ALGORITHMS.contains(&head.alg) {
            return Err(Denied::Unknown);
        }
        let key = self.key(head.kid.as_deref()).await?;
        let mut validation = Validation::new(head.alg);
        validation.set_audience(&[audience]);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_required_spec_claims(&["exp", "aud", "iss"]);
        validation.validate_nbf = true;
        validation.leeway = limits::TOKEN_LEEWAY_SECONDS;
        decode(token, &key, &validation).map(|token| token.claims).map_err(|_| Denied::Unknown)
    }

    /// The user of a bearer token.
    pub(super) async fn bearer(&self, token: &str) -> Result<User, Denied> {
        let audience = self.config.audience.as_deref().unwrap_or(&self.config.client_id);
        self.user(&self.claims(token, audience).await?)
    }

    /// Whoever has neither role is nobody here.
    fn user(&self, claims: &Map<String, Value>) -> Result<User, Denied> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let name = text("preferred_username").or_else(|| text("email")).or_else(|| text("sub"));
        let name = name.ok_or(Denied::Unknown)?;
        if name.len() > limits::MAX_NAME_BYTES {
            return Err(Denied::Unknown);
        }
        let role = self.role(claims).ok_or(Denied::Unknown)?;
        let display = text("name").unwrap_or(name).chars().take(limits::MAX_NAME_BYTES).collect();
        let subject = text("sub").map(|subject| subject.chars().take(limits::MAX_SUBJECT_CHARACTERS).collect());
        Ok(User { name: name.to_owned(), subject, display, role })
    }

    fn role(&self, claims: &Map<String, Value>) -> Option<Role> {
        let mut parts = self.config.role_claim.split('.');
        let first = claims.get(parts.next()?)?;
        let claim = parts.try_fold(first, |claim, part| claim.get(part))?;
        let has = |role: &str| match claim {
            Value::String(words) => words.split(' ').any(|word| word == role),
            Value::Array(words) => words.iter().any(|word| word.as_str() == Some(role)),
            _ => false,
        };
        if has(&self.config.administrator) {
            Some(Role::Administrator)
        } else {
            has(&self.config.reader).then_some(Role::Reader)
        }
    }

    fn redirect_uri(&self) -> String {
        format!("{}/api/v1/session/oidc/callback", self.config.public_url.trim_end_matches('/'))
    }

    /// Begins a sign-in.
    pub(super) async fn begin(&self, secure: bool) -> Result<Begun, Denied> {
        let endpoint = self.discovered().await?.authorization_endpoint;
        let secret = || random::secret().map_err(|_| Denied::Provider);
        let (state, nonce, verifier, binding) = (secret()?, secret()?, Zeroizing::new(secret()?), secret()?);
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let scope = ["openid".to_owned()].iter().chain(&self.config.scopes).cloned().collect::<Vec<_>>().join(" ");
        let query = form(&[
            ("response_type", "code"),
            ("client_id", &self.config.client_id),
            ("redirect_uri", &self.redirect_uri()),
            ("scope", &scope),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.retain(|_, begun| begun.at.elapsed() < limits::PENDING_LIFETIME);
        make_room(&mut pending);
        let cookie = set_cookie(binding_name(secure), &binding, "Lax", limits::PENDING_LIFETIME.as_secs(), secure);
        pending.insert(state, Pending { nonce, verifier, binding, at: Instant::now() });
        let join = if endpoint.contains('?') { '&' } else { '?' };
        Ok(Begun { location: format!("{endpoint}{join}{query}"), cookie })
    }

    /// Ends one: the code for tokens, the token for a user.
    pub(super) async fn end(&self, headers: &HeaderMap, state: &str, code: &str, secure: bool) -> Result<User, Denied> {
        let begun = self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(state);
        let begun = begun.filter(|begun| begun.at.elapsed() < limits::PENDING_LIFETIME).ok_or(Denied::Unknown)?;
        let shown = cookie(headers, binding_name(secure));
        let same = |shown: &str| verify_slices_are_equal(shown.as_bytes(), begun.binding.as_bytes()).is_ok();
        if !shown.is_some_and(same) {
            return Err(Denied::NotMeant);
        }
        let tokens: Tokens = self.exchange(code, &begun.verifier).await?;
        let claims = self.claims(&tokens.id_token, &self.config.client_id).await?;
        if claims.get("nonce").and_then(Value::as_str) != Some(&begun.nonce) {
            return Err(Denied::Unknown);
        }
        self.user(&claims)
    }

    async fn exchange(&self, code: &str, verifier: &str) -> Result<Tokens, Denied> {
        let url = self.discovered().await?.token_endpoint;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(secret) = &self.secret {
            let pair = Zeroizing::new(format!("{}:{}", encoded(&self.config.client_id), encoded(secret)));
            let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
                .map_err(|_| Denied::Provider)?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let body = form(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri()),
            ("client_id", &self.config.client_id),
            ("code_verifier", verifier),
        ]);
        self.ask(Method::POST, &url, headers, body).await
    }
}

/// The oldest goes: strangers who begin many keep nobody from beginning.
fn make_room(pending: &mut HashMap<String, Pending>) {
    if pending.len() < limits::MAX_PENDING {
        return;
    }
    let oldest = pending.iter().min_by_key(|(_, begun)| begun.at).map(|(state, _)| state.clone());
    if let Some(state) = oldest {
        pending.remove(&state);
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn form(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    pairs.join("&")
}

/// TLS, or this machine.
fn is_safe(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let near = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && near)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn oidc(role_claim: &str) -> Oidc {
        Oidc::new(&config::Oidc {
            issuer: "https://id.example.org".to_owned(),
            client_id: "cloister".to_owned(),
            client_secret_file: None,
            public_url: "https://cloister.example.org".to_owned(),
            audience: None,
            role_claim: role_claim.to_owned(),
            reader: "radiologist".to_owned(),
            administrator: "pacs-admin".to_owned(),
            scopes: Vec::new(),
            ca: None,
        })
        .unwrap()
    }

    #[test]
    fn of_too_many_sign_ins_the_oldest_is_forgotten() {
        let begun = Instant::now();
        let one = |number: u64| {
            let at = begun + std::time::Duration::from_millis(number);
            let begun = Pending { nonce: String::new(), verifier: Zeroizing::default(), binding: String::new(), at };
            (number.to_string(), begun)
        };
        let mut pending: HashMap<_, _> = (1..limits::MAX_PENDING as u64).map(one).collect();
        make_room(&mut pending);
        assert!(pending.contains_key("1"), "there is room for one more");
        pending.extend([one(limits::MAX_PENDING as u64)]);
        make_room(&mut pending);
        assert!(!pending.contains_key("1") && pending.len() == limits::MAX_PENDING - 1);
    }

    #[test]
    fn a_user_is_called_by_a_name_and_told_apart_by_the_providers_own() {
        let claims = json!({"preferred_username": "ruth", "sub": "f:1:4711", "roles": "radiologist"});
        let user = oidc("roles").user(claims.as_object().unwrap()).unwrap();
        assert_eq!((user.name.as_str(), user.subject.as_deref()), ("ruth", Some("f:1:4711")));
    }

    #[test]
    fn a_role_is_a_word_of_the_claim_wherever_it_stands() {
        let role = |claim: &str, claims: Value| oidc(claim).role(claims.as_object().unwrap());
        assert_eq!(role("roles", json!({"roles": ["x", "radiologist"]})), Some(Role::Reader));
        assert_eq!(role("roles", json!({"roles": ["radiologist", "pacs-admin"]})), Some(Role::Administrator));
        assert_eq!(role("scope", json!({"scope": "openid radiologist"})), Some(Role::Reader));
        assert_eq!(role("realm.roles", json!({"realm": {"roles": ["radiologist"]}})), Some(Role::Reader));
        for claims in [json!({}), json!({"roles": ["radiologists"]}), json!({"roles": {"radiologist": true}})] {
            assert_eq!(role("roles", claims), None);
        }
    }

    #[test]
    fn a_provider_without_tls_is_on_this_machine_alone() {
        for url in ["https://id.example.org", "http://127.0.0.1:1", "http://localhost:1/x", "http://[::1]:1"] {
            assert!(is_safe(url), "{url}");
        }
        for url in ["http://id.example.org", "http://localhost.example.org", "ftp://127.0.0.1", "id.example.org", ""] {
            assert!(!is_safe(url), "{url}");
        }
    }
}
