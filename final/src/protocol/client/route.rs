//! Client ports: who may send how much to which life of which site (R9, R26, R33).
//!
//! Invariant: all calls of a port go to one life of one site, so its numbers, its floor and its window
//! mean there what they mean here. (One port for each life of a server, where R9 has one for each
//! server: what was granted by one life does not hold in the next.)

use std::net::SocketAddr;
use std::time::Duration;

use super::super::broken::Broken;
use super::super::effects::Effects;
use super::super::ids::{ClientPort, Epoch, SiteId};
use super::super::kind::{Flags, Grant};
use super::super::row::Row;
use super::super::site::{Call, ProcessId, Time};
use super::super::timers::Timer;
use super::{Client, Open, SAMPLED, Stage, Try};

/// Which process asks which life of which site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct RouteKey {
    pub(super) process: ProcessId,
    pub(super) site: SiteId,
    pub(super) epoch: Epoch,
    /// Of a site that is known by its address only.
    pub(super) at: Option<SocketAddr>,
}

#[derive(Debug, Default)]
pub(super) struct Route {
    /// New calls leave by this one.
    current: Option<ClientPort>,
    /// How many ports there are, former ones with calls included.
    ports: usize,
    /// Calls that wait for room, or for those before them; the earliest leaves first.
    pub(super) home: Row<()>,
}

#[derive(Debug)]
pub(super) struct Port {
    pub(super) key: RouteKey,
    next: u64,
    /// Numbers that have not ended; the lowest is the floor (R15).
    open: Row<Call>,
    window: u32,
    /// By the clock that does not stop when the machine sleeps: the server's goes on, too.
    used: Time,
    life: Duration,
    last_ordered: u64,
}

impl RouteKey {
    pub(super) fn of(open: &Open) -> RouteKey {
        let server = open.to.server;
        let at = (server.site == SiteId(0)).then_some(open.to.address);
        RouteKey { process: open.process, site: server.site, epoch: server.epoch, at }
    }
}

impl Port {
    /// The lowest number that has not ended (R15).
    pub(super) fn floor(&self) -> u64 {
        self.open.first().map_or(self.next, |(seq, _)| seq)
    }

    fn has_room(&self) -> bool {
        self.next - self.floor() < u64::from(self.window)
    }

    fn is_idle(&self, now: Time) -> bool {
        self.open.is_empty() && now.saturating_sub(self.used) >= self.life / 2
    }
}

impl Client {
    /// Sends what waits at home, as far as windows and order allow.
    pub(super) fn leave_home(&mut self, key: RouteKey, out: &mut Effects) {
        let Some(route) = self.routes.get_mut(&key) else { return };
        // It is empty meanwhile: a call that ends here looks for the next to leave, and finds none.
        let mut home = std::mem::take(&mut route.home);
        let mut staying = Vec::new();
        while let Some((call, ())) = home.pop_first() {
            let call = Call(call);
            if !self.calls.get(&call).is_some_and(|open| matches!(open.stage, Stage::Home)) {
                continue;
            }
            let Some(port) = self.port_for(key, out) else {
                staying.push(call);
                break;
            };
            if self.is_held(call, port) {
                staying.push(call);
            } else {
                self.number(call, port, out);
                self.transmit(call, out);
            }
        }
        // The last first: each belongs before all that are there.
        staying.into_iter().rev().for_each(|call| home.insert(call.0, ()));
        // An idle port may have gone, and its route with it.
        if !home.is_empty() || self.routes.contains_key(&key) {
            let route = self.routes.entry(key).or_default();
            let come = std::mem::replace(&mut route.home, home);
            come.iter().for_each(|(call, ())| route.home.insert(call, ()));
        }
    }

    /// The port by which the next call may leave, a new one if need be.
    fn port_for(&mut self, key: RouteKey, out: &mut Effects) -> Option<ClientPort> {
        let current = self.routes.get(&key).and_then(|route| route.current);
        if let Some(current) = current {
            let port = self.ports.get(&current)?;
            if port.is_idle(out.now.boot) {
                self.close_port(current, out);
            } else if port.has_room() {
                return Some(current);
            } else if !self.is_pinned(current) {
                return None;
            }
        }
        let route = self.routes.entry(key).or_default();
        if route.ports >= self.config.ports_max {
            return None;
        }
        let drawn = ClientPort(out.draw());
        (route.current, route.ports) = (Some(drawn), route.ports + 1);
        self.ports.insert(
            drawn,
            Port {
                key,
                next: 1,
                open: Row::default(),
                window: self.config.window,
                used: out.now.boot,
                life: self.config.port_life,
                last_ordered: 0,
            },
        );
        // The call that it was drawn for may end at home.
        out.timers.arm(Timer::IdlePort(drawn), out.now.running + self.config.port_life / 2);
        Some(drawn)
    }

    /// A long call holds the window: no use in waiting for it (R9).
    fn is_pinned(&self, port: ClientPort) -> bool {
        let lowest = self.ports[&port].open.first();
        let open = lowest.and_then(|(_, call)| self.calls.get(call));
        let stage = open.map(|open| &open.stage);
        matches!(stage, Some(Stage::Working { .. } | Stage::Fetching { .. }))
    }

    /// An ordered call stays at home until all earlier ones have ended or gone by the same port to the
    /// same server (R33): elsewhere they could be taken up later.
    fn is_held(&self, call: Call, port: ClientPort) -> bool {
        let open = &self.calls[&call];
        if !open.flags.has(Flags::ORDERED) {
            return false;
        }
        let orders = self.orders.get(&(open.process, open.to.server.site));
        let before = orders.and_then(|orders| orders.range(..call).next_back());
        let Some(before) = before.and_then(|before| self.calls.get(before)) else { return false };
        let same = before.to.server == open.to.server;
        !(same && before.stage.on_the_wire().is_some_and(|it| it.port == port))
    }

