//! Two hosts and a wire between them: what the paper calls an isolated LAN (§5.1).
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
/// A whole frame on the wire.
const FRAME: u64 = 1514;
/// What waits for the wire at most: 50 frames, or 10 ms where they are more.
const QUEUE_FRAMES: u64 = 50;
const QUEUE_MS: u64 = 10;

pub(super) struct Lan {
    pub(super) hosts: [Space; 2],
}

impl Lan {
    /// With so many bits in a second each way, if they are to be limited.
    pub(super) fn build(rate: Option<u64>) -> Result<Lan> {
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
            host.within(|| set_up(side, rate))?;
        }
        Ok(Lan { hosts })
    }

    pub(super) fn ip(side: usize) -> IpAddr {
        IPS[side].into()
    }

    /// From here on this share of the packets is lost, in each direction, on arrival.
    pub(super) fn lose(&self, share: f64) -> Result<()> {
        for host in &self.hosts {
            host.within(|| lose(share))?;
        }
        Ok(())
    }
}

/// Whether this host has what loses packets.
pub(super) fn can_lose() -> Result<()> {
    run("nft", &["--version"])
}

fn set_up(side: usize, rate: Option<u64>) -> Result<()> {
    let (own, other, mac) = (IPS[side], IPS[1 - side], MACS[1 - side]);
    // The kernel cuts before the wire, so that each packet counts as one.
    run("ip", &words(&format!("link set {PORT} gso_max_segs 1 up")))?;
    run("ip", &words(&format!("address add {own}/24 dev {PORT}")))?;
    run("ip", &words(&format!("neighbour add {other} lladdr {mac} dev {PORT} nud permanent")))?;
    let Some(rate) = rate else { return Ok(()) };
    let bytes_a_ms = rate / 8 / 1000;
    // What may leave at once: enough for a timer that comes some tenths of a millisecond late.
    let burst = bytes_a_ms.max(2 * FRAME);
    let queue = (bytes_a_ms * QUEUE_MS).max(QUEUE_FRAMES * FRAME);
    let add = format!("qdisc add dev {PORT} root tbf rate {rate}bit burst {burst} limit {queue}");
    run("tc", &words(&add))
}

fn lose(share: f64) -> Result<()> {
    // An earlier share is no more; deleting what is not there would be an error, adding is none.
    run("nft", &["add table inet bench; delete table inet bench"])?;
    let of_ten_thousand = (share * 10_000.0).round() as u32;
    let rules = format!(
        "add table inet bench; \
         add chain inet bench lossy {{ type filter hook input priority 0; }}; \
         add rule inet bench lossy iifname {PORT} numgen random mod 10000 < {of_ten_thousand} drop"
    );
    run("nft", &[&rules])
}

fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}
