//! `/enclaves`: what was last proved of each.

use axum::Json;
use axum::extract::State;

use super::problem::{Details, Problem};
use crate::access::Caller;
use crate::enclaves::Enclaves;
use crate::gateway::Gateway;

/// What was last found of each enclave.
#[utoipa::path(
    get, path = "/api/v1/enclaves", tag = "enclaves",
    responses((status = 200, body = Enclaves), (status = 401, body = Details))
)]
pub(crate) async fn list(State(gateway): State<Gateway>, _caller: Caller) -> Json<Enclaves> {
    Json(gateway.enclaves.all())
}

/// Verifies each enclave anew.
#[utoipa::path(
    post, path = "/api/v1/enclaves/check", tag = "enclaves",
    responses((status = 200, body = Enclaves), (status = 401, body = Details))
)]
pub(crate) async fn check(State(gateway): State<Gateway>, _caller: Caller) -> Result<Json<Enclaves>, Problem> {
    gateway.enclaves.check_all().await;
    Ok(Json(gateway.enclaves.all()))
}
