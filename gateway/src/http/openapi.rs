//! `/api/v1/openapi.json`: the interface, described from the handlers themselves.

use axum::Json;
use utoipa::OpenApi;

use super::{enclaves, events, exams, files, health, problem, receipts, session, stow};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Cloister gateway",
        description = "Takes exams inside a hospital and has them classified by enclaves that it has verified. Not for clinical use."
    ),
    paths(
        session::show,
        session::begin,
        session::end,
        session::begin_oidc,
        session::end_oidc,
        enclaves::list,
        enclaves::check,
        exams::list,
        exams::create,
        exams::show,
        exams::retry,
        exams::remove,
        files::image,
        files::map,
        files::receipt,
        files::report,
        files::result,
        events::of_exam,
        events::of_all,
        receipts::check,
        stow::store,
        stow::store_in,
        health::alive,
        health::ready,
        health::metrics,
        get
    ),
    components(schemas(crate::worklist::Exam, crate::enclaves::Enclaves, problem::Details))
)]
struct Interface;

/// This page.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "health",
    responses((status = 200, description = "OpenAPI 3.1"))
)]
pub(super) async fn get() -> Json<utoipa::openapi::OpenApi> {
    Json(Interface::openapi())
}
