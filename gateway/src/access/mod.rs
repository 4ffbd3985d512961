//! Who may use the gateway: nobody has to sign in on loopback, or users have passwords, or a provider of identities (OIDC) knows them.
//!
//! Browsers get a session in a cookie and say in a header that a change is meant (CSRF); machines bring their password or token with each
//! request.

mod failures;
mod oidc;
mod password;
mod rate;
mod session;

use std::net::IpAddr;

use http::{HeaderMap, Method, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use password::hash_password;
pub(crate) use session::Session;

use crate::audit::{Agent, Event};
use crate::config::Config;
use crate::{Error, limits, metric, random};
use failures::Failures;
pub(crate) use oidc::Begun;
use oidc::Oidc;
use password::Passwords;
use rate::Rates;
use session::Sessions;

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Send exams, and read all of them.
    Reader,
    /// Delete any exam, and read metrics, besides.
    Administrator,
}

/// Somebody who is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct User {
    /// As they sign in.
    pub name: String,
    /// The provider's own name for them (`sub`), which outlasts theirs: for the audit log.
    #[serde(skip)]
    pub subject: Option<String>,
    /// As they are called.
    pub display: String,
    /// What they may do.
    pub role: Role,
}

impl User {
    /// For the audit log.
    pub(crate) fn agent(&self, from: Option<String>) -> Agent {
        Agent::User { name: self.name.clone(), subject: self.subject.clone(), from }
    }
}

/// By what a request shows who makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Nothing has to be shown.
    Nothing { page: bool },
    /// A session's cookie.
    Cookie,
    /// A password or a token with each request.
    Each,
}

/// Whoever makes a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: User,
    pub(crate) by: By,
    pub(crate) from: Option<IpAddr>,
}

impl Caller {
    /// For the audit log.
    pub(crate) fn agent(&self) -> Agent {
        let from = self.from.map(|from| from.to_string());
        match self.by {
            By::Nothing { .. } => Agent::Anyone { from },
            By::Cookie | By::Each => self.user.agent(from),
        }
    }

    /// For the work list; nothing where nobody is told apart.
    pub(crate) fn name(&self) -> Option<String> {
        (!matches!(self.by, By::Nothing { .. })).then(|| self.user.name.clone())
    }

    /// Whether it is a page that asks, rather than a machine.
    pub(crate) fn is_page(&self) -> bool {
        matches!(self.by, By::Cookie | By::Nothing { page: true })
    }

    pub(crate) fn is_administrator(&self) -> bool {
        self.user.role == Role::Administrator
    }
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Nothing shows who asks, or what does is not known.
    Unknown,
    /// It is not known to be meant.
    NotMeant,
    /// Too many wrong passwords; seconds to wait, and whether nobody has been told so before.
    Locked { after: u64, news: bool },
    /// Too many requests; seconds to wait.
    TooMany(u64),
    /// The host's name is none of this machine's.
    Host,
    /// The provider cannot be asked.
    Provider,
}

/// How one signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignIn {
    /// Nobody has to.
    None,
    /// With name and password.
    Password,
    /// At a provider.
    Oidc,
}

enum Mode {
    Open { csrf: String },
    Password(Box<Passwords>),
    Oidc(Box<Oidc>),
}

/// Who may use it.
pub(crate) struct Access {
    mode: Mode,
    sessions: Sessions,
    failures: Failures,
    rates: Rates,
    /// Refused sign-ins that are written down.
    told: Rates,
    /// Whether a connection's address is a client's own.
    knows_peers: bool,
    secure: bool,
}

