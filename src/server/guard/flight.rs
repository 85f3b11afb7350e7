//! How much is on its way in? The bytes of messages count from when they come until they are answered,
//! or, in a stream, until the message after them is there.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use prost::bytes::Bytes;
use tonic::Status;
use tonic::body::Body;

use super::bucket::Buckets;
use super::peek::HEADER_BYTES;
use crate::error::ErrorKind;
use crate::server::status;

/// How many bytes are on their way, and may be. Clones are the same.
#[derive(Debug, Clone)]
pub(in crate::server) struct Flight(Arc<Room>);

#[derive(Debug)]
struct Room {
    most: u64,
    used: AtomicU64,
}

impl Flight {
    pub(in crate::server) fn new(most: u64) -> Self {
        Self(Arc::new(Room { most, used: AtomicU64::new(0) }))
    }

    /// Returns how many there are.
    pub(in crate::server) fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Makes room for so many more; they go when the result is dropped.
    pub(super) fn take(&self, bytes: u64) -> Result<Held, Status> {
        let mut held = Held { flight: self.clone(), bytes: 0 };
        held.add(bytes)?;
        Ok(held)
    }
}

/// Bytes that are on their way.
#[derive(Debug)]
pub(super) struct Held {
    flight: Flight,
    bytes: u64,
}

