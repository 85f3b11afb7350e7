//! Where do requests compute? On threads of their own: asynchronous code waits, these work. The
//! queue in front of them is bounded, and a full one refuses at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::{Semaphore, oneshot};
use tonic::{Status, metadata::MetadataMap};

use super::status;
use super::trace::{Traced, note};
use crate::cancel::{Cancellation, Interrupted};
use crate::error::ErrorKind;

type Task = Box<dyn FnOnce() + Send>;

/// Threads that answer requests, and the bounded queue in front of them. Clones are the same pool.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    queue: Sender<Task>,
    /// What requests that wait for a thread hold; a request that gets none is refused.
    waiting: Arc<Semaphore>,
    /// What work that may be late holds: as much of it is queued as there are threads.
    places: Arc<Semaphore>,
    waiting_max: usize,
    request_time_max: Duration,
    // Dropped last: the threads end when the last sender is gone.
    _threads: Arc<Vec<thread::JoinHandle<()>>>,
}

/// How large a pool is, and how long its requests may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct PoolOptions {
    /// Threads.
    pub(super) workers: usize,
    /// Requests that wait for a thread before more are refused.
    pub(super) waiting_max: usize,
    /// The time of a request that has no deadline of its own.
    pub(super) request_time_max: Duration,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system gives no more threads.
    pub(super) fn start(name: &str, options: PoolOptions) -> std::io::Result<Self> {
        // Room for all that the permits let in, so that sending never has to wait.
        let (queue, tasks) = bounded::<Task>(options.waiting_max + options.workers);
        let threads = (0..options.workers)
            .map(|number| {
                let tasks = tasks.clone();
                thread::Builder::new().name(format!("{name}-{number}")).spawn(move || work(&tasks))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            queue,
            waiting: Arc::new(Semaphore::new(options.waiting_max)),
            places: Arc::new(Semaphore::new(options.workers)),
            waiting_max: options.waiting_max,
            request_time_max: options.request_time_max,
            _threads: Arc::new(threads),
        })
    }

    /// Computes the answer to a request on a thread of the pool, within the request's deadline.
    ///
    /// The token that `work` gets expires with the deadline, and is cancelled when the caller is
    /// gone (the returned future is dropped).
    pub(super) async fn answer<T: Send + 'static>(
        &self,
        metadata: &MetadataMap,
        work: impl FnOnce(&Cancellation) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        self.answer_by(Instant::now() + time_allowed(metadata, self.request_time_max), work).await
    }

    /// Computes the answer to a request as [`Self::answer`], by this deadline.
    pub(super) async fn answer_by<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce(&Cancellation) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned();
        let waiting = waiting.map_err(|_| self.overloaded())?;
        let withdraw = CancelOnDrop(Cancellation::new());
        let cancellation = withdraw.0.clone();
        let (reply, answer) = oneshot::channel();
        let (queued, traced) = (Instant::now(), Traced::current());
        let task = Box::new(move || {
            drop(waiting);
            let compute = || {
                let begun = Instant::now();
                note("queue", queued, begun);
                let result = match cancellation.check() {
                    Ok(()) => contained(|| work(&cancellation)),
                    Err(reason) => Err(status::interrupted(reason)),
                };
                note("compute", begun, Instant::now());
                result
            };
            let result = match traced {
                Some(traced) => traced.within(compute),
                None => compute(),
            };
            // The receiver is gone when the caller is; nobody misses the answer then.
            drop(reply.send(result));
        });
        self.submit(task)?;
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Status::unavailable("the server is stopping")),
            Err(_) => {
                withdraw.0.expire();
                Err(status::interrupted(Interrupted::Expired))
            }
        }
    }

    /// Hands work to the pool, waiting for a place instead of being refused; what it gives comes
    /// through the receiver.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Status> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, Status>>, Status> {
        let stopping = |_| Status::unavailable("the server is stopping");
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(stopping)?;
        let (reply, answer) = oneshot::channel();
        let task = Box::new(move || {
            drop(reply.send(contained(work)));
            drop(place);
        });
        self.submit(task)?;
        Ok(answer)
    }

    fn submit(&self, task: Task) -> Result<(), Status> {
        self.queue.try_send(task).map_err(|error| match error {
            TrySendError::Full(_) => self.overloaded(),
            TrySendError::Disconnected(_) => Status::unavailable("the server is stopping"),
        })
    }

    fn overloaded(&self) -> Status {
        status::from_kind(
            ErrorKind::Overloaded,
            format!("{} requests are waiting already, try again later", self.waiting_max),
        )
    }
}

/// Cancels the token when it is dropped; after the work has ended that changes nothing.
#[derive(Debug)]
pub(super) struct CancelOnDrop(pub(super) Cancellation);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn work(tasks: &Receiver<Task>) {
    for task in tasks {
        task();
    }
}

/// Runs `work`; a panic in it is a defect of this program that ends this request and no other.
pub(super) fn contained<T>(work: impl FnOnce() -> Result<T, Status>) -> Result<T, Status> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|cause| {
        let message = cause
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| cause.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        tracing::error!(message, "a request panicked");
        Err(Status::internal("internal error, the server's log has more"))
    })
}

