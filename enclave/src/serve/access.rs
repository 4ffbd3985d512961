//! Who may ask for a classification: whoever shows a certificate or a token that the measured configuration knows, and each as often
//! as it says.

mod rate;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use rustls::pki_types::CertificateDer;

use super::problem::Problem;
use crate::authorities::Distrust;
use crate::config::Access;
use crate::disclose::metrics::{Count, count};
use crate::limits;
use rate::Rate;

/// The certificates that a client showed in its handshake, its own first, which it has proved to hold the key of.
#[derive(Clone)]
pub(super) struct Shown(pub(super) Arc<[CertificateDer<'static>]>);

/// Who asks, as far as the rate of requests is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    /// By the SHA-256 of its certificate's public key.
    Certificate([u8; 32]),
    /// By the place of its token in the configuration.
    Token(usize),
}

/// Why nobody is known to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    #[error("there is neither a client certificate nor an Authorization header with a bearer token")]
    Nothing,
    #[error("the Authorization header is of another scheme than Bearer")]
    Scheme,
    #[error(
        "the Authorization header does not hold one token of at most {} characters (RFC 6750)",
        limits::MAX_TOKEN_BYTES
    )]
    Syntax,
    #[error("the bearer token is none that this enclave's configuration lists")]
    Token,
    #[error("the client certificate {0}")]
    Certificate(Distrust),
}

impl Denied {
    /// The challenge (RFC 6750, section 3), which speaks of an error only to whoever tried a token.
    pub(super) fn challenge(self) -> HeaderValue {
        match self {
            Self::Nothing | Self::Certificate(_) => HeaderValue::from_static("Bearer"),
            Self::Scheme | Self::Syntax | Self::Token => HeaderValue::from_static("Bearer error=\"invalid_token\""),
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Scheme | Self::Syntax | Self::Token => "token",
            Self::Certificate(_) => "certificate",
        }
    }
}

/// Lets in whom the measured configuration names.
pub(super) struct Guard {
    access: Access,
    rate: Option<Rate<Client>>,
}

impl Guard {
    pub(super) fn new(access: Access) -> Self {
        let rate = access.requests_per_minute.map(Rate::new);
        Self { access, rate }
    }

    /// Any credential that is right will do, whatever else comes with it; a certificate counts before a token.
    fn recognise(&self, shown: Option<&Shown>, headers: &HeaderMap, now: SystemTime) -> Result<Client, Denied> {
        let certificate = self.access.client_ca.as_ref().zip(shown).map(|(authorities, Shown(chain))| {
            authorities.judge(chain, now).map(Client::Certificate).map_err(Denied::Certificate)
        });
        let token = bearer(headers).map(|token| self.listed(token?).map(Client::Token));
        match (certificate, token) {
            (Some(Ok(client)), _) | (_, Some(Ok(client))) => Ok(client),
            (_, Some(Err(denied))) | (Some(Err(denied)), None) => Err(denied),
            (None, None) => Err(Denied::Nothing),
        }
    }

    /// The place of a token in the list, found in a time that depends on neither.
    fn listed(&self, token: &[u8]) -> Result<usize, Denied> {
        let hash = digest(&SHA256, token);
        let compare = |found, (place, entry): (usize, &crate::config::Token)| {
            if verify_slices_are_equal(hash.as_ref(), &entry.sha256).is_ok() { Some(place) } else { found }
        };
        self.access.tokens.iter().enumerate().fold(None, compare).ok_or(Denied::Token)
    }

    fn admit(&self, client: Client, now: Instant) -> Result<(), Problem> {
        let Some(rate) = &self.rate else { return Ok(()) };
        rate.take(client, now).map_err(|after| Problem::TooManyRequests { after })
    }
}

