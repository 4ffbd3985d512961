//! `/exams`: the work list, and exams that pages and programs send.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::{Details, Problem};
use crate::access::Caller;
use crate::audit::Event;
use crate::config::Missing;
use crate::gateway::Gateway;
use crate::intake::{Refused, api};
use crate::worklist::{Exam, Filter, State as ExamState, reading, work};
use crate::{limits, retention};

/// A page of the work list.
#[derive(Serialize, ToSchema)]
pub(crate) struct Page {
    /// The latest first; without the enclaves' checks.
    exams: Vec<Exam>,
    /// What `before` has to say for the next page.
    next: Option<String>,
}

/// Which exams.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// At most so many.
    limit: Option<u32>,
    /// What `next` said.
    before: Option<String>,
    /// In that state alone.
    state: Option<String>,
    /// With that in label, patient's name or identifier.
    q: Option<String>,
}

impl Wanted {
    fn filter(self) -> Result<Filter, Problem> {
        let wrong = |what: &str| Problem::Query(what.to_owned());
        let before = self.before.map(|before| before.parse().map_err(|_| wrong("before is what next said")));
        let state = self.state.map(|state| state.parse::<ExamState>().map_err(|_| wrong("state is a state")));
        let search = self.q.filter(|q| !q.is_empty());
        if search.as_ref().is_some_and(|q| q.chars().count() > limits::MAX_SEARCH_CHARACTERS) {
            return Err(wrong("q is too long"));
        }
        let limit = self.limit.unwrap_or(limits::DEFAULT_PAGE).clamp(1, limits::MAX_PAGE);
        Ok(Filter { before: before.transpose()?, state: state.transpose()?, search, limit })
    }
}

/// An exam; an error where it is not on the list.
pub(super) async fn get(gateway: &Gateway, id: &str) -> Result<Exam, Problem> {
    let (id, point) = (id.to_owned(), gateway.point());
    let found = gateway.worklist.with(move |list| reading::get(list, &id, &point)).await?;
    found.ok_or(Problem::NotFound)
}

/// The work list.
#[utoipa::path(
    get, path = "/api/v1/exams", tag = "exams",
    params(
        ("limit" = Option<u32>, Query, description = "At most so many"),
        ("before" = Option<String>, Query, description = "What `next` said"),
        ("state" = Option<String>, Query, description = "In that state alone"),
        ("q" = Option<String>, Query, description = "With that in label, patient's name or identifier"),
    ),
    responses((status = 200, body = Page), (status = 401, body = Details))
)]
pub(crate) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let Query(wanted) = query.map_err(|error| Problem::Query(error.body_text()))?;
    let (filter, point) = (wanted.filter()?, gateway.point());
    gateway.audit(Event::listed(caller.agent())).await?;
    let (exams, next) = gateway.worklist.with(move |list| reading::list(list, &filter, &point)).await?;
    Ok(Json(Page { exams, next: next.map(|next| next.to_string()) }))
}

/// What may be said of an exam that is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sent {
    /// `allow`: take an exam without one of its views.
    missing: Option<String>,
}

/// Takes an exam: four files, as parts that are named by their views, or `image` where the file says it; `label` is a text.
#[utoipa::path(
    post, path = "/api/v1/exams", tag = "exams",
    params(("missing" = Option<String>, Query, description = "allow: take an exam without one of its views")),
    request_body(content = String, content_type = "multipart/form-data"),
    responses(
        (status = 201, body = Exam), (status = 400, body = Details), (status = 401, body = Details),
        (status = 409, body = Details), (status = 413, body = Details), (status = 422, body = Details),
        (status = 503, body = Details)
    )
)]
pub(crate) async fn create(
    State(gateway): State<Gateway>,
    caller: Caller,
    query: Result<Query<Sent>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Query(Sent { missing }) = query.map_err(|error| Problem::Query(error.body_text()))?;
    let missing = match missing.as_deref() {
        None => None,
        Some("allow") => Some(Missing::Allow),
        Some(_) => return Err(Problem::Query("missing takes allow alone".to_owned())),
    };
    let id = match api::take(&gateway, &caller, missing, &headers, body).await {
        Err(Refused::NotVerified) => return Err(Problem::NotVerified(gateway.enclaves.all().enclaves)),
        taken => taken?,
    };
    let exam = get(&gateway, &id).await?;
    let mut response = (StatusCode::CREATED, Json(exam)).into_response();
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/exams/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// An exam.
#[utoipa::path(
    get, path = "/api/v1/exams/{id}", tag = "exams", params(("id" = String, Path)),
    responses((status = 200, body = Exam), (status = 401, body = Details), (status = 404, body = Details))
)]
pub(crate) async fn show(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Exam>, Problem> {
    let exam = get(&gateway, &id).await?;
    gateway.audit(Event::looked(caller.agent(), &id, "exam")).await?;
    Ok(Json(exam))
}

/// Has an exam that failed sent once more.
#[utoipa::path(
    post, path = "/api/v1/exams/{id}/retry", tag = "exams", params(("id" = String, Path)),
    responses((status = 202, body = Exam), (status = 404, body = Details), (status = 409, body = Details))
)]
pub(crate) async fn retry(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    get(&gateway, &id).await?;
    let failed = id.clone();
    if !gateway.worklist.with(move |list| work::can_retry(list, &failed)).await? {
        return Err(Problem::NotFailed);
    }
    gateway.audit(Event::retried(caller.agent(), &id)).await?;
    let again = id.clone();
    if !gateway.worklist.with(move |list| work::retry(list, &again)).await? {
        return Err(Problem::NotFailed);
    }
    gateway.worklist.announce(&id);
    Ok((StatusCode::ACCEPTED, Json(get(&gateway, &id).await?)).into_response())
}

/// Deletes an exam, with its images and results. A reader may delete what they sent.
#[utoipa::path(
    delete, path = "/api/v1/exams/{id}", tag = "exams", params(("id" = String, Path)),
    responses((status = 204), (status = 403, body = Details), (status = 404, body = Details))
)]
pub(crate) async fn remove(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let exam = get(&gateway, &id).await?;
    let own = exam.by.is_some() && exam.by == caller.name();
    if !own && !caller.is_administrator() {
        return Err(Problem::NotAllowed);
    }
    if retention::delete(&gateway, caller.agent(), &id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::NotFound)
    }
}
