use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{EmbedError, Embedder, Embedding, Encoded, Role, Specification, Tokenize};
use crate::cancel::Cancellation;
use crate::vector::Vector;

/// Which queue a request waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Someone waits for the answer: goes before the bulk, refused where its queue is full.
    Query,
    /// Ingestion: waits where its queue is full.
    Bulk,
}

/// The bounds of a worker.
#[derive(Debug, Clone, Copy)]
pub struct WorkerOptions {
    /// The most tokens of a batch, padding included.
    pub batch_tokens_max: usize,
    /// How many texts are looked at to sort them by length.
    pub window_texts: usize,
    /// The most texts that wait in a lane.
    pub queue_texts_max: usize,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self { batch_tokens_max: 2_048, window_texts: 512, queue_texts_max: 4_096 }
    }
}

/// How long the stages of a request took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// Cutting into tokens, on the caller's thread.
    pub tokenize: Duration,
    /// Waiting for the worker and for batches of others.
    pub queued: Duration,
    /// From the first batch with a text of this request to the last.
    pub run: Duration,
}

/// The vectors of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// In the order of the texts.
    pub embeddings: Vec<Embedding>,
    /// How long it took.
    pub timings: Timings,
}

/// A model that one thread owns, for everyone else. Clones share the thread, which ends with the
/// last of them.
#[derive(Debug, Clone)]
pub struct EmbedderHandle {
    specification: Arc<Specification>,
    tokenizer: Arc<dyn Tokenize>,
    queue: Arc<Queue>,
    #[expect(dead_code, reason = "ends the thread when it is dropped")]
    owner: Arc<Owner>,
}

/// Ends the thread when the last handle goes.
#[derive(Debug)]
struct Owner(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    options: WorkerOptions,
    state: Mutex<State>,
    /// Something waits, or the thread is to end.
    filled: Condvar,
    /// There is room again.
    drained: Condvar,
}

#[derive(Debug, Default)]
struct State {
    query: VecDeque<Text>,
    bulk: VecDeque<Text>,
    is_ended: bool,
}

/// One text of a request.
#[derive(Debug)]
struct Text {
    request: Arc<Request>,
    place: usize,
    encoded: Encoded,
}

/// What the caller waits for.
#[derive(Debug)]
struct Request {
    cancel: Cancellation,
    progress: Mutex<Answer>,
    changed: Condvar,
}

#[derive(Debug)]
struct Answer {
    vectors: Vec<Option<Embedding>>,
    missing: usize,
    failure: Option<String>,
    started: Option<Instant>,
    ended: Option<Instant>,
}

