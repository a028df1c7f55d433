//! Services by name: the site at an address is asked once who serves there (R10), and again when that
//! one is found to be gone.

use std::net::SocketAddr;

use super::super::builtin::{SiteReply, SiteRequest};
use super::super::effects::Effects;
use super::super::ids::{IpcPort, ServerId};
use super::super::kind::Flags;
use super::super::outcome::{NotExecuted, Outcome, Unknown};
use super::super::site::{Call, Request};
use super::super::wire::BODY_MAX;
use super::route::RouteKey;
use super::{Client, Open, PeerKey, SITE, Stage};

/// So many names are worth remembering.
const NAMES_MAX: usize = 4096;

/// How a question ends to which nobody says anything.
const SILENCE: Outcome = Outcome::Unknown(Unknown::TimedOut);

/// What is known of a name.
#[derive(Debug, Default)]
pub(super) struct Name {
    server: Option<ServerId>,
    /// Calls that wait for it, in the order in which they were made.
    waiting: Vec<Call>,
    asking: bool,
}

impl Client {
    /// Whether it is known whom a call is for; if not, somebody is asked.
    pub(super) fn resolve(&mut self, call: Call, out: &mut Effects) -> bool {
        let Some(open) = self.calls.get_mut(&call) else { return false };
        let Some(key) = open.name.clone().filter(|_| open.process != SITE) else { return true };
        if self.names.len() > NAMES_MAX {
            self.names.retain(|_, name| name.asking);
        }
        let name = self.names.entry(key.clone()).or_default();
        if let Some(server) = name.server {
            self.move_order(call, server, out);
            if let Some(open) = self.calls.get_mut(&call) {
                open.to = IpcPort { address: key.0, server };
            }
            return true;
        }
        open.stage = Stage::Resolving;
        name.waiting.push(call);
        if !std::mem::replace(&mut name.asking, true) {
            self.ask_for(key, out);
        }
        false
    }

    fn ask_for(&mut self, key: (SocketAddr, String), out: &mut Effects) {
        let request = Request {
            body: SiteRequest::Resolve(key.1.clone()).encode(),
            flags: Flags::IDEMPOTENT,
            patience: Some(self.config.patience_default),
            max_reply: BODY_MAX as u32,
        };
        self.open(SITE, IpcPort::site_at(key.0), Some(key), request, out);
    }

    /// The site answered, or did not: those who wait go on.
    pub(super) fn handle_resolved(&mut self, asked: &Open, outcome: &Outcome, out: &mut Effects) {
        let Some(key) = asked.name.clone() else { return };
        let reply = match outcome {
            Outcome::Reply(body) => SiteReply::decode(body),
            _ => None,
        };
        let Some(SiteReply::Resolved(found)) = reply else {
            return match *outcome == SILENCE && self.has_time_left(&key, out) {
                true => self.ask_for(key, out),
                false => self.fail_waiting(key, NotExecuted::Unresolved, out),
            };
        };
        let Some(server) = found else {
            return self.fail_waiting(key, NotExecuted::NoSuchName, out);
        };
        let at = key.0;
        let Some(name) = self.names.get_mut(&key) else { return };
        name.server = Some(server);
        name.asking = false;
        let waiting = std::mem::take(&mut name.waiting);
        // What was learnt of the address holds for the site.
        let by_address = self.peers.get(&PeerKey::of(&IpcPort::site_at(at))).copied();
        let by_site = self.peer(&IpcPort { address: at, server });
        if by_site.round_trip.measured().is_none() {
            *by_site = by_address.unwrap_or_default();
        }
        for call in waiting {
            if self.calls.get(&call).is_some_and(|open| matches!(open.stage, Stage::Resolving)) {
                self.begin(call, out);
            }
        }
    }

    /// Whether any call that waits for this name may wait longer than the question did.
    fn has_time_left(&self, key: &(SocketAddr, String), out: &Effects) -> bool {
        let waiting = self.names.get(key).map(|name| &name.waiting[..]).unwrap_or_default();
        waiting.iter().any(|call| {
            let waits = |open: &Open| matches!(open.stage, Stage::Resolving);
            self.calls.get(call).is_some_and(waits) && !self.patience_is_over(*call, out)
        })
    }

    /// An ordered call that begins anew may be for another site than before.
    fn move_order(&mut self, call: Call, server: ServerId, out: &mut Effects) {
        let Some(open) = self.calls.get(&call) else { return };
        let (process, before) = (open.process, open.to.server.site);
        if before != server.site {
            self.pass_order(call, (process, before), out);
        }
    }

    fn fail_waiting(&mut self, key: (SocketAddr, String), why: NotExecuted, out: &mut Effects) {
        let Some(name) = self.names.remove(&key) else { return };
        for call in name.waiting {
            if self.calls.get(&call).is_some_and(|open| matches!(open.stage, Stage::Resolving)) {
                self.end_not_executed(call, why, out);
            }
        }
    }

    pub(super) fn is_named(&self, call: Call) -> bool {
        self.calls.get(&call).is_some_and(|open| open.name.is_some() && open.process != SITE)
    }

    /// Whoever the name stood for is gone.
    pub(super) fn forget_name(&mut self, call: Call) {
        let Some(open) = self.calls.get(&call) else { return };
        let Some(key) = &open.name else { return };
        if let Some(name) = self.names.get_mut(key)
            && name.server == Some(open.to.server)
        {
            name.server = None;
        }
    }

    pub(super) fn leave_home_of(&mut self, call: Call, out: &mut Effects) {
        if let Some(open) = self.calls.get(&call) {
            let key = RouteKey::of(open);
            self.leave_home(key, out);
        }
    }
}
