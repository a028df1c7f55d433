//! The daemon as it is: real processes, real queues, real kills.

mod daemon;
mod hostile;
mod support;
mod threads;