/// How much sooner than its caller a request gives up: a twentieth of its time within these bounds.
/// Timers tick in milliseconds, and the transport ends what is late with a less telling status.
const TRAVEL: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// The longest deadline that is kept to.
const TIME_MAX: Duration = Duration::from_secs(7 * 86_400);

/// Returns the time that a request may take: what its header `grpc-timeout` says, a little less so
/// that the answer arrives before the caller gives up; `unasked` where it says nothing.
pub(super) fn time_allowed(metadata: &MetadataMap, unasked: Duration) -> Duration {
    let Some(asked) = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok()) else {
        return unasked;
    };
    match parse_timeout(asked) {
        Some(asked) => {
            let travel = (asked / 20).clamp(TRAVEL.0, TRAVEL.1);
            asked.saturating_sub(travel).min(TIME_MAX)
        }
        None => unasked,
    }
}

/// Reads a timeout as gRPC over HTTP/2 writes it: at most eight digits and a unit.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tonic::Code;

    use super::*;

    fn pool(workers: usize, waiting_max: usize) -> Pool {
        let options =
            PoolOptions { workers, waiting_max, request_time_max: Duration::from_secs(60) };
        Pool::start("test", options).unwrap()
    }

    fn with_timeout(text: &str) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", text.parse().unwrap());
        metadata
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_says_when_to_come_back() {
        let pool = pool(1, 1);
        let (started, begun) = mpsc::channel();
        let (release, held) = mpsc::channel::<()>();
        let busy = pool.clone();
        let running = tokio::spawn(async move {
            let work = move |_: &Cancellation| {
                started.send(()).unwrap();
                held.recv().unwrap();
                Ok(1)
            };
            busy.answer(&MetadataMap::new(), work).await
        });
        tokio::task::spawn_blocking(move || begun.recv().unwrap()).await.unwrap();
        let metadata = MetadataMap::new();
        let mut waiting = Box::pin(pool.answer(&metadata, |_| Ok(2)));
        let first_look = std::future::poll_fn(|context| {
            std::task::Poll::Ready(waiting.as_mut().poll(context).is_pending())
        });
        assert!(first_look.await, "it waits");
        let refused = pool.answer(&metadata, |_| Ok(3)).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert!(refused.metadata().contains_key("retry-after"));
        // Work that may be late is taken beside the requests that wait.
        let late = pool.run(|| Ok(4)).await.unwrap();
        release.send(()).unwrap();
        assert_eq!(running.await.unwrap().unwrap(), 1);
        assert_eq!(waiting.await.unwrap(), 2);
        assert_eq!(late.await.unwrap().unwrap(), 4);
    }

    #[tokio::test]
    async fn the_deadline_of_the_caller_ends_the_work() {
        let pool = pool(1, 1);
        let (told, reason) = mpsc::channel();
        let work = move |cancellation: &Cancellation| -> Result<(), Status> {
            while !cancellation.is_ended() {
                thread::yield_now();
            }
            told.send(cancellation.check()).unwrap();
            Ok(())
        };
        let status = pool.answer(&with_timeout("20m"), work).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(reason.recv().unwrap(), Err(Interrupted::Expired));
    }

    #[tokio::test]
    async fn a_caller_that_leaves_cancels_the_work() {
        let pool = pool(1, 1);
        let (told, reason) = mpsc::channel();
        let (started, begun) = mpsc::channel();
        let work = move |cancellation: &Cancellation| -> Result<(), Status> {
            started.send(()).unwrap();
            while !cancellation.is_ended() {
                thread::yield_now();
            }
            told.send(cancellation.check()).unwrap();
            Ok(())
        };
        let caller = tokio::spawn(async move { pool.answer(&MetadataMap::new(), work).await });
        tokio::task::spawn_blocking(move || begun.recv().unwrap()).await.unwrap();
        caller.abort();
        let reason = tokio::task::spawn_blocking(move || reason.recv().unwrap()).await.unwrap();
        assert_eq!(reason, Err(Interrupted::Cancelled));
    }

    #[tokio::test]
    async fn a_panic_ends_one_request_and_no_other() {
        let pool = pool(1, 4);
        let work = |_: &Cancellation| -> Result<(), Status> { panic!("a planted defect") };
        let status = pool.answer(&MetadataMap::new(), work).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(pool.answer(&MetadataMap::new(), |_| Ok(3)).await.unwrap(), 3);
    }

    #[test]
    fn timeouts_are_read_in_every_unit_and_capped() {
        let unasked = Duration::from_secs(60);
        assert_eq!(time_allowed(&MetadataMap::new(), unasked), unasked);
        assert_eq!(time_allowed(&with_timeout("10S"), unasked), Duration::from_millis(9_950));
        assert_eq!(time_allowed(&with_timeout("100m"), unasked), Duration::from_millis(95));
        assert_eq!(time_allowed(&with_timeout("10m"), unasked), Duration::from_millis(8));
        assert_eq!(time_allowed(&with_timeout("100u"), unasked), Duration::ZERO);
        assert_eq!(time_allowed(&with_timeout("5M"), unasked), Duration::from_millis(299_950));
        assert_eq!(time_allowed(&with_timeout("99999999H"), unasked), TIME_MAX);
        for wrong in ["", "S", "5", "-5S", "123456789S", "5x"] {
            assert_eq!(time_allowed(&with_timeout(wrong), unasked), unasked, "{wrong}");
        }
    }
}