impl Access {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let access = config.access.as_ref();
        let mode = match access.map(|access| (&access.users, &access.oidc)) {
            Some((Some(users), _)) => Mode::Password(Box::new(Passwords::read(users)?)),
            Some((_, Some(oidc))) => Mode::Oidc(Box::new(Oidc::new(oidc)?)),
            _ => Mode::Open { csrf: random::secret()? },
        };
        Ok(Self {
            mode,
            sessions: Sessions::new(access.and_then(|access| access.session_idle_seconds)),
            failures: Failures::default(),
            rates: Rates::new(config.limits.requests_per_minute),
            told: Rates::new(limits::REFUSALS_TOLD_PER_MINUTE),
            knows_peers: !config.tls.as_ref().is_some_and(|tls| tls.elsewhere),
            secure: config.is_tls(),
        })
    }

    pub(crate) fn sign_in(&self) -> SignIn {
        match self.mode {
            Mode::Open { .. } => SignIn::None,
            Mode::Password(_) => SignIn::Password,
            Mode::Oidc(_) => SignIn::Oidc,
        }
    }

    /// The session of a request, if it has one.
    pub(crate) fn session(&self, headers: &HeaderMap) -> Option<Session> {
        match &self.mode {
            Mode::Open { csrf } => opened(headers, csrf),
            _ => self.sessions.of(headers, self.secure),
        }
    }

    /// Whether whoever was let in by these headers still would be. Asking is no use of a session.
    pub(crate) async fn goes_on(&self, headers: &HeaderMap) -> bool {
        if !headers.contains_key(header::AUTHORIZATION) {
            return self.sessions.goes_on(headers, self.secure);
        }
        // Of a provider that cannot be asked at the moment nothing is known.
        !matches!(self.known(&Method::GET, headers, None).await, Err(Denied::Unknown))
    }

    /// Who makes a request, and whether it is meant.
    pub(crate) async fn identify(
        &self,
        method: &Method,
        headers: &HeaderMap,
        from: Option<IpAddr>,
    ) -> Result<Caller, Denied> {
        let from = from.filter(|_| self.knows_peers);
        let (user, by) = self.known(method, headers, from).await?;
        self.rates.admit(&user.name).map_err(Denied::TooMany)?;
        Ok(Caller { user, by, from })
    }

    async fn known(&self, method: &Method, headers: &HeaderMap, from: Option<IpAddr>) -> Result<(User, By), Denied> {
        if let Mode::Open { csrf } = &self.mode {
            return open(method, headers, csrf);
        }
        match headers.get(header::AUTHORIZATION) {
            Some(shown) => {
                let shown = shown.to_str().map_err(|_| Denied::Unknown)?;
                Ok((self.shown(shown, from).await?, By::Each))
            }
            None => {
                let session = self.sessions.of(headers, self.secure).ok_or(Denied::Unknown)?;
                if changes(method) && !session::is_meant(headers, &session.csrf) {
                    return Err(Denied::NotMeant);
                }
                Ok((session.user, By::Cookie))
            }
        }
    }

    /// A password (RFC 7617) or a token (RFC 6750).
    async fn shown(&self, shown: &str, from: Option<IpAddr>) -> Result<User, Denied> {
        let (scheme, rest) = shown.split_once(' ').ok_or(Denied::Unknown)?;
        match &self.mode {
            Mode::Password(passwords) if scheme.eq_ignore_ascii_case("basic") => {
                let (name, password) = password::basic(rest).ok_or(Denied::Unknown)?;
                match passwords.remembered(&name, &password) {
                    Some(user) => Ok(user),
                    None => self.password(&name, password, from).await,
                }
            }
            Mode::Oidc(oidc) if scheme.eq_ignore_ascii_case("bearer") => oidc.bearer(rest.trim()).await,
            _ => Err(Denied::Unknown),
        }
    }

    /// Judges a password, and remembers a wrong one. It counts as wrong until it is known to be right: whoever hangs up meanwhile has had a
    /// try, and those who wait for theirs do not get past the count.
    pub(crate) async fn password(
        &self,
        name: &str,
        password: zeroize::Zeroizing<String>,
        from: Option<IpAddr>,
    ) -> Result<User, Denied> {
        let Mode::Password(passwords) = &self.mode else { return Err(Denied::Unknown) };
        let keys = self.failures.keys(name, from.filter(|_| self.knows_peers));
        let turn = passwords.turn().await.ok_or(Denied::Unknown)?;
        self.failures.admit(&keys).map_err(|(after, news)| Denied::Locked { after, news })?;
        self.failures.count(&keys);
        match passwords.judge(turn, name, password).await {
            Some(user) => {
                self.failures.forget(&keys);
                metric::sign_in("done");
                Ok(user)
            }
            None => {
                metric::sign_in("refused");
                Err(Denied::Unknown)
            }
        }
    }

    /// Begins a session: what the browser is to keep, and the session.
    pub(crate) fn begin(&self, user: User) -> Result<(String, Session), Error> {
        self.sessions.begin(user, self.secure)
    }

    /// Ends a session, and gives what the browser is to keep in its place.
    pub(crate) fn end(&self, headers: &HeaderMap) -> String {
        self.sessions.end(headers, self.secure)
    }

    /// Begins a sign-in at the provider.
    pub(crate) async fn begin_oidc(&self) -> Result<Begun, Denied> {
        let Mode::Oidc(oidc) = &self.mode else { return Err(Denied::Unknown) };
        oidc.begin(self.secure).await
    }

    /// Ends one: who came back.
    pub(crate) async fn end_oidc(&self, headers: &HeaderMap, state: &str, code: &str) -> Result<User, Denied> {
        let Mode::Oidc(oidc) = &self.mode else { return Err(Denied::Unknown) };
        let user = oidc.end(headers, state, code, self.secure).await;
        metric::sign_in(if user.is_ok() { "done" } else { "refused" });
        user
    }

    /// What is written down of a sign-in that was refused, if anything is: strangers cannot fill the disk. Names that were typed may be
    /// passwords: they are not repeated.
    pub(crate) fn refused(&self, denied: Denied, from: Option<IpAddr>) -> Option<Event> {
        let (reason, told) = match denied {
            Denied::Locked { news, .. } => ("locked", news),
            Denied::Provider => ("provider", self.told.admit("").is_ok()),
            _ => ("not-known", self.told.admit("").is_ok()),
        };
        let agent = Agent::Anyone { from: from.map(|from| from.to_string()) };
        told.then(|| Event::sign_in_refused(agent, reason))
    }
}

