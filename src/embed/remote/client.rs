use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use ureq::Agent;
use ureq::http::{Response, StatusCode, header};

use super::RemoteSettings;

/// How often a request is made before its failure is believed.
const TRIES_MAX: u32 = 5;
/// The longest wait between two of them, whatever the server asks for.
const WAIT_MAX: Duration = Duration::from_secs(30);
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);
/// What a component takes in an answer at most, in bytes; and what stands around the vectors.
const BYTES_PER_COMPONENT_MAX: u64 = 32;
const BYTES_AROUND_MAX: u64 = 1 << 20;
/// How much of an answer is repeated in an error.
const QUOTED_MAX: usize = 200;

/// Asks one endpoint, a request at a time.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    url: String,
    model: String,
    authorization: Option<Secret>,
    dimension: usize,
    sends_dimension: bool,
    retry_after: Duration,
    pace: Pace,
}

/// What is not to be shown.
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [&'a str],
    encoding_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Components,
}

/// Endpoints answer with numbers even where base64 is asked for, and the other way round.
#[derive(Deserialize)]
#[serde(untagged)]
enum Components {
    Numbers(Vec<f32>),
    Base64(String),
}

/// Why a request failed: for good, or perhaps not the next time.
enum Trouble {
    Lasting(String),
    Passing { reason: String, wait: Option<Duration> },
}

/// Why there are no vectors, and whether there may be some later.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) is_passing: bool,
}

impl Client {
    pub(super) fn new(settings: &RemoteSettings, dimension: usize, key: Option<String>) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // A key is sent nowhere but where it was meant for.
            .max_redirects(0)
            .user_agent(concat!("simile/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(REQUEST_TIME_MAX))
            .build()
            .into();
        Self {
            agent,
            url: format!("{}/embeddings", settings.url.trim_end_matches('/')),
            model: settings.model.clone(),
            authorization: key.map(|key| Secret(format!("Bearer {key}"))),
            dimension,
            sends_dimension: settings.sends_dimension,
            retry_after: Duration::from_millis(settings.retry_ms),
            pace: Pace::new(settings.requests_per_minute),
        }
    }

    /// Returns the vector of each text, in order.
    pub(super) fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Refusal> {
        let request = Request {
            model: &self.model,
            input: texts,
            encoding_format: "base64",
            dimensions: self.sends_dimension.then_some(self.dimension),
        };
        let body = serde_json::to_vec(&request)
            .map_err(|error| Refusal { reason: error.to_string(), is_passing: false })?;
        let mut wait = self.retry_after;
        let mut last = String::new();
        for tried in 1..=TRIES_MAX {
            thread::sleep(self.pace.delay(Instant::now()));
            match self.request(&body, texts.len()) {
                Ok(vectors) => return Ok(vectors),
                Err(Trouble::Lasting(reason)) => {
                    let reason = format!("{}: {reason}", self.url);
                    return Err(Refusal { reason, is_passing: false });
                }
                Err(Trouble::Passing { reason, wait: asked }) => {
                    tracing::warn!(url = self.url, tried, reason, "embedding request failed");
                    last = reason;
                    if tried < TRIES_MAX {
                        thread::sleep(asked.unwrap_or(wait).min(WAIT_MAX));
                        wait = (wait * 2).min(WAIT_MAX);
                    }
                }
            }
        }
        let reason = format!("{}: {last}, the last of {TRIES_MAX} tries", self.url);
        Err(Refusal { reason, is_passing: true })
    }

    fn request(&self, body: &[u8], count: usize) -> Result<Vec<Vec<f32>>, Trouble> {
        let mut request =
            self.agent.post(&self.url).header(header::CONTENT_TYPE, "application/json");
        if let Some(Secret(authorization)) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let passing = |reason: String| Trouble::Passing { reason, wait: None };
        let mut response = request.send(body).map_err(|error| passing(error.to_string()))?;
        let most = count as u64 * self.dimension as u64 * BYTES_PER_COMPONENT_MAX;
        let limit = most + BYTES_AROUND_MAX;
        let read = response.body_mut().with_config().limit(limit).read_to_vec();
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let reason = format!("the server answers {status}");
            return Err(Trouble::Passing { reason, wait: asked_wait(&response) });
        }
        let bytes = read.map_err(|error| passing(error.to_string()))?;
        if !status.is_success() {
            let said: String = String::from_utf8_lossy(&bytes).chars().take(QUOTED_MAX).collect();
            return Err(Trouble::Lasting(format!("the server answers {status}: {said}")));
        }
        let answer: Answer = serde_json::from_slice(&bytes)
            .map_err(|error| Trouble::Lasting(format!("the answer is not understood: {error}")))?;
        ordered(answer, count, self.dimension).map_err(Trouble::Lasting)
    }
}

