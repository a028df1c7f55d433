//! What travels: every packet there and back, and nothing else taken for one.

mod damage;
mod datagrams;
mod layout;
mod lines;
mod round_trip;
mod samples;

use crc32c::{crc32c, crc32c_append};

/// Puts the length and the checksum right, so that what lies behind them is tried, too.
fn seal(bytes: &mut [u8]) {
    let length = bytes.len() as u16;
    bytes[4..6].copy_from_slice(&length.to_be_bytes());
    let sum = crc32c_append(crc32c_append(crc32c(&bytes[..8]), &[0; 4]), &bytes[12..]);
    bytes[8..12].copy_from_slice(&sum.to_be_bytes());
}
