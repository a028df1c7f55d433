//! What is kept of a client.

/// The bytes of a tombstone without its window (R25).
pub(crate) const TOMBSTONE_LEN: usize = 256;
/// The bytes of a record without bodies.
pub(crate) const RECORD_LEN: usize = 320;