/// The layer before a route that needs a credential: refuses before the body is touched.
pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let recognised = guard.recognise(request.extensions().get(), request.headers(), SystemTime::now());
    let client = recognised.map_err(|denied| {
        count(Count::Unauthorized(denied.reason()));
        Problem::Unauthorized(denied)
    })?;
    guard.admit(client, Instant::now())?;
    // Nothing that comes after this has a use for it.
    request.headers_mut().remove(header::AUTHORIZATION);
    Ok(next.run(request).await)
}

/// The bearer token of a request, if it speaks of one (RFC 6750, section 2.1; RFC 9110, section 11.4).
fn bearer(headers: &HeaderMap) -> Option<Result<&[u8], Denied>> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.as_bytes();
    let (scheme, rest) = value.split_at(value.iter().position(|&byte| byte == b' ').unwrap_or(value.len()));
    if !scheme.eq_ignore_ascii_case(b"Bearer") {
        return Some(Err(Denied::Scheme));
    }
    let token = rest.trim_ascii();
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    let fits = (1..=limits::MAX_TOKEN_BYTES).contains(&token.len()) && token.iter().all(known);
    Some(if fits && values.next().is_none() { Ok(token) } else { Err(Denied::Syntax) })
}

#[cfg(test)]
mod tests {
    use crate::config::Token;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (header::AUTHORIZATION, value.parse().unwrap())).collect()
    }

    fn guard(tokens: &[&str]) -> Guard {
        let token = |text: &&str| {
            let sha256 = digest(&SHA256, text.as_bytes()).as_ref().try_into().unwrap();
            Token { name: (*text).to_owned(), sha256 }
        };
        let tokens = tokens.iter().map(token).collect();
        Guard::new(Access { client_ca: None, tokens, requests_per_minute: None })
    }

    fn recognised(guard: &Guard, values: &[&str]) -> Result<Client, Denied> {
        guard.recognise(None, &headers(values), SystemTime::now())
    }

    #[test]
    fn each_listed_token_is_a_client_of_its_own_and_the_scheme_is_written_in_any_case() {
        let guard = guard(&["one", "two", "three"]);
        for (place, value) in ["Bearer one", "bearer two", "BEARER   three"].into_iter().enumerate() {
            assert_eq!(recognised(&guard, &[value]), Ok(Client::Token(place)), "{value}");
        }
    }

    #[test]
    fn what_is_no_listed_token_is_refused_by_its_reason() {
        let guard = guard(&["one"]);
        assert_eq!(recognised(&guard, &[]), Err(Denied::Nothing));
        for value in ["Bearer two", "Bearer on", "Bearer One", "Bearer one=", "Bearer onee"] {
            assert_eq!(recognised(&guard, &[value]), Err(Denied::Token), "{value}");
        }
        for value in ["Basic b25lOm9uZQ==", "one", "", "Bearerone", "Token one"] {
            assert_eq!(recognised(&guard, &[value]), Err(Denied::Scheme), "{value}");
        }
        for value in ["Bearer", "Bearer ", "Bearer one, Bearer one", "Bearer one two", "Bearer \"one\""] {
            assert_eq!(recognised(&guard, &[value]), Err(Denied::Syntax), "{value}");
        }
        assert_eq!(recognised(&guard, &["Bearer one", "Bearer one"]), Err(Denied::Syntax), "two headers");
    }

    #[test]
    fn a_token_is_taken_up_to_its_length_and_not_past_it() {
        let longest = "a".repeat(limits::MAX_TOKEN_BYTES);
        let guard = guard(&[&longest]);
        assert!(recognised(&guard, &[&format!("Bearer {longest}")]).is_ok());
        assert_eq!(recognised(&guard, &[&format!("Bearer {longest}a")]), Err(Denied::Syntax));
    }

    #[test]
    fn only_whoever_tried_a_token_is_told_that_it_is_wrong() {
        assert_eq!(Denied::Nothing.challenge(), "Bearer");
        assert_eq!(Denied::Certificate(Distrust::Expired).challenge(), "Bearer");
        assert_eq!(Denied::Token.challenge(), "Bearer error=\"invalid_token\"");
    }
}
