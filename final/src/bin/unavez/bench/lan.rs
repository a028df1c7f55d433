//! Two hosts and a wire between them that is as fast as the machine.
//!
//! Invariant: all that passes the wire is the contenders': addresses are known beforehand, and nothing
//! else speaks.

use std::net::{IpAddr, Ipv4Addr};

use super::space::{Space, run};
use crate::Result;

/// Of the client's and the server's host.
const IPS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 2)];
const MACS: [&str; 2] = ["02:00:00:00:00:01", "02:00:00:00:00:02"];
/// The name of the wire's end on each host.
const PORT: &str = "eth0";

pub(super) struct Lan {
    hosts: [Space; 2],
}

impl Lan {
    pub(super) fn build() -> Result<Lan> {
        let hosts = [Space::new()?, Space::new()?];
        let other = hosts[1].path();
        hosts[0].within(|| {
            let add = format!(
                "link add {PORT} address {} type veth peer name {PORT} address {} netns {other}",
                MACS[0], MACS[1]
            );
            run("ip", &words(&add))
        })?;
        for (side, host) in hosts.iter().enumerate() {
            host.within(|| set_up(side))?;
        }
        Ok(Lan { hosts })
    }

    /// The client's host and the server's.
    pub(super) fn hosts(&self) -> [(&Space, IpAddr); 2] {
        [0, 1].map(|side| (&self.hosts[side], IPS[side].into()))
    }
}

fn set_up(side: usize) -> Result<()> {
    let (own, other, mac) = (IPS[side], IPS[1 - side], MACS[1 - side]);
    // The kernel cuts before the wire, so that each packet counts as one.
    run("ip", &words(&format!("link set {PORT} gso_max_segs 1 up")))?;
    run("ip", &words(&format!("address add {own}/24 dev {PORT}")))?;
    run("ip", &words(&format!("neighbour add {other} lladdr {mac} dev {PORT} nud permanent")))
}

fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}
