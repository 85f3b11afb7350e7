//! The one place that lets requests in: before anything of them is parsed, it looks at the method and
//! at the key, and for a key that is for some collections at the name of the collection.

mod bucket;
mod flight;
mod peek;
mod table;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use bucket::Buckets;
pub(super) use flight::Flight;
use flight::{Answering, Counted, Held, Quota, counting};
pub use table::{METHODS, Need, Place};

use super::core::millis;
use super::listen::Arrival;
use super::meter::Meter;
use super::status::{self, status_name};
use super::trace::Traces;
use crate::access::{Grant, KeyStore, Scope};
use crate::collection::Clock;
use crate::error::ErrorKind;

/// Who may come in.
#[derive(Clone)]
pub(super) struct Guard(Arc<Kept>);

/// The rules, and what is counted to keep them.
struct Kept {
    rules: Rules,
    requests: Buckets,
    bytes: Arc<Buckets>,
}

/// By which rules.
pub(super) struct Rules {
    pub(super) access: Access,
    pub(super) clock: Clock,
    pub(super) message_bytes_max: usize,
    /// How long the first message may take of a request that has to name its collection.
    pub(super) first_message_time_max: Duration,
    pub(super) meter: Meter,
    /// From when on the time of a request is worth a line in the log.
    pub(super) slow_time: Duration,
    /// How many requests a second each key may make that says nothing of its own; none: as many as it likes.
    pub(super) requests_per_second_max: Option<u32>,
    /// How many bytes the messages of such a key may bring in a second; none: as many as it likes.
    pub(super) bytes_per_second_max: Option<u64>,
    /// What messages are on their way.
    pub(super) flight: Flight,
    /// Where the spans of requests go, if they do.
    pub(super) traces: Option<Traces>,
}

/// What opens a server.
#[derive(Debug, Clone, Default)]
pub enum Access {
    /// Whoever reaches it may do everything.
    #[default]
    Open,
    /// One of these keys, if there are any.
    Keys(Arc<KeyStore>),
    /// This text and nothing else: of a server that a command runs for itself.
    Own(String),
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Guard").finish_non_exhaustive()
    }
}

impl Guard {
    pub(super) fn new(rules: Rules) -> Self {
        Self(Arc::new(Kept { rules, requests: Buckets::default(), bytes: Arc::default() }))
    }

    /// Makes room for a request of this length, which goes when the result is dropped; its key may send
    /// that much.
    pub(super) fn take_bytes(
        &self,
        grant: &Grant,
        bytes: u64,
    ) -> Result<impl Send + use<>, Status> {
        if let Some(quota) = self.quota(grant) {
            quota.spend(bytes)?;
        }
        let held: Held = self.0.rules.flight.take(bytes)?;
        Ok(held)
    }

    fn quota(&self, grant: &Grant) -> Option<Quota> {
        let per_second = grant.rates.bytes_per_second_max.or(self.0.rules.bytes_per_second_max)?;
        let buckets = Arc::clone(&self.0.bytes);
        Some(Quota { buckets, key: grant.id.clone(), per_second })
    }

    /// Counts what a request brings from here on.
    fn counted(
        &self,
        request: Request<Body>,
        grant: Option<&Grant>,
    ) -> (Request<Body>, Arc<Answering>) {
        let (parts, body) = request.into_parts();
        let quota = grant.and_then(|grant| self.quota(grant));
        let (body, answering) = Counted::new(body, self.0.rules.flight.clone(), quota);
        (Request::from_parts(parts, Body::new(body)), answering)
    }

    /// Writes down what took long, and who changed something: never what was in it.
    fn record(&self, method: &str, code: Code, took: Duration, caller: &Caller) {
        let code = status_name(code);
        if took >= self.0.rules.slow_time {
            tracing::warn!(key = caller.key, method, code, took_ms = millis(took), "slow request");
        }
        if caller.changes && matches!(self.0.rules.access, Access::Keys(_)) {
            tracing::info!(target: "audit", key = caller.key, method, code, "changed");
        }
    }

    /// Returns what the key among the headers may do, unless it has done too much already.
    pub(super) fn grant(&self, headers: &HeaderMap) -> Result<Grant, Status> {
        let grant = self.grant_of(headers)?;
        let most = grant.rates.requests_per_second_max.or(self.0.rules.requests_per_second_max);
        match most {
            Some(most) if !self.0.requests.take(&grant.id, most.into(), Instant::now()) => {
                let message =
                    format!("key {} has made its {most} requests of this second", grant.id);
                Err(status::from_kind(ErrorKind::Overloaded, message))
            }
            Some(_) | None => Ok(grant),
        }
    }

    fn grant_of(&self, headers: &HeaderMap) -> Result<Grant, Status> {
        let given = key_of(headers);
        match &self.0.rules.access {
            Access::Open => Ok(Grant::everything()),
            Access::Own(own) => {
                // Hashes are compared in constant time.
                let is_own = |given| blake3::hash(given) == blake3::hash(own.as_bytes());
                if given.is_some_and(|given| is_own(given.as_bytes())) {
                    return Ok(Grant::everything());
                }
                Err(Status::unauthenticated("this server is for the command that started it"))
            }
            Access::Keys(keys) => match keys.check(given, (self.0.rules.clock)()) {
                Ok(Ok(grant)) => Ok(grant),
                Ok(Err(refusal)) => Err(Status::unauthenticated(refusal.to_string())),
                Err(error) => {
                    tracing::error!(%error, "keys cannot be read");
                    Err(Status::unavailable("the server cannot read its keys"))
                }
            },
        }
    }

