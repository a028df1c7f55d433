//! The core under proof.
