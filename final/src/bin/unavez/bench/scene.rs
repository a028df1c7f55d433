//! Two hosts with all that is compared: a client, a server, and a daemon on each.

use std::net::IpAddr;
use std::path::PathBuf;

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
    client: Process,
    _server: Process,
    _daemons: Vec<Process>,
}

impl Scene {
    pub(super) fn start(
        [near, far]: [Host; 2],
        contenders: &[Contender],
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
        let sides = [daemon_of(0).collect(), daemon_of(1).chain([server.pid()]).collect()];
        let client = near.start(Role::Client { at, daemon: near_socket, sides })?;
        client.hear::<()>(stop)?;
        Ok(Scene { client, _server: server, _daemons: daemons })
    }

    /// Has the client do it.
    pub(super) fn order(&mut self, order: &Order, stop: &Stop) -> Result<Answer> {
        self.client.tell(order)?;
        self.client.hear(stop)
    }
}

impl Host<'_> {
    fn start(&self, role: Role) -> Result<Process> {
        Process::start(self.space, &Start { cpu: self.cpu, ip: self.ip, role })
    }
}
