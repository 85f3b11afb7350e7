//! Bytes over gRPC: for messages that no client of the contract would send.

use std::collections::BTreeSet;

use prost::Message as _;
use prost::bytes::{Buf as _, BufMut as _};
use prost_types::FileDescriptorSet;
use tonic::Status;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::server::TestServer;

/// Every method of the contract, as `simile.v1.Documents/Get`.
pub(super) fn methods() -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(simile_proto::v1::DESCRIPTORS).unwrap();
    let services = set.file.iter().flat_map(|file| {
        file.service
            .iter()
            .map(move |service| (format!("{}.{}", file.package(), service.name()), service))
    });
    let methods = services.flat_map(|(name, service)| {
        service.method.iter().map(move |method| format!("{name}/{}", method.name()))
    });
    methods.collect()
}

impl TestServer {
    /// Sends messages to a method as bytes, and returns the messages of its answer. A method that
    /// takes or gives one message looks the same on the wire as one that streams.
    pub(super) fn exchange(
        &self,
        method: &str,
        messages: Vec<Vec<u8>>,
    ) -> Result<Vec<Vec<u8>>, Status> {
        self.exchange_as(method, messages, None)
    }

    /// As [`Self::exchange`], with a header.
    pub(super) fn exchange_as(
        &self,
        method: &str,
        messages: Vec<Vec<u8>>,
        header: Option<(&'static str, String)>,
    ) -> Result<Vec<Vec<u8>>, Status> {
        self.wait(async {
            let mut client = Grpc::new(self.channel());
            client.ready().await.unwrap();
            let path = format!("/{method}").parse().unwrap();
            let mut request = tonic::Request::new(tokio_stream::iter(messages));
            if let Some((name, value)) = header {
                request.metadata_mut().insert(name, value.parse().unwrap());
            }
            let mut answers = client.streaming(request, path, Bytes).await?.into_inner();
            let mut all = Vec::new();
            while let Some(answer) = answers.message().await? {
                all.push(answer);
            }
            Ok(all)
        })
    }
}

/// Messages that are left as they are.
#[derive(Debug, Clone, Copy, Default)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}
