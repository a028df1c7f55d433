//! Two LANs with routers between them: the paper's second experiment (§5.2).
//!
//! Invariant: a link is a process, and goes with its input as all others do; the hosts and routers go
//! with it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use super::link::Hop;
use super::orders::{Role, Start};
use super::process::Process;
use super::space::{Space, run};
use crate::Result;
use crate::net::Stop;

pub(super) struct Man {
    /// From the client's host to the server's.
    nodes: Vec<Space>,
    _links: Vec<Process>,
}

/// As many as addresses are made for.
pub(super) const HOPS_MAX: usize = 16;

/// The interfaces of a node, towards the client and towards the server.
const LEFT: &str = "left";
const RIGHT: &str = "right";

impl Man {
    pub(super) fn build(hops: &[Hop], seed: u64, stop: &Stop) -> Result<Man> {
        let nodes = (0..=hops.len()).map(|_| Space::new()).collect::<Result<Vec<Space>>>()?;
        let mut links = Vec::new();
        for (number, hop) in hops.iter().enumerate() {
            let ends =
                [(nodes[number].path(), RIGHT.into()), (nodes[number + 1].path(), LEFT.into())];
            let role = Role::Link { ends, hop: *hop, seed: seed + number as u64 };
            let ip = Ipv4Addr::UNSPECIFIED.into();
            let link = Process::start(None, &Start { cpu: None, ip, role })?;
            link.hear::<()>(stop)?;
            links.push(link);
        }
        let man = Man { nodes, _links: links };
        for number in 0..man.nodes.len() {
            man.nodes[number].within(|| man.set_up(number))?;
        }
        Ok(man)
    }

    /// The client's host and the server's.
    pub(super) fn hosts(&self) -> [&Space; 2] {
        [&self.nodes[0], &self.nodes[self.nodes.len() - 1]]
    }

    pub(super) fn ip(&self, side: usize) -> IpAddr {
        self.ips()[side].into()
    }

    fn ips(&self) -> [Ipv4Addr; 2] {
        [end(0, 1), end(self.nodes.len() - 2, 2)]
    }

    /// A host sends all to its one link; a router sends to each host by the link towards it.
    fn set_up(&self, number: usize) -> Result<()> {
        let last = self.nodes.len() - 1;
        let [client, server] = self.ips();
        fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
        if number > 0 {
            attach(LEFT, end(number - 1, 2), end(number - 1, 1))?;
            route(client, LEFT)?;
        }
        if number < last {
            attach(RIGHT, end(number, 1), end(number, 2))?;
            route(server, RIGHT)?;
        }
        Ok(())
    }
}

/// The address of a hop's first or second end.
fn end(hop: usize, which: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 78, hop as u8, which)
}

fn attach(port: &str, own: Ipv4Addr, other: Ipv4Addr) -> Result<()> {
    let (own, other) = (own.to_string(), other.to_string());
    run("ip", &["address", "add", &own, "peer", &other, "dev", port])?;
    run("ip", &["link", "set", port, "up"])
}

/// A route to the other end of the link itself is there already.
fn route(to: Ipv4Addr, port: &str) -> Result<()> {
    run("ip", &["route", "replace", &to.to_string(), "dev", port])
}
