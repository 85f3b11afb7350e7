//! May this work go on? One token travels with a request through every layer.
//!
//! Nothing below the configuration layer reads a clock: whoever started the work cancels the token
//! or lets it expire, and loops on input ask it between steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::{Classified, ErrorKind};

const RUNNING: u8 = 0;
const CANCELLED: u8 = 1;
const EXPIRED: u8 = 2;

/// A shared flag that ends work early; clones are the same flag.
#[derive(Debug, Clone, Default)]
pub struct Cancellation(Arc<AtomicU8>);

/// Why work ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Interrupted {
    /// The caller withdrew.
    #[error("cancelled by the caller")]
    Cancelled,
    /// The deadline passed.
    #[error("deadline exceeded")]
    Expired,
}

impl Cancellation {
    /// Returns a token of work that may go on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the work because its caller withdrew; the first reason stays.
    pub fn cancel(&self) {
        self.end(CANCELLED);
    }

    /// Ends the work because its deadline passed; the first reason stays.
    pub fn expire(&self) {
        self.end(EXPIRED);
    }

    /// Returns whether the work has to stop.
    pub fn is_ended(&self) -> bool {
        self.0.load(Ordering::Relaxed) != RUNNING
    }

    /// Returns quietly while the work may go on.
    ///
    /// # Errors
    /// [`Interrupted`] once the token was cancelled or expired.
    pub fn check(&self) -> Result<(), Interrupted> {
        match self.0.load(Ordering::Relaxed) {
            RUNNING => Ok(()),
            EXPIRED => Err(Interrupted::Expired),
            _ => Err(Interrupted::Cancelled),
        }
    }

    fn end(&self, reason: u8) {
        // Only the first reason counts, so a later one finds the flag set and leaves it.
        let _first_or_late =
            self.0.compare_exchange(RUNNING, reason, Ordering::Relaxed, Ordering::Relaxed);
    }
}

impl Classified for Interrupted {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Cancelled => ErrorKind::Cancelled,
            Self::Expired => ErrorKind::TimedOut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_to_stop_stays() {
        let token = Cancellation::new();
        assert_eq!(token.check(), Ok(()));
        let same = token.clone();
        same.expire();
        token.cancel();
        assert_eq!(token.check(), Err(Interrupted::Expired));
        assert!(same.is_ended());
    }
}