impl Held {
    fn add(&mut self, bytes: u64) -> Result<(), Status> {
        let room = &self.flight.0;
        let fits = |used: u64| used.checked_add(bytes).filter(|&sum| sum <= room.most);
        let added = room.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        if added.is_err() {
            let most = room.most;
            let message = format!(
                "messages of {most} bytes (bytes_in_flight_max) are on their way already, try again \
                 later"
            );
            return Err(status::from_kind(ErrorKind::Overloaded, message));
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.flight.0.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What the messages of a key may bring in a second, and the key.
#[derive(Debug, Clone)]
pub(super) struct Quota {
    pub(super) buckets: Arc<Buckets>,
    pub(super) key: String,
    pub(super) per_second: u64,
}

impl Quota {
    /// Counts a message; one that is larger than what a second brings has those after it wait.
    pub(super) fn spend(&self, bytes: u64) -> Result<(), Status> {
        if self.buckets.spend(&self.key, self.per_second, bytes as f64, Instant::now()) {
            return Ok(());
        }
        let message = format!(
            "key {} has sent its {} bytes of this second (bytes_per_second_max)",
            self.key, self.per_second
        );
        Err(status::from_kind(ErrorKind::Overloaded, message))
    }
}

/// The messages of a request, counted as they come; what is left of the count is handed to whoever
/// waits for the answer.
#[derive(Debug)]
pub(super) struct Counted {
    body: Body,
    quota: Option<Quota>,
    flight: Flight,
    shared: Arc<Answering>,
    /// As much as is there of what stands before the next message.
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    /// How much of the message is still to come.
    rest: usize,
}

/// What counts until the answer: the message that came last, and the one before, which may be worked at.
#[derive(Debug, Default)]
pub(super) struct Answering(std::sync::Mutex<[Option<Held>; 2]>);

impl Counted {
    /// Returns the body, and what is to be kept until it is answered.
    pub(super) fn new(body: Body, flight: Flight, quota: Option<Quota>) -> (Self, Arc<Answering>) {
        let shared = Arc::new(Answering::default());
        let kept = Arc::clone(&shared);
        let header = [0; HEADER_BYTES];
        (Self { body, quota, flight, shared, header, header_bytes: 0, rest: 0 }, kept)
    }

    fn count(&mut self, mut data: &[u8]) -> Result<(), Status> {
        let shared = Arc::clone(&self.shared);
        let mut held = shared.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        while !data.is_empty() {
            let step = if self.rest > 0 {
                let step = self.rest.min(data.len());
                self.rest -= step;
                step
            } else {
                let step = (HEADER_BYTES - self.header_bytes).min(data.len());
                let to = self.header_bytes..self.header_bytes + step;
                self.header[to].copy_from_slice(&data[..step]);
                self.header_bytes += step;
                if self.header_bytes == HEADER_BYTES {
                    let [_, a, b, c, d] = self.header;
                    self.rest = u32::from_be_bytes([a, b, c, d]) as usize;
                    self.header_bytes = 0;
                    if let Some(quota) = &self.quota {
                        quota.spend(self.rest as u64)?;
                    }
                    held.swap(0, 1);
                    held[0] = None;
                }
                step
            };
            match &mut held[0] {
                Some(held) => held.add(step as u64)?,
                none => *none = Some(self.flight.take(step as u64)?),
            }
            data = &data[step..];
        }
        Ok(())
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(status) = self.count(data)
        {
            return Poll::Ready(Some(Err(status)));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Returns the answer; with its end, what was asked no longer counts.
pub(super) fn counting(answer: Body, asked: Arc<Answering>) -> Body {
    Body::new(answer.map_frame(move |frame| {
        let _counts = &asked;
        frame
    }))
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;

    use super::*;

    fn framed(lengths: &[usize]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for &length in lengths {
            bytes.push(0);
            bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
            bytes.extend(vec![7; length]);
        }
        bytes
    }

    /// Reads messages in pieces of this size; returns the count after each piece, or why it ended.
    async fn read(
        flight: &Flight,
        quota: Option<Quota>,
        bytes: &[u8],
        piece: usize,
    ) -> Result<Vec<u64>, Status> {
        let pieces = bytes
            .chunks(piece)
            .map(|piece| Ok::<_, Status>(Frame::data(Bytes::copy_from_slice(piece))));
        let body = StreamBody::new(tokio_stream::iter(pieces.collect::<Vec<_>>()));
        let (mut counted, kept) = Counted::new(Body::new(body), flight.clone(), quota);
        let mut counts = Vec::new();
        while let Some(frame) = counted.frame().await {
            drop(frame?);
            counts.push(flight.used());
        }
        drop(counted);
        assert_eq!(flight.used(), *counts.last().unwrap(), "what is read is not answered yet");
        drop(kept);
        Ok(counts)
    }

    #[tokio::test]
    async fn a_message_counts_until_its_answer_and_in_a_stream_until_the_next_but_one() {
        let flight = Flight::new(100);
        for piece in [1, 3, 25, 1000] {
            let counts = read(&flight, None, &framed(&[20, 20, 20, 20]), piece).await.unwrap();
            // Whatever the pieces: two messages, and less than what stands before the next.
            assert!(counts.iter().all(|&count| count < 2 * 25 + 5), "{counts:?}");
            assert_eq!(flight.used(), 0);
        }
        let status = read(&flight, None, &framed(&[120]), 10).await.unwrap_err();
        assert!(status.message().contains("100 bytes (bytes_in_flight_max)"), "{status}");
        assert!(status.metadata().contains_key("retry-after"));
        assert_eq!(flight.used(), 0);
    }

    #[tokio::test]
    async fn what_was_read_counts_until_its_answer_has_ended() {
        let flight = Flight::new(100);
        let asked = Body::new(http_body_util::Full::new(Bytes::from(framed(&[20]))));
        let (counted, kept) = Counted::new(asked, flight.clone(), None);
        counted.collect().await.unwrap();
        let pieces = ["a", "b"].map(|piece| Ok::<_, Status>(Frame::data(Bytes::from(piece))));
        let answer = Body::new(StreamBody::new(tokio_stream::iter(pieces)));
        let mut answer = counting(answer, kept);
        while let Some(frame) = answer.frame().await {
            assert!(frame.unwrap().is_data());
            assert_eq!(flight.used(), 25);
        }
        drop(answer);
        assert_eq!(flight.used(), 0);
    }

    #[tokio::test]
    async fn a_key_sends_as_much_as_a_second_brings_and_then_waits() {
        let flight = Flight::new(1_000);
        let quota = Quota { buckets: Arc::default(), key: "abc".to_owned(), per_second: 1 };
        read(&flight, Some(quota.clone()), &framed(&[500]), 100).await.unwrap();
        let status = read(&flight, Some(quota), &framed(&[1]), 100).await.unwrap_err();
        let words = "key abc has sent its 1 bytes of this second (bytes_per_second_max)";
        assert!(status.message().contains(words), "{status}");
    }
}
