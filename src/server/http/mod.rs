//! The same server over plain HTTP, for what speaks no gRPC: probes, metrics, and embeddings in the
//! form of OpenAI's API.

mod embeddings;

use std::io;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::task::JoinHandle;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::core::Core;
use super::guard::{Guard, require};
use super::listen::{Arrival, Incoming};
use super::models::Readiness;
use super::origins;
use super::qdrant::{PROTOCOL_VERSION, TITLE};
use crate::access::Scope;

/// What handlers share.
#[derive(Debug, Clone)]
struct Face {
    core: Core,
    guard: Guard,
}

/// Why a request is not answered, in the form that clients of OpenAI's API read.
#[derive(Debug)]
struct Refused(Status);

/// Starts to answer connections until the server stops.
pub(super) fn serve(
    core: &Core,
    guard: &Guard,
    incoming: Incoming,
) -> (SocketAddr, JoinHandle<io::Result<()>>) {
    let address = incoming.address();
    let face = Face { core: core.clone(), guard: guard.clone() };
    let router = Router::new()
        .route("/", get(root))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/embeddings", post(embeddings::embed))
        .route("/v1/models", get(embeddings::models))
        .fallback(async || Refused(Status::not_found("there is nothing at this path")))
        .layer(DefaultBodyLimit::max(core.options.message_bytes_max))
        .layer(from_fn_with_state(face.clone(), traced))
        .layer(from_fn(one_too_many))
        .layer(origins::layer(&core.options.cors_origins))
        .with_state(face);
    let stopped = core.clone();
    let serving = tokio::spawn(async move {
        axum::serve(incoming, router.into_make_service_with_connect_info::<Arrival>())
            .with_graceful_shutdown(async move { stopped.stopped().await })
            .await
    });
    (address, serving)
}

/// Answers as part of a trace; probes are none of anybody's.
async fn traced(State(face): State<Face>, request: Request, next: Next) -> Response {
    let method = match request.uri().path() {
        "/v1/embeddings" => "/v1/embeddings",
        "/v1/models" => "/v1/models",
        _ => return next.run(request).await,
    };
    let Some(traces) = &face.core.traces else { return next.run(request).await };
    let traced = traces.begin(method, "http", request.headers());
    let response = traced.clone().around(next.run(request)).await;
    // The classes of HTTP, as far as conventions for spans tell them apart.
    traced.end(match response.status() {
        status if status.is_server_error() => Code::Internal,
        status if status.is_client_error() => Code::InvalidArgument,
        _ => Code::Ok,
    });
    response
}

/// Refuses what comes over a connection that is one too many.
async fn one_too_many(
    ConnectInfo(arrival): ConnectInfo<Arrival>,
    request: Request,
    next: Next,
) -> Result<Response, Refused> {
    arrival.check()?;
    Ok(next.run(request).await)
}

/// What serves here. The version is that of the Qdrant protocol, which is what its clients ask for.
async fn root() -> Json<serde_json::Value> {
    let commit = format!("simile {}", env!("CARGO_PKG_VERSION"));
    Json(json!({ "title": TITLE, "version": PROTOCOL_VERSION, "commit": commit }))
}

/// Whether requests are taken. The default embedder may still be loading: what needs none is served.
async fn ready(State(face): State<Face>) -> (StatusCode, Json<serde_json::Value>) {
    let is_stopping = *face.core.stopping.borrow();
    let embedder = match face.core.models.readiness(face.core.models.default_name()) {
        Readiness::Idle => "idle",
        Readiness::Loading => "loading",
        Readiness::Ready => "ready",
        Readiness::Failed(_) => "failed",
    };
    let code = if is_stopping { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, Json(json!({ "ready": !is_stopping, "embedder": embedder })))
}

async fn metrics(State(face): State<Face>, headers: HeaderMap) -> Result<Response, Refused> {
    let grant = face.guard.grant(&headers)?;
    require(&grant, Scope::Read, "/metrics")?;
    if grant.collections.is_some() {
        let message = format!("key {} is for some collections, /metrics for all", grant.id);
        return Err(Refused(Status::permission_denied(message)));
    }
    let unasked = MetadataMap::new();
    let answer = face.core.answer(&unasked, |shared, _| Ok(shared.meter.encoded(shared)));
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], answer.await?).into_response())
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self(status)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (code, kind) = match self.0.code() {
            Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition => {
                (StatusCode::BAD_REQUEST, "invalid_request_error")
            }
            Code::NotFound => (StatusCode::NOT_FOUND, "invalid_request_error"),
            Code::Unauthenticated => (StatusCode::UNAUTHORIZED, "authentication_error"),
            Code::PermissionDenied => (StatusCode::FORBIDDEN, "permission_error"),
            Code::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error"),
            Code::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "server_error"),
            Code::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, "server_error"),
            Code::Unimplemented => (StatusCode::NOT_IMPLEMENTED, "invalid_request_error"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        };
        let error =
            json!({ "message": self.0.message(), "type": kind, "param": null, "code": null });
        let mut response = (code, Json(json!({ "error": error }))).into_response();
        let retry = self.0.metadata().get(header::RETRY_AFTER.as_str());
        if let Some(value) = retry.and_then(|value| value.to_str().ok()?.parse().ok()) {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}
