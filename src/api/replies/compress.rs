//! A frame of gRPC, compressed.

use std::io::Write as _;

use bytes::{BufMut as _, Bytes};

use super::PREFIX;
use crate::pipeline::message::Form;

/// Compresses the message of a plain frame, and frames it again.
pub(super) fn framed(plain: &Bytes, form: Form) -> Bytes {
    let message = plain.get(PREFIX..).unwrap_or_default();
    let compressed = match form {
        Form::Gzip => gzip(message),
        Form::Zstd => zstd::encode_all(message, zstd::DEFAULT_COMPRESSION_LEVEL),
        Form::Text => return plain.clone(),
    };
    match compressed {
        Ok(compressed) => frame(true, &compressed),
        // Writing to memory does not fail; if it did, the plain frame is as good.
        Err(_) => plain.clone(),
    }
}

/// Puts the prefix before a message.
pub(super) fn frame(compressed: bool, message: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(PREFIX + message.len());
    frame.put_u8(compressed.into());
    // No message of ours comes near 4 GiB.
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.into()
}

fn gzip(message: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(message)?;
    encoder.finish()
}
