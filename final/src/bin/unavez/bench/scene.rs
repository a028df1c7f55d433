//! Two hosts with all that is compared: a client, a server, and a daemon on each.

use std::net::IpAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::contender::Contender;
use super::orders::{Addresses, Answer, Order, Role, Start};
use super::process::Process;
use super::space::Space;
use crate::Result;
use crate::net::Stop;

/// Where a host is.
#[derive(Clone, Copy)]
pub(super) struct Host<'a> {
    /// Its network; that of this process if it has none of its own.
    pub(super) space: Option<&'a Space>,
    pub(super) ip: IpAddr,
    /// The core of all its processes.
    pub(super) cpu: Option<usize>,
}

/// The processes; they end with this value, clients first.
pub(super) struct Scene {
    clients: Vec<Process>,
    _server: Process,
    _daemons: Vec<Process>,
}

impl Scene {
    pub(super) fn start(
        [near, far]: [Host; 2],
        contenders: &[Contender],
        clients: usize,
        stop: &Stop,
    ) -> Result<Scene> {
        let mut daemons = Vec::new();
        let mut sockets: [Option<PathBuf>; 2] = [None, None];
        if contenders.iter().any(|it| it.needs_daemons()) {
            for (host, socket) in [near, far].into_iter().zip(&mut sockets) {
                let daemon = host.start(Role::Daemon)?;
                *socket = Some(daemon.hear(stop)?);
                daemons.push(daemon);
            }
        }
        let [near_socket, far_socket] = sockets;
        let role = Role::Server { contenders: contenders.to_vec(), daemon: far_socket };
        let server = far.start(role)?;
        let at: Addresses = server.hear(stop)?;
        let daemon_of = |side: usize| daemons.get(side).map(Process::pid).into_iter();
        let sides: [Vec<i32>; 2] =
            [daemon_of(0).collect(), [server.pid()].into_iter().chain(daemon_of(1)).collect()];
        let clients = (0..clients).map(|_| {
            let (at, daemon, sides) = (at.clone(), near_socket.clone(), sides.clone());
            let client = near.start(Role::Client { at, daemon, sides })?;
            client.hear::<()>(stop)?;
            Ok(client)
        });
        Ok(Scene { clients: clients.collect::<Result<_>>()?, _server: server, _daemons: daemons })
    }

    /// Has the first client do it.
    pub(super) fn order(&mut self, order: &Order, stop: &Stop) -> Result<Answer> {
        self.clients[0].tell(order)?;
        self.clients[0].hear(stop)
    }

    /// Has two clients do it at once, the second one so much later.
    pub(super) fn order_both(
        &mut self,
        orders: &[Order; 2],
        later: Duration,
        stop: &Stop,
    ) -> Result<[Answer; 2]> {
        self.clients[0].tell(&orders[0])?;
        thread::sleep(later);
        self.clients[1].tell(&orders[1])?;
        Ok([self.clients[0].hear(stop)?, self.clients[1].hear(stop)?])
    }
}

impl Host<'_> {
    fn start(&self, role: Role) -> Result<Process> {
        Process::start(self.space, &Start { cpu: self.cpu, ip: self.ip, role })
    }
}
