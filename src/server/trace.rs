//! Where did the time of a request go, and what was it part of? Each request is a span, its stages are
//! spans within it, and a collector gets them over OTLP. A request that comes with `traceparent` goes
//! on with the trace of whoever asks.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{
    Span as _, SpanKind, Status as SpanStatus, TraceContextExt as _, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use tonic::Code;

use super::status::status_name;
use crate::query::StageTiming;

/// How long the collector may take for spans, and for the last of them when the server stops.
const EXPORT_TIME_MAX: Duration = Duration::from_secs(5);

/// Where traces go.
#[derive(Debug, Clone)]
pub struct TraceOptions {
    /// The collector, as `http://127.0.0.1:4317`.
    pub endpoint: String,
    /// The share of requests that are traced, 0 to 1, of those that do not come with a trace: whoever
    /// began one decides about it.
    pub ratio: f64,
    /// The time now; from here on it is measured how much later something happens.
    pub now: SystemTime,
}

/// Sends spans, a batch at a time and beside the requests; what the collector does not take in time is
/// dropped. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Traces(Arc<Sending>);

#[derive(Debug)]
struct Sending {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    propagator: TraceContextPropagator,
    /// One moment by two clocks.
    moment: (SystemTime, Instant),
}

/// The request that is being answered, and its traces.
#[derive(Debug, Clone)]
pub(super) struct Traced {
    traces: Traces,
    context: Context,
}

tokio::task_local! {
    static CURRENT: Traced;
}

impl Traces {
    /// Begins to send to a collector, which need not be there yet. Runs in the runtime that sends.
    pub(super) fn start(options: &TraceOptions) -> Result<Self, ExporterBuildError> {
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&options.endpoint)
            .with_timeout(EXPORT_TIME_MAX)
            .build()?;
        let resource = Resource::builder_empty()
            .with_service_name("simile")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let of_own = Sampler::TraceIdRatioBased(options.ratio);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(of_own)))
            .with_resource(resource)
            .build();
        let tracer = provider.tracer("simile");
        let propagator = TraceContextPropagator::new();
        let moment = (options.now, Instant::now());
        Ok(Self(Arc::new(Sending { provider, tracer, propagator, moment })))
    }

    /// Begins the span of a request.
    pub(super) fn begin(
        &self,
        method: &'static str,
        system: &'static str,
        headers: &HeaderMap,
    ) -> Traced {
        let parent = self.0.propagator.extract_with_context(&Context::new(), &Headers(headers));
        let span = self
            .0
            .tracer
            .span_builder(method)
            .with_kind(SpanKind::Server)
            .with_start_time(self.time(Instant::now()))
            .with_attributes([KeyValue::new("rpc.system", system)])
            .start_with_context(&self.0.tracer, &parent);
        Traced { traces: self.clone(), context: parent.with_span(span) }
    }

    /// Sends what is left, and no more.
    pub(super) fn stop(&self) {
        if let Err(error) = self.0.provider.shutdown_with_timeout(EXPORT_TIME_MAX) {
            tracing::warn!(%error, "the last traces may be lost");
        }
    }

    fn time(&self, instant: Instant) -> SystemTime {
        let (time, at) = self.0.moment;
        time + instant.saturating_duration_since(at)
    }
}

impl Traced {
    /// Returns the request that is being answered here, if it is traced.
    pub(super) fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Answers the request: what is noted meanwhile is part of it.
    pub(super) async fn around<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// Computes for the request on another thread.
    pub(super) fn within<T>(self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self, work)
    }

    /// Ends the span of the request.
    pub(super) fn end(&self, code: Code) {
        let span = self.context.span();
        span.set_attribute(KeyValue::new("rpc.grpc.status_code", i64::from(code as i32)));
        let is_ours = matches!(
            code,
            Code::Unknown
                | Code::DeadlineExceeded
                | Code::Unimplemented
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss
        );
        // What a caller did wrong is no error of the server, as conventions for such spans have it.
        if is_ours {
            span.set_status(SpanStatus::error(status_name(code)));
        }
        span.end_with_timestamp(self.traces.time(Instant::now()));
    }
}

/// Notes a stage of the request that is being answered here, if it is traced.
pub(super) fn note(stage: &'static str, began: Instant, ended: Instant) {
    let Some(Traced { traces, context }) = Traced::current() else { return };
    let span = traces.0.tracer.span_builder(stage).with_start_time(traces.time(began));
    let mut span = span.start_with_context(&traces.0.tracer, &context);
    span.end_with_timestamp(traces.time(ended));
}

/// Notes the stages of a search.
pub(super) fn note_stages(timings: &[StageTiming]) {
    for timing in timings {
        note(timing.stage, timing.began, timing.began + timing.duration);
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}
