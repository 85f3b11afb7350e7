//! How do many callers share the one thread that owns a model?

mod batch;
mod failure;
mod kept;
mod pictures;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use self::batch::batches;
pub(in crate::embed) use self::batch::cheapest;
use self::failure::Failure;
use super::cache::Cache;
use super::image::{Pixels, Preprocess};
use super::{
    EmbedError, Embedder, Embedding, Encoded, Grid, Modality, Role, Specification, Tokenize,
};
use crate::cancel::Cancellation;
use crate::embed::sound::Hearing;
use crate::embed::video::{ClipReading, SpacetimeSettings};
use crate::vector::Vector;

/// Which queue a request waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Someone waits for the answer: goes before the bulk, refused where its queue is full.
    Query,
    /// Ingestion: waits where its queue is full.
    Bulk,
}

/// The most tokens of a batch, padding included, unless others are asked for. What a layer of a small
/// network gives for so many fits a core's cache, where the next layer finds it; for four times as many
/// it went through memory, and the same texts took a third longer.
pub(in crate::embed) const BATCH_TOKENS: usize = 512;

/// The bounds of a worker.
#[derive(Debug, Clone, Copy)]
pub struct WorkerOptions {
    /// The most tokens of a batch, padding included. A picture counts as [`Pixels::cost`] says.
    pub batch_tokens_max: usize,
    /// How many texts are looked at to sort them by length.
    pub window_texts: usize,
    /// The most texts that wait in a lane.
    pub queue_texts_max: usize,
    /// The most pictures that wait in a lane; one of 224 x 224 pixels takes 600 KB.
    pub queue_pictures_max: usize,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            batch_tokens_max: BATCH_TOKENS,
            window_texts: 512,
            queue_texts_max: 4_096,
            queue_pictures_max: 128,
        }
    }
}

/// How long the stages of a request took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// Cutting into tokens, or making pictures ready, on the caller's thread.
    pub tokenize: Duration,
    /// Waiting for the worker and for batches of others.
    pub queued: Duration,
    /// From the first batch with a text of this request to the last.
    pub run: Duration,
}

/// The vectors of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// In the order of the texts or pictures.
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
    preprocessor: Option<Arc<dyn Preprocess>>,
    grid: Option<Grid>,
    spacetime: Option<Arc<SpacetimeSettings>>,
    reading: Option<ClipReading>,
    hearing: Option<Arc<Hearing>>,
    queue: Arc<Queue>,
    cache: Option<Arc<Cache>>,
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
    query: VecDeque<Item>,
    bulk: VecDeque<Item>,
    is_ended: bool,
}

/// One text or picture of a request.
#[derive(Debug)]
struct Item {
    request: Arc<Request>,
    place: usize,
    input: Input,
}

/// What a model reads, made ready for it.
#[derive(Debug)]
enum Input {
    Text(Encoded),
    Picture(Pixels),
}

impl Input {
    fn modality(&self) -> Modality {
        match self {
            Self::Text(_) => Modality::Text,
            Self::Picture(_) => Modality::Image,
        }
    }