    /// Returns the request if it is let in, and whose key it came with.
    async fn admit(&self, request: Request<Body>) -> Result<(Request<Body>, Caller), Status> {
        if let Some(arrival) = request.extensions().get::<Arrival>() {
            arrival.check()?;
        }
        let path = request.uri().path();
        let need = table::need(path);
        if need == Some(Need::Open) {
            let (request, asked) = self.counted(request, None);
            return Ok((request, Caller { asked, ..Caller::default() }));
        }
        let grant = self.grant(request.headers())?;
        let Some(Need::Key(scope, place)) = need else {
            return Err(Status::unimplemented(format!("there is no method {path}")));
        };
        require(&grant, scope, path)?;
        let numbers = match (&grant.collections, place) {
            (None, _) | (Some(_), Place::None) => None,
            (Some(_), Place::All) => {
                let message = format!("key {} is for some collections, {path} for all", grant.id);
                return Err(Status::permission_denied(message));
            }
            (Some(own), Place::Field(numbers)) => Some((own, numbers)),
        };
        let (request, asked) = self.counted(request, Some(&grant));
        let caller = Caller { key: grant.id.clone(), changes: scope > Scope::Read, asked };
        let Some((own, numbers)) = numbers else { return Ok((request, caller)) };
        let (parts, body) = request.into_parts();
        let rules = &self.0.rules;
        let read = peek::first_message(body, rules.message_bytes_max);
        let read = tokio::time::timeout(rules.first_message_time_max, read).await;
        let late = |_| Status::deadline_exceeded("the first message did not come in time");
        let (message, body) = read.map_err(late)??;
        let name = peek::text_at(&message, numbers)?;
        if !own.contains(&name) {
            let message = format!("key {} is not for collection `{name}`", grant.id);
            return Err(Status::permission_denied(message));
        }
        Ok((Request::from_parts(parts, body), caller))
    }
}

/// Who asks, for records.
#[derive(Debug, Default)]
struct Caller {
    /// The id of the key.
    key: String,
    /// Whether what is asked for may change something.
    changes: bool,
    /// What counts until it is answered.
    asked: Arc<Answering>,
}

/// Checks that a grant reaches far enough.
pub(super) fn require(grant: &Grant, scope: Scope, what: &str) -> Result<(), Status> {
    if grant.scope >= scope {
        return Ok(());
    }
    let message = format!("key {} has scope {}, {what} needs {scope}", grant.id, grant.scope);
    Err(Status::permission_denied(message))
}

/// Returns the key that a request brings: as a bearer token, or as clients of Qdrant do.
fn key_of(headers: &HeaderMap) -> Option<&str> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text("authorization").and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    bearer.or_else(|| text("api-key"))
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { guard: self.clone(), inner }
    }
}

/// Services behind the guard.
#[derive(Debug, Clone)]
pub(super) struct Guarded<S> {
    guard: Guard,
    inner: S,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let waiting = self.inner.clone();
        // The one that is ready answers; its copy gets ready for the next request.
        let mut ready = std::mem::replace(&mut self.inner, waiting);
        let guard = self.guard.clone();
        Box::pin(async move {
            let meter = &guard.0.rules.meter;
            let (began, method) = (Instant::now(), table::known(request.uri().path()));
            let running = meter.begin();
            let traces = guard.0.rules.traces.as_ref();
            let traced = traces.map(|traces| traces.begin(method, "grpc", request.headers()));
            let answer = async {
                match guard.admit(request).await {
                    Ok((request, caller)) => (ready.call(request).await, caller),
                    Err(status) => (Ok(status.into_http()), Caller::default()),
                }
            };
            let (response, caller) = match &traced {
                Some(traced) => traced.clone().around(answer).await,
                None => answer.await,
            };
            let response = response?;
            // What fails later than this says so in the trailers.
            let failed = Status::from_header_map(response.headers());
            let code = failed.as_ref().map(Status::code);
            let response = match failed.filter(|status| status.code() == Code::OutOfRange) {
                Some(status) => status::with_advice(status).into_http(),
                None => response,
            };
            let (code, took) = (code.unwrap_or(Code::Ok), began.elapsed());
            meter.end(running, method, code, took);
            if let Some(traced) = traced {
                traced.end(code);
            }
            guard.record(method, code, took, &caller);
            Ok(response.map(|body| counting(body, caller.asked)))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_method_stands_once_in_the_table() {
        let names: BTreeSet<&str> = METHODS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), METHODS.len());
        assert_eq!(
            table::need("/qdrant.Points/Query"),
            Some(Need::Key(Scope::Read, Place::Field(&[1])))
        );
        assert_eq!(table::need("/qdrant.Points/query"), None);
        assert_eq!(table::need("qdrant.Points/Query"), None);
    }

    #[test]
    fn a_key_comes_as_a_bearer_token_or_as_clients_of_qdrant_send_it() {
        let of = |name: &'static str, value: &str| {
            let headers = HeaderMap::from_iter([(
                axum::http::HeaderName::from_static(name),
                value.parse().unwrap(),
            )]);
            key_of(&headers).map(str::to_owned)
        };
        assert_eq!(of("authorization", "Bearer abc").as_deref(), Some("abc"));
        assert_eq!(of("authorization", "bearer  abc").as_deref(), Some("abc"));
        assert_eq!(of("api-key", "abc").as_deref(), Some("abc"));
        assert_eq!(of("authorization", "Basic abc"), None);
        assert_eq!(of("authorization", "abc"), None);
    }
}