impl EmbedderHandle {
    /// Starts a thread that owns the model.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        embedder: impl Embedder + 'static,
        options: WorkerOptions,
    ) -> Result<Self, EmbedError> {
        let specification = Arc::new(embedder.specification().clone());
        let tokenizer = embedder.tokenizer();
        let queue = Arc::new(Queue {
            options,
            state: Mutex::default(),
            filled: Condvar::new(),
            drained: Condvar::new(),
        });
        let served = Arc::clone(&queue);
        thread::Builder::new()
            .name(format!("embed-{}", specification.name))
            .spawn(move || serve(embedder, &served))?;
        let owner = Arc::new(Owner(Arc::clone(&queue)));
        Ok(Self { specification, tokenizer, queue, owner })
    }

    /// Returns what the model is.
    pub fn specification(&self) -> &Specification {
        &self.specification
    }

    /// Returns the model's tokenizer.
    pub fn tokenizer(&self) -> &Arc<dyn Tokenize> {
        &self.tokenizer
    }

    /// Returns the vector of each text, in order; waits for them.
    ///
    /// # Errors
    /// [`EmbedError`]: overloaded if the query lane is full; cancelled or timed out as the token
    /// says; internal if the model fails.
    pub fn embed(
        &self,
        texts: &[&str],
        role: Role,
        lane: Lane,
        cancel: &Cancellation,
    ) -> Result<Embedded, EmbedError> {
        let began = Instant::now();
        let mut encoded = Vec::with_capacity(texts.len());
        for text in texts {
            cancel.check()?;
            encoded.push(self.tokenizer.encode(text, role)?);
        }
        let tokenized = Instant::now();
        let request = Arc::new(Request {
            cancel: cancel.clone(),
            progress: Mutex::new(Answer {
                vectors: vec![None; texts.len()],
                missing: texts.len(),
                failure: None,
                started: None,
                ended: None,
            }),
            changed: Condvar::new(),
        });
        let waiting: Vec<Text> = encoded
            .into_iter()
            .enumerate()
            .map(|(place, encoded)| Text { request: Arc::clone(&request), place, encoded })
            .collect();
        self.enqueue(waiting, lane, cancel)?;
        let answer = self.wait(&request)?;
        let started = answer.started.unwrap_or(tokenized);
        let timings = Timings {
            tokenize: tokenized - began,
            queued: started.saturating_duration_since(tokenized),
            run: answer.ended.unwrap_or(started).saturating_duration_since(started),
        };
        Ok(Embedded { embeddings: answer.vectors.into_iter().flatten().collect(), timings })
    }

    fn enqueue(
        &self,
        texts: Vec<Text>,
        lane: Lane,
        cancel: &Cancellation,
    ) -> Result<(), EmbedError> {
        let most = self.queue.options.queue_texts_max;
        let mut state = self.queue.lock();
        if lane == Lane::Query {
            let waiting = state.query.len();
            if waiting > 0 && waiting + texts.len() > most {
                let name = self.specification.name.clone();
                return Err(EmbedError::QueueFull { name, waiting, most });
            }
            state.query.extend(texts);
        } else {
            while !state.is_ended && state.bulk.len() >= most {
                cancel.check()?;
                state = wait_a_little(&self.queue.drained, state);
            }
            state.bulk.extend(texts);
        }
        if state.is_ended {
            return Err(self.ended());
        }
        drop(state);
        self.queue.filled.notify_one();
        Ok(())
    }

    fn wait(&self, request: &Request) -> Result<Answer, EmbedError> {
        let mut answer = request.lock();
        loop {
            if let Some(reason) = answer.failure.take() {
                let name = self.specification.name.clone();
                return Err(EmbedError::Failed { name, reason });
            }
            if answer.missing == 0 {
                let empty = Answer {
                    vectors: Vec::new(),
                    missing: 0,
                    failure: None,
                    started: None,
                    ended: None,
                };
                return Ok(std::mem::replace(&mut *answer, empty));
            }
            request.cancel.check()?;
            if self.queue.lock().is_ended {
                return Err(self.ended());
            }
            answer = wait_a_little(&request.changed, answer);
        }
    }

    fn ended(&self) -> EmbedError {
        EmbedError::WorkerEnded { name: self.specification.name.clone() }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.lock().is_ended = true;
        self.0.filled.notify_all();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the next texts, those of one lane only; nothing when the thread is to end.
    fn take(&self) -> Option<Vec<Text>> {
        let mut state = self.lock();
        loop {
            if state.is_ended {
                return None;
            }
            let window = self.options.window_texts;
            let lane = if state.query.is_empty() { &mut state.bulk } else { &mut state.query };
            if !lane.is_empty() {
                let count = lane.len().min(window);
                let texts = lane.drain(..count).collect();
                drop(state);
                self.drained.notify_all();
                return Some(texts);
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn put_back(&self, texts: impl DoubleEndedIterator<Item = Text>) {
        let mut state = self.lock();
        for text in texts.rev() {
            state.bulk.push_front(text);
        }
    }
}

impl Request {
    fn lock(&self) -> MutexGuard<'_, Answer> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cancellation is a flag and wakes nobody, so it is looked at now and then.
fn wait_a_little<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    const PATIENCE: Duration = Duration::from_millis(20);
    condition.wait_timeout(guard, PATIENCE).unwrap_or_else(PoisonError::into_inner).0
}

fn serve(mut embedder: impl Embedder, queue: &Queue) {
    // However the thread ends, nobody waits for it any longer.
    let _end = EndOnDrop(queue);
    while let Some(mut texts) = queue.take() {
        texts.sort_by_key(|text| text.encoded.ids.len());
        let mut rest = VecDeque::from(texts);
        loop {
            // A window may take longer than the deadlines of those in it.
            rest.retain(|text| !text.request.cancel.is_ended());
            let batch = next_batch(&mut rest, queue.options.batch_tokens_max);
            if batch.is_empty() {
                break;
            }
            run(&mut embedder, batch);
            if !rest.is_empty() && !queue.lock().query.is_empty() {
                queue.put_back(rest.into_iter());
                break;
            }
        }
    }
}

struct EndOnDrop<'a>(&'a Queue);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.lock().is_ended = true;
        self.0.drained.notify_all();
    }
}

/// Takes as many texts, shortest first, as fit the budget when padded to the longest; at least one
/// if there is one.
fn next_batch(rest: &mut VecDeque<Text>, tokens_max: usize) -> Vec<Text> {
    let mut batch = Vec::new();
    while let Some(next) = rest.front() {
        if !batch.is_empty() && (batch.len() + 1) * next.encoded.ids.len() > tokens_max {
            break;
        }
        batch.extend(rest.pop_front());
    }
    batch
}

fn run(embedder: &mut impl Embedder, batch: Vec<Text>) {
    let started = Instant::now();
    let encoded: Vec<&Encoded> = batch.iter().map(|text| &text.encoded).collect();
    let vectors = embedder.run(&encoded);
    let ended = Instant::now();
    match vectors {
        Ok(vectors) => {
            for (text, vector) in batch.into_iter().zip(vectors) {
                answer(text, vector, started, ended);
            }
        }
        Err(error) => {
            let reason = error.to_string();
            for text in batch {
                text.request.lock().failure = Some(reason.clone());
                text.request.changed.notify_all();
            }
        }
    }
}

