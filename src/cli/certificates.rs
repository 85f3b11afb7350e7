//! The files of certificates: read when the server starts, when it is told to, and when they change.

use std::time::Duration;

use super::exit::CliError;
use super::serve::read_file;
use crate::config::Config;
use crate::server::{Certificates, Tls};

/// How often the files are looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Returns what the files hold; nothing if connections are not to be encrypted.
pub(super) fn read(config: &Config) -> Result<Option<Tls>, CliError> {
    let (Some(certificates), Some(key)) = (&config.tls_cert, &config.tls_key) else {
        return Ok(None);
    };
    let client_ca = config.tls_client_ca.as_deref().map(read_file).transpose()?;
    let (certificates, key) = (read_file(certificates)?, read_file(key)?);
    Ok(Some(Tls { certificates, key, client_ca }))
}

/// Shows what the files hold whenever that changes, without end. What cannot be used is said once, and
/// the certificates from before go on: a file may be half written, or its key come later. Who hangs up is
/// heard from the call on.
pub(super) fn follow(
    config: Config,
    certificates: Option<Certificates>,
    last: Option<Tls>,
    look_every: Duration,
) -> impl Future<Output = ()> {
    following(hang_ups(), config, certificates, last, look_every)
}

async fn following(
    mut told: HangUps,
    config: Config,
    certificates: Option<Certificates>,
    mut last: Option<Tls>,
    look_every: Duration,
) {
    let mut complaint = String::new();
    loop {
        let is_told = tokio::select! {
            () = told.next() => true,
            () = tokio::time::sleep(look_every) => false,
        };
        let Some(certificates) = &certificates else { continue };
        let config = config.clone();
        let read = tokio::task::spawn_blocking(move || read(&config)).await;
        let outcome = match read {
            Ok(Ok(found)) if found == last && !is_told => continue,
            Ok(Ok(found)) => {
                let tried = found.as_ref().map(|tls| certificates.replace(tls));
                last = found;
                tried.unwrap_or(Ok(())).map_err(|error| CliError::of(&error).to_string())
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => return,
        };
        match outcome {
            Ok(()) => {
                complaint.clear();
                tracing::info!("new connections see the certificates as they are now");
            }
            Err(reason) if reason == complaint && !is_told => {}
            Err(reason) => {
                tracing::warn!(%reason, "the new certificates cannot be used, those before go on");
                complaint = reason;
            }
        }
    }
}

/// Hang-ups, which ask a server to read its files again.
struct HangUps(#[cfg(unix)] Option<tokio::signal::unix::Signal>);

/// Returns hang-ups from now on; until the first of them, one would end the process.
fn hang_ups() -> HangUps {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        HangUps(signal(SignalKind::hangup()).ok())
    }
    #[cfg(not(unix))]
    HangUps()
}

impl HangUps {
    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.0
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}
