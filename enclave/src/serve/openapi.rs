//! `/openapi.json`: the interface, described from the handlers themselves.

use axum::Json;
use utoipa::OpenApi;

use super::{attestation, exams, health, images, problem, sagemaker};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Cloister enclave",
        description = "Classifies mammograms inside an AWS Nitro Enclave. Verify the attestation document of the connection before \
            sending an image over it. Not for clinical use."
    ),
    paths(
        attestation::get,
        images::post,
        exams::post,
        health::alive,
        health::ready,
        health::figures,
        sagemaker::post,
        ping,
        get
    ),
    components(schemas(
        images::Answer,
        images::Scored,
        images::Mapped,
        images::Viewed,
        exams::Answer,
        problem::Details,
        crate::state::ModelIdentity
    ))
)]
struct Interface;

/// Readiness under the name that SageMaker asks for.
#[utoipa::path(
    get, path = "/ping", tag = "sagemaker",
    responses((status = 200, body = String), (status = 503, body = problem::Details, content_type = "application/problem+json"))
)]
#[expect(dead_code, reason = "describes the second path of health::ready")]
fn ping() {}

/// This page.
#[utoipa::path(get, path = "/openapi.json", tag = "health", responses((status = 200, description = "OpenAPI 3.1")))]
pub(super) async fn get() -> Json<utoipa::openapi::OpenApi> {
    Json(Interface::openapi())
}
