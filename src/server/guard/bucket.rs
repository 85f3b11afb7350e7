use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How much each key may still do, in requests or bytes: a second's worth of it is saved up, and no more.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    levels: Mutex<HashMap<String, Level>>,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    amount: f64,
    at: Instant,
}

impl Buckets {
    /// Takes a request out of the bucket of a key, which a second fills with so many; returns whether there
    /// was one.
    pub(super) fn take(&self, key: &str, per_second: u64, now: Instant) -> bool {
        self.change(key, per_second, now, 1.0, 1.0)
    }

    /// Takes an amount out of the bucket of a key unless that is empty; returns whether it was not. What
    /// is larger than a bucket empties it for longer.
    pub(super) fn spend(&self, key: &str, per_second: u64, amount: f64, now: Instant) -> bool {
        self.change(key, per_second, now, f64::MIN_POSITIVE, amount)
    }

    fn change(&self, key: &str, per_second: u64, now: Instant, least: f64, amount: f64) -> bool {
        let full = per_second.max(1) as f64;
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        // As many as there are keys.
        let level = levels.entry(key.to_owned()).or_insert(Level { amount: full, at: now });
        let gained = now.saturating_duration_since(level.at).as_secs_f64() * full;
        level.amount = (level.amount + gained).min(full);
        level.at = now;
        let has_enough = level.amount >= least;
        if has_enough {
            level.amount -= amount;
        }
        has_enough
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_key_gets_so_many_requests_a_second_whatever_others_take() {
        let (buckets, start) = (Buckets::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let taken: Vec<bool> = (0..3).map(|_| buckets.take("a", 2, at(0))).collect();
        assert_eq!(taken, [true, true, false]);
        assert!(buckets.take("b", 2, at(0)));
        assert!(!buckets.take("a", 2, at(400)));
        assert!(buckets.take("a", 2, at(600)));
        // A long rest saves up one second's worth.
        let taken: Vec<bool> = (0..3).map(|_| buckets.take("a", 2, at(60_000))).collect();
        assert_eq!(taken, [true, true, false]);
    }

    #[test]
    fn what_is_larger_than_a_bucket_is_let_in_and_those_after_it_wait_for_longer() {
        let (buckets, start) = (Buckets::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(buckets.spend("a", 100, 300.0, at(0)));
        assert!(!buckets.spend("a", 100, 1.0, at(1_900)));
        assert!(buckets.spend("a", 100, 1.0, at(2_100)));
        assert!(buckets.spend("b", 100, 1.0, at(0)));
    }
}
