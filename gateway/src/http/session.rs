//! `/session`: who is signed in, and how one signs in and out.

use std::net::IpAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, Query, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::caller::Origin;
use super::problem::{Details, Problem};
use crate::access::{Caller, Denied, Session, SignIn, User};
use crate::audit::Event;
use crate::gateway::Gateway;
use crate::intake::Refused;
use crate::limits;

/// Who is signed in, and what a page has to know before it asks anything else.
#[derive(Serialize, ToSchema)]
pub(crate) struct Shown {
    /// Nobody, where one has to sign in first.
    user: Option<User>,
    /// How one signs in.
    sign_in: SignIn,
    /// What the header `x-cloister-csrf` has to say where something is changed.
    csrf: String,
    /// A sentence for every page.
    notice: Option<String>,
}

/// Name and password.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Credentials {
    user: String,
    password: String,
}

/// A body in JSON that has come in time.
pub(crate) struct Sent<T>(T);

impl<T: DeserializeOwned> FromRequest<Gateway> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, gateway: &Gateway) -> Result<Self, Problem> {
        within(limits::HEAD_TIMEOUT, Json::from_request(request, gateway)).await
    }
}

async fn within<T>(
    limit: Duration,
    body: impl Future<Output = Result<Json<T>, JsonRejection>>,
) -> Result<Sent<T>, Problem> {
    match timeout(limit, body).await {
        Ok(Ok(Json(sent))) => Ok(Sent(sent)),
        Ok(Err(broken)) => Err(Problem::Query(broken.body_text())),
        Err(_) => Err(Problem::Intake(Refused::Stalled)),
    }
}

fn shown(gateway: &Gateway, session: Option<Session>) -> Json<Shown> {
    let (user, csrf) = session.map(|session| (session.user, session.csrf)).unzip();
    Json(Shown { user, sign_in: gateway.access.sign_in(), csrf: csrf.unwrap_or_default(), notice: gateway.notice() })
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/v1/session", tag = "session", responses((status = 200, body = Shown)))]
pub(crate) async fn show(State(gateway): State<Gateway>, headers: HeaderMap) -> Json<Shown> {
    shown(&gateway, gateway.access.session(&headers))
}

/// Signs in with name and password.
#[utoipa::path(
    post, path = "/api/v1/session", tag = "session", request_body = Credentials,
    responses((status = 200, body = Shown), (status = 401, body = Details), (status = 429, body = Details))
)]
pub(crate) async fn begin(
    State(gateway): State<Gateway>,
    Origin(from): Origin,
    Sent(Credentials { user, password }): Sent<Credentials>,
) -> Result<Response, Problem> {
    if user.len() > limits::MAX_JSON_BYTES {
        return Err(Problem::SignInRefused);
    }
    match gateway.access.password(&user, Zeroizing::new(password), from).await {
        Ok(user) => signed_in(&gateway, user, from.map(|from| from.to_string())).await,
        Err(denied) => {
            gateway.sign_in_refused(denied, from).await?;
            Err(if denied == Denied::Unknown { Problem::SignInRefused } else { denied.into() })
        }
    }
}

async fn signed_in(gateway: &Gateway, user: User, from: Option<String>) -> Result<Response, Problem> {
    gateway.audit(Event::signed_in(user.agent(from))).await?;
    let (cookie, session) = gateway.access.begin(user)?;
    Ok(with_cookies(shown(gateway, Some(session)).into_response(), &[cookie]))
}

fn with_cookies(mut response: Response, cookies: &[String]) -> Response {
    for cookie in cookies {
        if let Ok(value) = HeaderValue::from_str(cookie) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    response
}

/// Signs out.
#[utoipa::path(delete, path = "/api/v1/session", tag = "session", responses((status = 204)))]
pub(crate) async fn end(
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let cookie = gateway.access.end(&headers);
    gateway.audit(Event::signed_out(caller.agent())).await?;
    Ok(with_cookies(StatusCode::NO_CONTENT.into_response(), &[cookie]))
}

/// Goes to the provider. A browser, which asks for HTML, is sent to the page where that fails.
#[utoipa::path(get, path = "/api/v1/session/oidc", tag = "session", responses((status = 303), (status = 502, body = Details)))]
pub(crate) async fn begin_oidc(State(gateway): State<Gateway>, headers: HeaderMap) -> Response {
    match gateway.access.begin_oidc().await {
        Ok(begun) => with_cookies(Redirect::to(&begun.location).into_response(), &[begun.cookie]),
        Err(denied) => refused(&headers, denied.into()),
    }
}

/// The problem itself for programs; for a person's browser the page, which has words for it.
fn refused(headers: &HeaderMap, problem: Problem) -> Response {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|kinds| kinds.to_str().ok());
    if accepted.any(|kinds| kinds.contains(mime::TEXT_HTML.as_ref())) {
        Redirect::to(&format!("/?sign-in={}", problem.kind())).into_response()
    } else {
        problem.into_response()
    }
}

/// What a provider sends a browser back with (RFC 6749, section 4.1.2).
#[derive(Deserialize)]
pub(crate) struct Callback {
    state: Option<String>,
    code: Option<String>,
}

/// Comes back from the provider. A browser that is not signed in then is sent to the page, as by `GET /session/oidc`.
#[utoipa::path(
    get, path = "/api/v1/session/oidc/callback", tag = "session",
    responses((status = 303), (status = 401, body = Details))
)]
pub(crate) async fn end_oidc(
    State(gateway): State<Gateway>,
    Origin(from): Origin,
    headers: HeaderMap,
    query: Result<Query<Callback>, QueryRejection>,
) -> Response {
    ended_oidc(&gateway, from, &headers, query).await.unwrap_or_else(|problem| refused(&headers, problem))
}

async fn ended_oidc(
    gateway: &Gateway,
    from: Option<IpAddr>,
    headers: &HeaderMap,
    query: Result<Query<Callback>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Callback { state, code }) = query.map_err(|error| Problem::Query(error.body_text()))?;
    let ended = gateway.access.end_oidc(headers, &state.unwrap_or_default(), &code.unwrap_or_default()).await;
    match ended {
        Ok(user) => {
            let signed_in = signed_in(gateway, user, from.map(|from| from.to_string())).await?;
            let mut response = Redirect::to("/").into_response();
            for cookie in signed_in.headers().get_all(header::SET_COOKIE) {
                response.headers_mut().append(header::SET_COOKIE, cookie.clone());
            }
            Ok(response)
        }
        Err(denied) => {
            gateway.sign_in_refused(denied, from).await?;
            Err(if denied == Denied::Unknown { Problem::SignInRefused } else { denied.into() })
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use bytes::Bytes;
    use futures_util::stream::{StreamExt, iter, pending};

    use super::*;

    #[tokio::test]
    async fn a_body_that_does_not_end_is_not_waited_for() {
        let begun = iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{\"user\": "))]);
        let body = Body::from_stream(begun.chain(pending()));
        let request = Request::post("/").header(header::CONTENT_TYPE, "application/json").body(body).unwrap();
        let waited = within(Duration::from_millis(50), Json::<Credentials>::from_request(request, &())).await;
        assert!(matches!(waited.err(), Some(Problem::Intake(Refused::Stalled))));
    }
}
