//! Exactly-once request and reply over UDP.

pub mod protocol;
