//! Whose pages may ask? Browsers keep answers from a page of another origin unless the server names
//! that origin.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, Any, CorsLayer, Vary};

/// How long a browser remembers what it was told.
const REMEMBERED: Duration = Duration::from_secs(3_600);
/// What requests may carry: the protocol's own headers, the two places of a key, deadlines and traces.
const ASKED: [&str; 9] = [
    "content-type",
    "x-grpc-web",
    "x-user-agent",
    "grpc-timeout",
    "grpc-accept-encoding",
    "authorization",
    "api-key",
    "traceparent",
    "tracestate",
];
/// What pages may read of an answer beside its body.
const SHOWN: [&str; 4] =
    ["grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-retry-pushback-ms"];

/// Every origin.
pub(super) const EVERY: &str = "*";

/// Returns the layer that lets pages of these origins ask; of none, if there are none.
pub(super) fn layer(origins: &[String]) -> CorsLayer {
    let names = |names: &[&'static str]| -> Vec<HeaderName> {
        names.iter().map(|&name| HeaderName::from_static(name)).collect()
    };
    if origins.is_empty() {
        return CorsLayer::new().vary(Vary::list([]));
    }
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(names(&ASKED))
        .expose_headers(names(&SHOWN).into_iter().chain([header::RETRY_AFTER]).collect::<Vec<_>>())
        .max_age(REMEMBERED);
    if origins.iter().any(|origin| origin == EVERY) {
        return layer.allow_origin(Any);
    }
    // Whoever made the settings has checked them; what is no header names nobody.
    let values = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    layer.allow_origin(AllowOrigin::list(values))
}
