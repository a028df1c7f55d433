//! Whom a client asks, as people write it.

use std::fmt;
use std::net::ToSocketAddrs;
use std::str::FromStr;

use super::{IpcPort, Target};

const SCHEME: &str = "unavez://";

/// A service by name, at a host that may have a name, too: `unavez://HOST:PORT/NAME`.
///
/// ```
/// use unavez::ipc::ServiceUrl;
///
/// let url: ServiceUrl = "unavez://localhost:7373/bank".parse()?;
/// assert_eq!(url.to_string(), "unavez://localhost:7373/bank");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServiceUrl {
    /// A host's name, an IPv4 address, or an IPv6 address without brackets.
    host: String,
    port: u16,
    name: String,
}

/// Why some text names no server.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// It is written otherwise.
    #[error("a service is unavez://HOST:PORT/NAME, like unavez://127.0.0.1:7373/bank")]
    Form,
    /// The port is no number from 1 to 65535.
    #[error("\"{0}\" is no port; it is a number from 1 to 65535")]
    Port(String),
    /// Nothing follows the port.
    #[error("the name of the service is missing after HOST:PORT/")]
    NoName,
    /// The host has no address, or none that this site can send to.
    #[error("the host \"{0}\" has no address that this site can send to")]
    NoAddress(String),
    /// The host could not be looked up.
    #[error("the host \"{host}\" is not found: {error}")]
    Lookup {
        /// Which.
        host: String,
        /// Why.
        error: std::io::Error,
    },
}

impl ServiceUrl {
    /// Looks the host up, which may take a while. The first address counts to which a site of this
    /// kind can send.
    ///
    /// # Errors
    /// It has none.
    pub fn resolve(&self, ipv4: bool) -> Result<Target, TargetError> {
        let host = &self.host;
        let found = (host.as_str(), self.port).to_socket_addrs();
        let mut found = found.map_err(|error| TargetError::Lookup { host: host.clone(), error })?;
        let at = found.find(|address| address.is_ipv4() == ipv4);
        let at = at.ok_or_else(|| TargetError::NoAddress(host.clone()))?;
        Ok(Target::Name { at, name: self.name.clone() })
    }
}

impl FromStr for ServiceUrl {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<ServiceUrl, TargetError> {
        let rest = text.strip_prefix(SCHEME).ok_or(TargetError::Form)?;
        let (place, name) = rest.split_once('/').ok_or(TargetError::NoName)?;
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => rest.split_once("]:").ok_or(TargetError::Form)?,
            None => place.rsplit_once(':').ok_or(TargetError::Form)?,
        };
        let number = port.parse().ok().filter(|number| *number != 0 && !port.starts_with('+'));
        let number = number.ok_or_else(|| TargetError::Port(clean(port)))?;
        let is_v6 = place.starts_with('[');
        if host.is_empty() || host.contains(':') != is_v6 || host != clean(host) {
            return Err(TargetError::Form);
        }
        if name.is_empty() {
            return Err(TargetError::NoName);
        }
        Ok(ServiceUrl { host: host.into(), port: number, name: name.into() })
    }
}

/// Without what would spoil a line of text.
fn clean(text: &str) -> String {
    text.chars().filter(|it| !it.is_control() && !it.is_whitespace()).take(64).collect()
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let ServiceUrl { host, port, name } = self;
        match host.contains(':') {
            true => write!(f, "{SCHEME}[{host}]:{port}/{name}"),
            false => write!(f, "{SCHEME}{host}:{port}/{name}"),
        }
    }
}

impl From<IpcPort> for Target {
    fn from(port: IpcPort) -> Target {
        Target::Port(port)
    }
}
