//! What the processes of a site do: they ask, take requests, and answer them.

use bytes::Bytes;
use unavez::protocol::{CallId, ProcessId, Request, Target, Time};

use crate::host::Service;
use crate::ledger::{Breach, filled};
use crate::world::{Due, World};

impl World<'_> {
    pub(crate) fn ask(&mut self, n: usize) -> Result<(), Breach> {
        self.asks_left -= 1;
        let plan = &self.scenario.calls[n];
        let (host, (at, service)) = (plan.from.0, plan.to);
        let published = &self.hosts[at].published[service];
        let Some(last) = published.len().checked_sub(1 + plan.old.min(published.len() - 1)) else {
            return Ok(());
        };
        let port = published[last];
        let target = match plan.by_name {
            true => Target::Name { at: self.hosts[at].address, name: name(service) },
            false => Target::Port(port),
        };
        let body = filled(format!("call {n}"), plan.size);
        let (flags, patience, max_reply) = (plan.flags, plan.patience, plan.max_reply);
        let request = Request { body: body.into(), flags, patience, max_reply };
        let process = self.hosts[host].clients[plan.from.1];
        let clocks = (self.hosts[host].now(self.now), self.hosts[host].clock.stalled());
        let Some(site) = &mut self.hosts[host].site else { return Ok(()) };
        match site.send_request(clocks.0, process, &target, request) {
            Ok(call) => {
                let to = if plan.by_name { Err(self.hosts[at].address) } else { Ok(port.server) };
                self.ledger.issued(n, (host, call, process), clocks, to)?;
                self.trace.line(self.now, host, || {
                    format!("call {n} to {target}", target = show(&target))
                });
            }
            Err(error) => self.trace.line(self.now, host, || format!("call {n}: {error}")),
        }
        if let Some(after) = plan.cancel {
            self.schedule(self.now + after, Due::Cancel(n));
        }
        self.with_site(host, |_, _| {})
    }

    pub(crate) fn take(&mut self, host: usize, process: ProcessId) -> Result<(), Breach> {
        loop {
            let Some((index, port)) = self.hosts[host].serving(process) else { return Ok(()) };
            let hands = self.scenario.hosts[host].services[index].hands;
            if self.hosts[host].services[index].hands.len() >= hands {
                return Ok(());
            }
            let mut taken = None;
            self.with_site(host, |site, now| taken = site.take_request(now, port))?;
            let Some(incoming) = taken else { return Ok(()) };
            let server = self.hosts[host].server_id(port);
            let call = incoming.call;
            let (n, k) = self.ledger.handed((call, &incoming.body), (host, index, server))?;
            if incoming.patience == Some(Time::ZERO) {
                return Err(format!("call {n} runs after its patience (R21)"));
            }
            self.trace.line(self.now, host, || format!("execute call {n}"));
            let service = &mut self.hosts[host].services[index];
            service.hands.insert(call, n);
            service.answers.insert(call, k);
            let after = self.ledger.plan(n).service;
            self.schedule(self.now + after, Due::Served { host, process, call });
        }
    }

    pub(crate) fn served(
        &mut self,
        host: usize,
        process: ProcessId,
        call: CallId,
    ) -> Result<(), Breach> {
        let Some((index, port)) = self.hosts[host].serving(process) else { return Ok(()) };
        let service: &mut Service = &mut self.hosts[host].services[index];
        let Some(n) = service.hands.remove(&call) else { return Ok(()) };
        let k = service.answers.remove(&call).unwrap_or_default();
        let body = filled(format!("answer {n}.{k}"), self.ledger.plan(n).reply);
        let mut answered = Ok(());
        self.with_site(host, |site, now| {
            answered = site.send_reply(now, port, call, Bytes::from(body));
        })?;
        answered.map_err(|error| format!("the reply to call {n} is refused: {error}"))?;
        self.take(host, process)
    }
}

/// Under which name a service is registered.
pub(crate) fn name(service: usize) -> String {
    format!("s{service}")
}

fn show(target: &Target) -> String {
    match target {
        Target::Port(port) => {
            format!("port {} of e{}", port.server.port.0, port.server.epoch.counter)
        }
        Target::Name { name, .. } => format!("\"{name}\""),
    }
}