/// Returns how long the server asks to wait, if it says so in seconds.
fn asked_wait<T>(response: &Response<T>) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Returns the vectors by the numbers that the answer gives them, each of which has to be there once.
fn ordered(answer: Answer, count: usize, dimension: usize) -> Result<Vec<Vec<f32>>, String> {
    let mut vectors = vec![Vec::new(); count];
    for Item { index, embedding } in answer.data {
        let Some(place) = vectors.get_mut(index) else {
            return Err(format!("vector {index} was not asked for, {count} were"));
        };
        let components = match embedding {
            Components::Numbers(numbers) => numbers,
            Components::Base64(text) => floats(&text)?,
        };
        if components.len() != dimension {
            let actual = components.len();
            return Err(format!("expected vectors of dimension {dimension}, got {actual}"));
        }
        if !std::mem::replace(place, components).is_empty() {
            return Err(format!("vector {index} came twice"));
        }
    }
    match vectors.iter().position(Vec::is_empty) {
        Some(index) => Err(format!("expected {count} vectors, number {index} is missing")),
        None => Ok(vectors),
    }
}

/// Returns the numbers of a base64 text: single precision, lowest byte first.
fn floats(text: &str) -> Result<Vec<f32>, String> {
    let bytes =
        BASE64_STANDARD.decode(text).map_err(|error| format!("a vector is no base64: {error}"))?;
    let (chunks, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(format!("a vector has {} bytes, expected a multiple of 4", bytes.len()));
    }
    Ok(chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// Keeps requests apart, so that there are no more of them in a minute than allowed.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    next: Option<Instant>,
}

impl Pace {
    fn new(requests_per_minute: Option<u32>) -> Self {
        let interval = requests_per_minute
            .map_or(Duration::ZERO, |requests| Duration::from_secs(60) / requests.max(1));
        Self { interval, next: None }
    }

    /// Returns how long to wait before a request now, and takes its place.
    fn delay(&mut self, now: Instant) -> Duration {
        let at = self.next.map_or(now, |next| next.max(now));
        self.next = Some(at + self.interval);
        at - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_a_burst_are_spread_and_a_pause_is_not_saved_up() {
        let now = Instant::now();
        let mut pace = Pace::new(Some(120));
        let delays = [now, now, now].map(|now| pace.delay(now).as_millis());
        assert_eq!(delays, [0, 500, 1_000]);
        let later = now + Duration::from_secs(10);
        let delays = [later, later].map(|now| pace.delay(now).as_millis());
        assert_eq!(delays, [0, 500]);
        let mut free = Pace::new(None);
        assert_eq!([now, now].map(|now| free.delay(now)), [Duration::ZERO; 2]);
    }

    #[test]
    fn answers_are_put_in_order_and_what_does_not_fit_is_named() {
        let read = |text: &str| {
            let answer: Answer = serde_json::from_str(text).unwrap();
            ordered(answer, 2, 2)
        };
        let item = |index: usize, embedding: &str| {
            format!(r#"{{"index": {index}, "embedding": {embedding}}}"#)
        };
        let both = |a: &str, b: &str| format!(r#"{{"data": [{a}, {b}]}}"#);
        // 1.0 and -2.0 as single precision.
        let encoded = item(0, r#""AACAPwAAAMA=""#);
        let numbers = item(1, "[3.5, 4]");
        let expected = vec![vec![1.0, -2.0], vec![3.5, 4.0]];
        assert_eq!(read(&both(&numbers, &encoded)), Ok(expected));
        let cases = [
            (both(&encoded, &encoded), "vector 0 came twice"),
            (both(&encoded, &item(2, "[1, 2]")), "vector 2 was not asked for, 2 were"),
            (both(&encoded, &item(1, "[1]")), "expected vectors of dimension 2, got 1"),
            (both(&encoded, &item(1, r#""AACAPwA=""#)), "has 5 bytes"),
            (both(&encoded, &item(1, r#""~""#)), "no base64"),
            (r#"{"data": []}"#.to_owned(), "expected 2 vectors, number 0 is missing"),
        ];
        for (text, reason) in cases {
            let error = read(&text).unwrap_err();
            assert!(error.contains(reason), "expected {reason:?} in {error:?}");
        }
    }
}
