//! What is seen of a site as it works: lines on the standard error stream, as the book's traces have
//! them, and events for `tracing`. Neither costs more than a look when nobody wants it.

use std::io::Write;
use std::net::SocketAddr;

use tracing::{Level, Span, debug, enabled, info_span, trace};

use crate::clock;
use crate::protocol::{Note, Outcome, Packet, ServerPort, SiteId, Time};

#[derive(Debug)]
pub(crate) struct Trace {
    /// When it began; `None` when nobody wants lines.
    since: Option<Time>,
    /// What every event is in.
    span: Span,
}

impl Trace {
    pub(crate) fn new(site: SiteId, lines: bool) -> Trace {
        let since = lines.then(|| clock::now().running);
        Trace { since, span: info_span!(target: "unavez", "site", id = %site) }
    }

    /// Whether anybody wants to know what no packet shows.
    pub(crate) fn wants_notes(&self) -> bool {
        self.since.is_some() || enabled!(target: "unavez::note", Level::DEBUG)
    }

    pub(crate) fn wants_packets(&self) -> bool {
        self.since.is_some() || enabled!(target: "unavez::packet", Level::TRACE)
    }

    pub(crate) fn sent(&self, to: SocketAddr, packet: &Packet) {
        trace!(target: "unavez::packet", parent: &self.span, %to, %packet, "sent");
        self.line(|| format!("-> {to}  {packet}"));
    }

    pub(crate) fn came(&self, from: SocketAddr, packet: &Packet) {
        trace!(target: "unavez::packet", parent: &self.span, %from, %packet, "came");
        self.line(|| format!("<- {from}  {packet}"));
    }

    pub(crate) fn served(&self, port: ServerPort, body: &[u8]) {
        debug!(target: "unavez::call", parent: &self.span, port = port.0, "taken");
        self.line(|| format!("   port {} is asked \"{}\"", port.0, body.escape_ascii()));
    }

    pub(crate) fn ended(&self, outcome: &Outcome) {
        let end = || match outcome {
            Outcome::Reply(body) => format!("reply \"{}\"", body.escape_ascii()),
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
        if let Some(since) = self.since {
            let at = clock::now().running - since;
            // Nobody may read it, and that is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{:>6} ms  {}", at.as_millis(), what());
        }
    }
}
