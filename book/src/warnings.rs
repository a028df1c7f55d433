//! Turns what mdBook only logs (an unclosed tag, a footnote that nothing refers to) into faults.

use crate::fault::Fault;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Runs the work and returns, beside its result, every warning and error it logged.
pub(crate) fn collecting<T>(work: impl FnOnce() -> T) -> (T, Vec<Fault>) {
    let logged = Arc::new(Mutex::new(Vec::new()));
    let log = Log(Arc::clone(&logged));
    let result = tracing::subscriber::with_default(log, work);
    let mut logged = logged.lock().unwrap_or_else(PoisonError::into_inner);
    (result, std::mem::take(&mut logged))
}

struct Log(Arc<Mutex<Vec<Fault>>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("mdbook") && *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        // One fault is one line; mdBook's messages are several.
        let what = message.0.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logged.push(Fault::of("mdBook", what));
    }

    // mdBook opens no spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            write!(self.0, "{value:?}").expect("a String takes everything");
        }
    }
}
