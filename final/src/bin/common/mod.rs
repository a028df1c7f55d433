//! What the command lines of both programs share.

pub(crate) mod command_line;
pub(crate) mod pages;
pub(crate) mod sizes;
