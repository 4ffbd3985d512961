//! `/session`: who is signed in, and how one signs in and out.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::caller::Origin;
use super::problem::{Details, Problem};
use crate::access::{Caller, Denied, Session, SignIn, User, refused};
use crate::audit::{Agent, Event};
use crate::gateway::Gateway;
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
    body: Result<Json<Credentials>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(Credentials { user, password }) = body.map_err(|error| Problem::Query(error.body_text()))?;
    if user.len() > limits::MAX_JSON_BYTES {
        return Err(Problem::SignInRefused);
    }
    match gateway.access.password(&user, Zeroizing::new(password), from).await {
        Ok(user) => signed_in(&gateway, user, from.map(|from| from.to_string())).await,
        Err(denied) => {
            gateway.audit(refused(denied, from)).await?;
            Err(if denied == Denied::Unknown { Problem::SignInRefused } else { denied.into() })
        }
    }
}

async fn signed_in(gateway: &Gateway, user: User, from: Option<String>) -> Result<Response, Problem> {
    gateway.audit(Event::signed_in(Agent::User { name: user.name.clone(), from })).await?;
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

/// Goes to the provider.
#[utoipa::path(get, path = "/api/v1/session/oidc", tag = "session", responses((status = 303), (status = 502, body = Details)))]
pub(crate) async fn begin_oidc(State(gateway): State<Gateway>) -> Result<Response, Problem> {
    let begun = gateway.access.begin_oidc().await?;
    Ok(with_cookies(Redirect::to(&begun.location).into_response(), &[begun.cookie]))
}

/// What a provider sends a browser back with (RFC 6749, section 4.1.2).
#[derive(Deserialize)]
pub(crate) struct Callback {
    state: Option<String>,
    code: Option<String>,
}

/// Comes back from the provider.
#[utoipa::path(
    get, path = "/api/v1/session/oidc/callback", tag = "session",
    responses((status = 303), (status = 401, body = Details))
)]
pub(crate) async fn end_oidc(
    State(gateway): State<Gateway>,
    Origin(from): Origin,
    headers: HeaderMap,
    query: Result<Query<Callback>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Callback { state, code }) = query.map_err(|error| Problem::Query(error.body_text()))?;
    let ended = gateway.access.end_oidc(&headers, &state.unwrap_or_default(), &code.unwrap_or_default()).await;
    match ended {
        Ok(user) => {
            let signed_in = signed_in(&gateway, user, from.map(|from| from.to_string())).await?;
            let mut response = Redirect::to("/").into_response();
            for cookie in signed_in.headers().get_all(header::SET_COOKIE) {
                response.headers_mut().append(header::SET_COOKIE, cookie.clone());
            }
            Ok(response)
        }
        Err(denied) => {
            gateway.audit(refused(denied, from)).await?;
            Err(if denied == Denied::Unknown { Problem::SignInRefused } else { denied.into() })
        }
    }
}
