use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How many requests each key may still make: a second's worth is saved up, and no more.
#[derive(Debug)]
pub(super) struct Buckets {
    per_second: f64,
    levels: Mutex<HashMap<String, Level>>,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    requests: f64,
    at: Instant,
}

impl Buckets {
    /// Returns full buckets of so many requests a second, at least 1.
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second.max(1)), levels: Mutex::default() }
    }

    /// Takes a request out of the bucket of a key; returns whether there was one.
    pub(super) fn take(&self, key: &str, now: Instant) -> bool {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        // As many as there are keys.
        let level =
            levels.entry(key.to_owned()).or_insert(Level { requests: self.per_second, at: now });
        let gained = now.saturating_duration_since(level.at).as_secs_f64() * self.per_second;
        level.requests = (level.requests + gained).min(self.per_second);
        level.at = now;
        let has_one = level.requests >= 1.0;
        if has_one {
            level.requests -= 1.0;
        }
        has_one
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_key_gets_so_many_requests_a_second_whatever_others_take() {
        let (buckets, start) = (Buckets::new(2), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let taken: Vec<bool> = (0..3).map(|_| buckets.take("a", at(0))).collect();
        assert_eq!(taken, [true, true, false]);
        assert!(buckets.take("b", at(0)));
        assert!(!buckets.take("a", at(400)));
        assert!(buckets.take("a", at(600)));
        // A long rest saves up one second's worth.
        let taken: Vec<bool> = (0..3).map(|_| buckets.take("a", at(60_000))).collect();
        assert_eq!(taken, [true, true, false]);
    }
}
