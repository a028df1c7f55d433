//! How long messages may be, as people write it.

use bytesize::ByteSize;
use unavez::protocol::{BODY_MAX, MESSAGE_LARGEST};

/// A MiB has 1,048,576 bytes, a MB a million.
pub(crate) fn size(text: &str) -> Result<ByteSize, &'static str> {
    text.parse().map_err(|_| "a size is a number of bytes, or one with a unit: 64 MiB, 10 MB")
}

/// What is the longest message is not any number.
pub(crate) fn message_size(text: &str) -> Result<ByteSize, String> {
    let size = size(text)?;
    match (BODY_MAX..=MESSAGE_LARGEST).contains(&bytes(size)) {
        true => Ok(size),
        false => {
            Err(format!("the longest message has at least {BODY_MAX} bytes and at most 1 GiB"))
        }
    }
}

pub(crate) fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}