    fn number(&mut self, call: Call, at: ClientPort, out: &mut Effects) {
        let Some(port) = self.ports.get_mut(&at) else { return };
        let Some(open) = self.calls.get_mut(&call) else { return };
        let seq = port.next;
        port.next += 1;
        port.open.insert(seq, call);
        let mut predecessor = 0;
        if open.flags.has(Flags::ORDERED) {
            predecessor = port.last_ordered;
            port.last_ordered = seq;
        }
        open.stage = Stage::Sent(Try {
            port: at,
            seq,
            predecessor,
            attempt: 0,
            sent_at: [Time::ZERO; SAMPLED],
            due: out.now.running,
            unsent: 0,
            met_nobody: false,
            worked: false,
        });
    }

    /// The call that a number of a port names.
    pub(super) fn call_of(&self, port: ClientPort, seq: u64) -> Option<Call> {
        self.ports.get(&port)?.open.get(seq).copied()
    }

    /// Only where R17 is broken on purpose.
    pub(super) fn call_of_any_port(&self, seq: u64) -> Option<Call> {
        let ports = self.ports.values().filter(|_| self.config.is_broken(Broken::AnswerOfAnyPort));
        ports.filter_map(|port| port.open.get(seq).copied()).min()
    }

    pub(super) fn floor(&self, port: ClientPort) -> u64 {
        self.ports.get(&port).map_or(1, Port::floor)
    }

    /// Something was sent by it, or came for it.
    pub(super) fn use_port(&mut self, port: ClientPort, out: &Effects) {
        if let Some(port) = self.ports.get_mut(&port) {
            port.used = out.now.boot;
        }
    }

    /// What the server allows from now on. A window is never lowered (R26).
    pub(super) fn take_grant(&mut self, port: ClientPort, grant: Grant, out: &mut Effects) {
        let Some(it) = self.ports.get_mut(&port) else { return };
        it.life = Duration::from_millis(u64::from(grant.port_life));
        let (key, wider) = (it.key, grant.window.min(self.config.window_max) > it.window);
        if wider {
            it.window = grant.window.min(self.config.window_max);
            self.leave_home(key, out);
        }
    }

    /// A call has ended or begins anew: its number is free, and there may be room for another.
    pub(super) fn leave_port(&mut self, call: Call, out: &mut Effects) {
        let on_the_wire = self.calls.get(&call).and_then(|open| open.stage.on_the_wire());
        let Some(Try { port: at, seq, .. }) = on_the_wire.copied() else { return };
        self.forget_messages(call, out);
        if let Some(open) = self.calls.get_mut(&call) {
            open.stage = Stage::Home;
        }
        let Some(port) = self.ports.get_mut(&at) else { return };
        port.open.remove(seq);
        let (key, empty) = (port.key, port.open.is_empty());
        let current = self.routes.get(&key).is_some_and(|route| route.current == Some(at));
        if empty && !current {
            self.forget_port(at, out);
        } else if empty {
            let life = self.ports[&at].life;
            if !out.timers.is_armed(Timer::IdlePort(at)) {
                out.timers.arm(Timer::IdlePort(at), out.now.running + life / 2);
            }
        }
        if self.routes.get(&key).is_some_and(|route| !route.home.is_empty()) {
            self.leave_home(key, out);
        }
    }

    /// No new call leaves by it (R9, R35). Its counter is forgotten with its last call.
    pub(super) fn close_port(&mut self, at: ClientPort, out: &mut Effects) {
        let Some(port) = self.ports.get(&at) else { return };
        let (key, empty) = (port.key, port.open.is_empty());
        if let Some(route) = self.routes.get_mut(&key)
            && route.current == Some(at)
        {
            route.current = None;
        }
        if empty {
            self.forget_port(at, out);
        }
    }

    pub(super) fn forget_port(&mut self, at: ClientPort, out: &mut Effects) {
        let Some(port) = self.ports.remove(&at) else { return };
        out.timers.cancel(Timer::IdlePort(at));
        let Some(route) = self.routes.get_mut(&port.key) else { return };
        route.ports -= 1;
        if route.current == Some(at) {
            route.current = None;
        }
        if route.ports == 0 && route.home.is_empty() {
            self.routes.remove(&port.key);
        }
    }

    /// Half of its life has passed since it was looked at.
    pub(crate) fn handle_idle_port(&mut self, at: ClientPort, out: &mut Effects) {
        let Some(port) = self.ports.get(&at) else { return };
        if port.is_idle(out.now.boot) {
            self.close_port(at, out);
        } else if port.open.is_empty() {
            let idle = out.now.boot.saturating_sub(port.used);
            let left = (port.life / 2).saturating_sub(idle);
            out.timers.arm(Timer::IdlePort(at), out.now.running + left);
        }
    }

    /// An ordered call has ended: those behind it may leave.
    pub(super) fn leave_order(&mut self, call: Call, open: &Open, out: &mut Effects) {
        if !open.flags.has(Flags::ORDERED) {
            return;
        }
        self.pass_order(call, (open.process, open.to.server.site), out);
    }

    /// The one behind it need not wait for it any more, and may be for another life of the site.
    pub(super) fn pass_order(&mut self, call: Call, key: (ProcessId, SiteId), out: &mut Effects) {
        let Some(orders) = self.orders.get_mut(&key) else { return };
        orders.remove(&call);
        let next = orders.range(call..).next().copied();
        if orders.is_empty() {
            self.orders.remove(&key);
        }
        if let Some(next) = next {
            self.leave_home_of(next, out);
        }
    }
}