fn answer(text: Text, vector: Option<Vector>, started: Instant, ended: Instant) {
    let tokens = u32::try_from(text.encoded.ids.len()).unwrap_or(u32::MAX);
    let embedding = Embedding { vector, tokens, truncated: text.encoded.truncated };
    let mut answer = text.request.lock();
    answer.started.get_or_insert(started);
    answer.ended = Some(ended);
    if let Some(place) = answer.vectors.get_mut(text.place)
        && place.replace(embedding).is_none()
    {
        answer.missing -= 1;
    }
    let is_done = answer.missing == 0;
    drop(answer);
    if is_done {
        text.request.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::mpsc;

    use super::*;
    use crate::cancel::Interrupted;
    use crate::embed::{Manifest, catalogue};
    use crate::vector::DenseVector;

    /// Tells the length of the first text of each batch, and goes on when it is let.
    #[derive(Debug)]
    struct Gated {
        specification: Specification,
        begun: mpsc::Sender<usize>,
        gate: mpsc::Receiver<()>,
    }

    /// A token for each byte.
    #[derive(Debug)]
    struct Bytes;

    impl Tokenize for Bytes {
        fn encode(&self, text: &str, _: Role) -> Result<Encoded, EmbedError> {
            Ok(Encoded { ids: vec![1; text.len()], truncated: false })
        }

        fn token_ranges(&self, text: &str) -> Vec<Range<usize>> {
            (0..text.len()).map(|start| start..start + 1).collect()
        }

        fn special_tokens(&self) -> usize {
            0
        }
    }

    impl Embedder for Gated {
        fn specification(&self) -> &Specification {
            &self.specification
        }

        fn tokenizer(&self) -> Arc<dyn Tokenize> {
            Arc::new(Bytes)
        }

        fn run(&mut self, batch: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
            self.begun.send(batch[0].ids.len()).unwrap();
            self.gate.recv().unwrap();
            batch.iter().map(|_| Ok(Some(DenseVector::new(vec![1.0])?.into()))).collect()
        }
    }

    /// Returns a worker that runs batches of one text, what tells of them, and what lets them end.
    fn worker() -> (EmbedderHandle, mpsc::Receiver<usize>, mpsc::Sender<()>) {
        let manifest = Manifest::parse(catalogue::BUILT_IN[0], "built in").unwrap();
        let specification = Specification {
            fingerprint: manifest.fingerprint(),
            name: manifest.name,
            kind: manifest.method.kind(),
            form: manifest.method.form(),
            dimension: 1,
            metric: manifest.metric,
            tokens_max: 100,
            licence: manifest.licence,
        };
        let ((begun, told), (open, gate)) = (mpsc::channel(), mpsc::channel());
        let options = WorkerOptions { batch_tokens_max: 1, ..WorkerOptions::default() };
        let gated = Gated { specification, begun, gate };
        (EmbedderHandle::start(gated, options).unwrap(), told, open)
    }

    #[test]
    fn what_is_cancelled_in_the_middle_of_its_window_is_not_run() {
        let (worker, begun, open) = worker();
        let (worker, cancel) = (&worker, &Cancellation::new());
        // The gate moves in, so that a failure opens it for good.
        thread::scope(move |scope| {
            let many = scope.spawn(move || {
                worker.embed(&["ten bytes!"; 50], Role::Passage, Lane::Bulk, cancel)
            });
            assert_eq!(begun.recv(), Ok(10));
            cancel.cancel();
            let error = many.join().unwrap().unwrap_err();
            assert!(matches!(error, EmbedError::Interrupted(Interrupted::Cancelled)), "{error}");
            let other = scope.spawn(move || {
                worker.embed(&["six by"], Role::Passage, Lane::Bulk, &Cancellation::new())
            });
            open.send(()).unwrap();
            assert_eq!(begun.recv(), Ok(6));
            open.send(()).unwrap();
            assert_eq!(other.join().unwrap().unwrap().embeddings.len(), 1);
        });
    }

    #[test]
    fn a_question_goes_before_the_rest_of_a_window_of_passages() {
        let (worker, begun, open) = worker();
        let worker = &worker;
        thread::scope(move |scope| {
            let passages = scope.spawn(move || {
                let texts = ["ten bytes!"; 3];
                worker.embed(&texts, Role::Passage, Lane::Bulk, &Cancellation::new())
            });
            assert_eq!(begun.recv(), Ok(10));
            let question = scope.spawn(move || {
                worker.embed(&["six by"], Role::Query, Lane::Query, &Cancellation::new())
            });
            while worker.queue.lock().query.is_empty() {
                thread::yield_now();
            }
            open.send(()).unwrap();
            assert_eq!(begun.recv(), Ok(6));
            open.send(()).unwrap();
            question.join().unwrap().unwrap();
            for _ in 0..2 {
                assert_eq!(begun.recv(), Ok(10));
                open.send(()).unwrap();
            }
            assert_eq!(passages.join().unwrap().unwrap().embeddings.len(), 3);
        });
    }
}
