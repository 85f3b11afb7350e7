use std::ops::Range;
use std::sync::mpsc;

use super::*;
use crate::cancel::Interrupted;
use crate::embed::{Manifest, shelf};
use crate::error::{Classified as _, ErrorKind};
use crate::picture::Picture;
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

/// A picture is the number of its columns.
impl Preprocess for Bytes {
    fn preprocess(&self, picture: &Picture) -> Result<Pixels, EmbedError> {
        Ok(Pixels { height: 16, width: 16, values: vec![picture.width() as f32] })
    }
}

impl Embedder for Gated {
    fn specification(&self) -> &Specification {
        &self.specification
    }

    fn tokenizer(&self) -> Arc<dyn Tokenize> {
        Arc::new(Bytes)
    }

    fn preprocessor(&self) -> Option<Arc<dyn Preprocess>> {
        Some(Arc::new(Bytes))
    }

    fn run(&mut self, batch: &[&Encoded]) -> Result<Vec<Option<Vector>>, EmbedError> {
        self.begun.send(batch[0].ids.len()).unwrap();
        self.gate.recv().unwrap();
        batch.iter().map(|_| Ok(Some(DenseVector::new(vec![1.0])?.into()))).collect()
    }

    fn run_pictures(&mut self, batch: &[&Pixels]) -> Result<Vec<Option<Vector>>, EmbedError> {
        self.begun.send(1_000 * batch.len()).unwrap();
        self.gate.recv().unwrap();
        let vector = |pixels: &&Pixels| Ok(Some(DenseVector::new(pixels.values.clone())?.into()));
        batch.iter().map(vector).collect()
    }
}

/// Returns a worker that runs batches of one text, what tells of them, and what lets them end.
fn worker() -> (EmbedderHandle, mpsc::Receiver<usize>, mpsc::Sender<()>) {
    start(&[Modality::Text], WorkerOptions { batch_tokens_max: 1, ..WorkerOptions::default() })
}

fn start(
    modalities: &'static [Modality],
    options: WorkerOptions,
) -> (EmbedderHandle, mpsc::Receiver<usize>, mpsc::Sender<()>) {
    let manifest = Manifest::parse(shelf::BUILT_IN[0], "built in").unwrap();
    let specification = Specification {
        fingerprint: manifest.fingerprint(),
        name: manifest.name,
        kind: manifest.method.kind(),
        modalities,
        form: manifest.method.form(),
        dimension: 1,
        metric: manifest.metric,
        tokens_max: 100,
        licence: manifest.licence,
    };
    let ((begun, told), (open, gate)) = (mpsc::channel(), mpsc::channel());
    let gated = Gated { specification, begun, gate };
    (EmbedderHandle::start(gated, options).unwrap(), told, open)
}

#[test]
fn what_is_cancelled_in_the_middle_of_its_window_is_not_run() {
    let (worker, begun, open) = worker();
    let (worker, cancel) = (&worker, &Cancellation::new());
    // The gate moves in, so that a failure opens it for good.
    thread::scope(move |scope| {
        let many = scope
            .spawn(move || worker.embed(&["ten bytes!"; 50], Role::Passage, Lane::Bulk, cancel));
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

fn pictures(widths: std::ops::RangeInclusive<u32>) -> Vec<Arc<Picture>> {
    let picture = |width| Picture::new(width, 1, vec![0; width as usize * 3]).unwrap();
    widths.map(|width| Arc::new(picture(width))).collect()
}

#[test]
fn pictures_keep_their_order_share_batches_with_no_texts_and_wait_in_a_bounded_queue() {
    let options =
        WorkerOptions { batch_tokens_max: 3, queue_pictures_max: 4, ..WorkerOptions::default() };
    let (worker, begun, open) = start(&[Modality::Text, Modality::Image], options);
    let worker = &worker;
    thread::scope(move |scope| {
        let text = scope.spawn(move || {
            worker.embed(&["six by"], Role::Passage, Lane::Bulk, &Cancellation::new())
        });
        assert_eq!(begun.recv(), Ok(6));
        let many = scope.spawn(move || {
            worker.embed_pictures(&pictures(1..=10), Lane::Bulk, &Cancellation::new())
        });
        // The model is at work on the text; the fifth picture finds no place.
        while worker.queue.lock().bulk.len() < 4 {
            thread::yield_now();
        }
        let mut seen = 0;
        open.send(()).unwrap();
        while seen < 10 {
            let batch = begun.recv().unwrap();
            assert!([1_000, 2_000, 3_000].contains(&batch), "{batch}");
            assert!(worker.queue.lock().bulk.len() <= 4);
            seen += batch / 1_000;
            open.send(()).unwrap();
        }
        assert_eq!(text.join().unwrap().unwrap().embeddings[0].tokens, 6);
        let embedded = many.join().unwrap().unwrap();
        let first = |embedding: &Embedding| {
            embedding.vector.as_ref().unwrap().as_dense().unwrap().as_slice()[0]
        };
        let widths: Vec<f32> = embedded.embeddings.iter().map(first).collect();
        assert_eq!(widths, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]);
    });
}

#[test]
fn what_a_model_does_not_read_is_refused_by_both_names() {
    let cancel = Cancellation::new();
    let (texts, ..) = start(&[Modality::Text], WorkerOptions::default());
    let error = texts.embed_pictures(&pictures(1..=1), Lane::Query, &cancel).unwrap_err();
    assert_eq!(error.to_string(), "model all-minilm-l6-v2 reads text, got image");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let (images, ..) = start(&[Modality::Image], WorkerOptions::default());
    let error = images.embed(&["a"], Role::Query, Lane::Query, &cancel).unwrap_err();
    assert_eq!(error.to_string(), "model all-minilm-l6-v2 reads image, got text");
}
