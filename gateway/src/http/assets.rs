//! The page, out of the program itself.

use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, Uri, header};

use super::problem::Problem;

mod built {
    include!(concat!(env!("OUT_DIR"), "/assets.rs"));
}

/// Files whose names hold a digest of their content never change.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// The page itself is asked for anew, so that a new program shows at once.
const ANEW: &str = "no-cache";

/// Whether the page was built into this program.
pub(crate) const fn is_built() -> bool {
    built::BUILT
}

pub(super) async fn get(method: Method, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    let Some((name, bytes)) = built::ASSETS.iter().find(|(name, _)| *name == path) else {
        return Problem::NotFound.into_response();
    };
    if !matches!(method, Method::GET | Method::HEAD) {
        return Problem::Method.into_response();
    }
    let cached = if name.starts_with("assets/") { FOREVER } else { ANEW };
    let headers = [(header::CONTENT_TYPE, media_type(name)), (header::CACHE_CONTROL, cached)];
    (StatusCode::OK, headers, *bytes).into_response()
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("webmanifest") => "application/manifest+json",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_is_always_a_page_and_nothing_beside_it() {
        let page = get(Method::GET, Uri::from_static("/")).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(page.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        for path in ["/../Cargo.toml", "/etc/passwd", "/assets/", "/api/v2"] {
            assert_eq!(get(Method::GET, Uri::from_static(path)).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
