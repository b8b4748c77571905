//! How messages become bytes and come from them: prost, with buffers of a size that fits.
//!
//! tonic's own codec takes two buffers of 8 KiB for each call, which most of our messages do not fill by a tenth; and
//! lets the buffer of a large answer grow step by step, though its size is known.

use std::marker::PhantomData;

use bytes::Buf;
use prost::Message;
use tonic::{
    Code, Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::{pb::v1::ErrorReason, status::status};

/// Bytes that a request's buffer starts with: most requests fit.
const REQUEST: usize = 128;

/// Bytes that an answer's buffer starts with: the answer of one price fits.
const ANSWER: usize = 320;

/// Bytes of messages of a stream that are collected before they go out.
const YIELD: usize = 32 << 10;

/// The codec of the generated services.
#[derive(Debug)]
pub struct Prost<T, U>(PhantomData<(T, U)>);

/// Encodes messages.
#[derive(Debug)]
pub struct Encode<T>(PhantomData<T>);

/// Decodes messages.
#[derive(Debug)]
pub struct Decode<U>(PhantomData<U>);

impl<T, U> Default for Prost<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for Prost<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Encode<T>;
    type Decoder = Decode<U>;

    fn encoder(&mut self) -> Encode<T> {
        Encode(PhantomData)
    }

    fn decoder(&mut self) -> Decode<U> {
        Decode(PhantomData)
    }
}

impl<T: Message> Encoder for Encode<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(message.encoded_len());
        message.encode_raw(buffer);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(ANSWER, YIELD)
    }
}

impl<U: Message + Default> Decoder for Decode<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        decode(buffer).map(Some)
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(REQUEST, YIELD)
    }
}

/// Decodes a message of a request.
pub fn decode<U: Message + Default>(bytes: impl Buf) -> Result<U, Status> {
    U::decode(bytes).map_err(|error| {
        let none: [(&str, &str); 0] = [];
        status(Code::InvalidArgument, ErrorReason::RequestMalformed, error.to_string(), none)
    })
}
