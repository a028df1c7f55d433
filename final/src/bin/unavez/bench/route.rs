//! Two hosts, and links and routers between them: one link is the paper's isolated LAN (§5.1), some with
//! routers between them its MAN (§5.2).
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

pub(super) struct Route {
    /// From the client's host to the server's.
    nodes: Vec<Space>,
    _links: Vec<Process>,
}

/// As many as addresses are made for.
pub(super) const HOPS_MAX: usize = 16;

/// The interfaces of a node, towards the client and towards the server.
const LEFT: &str = "left";
const RIGHT: &str = "right";

impl Route {
    pub(super) fn build(hops: &[Hop], seed: u64, stop: &Stop) -> Result<Route> {
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
        let route = Route { nodes, _links: links };
        for number in 0..route.nodes.len() {
            route.nodes[number].within(|| route.set_up(number))?;
        }
        Ok(route)
    }

    /// The client's host and the server's.
    pub(super) fn hosts(&self) -> [(&Space, IpAddr); 2] {
        let [client, server] = self.ips();
        [(&self.nodes[0], client.into()), (&self.nodes[self.nodes.len() - 1], server.into())]
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
            lead(client, LEFT)?;
        }
        if number < last {
            attach(RIGHT, end(number, 1), end(number, 2))?;
            lead(server, RIGHT)?;
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

/// Packets to this host leave there. A route to the other end of the link itself is there already.
fn lead(to: Ipv4Addr, port: &str) -> Result<()> {
    run("ip", &["route", "replace", &to.to_string(), "dev", port])
}