/// Whoever is on this machine.
fn anyone() -> User {
    User { name: "local".to_owned(), subject: None, display: "this machine".to_owned(), role: Role::Administrator }
}

/// Nothing for a page that came by another name: it is a stranger's, and what changes are meant by is not its to read.
fn opened(headers: &HeaderMap, csrf: &str) -> Option<Session> {
    is_local_host(headers).then(|| Session { user: anyone(), csrf: csrf.to_owned() })
}

/// Without sign-in, what protects from other pages in the same browser is where they come from: they can neither read the token nor hide
/// that they are another origin, and a name of theirs that leads here (DNS rebinding) is none of this machine's.
fn open(method: &Method, headers: &HeaderMap, csrf: &str) -> Result<(User, By), Denied> {
    if !is_local_host(headers) {
        return Err(Denied::Host);
    }
    let meant = session::is_meant(headers, csrf);
    let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    let browser = headers.contains_key(header::ORIGIN) || site.is_some_and(|site| site != "none");
    if changes(method) && browser && !meant {
        return Err(Denied::NotMeant);
    }
    Ok((anyone(), By::Nothing { page: meant || browser }))
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// Whether the request was for this machine by one of its own names; one that came by a Unix socket need not say.
fn is_local_host(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(authority) = host.to_str().unwrap_or_default().parse::<http::uri::Authority>() else { return false };
    let name = authority.host().trim_matches(['[', ']']);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn another_origins_page_cannot_change_anything_where_nobody_signs_in() {
        let post = |lines: &[(&'static str, &str)]| open(&Method::POST, &headers(lines), "token").map(|(_, by)| by);
        let host = ("host", "127.0.0.1:8080");
        assert_eq!(post(&[host]), Ok(By::Nothing { page: false }), "a machine");
        assert_eq!(post(&[host, ("origin", "https://evil.example")]), Err(Denied::NotMeant));
        assert_eq!(post(&[host, ("sec-fetch-site", "cross-site")]), Err(Denied::NotMeant));
        assert_eq!(post(&[host, ("origin", "null"), ("x-cloister-csrf", "other")]), Err(Denied::NotMeant));
        let own = [host, ("origin", "http://127.0.0.1:8080"), ("x-cloister-csrf", "token")];
        assert_eq!(post(&own), Ok(By::Nothing { page: true }));
    }

    #[test]
    fn a_strangers_name_for_this_machine_reads_nothing() {
        for name in ["evil.example", "localhost.evil.example", "10.0.0.1:8080", "a b"] {
            assert_eq!(open(&Method::GET, &headers(&[("host", name)]), "t").unwrap_err(), Denied::Host, "{name}");
            assert!(opened(&headers(&[("host", name)]), "t").is_none(), "{name}");
        }
        for name in ["localhost:8080", "127.0.0.1", "[::1]:8080"] {
            assert!(open(&Method::GET, &headers(&[("host", name)]), "t").is_ok(), "{name}");
            assert_eq!(opened(&headers(&[("host", name)]), "t").unwrap().csrf, "t");
        }
    }
}
