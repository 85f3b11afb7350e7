//! Which collection does a request name? Its first message is read as far as that takes, and handed on
//! as it came.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use prost::bytes::{Bytes, BytesMut};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use tonic::Status;
use tonic::body::Body;

use crate::server::status;

/// What stands before each message: whether it is compressed, and its length.
pub(super) const HEADER_BYTES: usize = 5;

/// Reads the first message of a body and returns it, with a body that begins with it again.
pub(super) async fn first_message(
    mut body: Body,
    bytes_max: usize,
) -> Result<(Bytes, Body), Status> {
    let mut read = BytesMut::new();
    let length = loop {
        if let Some(length) = length_of_first(&read, bytes_max)?
            && read.len() >= HEADER_BYTES + length
        {
            break length;
        }
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    read.extend_from_slice(&data);
                }
            }
            Some(Err(error)) => return Err(error),
            None => return Err(Status::invalid_argument("the request has no whole message")),
        }
    };
    let read = read.freeze();
    let message = read.slice(HEADER_BYTES..HEADER_BYTES + length);
    Ok((message, Body::new(Begun { begin: Some(read), rest: body })))
}

fn length_of_first(read: &BytesMut, bytes_max: usize) -> Result<Option<usize>, Status> {
    let Some(&[flag, a, b, c, d]) = read.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    if flag != 0 {
        return Err(Status::unimplemented("compressed messages are not read"));
    }
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > bytes_max {
        return Err(status::too_large(length, bytes_max));
    }
    Ok(Some(length))
}

/// Returns the text at a path of field numbers, empty where there is none. A field that comes twice is
/// refused: readers of messages differ in which of them they take.
pub(super) fn text_at(message: &[u8], path: &[u32]) -> Result<String, Status> {
    let mut bytes = message;
    for &number in path {
        bytes = match field(bytes, number)? {
            Some(inner) => inner,
            None => return Ok(String::new()),
        };
    }
    let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
    Ok(text.to_owned())
}

fn field(mut message: &[u8], wanted: u32) -> Result<Option<&[u8]>, Status> {
    let mut found = None;
    while !message.is_empty() {
        let (number, kind) = decode_key(&mut message).map_err(|_| malformed())?;
        if number != wanted {
            skip_field(kind, number, &mut message, DecodeContext::default())
                .map_err(|_| malformed())?;
            continue;
        }
        if kind != WireType::LengthDelimited || found.is_some() {
            return Err(malformed());
        }
        let length = decode_varint(&mut message).map_err(|_| malformed())?;
        let length = usize::try_from(length).map_err(|_| malformed())?;
        let (inner, rest) = message.split_at_checked(length).ok_or_else(malformed)?;
        (found, message) = (Some(inner), rest);
    }
    Ok(found)
}

fn malformed() -> Status {
    Status::permission_denied("the request does not say clearly which collection it is about")
}

/// A body whose begin was read already.
struct Begun {
    begin: Option<Bytes>,
    rest: Body,
}

impl http_body::Body for Begun {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.begin.take() {
            Some(begin) => Poll::Ready(Some(Ok(Frame::data(begin)))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.begin.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use simile_proto::v1::{self as wire};

    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0], length.as_slice(), message].concat()
    }

    fn search(collection: &str) -> Vec<u8> {
        let collection = collection.to_owned();
        let text = Some("cats".to_owned());
        wire::SearchRequest { collection, text, ..Default::default() }.encode_to_vec()
    }

    #[test]
    fn the_name_is_found_wherever_it_stands_and_once_only() {
        assert_eq!(text_at(&search("notes"), &[1]).unwrap(), "notes");
        assert_eq!(text_at(&search(""), &[1]).unwrap(), "");
        // As another writer might order it.
        let mut late = search("");
        late.extend(b"\x0a\x05notes");
        assert_eq!(text_at(&late, &[1]).unwrap(), "notes");
        late.extend(b"\x0a\x05other");
        assert!(text_at(&late, &[1]).is_err());
        let search = wire::SearchRequest::decode(search("notes").as_slice()).unwrap();
        let explain = wire::ExplainRequest { search: Some(search), id: "a".to_owned() };
        assert_eq!(text_at(&explain.encode_to_vec(), &[1, 1]).unwrap(), "notes");
        for wrong in [b"\x0a\x09a".as_slice(), b"\x08\x01", b"\x0f", b"\x0a\x01\xff"] {
            assert!(text_at(wrong, &[1]).is_err(), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn the_first_message_is_read_in_pieces_and_handed_on_whole() {
        let all = [framed(&search("notes")), framed(b"later")].concat();
        let pieces = all.chunks(3).map(|piece| Ok::<_, Status>(Bytes::copy_from_slice(piece)));
        let pieces = tokio_stream::iter(pieces.collect::<Vec<_>>());
        let pieces = tokio_stream::StreamExt::map(pieces, |piece| piece.map(Frame::data));
        let body = Body::new(http_body_util::StreamBody::new(pieces));
        let (message, body) = first_message(body, 1_000).await.unwrap();
        assert_eq!(message, search("notes"));
        assert_eq!(body.collect().await.unwrap().to_bytes(), all);
    }

    #[tokio::test]
    async fn what_is_too_long_compressed_or_cut_off_is_refused() {
        let body = |bytes: Vec<u8>| Body::new(http_body_util::Full::new(Bytes::from(bytes)));
        let refused = async |bytes: Vec<u8>| {
            first_message(body(bytes), 10).await.map(|_| ()).unwrap_err().code()
        };
        assert_eq!(refused(framed(&[0; 11])).await, tonic::Code::OutOfRange);
        assert_eq!(refused(vec![1, 0, 0, 0, 0]).await, tonic::Code::Unimplemented);
        assert_eq!(refused(vec![0, 0, 0, 0, 9, 1]).await, tonic::Code::InvalidArgument);
    }
}
