use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::{Uri, header};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error as AgentError, ResponseExt as _};

use super::{NAME_BYTES_MAX, ReachError, is_public, read_to_end};
use crate::cancel::Cancellation;

/// How often an address may lead on to another.
const REDIRECTS_MAX: u32 = 5;
/// How long it may take to find a host, to connect, to get the head of an answer, and all together.
const LOOK_UP_TIME_MAX: Duration = Duration::from_secs(10);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
const WHOLE_TIME_MAX: Duration = Duration::from_secs(120);
/// How long the name of a file or a media type may be to be believed.
const HINT_BYTES_MAX: usize = 255;
/// The most addresses of a host that are looked at; the others are never connected to.
const ADDRESSES_MAX: usize = 16;

/// What stands for the system's way to find a host: the addresses of a host and a port.
pub type LookUp = Arc<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// Opens pages of the web, at addresses that are allowed only.
///
/// A host is looked up once, each of its addresses has to be allowed, and one of these very addresses
/// is connected to; a redirect is another host, looked up and looked at in the same way. No proxy of
/// the environment stands between.
#[derive(Debug, Clone)]
pub struct Web(Agent);

/// A page that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What is in it.
    pub bytes: Vec<u8>,
    /// The last step of the address that it came from, which may say what it is.
    pub name: String,
    /// The media type that it was declared to have.
    pub media_type: Option<String>,
}

/// Finds hosts, and lets none through that is not allowed.
struct Checked {
    look_up: Option<LookUp>,
    allows: fn(IpAddr) -> bool,
}

impl Web {
    /// Returns what opens public addresses only.
    pub fn public() -> Self {
        Self::of(Checked { look_up: None, allows: is_public })
    }

    /// Returns what opens other addresses, found in another way; no setting leads here.
    pub fn with(look_up: LookUp, allows: fn(IpAddr) -> bool) -> Self {
        Self::of(Checked { look_up: Some(look_up), allows })
    }

    fn of(checked: Checked) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(REDIRECTS_MAX)
            .max_redirects_will_error(true)
            // A connection is of the address that was looked at for it.
            .max_idle_connections(0)
            .max_idle_connections_per_host(0)
            .user_agent(concat!("simile/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(LOOK_UP_TIME_MAX))
            .timeout_connect(Some(CONNECT_TIME_MAX))
            .timeout_recv_response(Some(HEAD_TIME_MAX))
            .timeout_global(Some(WHOLE_TIME_MAX))
            .build();
        Self(Agent::with_parts(config, DefaultConnector::default(), checked))
    }

    /// Reads the page at an address, at most so many bytes.
    ///
    /// # Errors
    /// [`ReachError`]: invalid input for an address that is none or not allowed, unavailable where
    /// nobody answers or with another status.
    pub fn read(&self, url: &str, most: u64, cancel: &Cancellation) -> Result<Page, ReachError> {
        cancel.check()?;
        let uri = parse(url)?;
        let mut response = self.0.get(uri).call().map_err(|error| refusal(error, url))?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(ReachError::Status(status));
        }
        if response.body().content_length().is_some_and(|length| length > most) {
            return Err(ReachError::TooLarge { most });
        }
        let is_short = |text: &&str| text.len() <= HINT_BYTES_MAX;
        let last = response.get_uri().path().rsplit('/').find(|step| !step.is_empty());
        let name = last.filter(is_short).unwrap_or("page").to_owned();
        let media_type = response.headers().get(header::CONTENT_TYPE);
        let media_type = media_type.and_then(|value| value.to_str().ok()).filter(is_short);
        let media_type = media_type.map(str::to_owned);
        let bytes = read_to_end(response.body_mut().as_reader(), most, cancel);
        let bytes = bytes.map_err(|error| match error {
            ReachError::Io(error) => ReachError::Answer(error.to_string()),
            other => other,
        })?;
        Ok(Page { bytes, name, media_type })
    }
}

/// Returns the one reading of an address: what is looked at here is what is connected to.
fn parse(url: &str) -> Result<Uri, ReachError> {
    if url.len() > NAME_BYTES_MAX {
        let said = format!("of at most {NAME_BYTES_MAX} bytes, got {}", url.len());
        return Err(ReachError::Address(said));
    }
    let uri: Uri =
        url.parse().map_err(|error| ReachError::Address(format!("got none: {error}")))?;
    check(&uri)?;
    Ok(uri)
}

/// Refuses what is no plain address of a page; asked again of each redirect.
fn check(uri: &Uri) -> Result<(), ReachError> {
    let wrong = |what: &str| Err(ReachError::Address(format!("got {what}")));
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some(other) => return wrong(&format!("one of `{other}`")),
        None => return wrong("one without a scheme"),
    }
    let Some(authority) = uri.authority() else { return wrong("one without a host") };
    if authority.as_str().contains('@') {
        return wrong("one with a name and a password");
    }
    if authority.host().trim_matches(['[', ']']).is_empty() {
        return wrong("one without a host");
    }
    // What stands after the host is a port, or it is not read as one.
    let rest = authority.as_str().strip_prefix(authority.host()).unwrap_or("?");
    if !rest.is_empty() && (authority.port_u16().is_none() || authority.port_u16() == Some(0)) {
        return wrong("one whose port is none");
    }
    Ok(())
}

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, AgentError> {
        let refuse = |error: ReachError| AgentError::Io(io::Error::other(error));
        check(uri).map_err(refuse)?;
        let host = uri.host().unwrap_or_default();
        let found = match &self.look_up {
            None => DefaultResolver::default().resolve(uri, config, timeout)?,
            Some(look_up) => {
                let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
                let mut found = self.empty();
                let all = look_up(host, uri.port_u16().unwrap_or(usual))?;
                all.into_iter().take(ADDRESSES_MAX).for_each(|address| found.push(address));
                found
            }
        };
        if found.is_empty() {
            return Err(refuse(ReachError::NoHost(host.to_owned())));
        }
        // One that is not allowed makes the host suspect: it may answer otherwise the next time.
        if !found.iter().all(|address| (self.allows)(address.ip())) {
            return Err(refuse(ReachError::NotPublic(host.to_owned())));
        }
        Ok(found)
    }
}

impl fmt::Debug for Checked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Checked").finish_non_exhaustive()
    }
}

/// Returns what an error of the agent is here.
fn refusal(error: AgentError, url: &str) -> ReachError {
    match error {
        AgentError::Io(error) => match error.downcast::<ReachError>() {
            Ok(refused) => refused,
            Err(error) => ReachError::Answer(error.to_string()),
        },
        AgentError::TooManyRedirects => ReachError::Redirects(REDIRECTS_MAX),
        AgentError::BadUri(reason) => ReachError::Address(format!("got none: {reason}")),
        AgentError::HostNotFound => ReachError::NoHost(url.to_owned()),
        other => ReachError::Answer(other.to_string()),
    }
}
