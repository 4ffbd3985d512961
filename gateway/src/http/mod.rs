//! The interface: pages, JSON, streams of events, DICOMweb.

mod assets;
mod caller;
mod connection;
mod enclaves;
mod events;
mod exams;
mod files;
mod health;
mod openapi;
mod problem;
mod receipts;
mod session;
mod stow;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::map_response_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue, header};

pub(crate) use assets::is_built;
pub(crate) use connection::serve;
pub(crate) use events::Streams;
use problem::Problem;
pub(crate) use problem::sentence;

use crate::gateway::Gateway;
use crate::limits;

/// What a page may do: nothing from anywhere else. WebAssembly is for decoders of images, in workers.
const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; worker-src 'self' blob:; \
    img-src 'self' blob: data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Two years, in seconds.
const STRICT_TRANSPORT: &str = "max-age=63072000";

pub(crate) fn router(gateway: &Gateway) -> Router {
    let api = Router::new()
        .route("/session", get(session::show).post(session::begin).delete(session::end))
        .route("/session/oidc", get(session::begin_oidc))
        .route("/session/oidc/callback", get(session::end_oidc))
        .route("/enclaves", get(enclaves::list))
        .route("/enclaves/check", post(enclaves::check))
        .route("/exams", get(exams::list).post(exams::create).layer(DefaultBodyLimit::disable()))
        .route("/exams/{id}", get(exams::show).delete(exams::remove))
        .route("/exams/{id}/retry", post(exams::retry))
        .route("/exams/{id}/events", get(events::of_exam))
        .route("/exams/{id}/files/{number}", get(files::image))
        .route("/exams/{id}/views/{view}/map", get(files::map))
        .route("/exams/{id}/receipt", get(files::receipt))
        .route("/exams/{id}/report", get(files::report))
        .route("/exams/{id}/results/{result}", get(files::result))
        .route("/events", get(events::of_all))
        .route("/receipts/check", post(receipts::check))
        .route("/openapi.json", get(openapi::get));
    Router::new()
        .nest("/api/v1", api)
        .route("/dicomweb/studies", post(stow::store).layer(DefaultBodyLimit::disable()))
        .route("/dicomweb/studies/{study}", post(stow::store_in).layer(DefaultBodyLimit::disable()))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(assets::get)
        .method_not_allowed_fallback(async || Problem::Method)
        .layer(DefaultBodyLimit::max(limits::MAX_RECEIPT_BYTES))
        .layer(map_response_with_state(gateway.clone(), headers))
        .with_state(gateway.clone())
}

/// What every answer says to browsers.
async fn headers(axum::extract::State(gateway): axum::extract::State<Gateway>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if gateway.config.is_tls() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(STRICT_TRANSPORT));
    }
    // Exams are a patient's: no cache keeps them.
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
