//! What is seen of a site as it works: lines on the standard error stream, as the book's traces have
//! them, the same lines for those who watch a daemon, and events for `tracing`. None costs more than a
//! look when nobody wants it.

use std::cell::RefCell;
use std::fmt;
use std::io::Write;
use std::net::SocketAddr;

use tracing::{Level, Span, debug, enabled, info_span, trace};

use crate::clock;
use crate::protocol::{BODY_MAX, Fragment, Note, Outcome, Packet, ServerPort, SiteId, Time};

/// How many bytes of a large body are shown.
const SHOWN_MAX: usize = 40;

#[derive(Debug)]
pub(crate) struct Trace {
    /// When it began; `None` when nobody wants lines.
    since: Option<Time>,
    /// Lines that nobody has taken yet; `None` when nobody watches.
    watched: RefCell<Option<Vec<Line>>>,
    /// What every event is in.
    span: Span,
}

/// A line, and when it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) at: Time,
    pub(crate) text: String,
}

impl Trace {
    pub(crate) fn new(site: SiteId, lines: bool) -> Trace {
        let since = lines.then(clock::running);
        let watched = RefCell::default();
        Trace { since, watched, span: info_span!(target: "unavez", "site", id = %site) }
    }

    /// Whether somebody watches, and takes the lines after each event.
    #[cfg(feature = "daemon")]
    pub(crate) fn set_watched(&self, on: bool) {
        let mut watched = self.watched.borrow_mut();
        *watched = on.then(|| watched.take().unwrap_or_default());
    }

    /// The lines since they were last taken, if somebody watches.
    #[cfg(feature = "daemon")]
    pub(crate) fn take_lines(&self) -> Vec<Line> {
        self.watched.borrow_mut().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Whether anybody wants to know what no packet shows.
    pub(crate) fn wants_notes(&self) -> bool {
        self.wants_lines() || enabled!(target: "unavez::note", Level::DEBUG)
    }

    pub(crate) fn wants_packets(&self) -> bool {
        self.wants_lines() || enabled!(target: "unavez::packet", Level::TRACE)
    }

    fn wants_lines(&self) -> bool {
        self.since.is_some() || self.watched.borrow().is_some()
    }

    pub(crate) fn sent(&self, to: SocketAddr, packet: &Packet) {
        trace!(target: "unavez::packet", parent: &self.span, %to, %packet, "sent");
        self.line(|| format!("-> {to}  {packet}"));
    }

    pub(crate) fn sent_fragment(&self, to: SocketAddr, fragment: &Fragment) {
        trace!(target: "unavez::packet", parent: &self.span, %to, %fragment, "sent");
        self.line(|| format!("-> {to}  {fragment}"));
    }

    pub(crate) fn came(&self, from: SocketAddr, packet: &Packet) {
        trace!(target: "unavez::packet", parent: &self.span, %from, %packet, "came");
        self.line(|| format!("<- {from}  {packet}"));
    }

    pub(crate) fn served(&self, port: ServerPort, body: &[u8]) {
        debug!(target: "unavez::call", parent: &self.span, port = port.0, "taken");
        self.line(|| format!("   port {} is asked {}", port.0, shown(body)));
    }

    pub(crate) fn ended(&self, outcome: &Outcome) {
        let end = || match outcome {
            Outcome::Reply(body) => format!("reply {}", shown(body)),
            Outcome::NotExecuted(why) => format!("not executed: {why}"),
            Outcome::Unknown(why) => format!("unknown: {why}"),
        };
        debug!(target: "unavez::call", parent: &self.span, end = end(), "ended");
        self.line(|| format!("   call ends: {}", end()));
    }

    pub(crate) fn noted(&self, note: Note) {
        debug!(target: "unavez::note", parent: &self.span, "{note}");
        self.line(|| format!("   {note}"));
    }

    fn line(&self, what: impl FnOnce() -> String) {
        if !self.wants_lines() {
            return;
        }
        let (now, text) = (clock::running(), what());
        if let Some(since) = self.since {
            // Nobody may read it, and that is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{}", Stamped(now - since, &text));
        }
        if let Some(lines) = &mut *self.watched.borrow_mut() {
            lines.push(Line { at: now, text });
        }
    }
}

/// A body as it is read: of a large one what a packet of it shows. More would keep everybody waiting.
fn shown(body: &[u8]) -> String {
    match body.get(..SHOWN_MAX).filter(|_| body.len() > BODY_MAX) {
        Some(begin) => format!("\"{}\"… ({} bytes)", begin.escape_ascii(), body.len()),
        None => format!("\"{}\"", body.escape_ascii()),
    }
}

/// A line as it is read.
pub(crate) struct Stamped<'a>(pub(crate) Time, pub(crate) &'a str);

impl fmt::Display for Stamped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:>6} ms  {}", self.0.as_millis(), self.1)
    }
}