    /// What it counts for against the budget of a batch.
    fn cost(&self) -> usize {
        match self {
            Self::Text(encoded) => encoded.ids.len(),
            Self::Picture(pixels) => pixels.cost(),
        }
    }
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
    failure: Option<Failure>,
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
        let preprocessor = embedder.preprocessor();
        let grid = embedder.grid();
        let spacetime = embedder.spacetime();
        let reading = embedder.clip_reading();
        let hearing = embedder.hearing();
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
        let cache = None;
        Ok(Self {
            specification,
            tokenizer,
            preprocessor,
            grid,
            spacetime,
            reading,
            hearing,
            queue,
            cache,
            owner,
        })
    }

    /// Returns what the model is.
    pub fn specification(&self) -> &Specification {
        &self.specification
    }

    /// Returns the model's tokenizer.
    pub fn tokenizer(&self) -> &Arc<dyn Tokenize> {
        &self.tokenizer
    }

    /// Returns the feature map that the vectors are, if that is what they are; of a model of videos, that
    /// of each frame.
    pub fn grid(&self) -> Option<Grid> {
        self.grid
    }

    /// Returns how frames become clips, if the model reads videos.
    pub fn spacetime(&self) -> Option<Arc<SpacetimeSettings>> {
        self.spacetime.clone()
    }

    /// Returns how the model looks at a video, if it reads the frames of a clip at once.
    pub(in crate::embed) fn clip_reading(&self) -> Option<ClipReading> {
        self.reading
    }

    /// Returns what makes sounds ready for the model, if it reads them.
    pub(in crate::embed) fn hearing(&self) -> Option<&Arc<Hearing>> {
        self.hearing.as_ref()
    }

    /// Returns how many frames of a second the model looks at, at most, and how long a clip is at most, in
    /// milliseconds, if it reads videos.
    pub fn looks_at(&self) -> Option<(f64, u64)> {
        let of_frames = self.reading.map(|reading| (reading.frames_per_second, reading.window_ms));
        let settings = self.spacetime.as_ref();
        of_frames.or(settings.map(|settings| (settings.frames_per_second, settings.window_ms)))
    }

    /// Returns what makes pictures ready for the model, if it reads them.
    pub(in crate::embed) fn preprocessor(&self) -> Option<&Arc<dyn Preprocess>> {
        self.preprocessor.as_ref()
    }

    fn run_texts(
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
        self.run_encoded(encoded, began, lane, cancel)
    }

    /// Runs what was made ready for the model since `began`.
    fn run_encoded(
        &self,
        encoded: Vec<Encoded>,
        began: Instant,
        lane: Lane,
        cancel: &Cancellation,
    ) -> Result<Embedded, EmbedError> {
        let ready = Instant::now();
        let request = Request::of(encoded.len(), cancel);
        let items = encoded.into_iter().map(Input::Text).enumerate();
        self.enqueue(
            items.map(|(place, input)| request.item(place, input)).collect(),
            lane,
            cancel,
        )?;
        self.embedded(&request, ready - began, ready)
    }

    /// Returns how well each passage answers the question, in order, higher being better; waits for it.
    ///
    /// # Errors
    /// [`EmbedError`]: invalid input if the model reads no pairs; else as [`Self::embed`].
    pub fn score(
        &self,
        question: &str,
        passages: &[&str],
        lane: Lane,
        cancel: &Cancellation,
    ) -> Result<Vec<f32>, EmbedError> {
        self.specification.require(Modality::Pair)?;
        let began = Instant::now();
        let request = Request::of(passages.len(), cancel);
        let mut items = Vec::with_capacity(passages.len());
        for (place, passage) in passages.iter().enumerate() {
            cancel.check()?;
            let encoded = self.tokenizer.encode_pair(question, passage)?;
            items.push(request.item(place, Input::Text(encoded)));
        }
        let ready = Instant::now();
        self.enqueue(items, lane, cancel)?;
        let embedded = self.embedded(&request, ready - began, ready)?;
        let scores = embedded.embeddings.iter().map(|embedding| {
            let vector = embedding.vector.as_ref().and_then(Vector::as_dense);
            vector.and_then(|vector| vector.as_slice().first().copied())
        });
        scores.collect::<Option<_>>().ok_or_else(|| {
            let name = self.specification.name.clone();
            EmbedError::Failed { name, reason: "it gives no score".to_owned() }
        })
    }

    /// Waits for what was asked for; it was made ready in `took` and queued at `queued`.
    fn embedded(
        &self,
        request: &Request,
        took: Duration,
        queued: Instant,
    ) -> Result<Embedded, EmbedError> {
        let answer = self.wait(request)?;
        let started = answer.started.unwrap_or(queued);
        let timings = Timings {
            tokenize: took,
            queued: started.saturating_duration_since(queued),
            run: answer.ended.unwrap_or(started).saturating_duration_since(started),
        };
        Ok(Embedded { embeddings: answer.vectors.into_iter().flatten().collect(), timings })
    }

    fn enqueue(
        &self,
        items: Vec<Item>,
        lane: Lane,
        cancel: &Cancellation,
    ) -> Result<(), EmbedError> {
        let most = match items.first().map(|item| item.input.modality()) {
            None => return Ok(()),
            Some(Modality::Text | Modality::Pair) => self.queue.options.queue_texts_max,
            Some(Modality::Image | Modality::Video | Modality::Sound) => {
                self.queue.options.queue_pictures_max
            }
        };
        let mut state = self.queue.lock();
        if lane == Lane::Query {
            let waiting = state.query.len();
            if waiting > 0 && waiting + items.len() > most {
                let name = self.specification.name.clone();
                return Err(EmbedError::QueueFull { name, waiting, most });
            }
            state.query.extend(items);
        } else {
            while !state.is_ended && state.bulk.len() >= most {
                cancel.check()?;
                state = wait_a_little(&self.queue.drained, state);
            }
            state.bulk.extend(items);
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
            if let Some(failure) = answer.failure.clone() {
                return Err(failure.error(self.specification.name.clone()));
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

    /// Returns what is next, of one lane only; nothing when the thread is to end.
    fn take(&self) -> Option<Vec<Item>> {
        let mut state = self.lock();
        loop {
            if state.is_ended {
                return None;
            }
            let window = self.options.window_texts;
            let lane = if state.query.is_empty() { &mut state.bulk } else { &mut state.query };
            if !lane.is_empty() {
                let count = lane.len().min(window);
                let items = lane.drain(..count).collect();
                drop(state);
                self.drained.notify_all();
                return Some(items);
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn put_back(&self, items: impl DoubleEndedIterator<Item = Item>) {
        let mut state = self.lock();
        for item in items.rev() {
            state.bulk.push_front(item);
        }
    }
}

impl Request {
    fn of(inputs: usize, cancel: &Cancellation) -> Arc<Self> {
        Arc::new(Self {
            cancel: cancel.clone(),
            progress: Mutex::new(Answer {
                vectors: vec![None; inputs],
                missing: inputs,
                failure: None,
                started: None,
                ended: None,
            }),
            changed: Condvar::new(),
        })
    }

    fn item(self: &Arc<Self>, place: usize, input: Input) -> Item {
        Item { request: Arc::clone(self), place, input }
    }

    /// Whether nobody waits for the rest of it: it was given up, or has failed.
    fn is_over(&self) -> bool {
        self.cancel.is_ended() || self.lock().failure.is_some()
    }

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
    while let Some(mut items) = queue.take() {
        items.sort_by_key(|item| (item.input.modality(), item.input.cost()));
        let mut rest = batches(items, queue.options.batch_tokens_max).into_iter();
        while let Some(mut batch) = rest.next() {
            // A window may take longer than the deadlines of those in it.
            batch.retain(|item| !item.request.is_over());
            if batch.is_empty() {
                continue;
            }
            run(&mut embedder, batch);
            if rest.len() > 0 && !queue.lock().query.is_empty() {
                queue.put_back(rest.flatten());
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

fn run(embedder: &mut impl Embedder, batch: Vec<Item>) {
    let started = Instant::now();
    let (mut texts, mut pictures) = (Vec::new(), Vec::new());
    for item in &batch {
        match &item.input {
            Input::Text(encoded) => texts.push(encoded),
            Input::Picture(pixels) => pictures.push(pixels),
        }
    }
    // A batch is of one modality.
    let vectors =
        if texts.is_empty() { embedder.run_pictures(&pictures) } else { embedder.run(&texts) };
    let ended = Instant::now();
    match vectors {
        Ok(vectors) => {
            for (item, vector) in batch.into_iter().zip(vectors) {
                answer(item, vector, started, ended);
            }
        }
        Err(error) => {
            let failure = Failure::of(error);
            for item in batch {
                item.request.lock().failure = Some(failure.clone());
                item.request.changed.notify_all();
            }
        }
    }
}

fn answer(item: Item, vector: Option<Vector>, started: Instant, ended: Instant) {
    let (tokens, truncated) = match &item.input {
        Input::Text(encoded) => (encoded.ids.len(), encoded.truncated),
        Input::Picture(_) => (0, false),
    };
    let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
    let embedding = Embedding { vector, tokens, truncated };
    let mut answer = item.request.lock();
    answer.started.get_or_insert(started);
    answer.ended = Some(ended);
    if let Some(place) = answer.vectors.get_mut(item.place)
        && place.replace(embedding).is_none()
    {
        answer.missing -= 1;
    }
    let is_done = answer.missing == 0;
    drop(answer);
    if is_done {
        item.request.changed.notify_all();
    }
}
