//! Who is who (PROTOCOL §2): sites, their lives, ports and calls.
//!
//! Invariant: no address is part of an identity (R6). An address only says where to send.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Names a site: drawn at random once, kept for all its lives. 0 is no site's: it stands for
/// whichever site is at an address, and only port 0 accepts it (R10).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[derive(Serialize, Deserialize, Encode, Decode)]
pub struct SiteId(pub u64);

/// Names a life of a site. Compared for equality only: no life is older than another (R7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[derive(Serialize, Deserialize, Encode, Decode)]
#[doc(alias = "incarnation")]
pub struct Epoch {
    /// Counted on stable storage: another one for each life, even if the dice fall alike.
    pub counter: u32,
    /// Drawn for this life: another one even if the storage is lost, restored or cloned.
    pub random: u32,
}

/// Where requests are taken at a server site: counted up, never used again in an epoch (R8). 0 is
/// the site itself (R10).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[derive(Serialize, Deserialize, Encode, Decode)]
pub struct ServerPort(pub u64);

/// Where replies are taken at a client site: 64 random bits, so that a blind forger must guess them
/// (R8). `Debug` and `Display` show a quarter of it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[derive(Serialize, Deserialize, Encode, Decode)]
pub struct ClientPort(pub u64);

/// Who asks: what duplicates are told apart by is kept for each of these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[derive(Serialize, Deserialize, Encode, Decode)]
pub struct ClientId {
    /// Which site.
    pub site: SiteId,
    /// Which life of it.
    pub epoch: Epoch,
    /// Which of its ports.
    pub port: ClientPort,
}

/// Who is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[derive(Serialize, Deserialize, Encode, Decode)]
pub struct ServerId {
    /// Which site.
    pub site: SiteId,
    /// Which life of it.
    pub epoch: Epoch,
    /// Which of its ports.
    pub port: ServerPort,
}

/// Names a call on the wire: the key of duplicate detection is all of it (R9).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[derive(Serialize, Deserialize, Encode, Decode)]
#[doc(alias = "MsgId")]
pub struct CallId {
    /// Who asks.
    pub client: ClientId,
    /// Its number at this client, from 1.
    pub seq: u64,
}

/// Names a server and says where it is: all that a client must know to ask.
///
/// Opaque to programs; it can be printed, read back and sent along.
///
/// ```
/// use unavez::protocol::IpcPort;
///
/// let text = "127.0.0.1:7373/00c0ffee00c0ffee/4-0badcafe/2";
/// let port: IpcPort = text.parse().unwrap();
/// assert_eq!(port.to_string(), text);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IpcPort {
    /// Where its site listens.
    pub address: SocketAddr,
    /// Who it is.
    pub server: ServerId,
}

impl IpcPort {
    /// The site that is at this address, whichever it is: its port 0 (R10).
    pub fn site_at(address: SocketAddr) -> IpcPort {
        IpcPort { address, server: ServerId::default() }
    }
}

/// Why some text is not an [`IpcPort`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a port is IP:PORT/SITE/EPOCH/NUMBER, like 127.0.0.1:7373/00c0ffee00c0ffee/4-0badcafe/2")]
pub struct ParsePortError;

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}-{:08x}", self.counter, self.random)
    }
}

impl fmt::Display for ClientPort {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:04x}", self.0 >> 48)
    }
}

impl fmt::Debug for ClientPort {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "ClientPort({self}…)")
    }
}

/// As traces show it: the life of the client, a part of its port, the number.
impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "e{}.{}.{}", self.client.epoch.counter, self.client.port, self.seq)
    }
}

impl fmt::Display for IpcPort {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let ServerId { site, epoch, port } = self.server;
        write!(f, "{}/{site}/{epoch}/{}", self.address, port.0)
    }
}

impl FromStr for IpcPort {
    type Err = ParsePortError;

    fn from_str(text: &str) -> Result<IpcPort, ParsePortError> {
        let [address, site, epoch, port] = fields(text, '/').ok_or(ParsePortError)?;
        let [counter, random] = fields(epoch, '-').ok_or(ParsePortError)?;
        let epoch = Epoch { counter: number(counter)?, random: hex(random)? as u32 };
        let (site, port) = (SiteId(hex(site)?), ServerPort(number(port)?));
        let address = address.parse().map_err(|_| ParsePortError)?;
        let read = IpcPort { address, server: ServerId { site, epoch, port } };
        // One text for one port: leading zeros, plus signs and capitals are somebody's mistake.
        (read.to_string() == text).then_some(read).ok_or(ParsePortError)
    }
}

fn fields<const N: usize>(text: &str, separator: char) -> Option<[&str; N]> {
    text.split(separator).collect::<Vec<_>>().try_into().ok()
}

fn number<T: FromStr>(text: &str) -> Result<T, ParsePortError> {
    text.parse().map_err(|_| ParsePortError)
}

fn hex(text: &str) -> Result<u64, ParsePortError> {
    u64::from_str_radix(text, 16).map_err(|_| ParsePortError)
}
