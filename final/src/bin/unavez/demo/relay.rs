//! The bad link between the demo's two processes: what each sends passes through here.
//!
//! It stands between them so that it sees all their datagrams, also those of a process that is killed.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use unavez::link::{Link, Passed, Way};
use unavez::protocol::DATAGRAM_LARGEST;

/// A link between whoever sends to [`Relay::address`] and a server.
#[derive(Debug)]
pub(super) struct Relay {
    address: SocketAddr,
    way: Arc<Mutex<Way>>,
}

impl Relay {
    /// Carries datagrams until the process ends.
    pub(super) fn start(server: SocketAddr, link: Link) -> io::Result<Relay> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (near, far) = (UdpSocket::bind(any)?, UdpSocket::bind(any)?);
        let address = near.local_addr()?;
        let way = Arc::new(Mutex::new(Way::new(link)));
        let client: Arc<OnceLock<SocketAddr>> = Arc::default();
        // One link for both directions, so that datagrams are counted in one row; which of the two a
        // datagram goes is told by where it is sent.
        let carry = |from: UdpSocket, near: UdpSocket, far: UdpSocket, inwards: bool| {
            let (client, way) = (client.clone(), way.clone());
            thread::spawn(move || {
                let mut datagram = vec![0; DATAGRAM_LARGEST];
                loop {
                    // An error speaks of a datagram sent before: the server is down for now.
                    let Ok((length, sender)) = from.recv_from(&mut datagram) else { continue };
                    let to = if inwards { server } else { *client.get().unwrap_or(&sender) };
                    if inwards {
                        client.get_or_init(|| sender);
                    }
                    let mut way = way.lock().expect("no thread panics here");
                    // What the kernel refuses is lost as well.
                    let _ = way.pass(to, &datagram[..length], |to, datagram| {
                        let socket = if to == server { &far } else { &near };
                        socket.send_to(datagram, to).map(drop)
                    });
                }
            })
        };
        carry(near.try_clone()?, near.try_clone()?, far.try_clone()?, true);
        carry(far.try_clone()?, near, far, false);
        Ok(Relay { address, way })
    }

    /// Where the client sends to.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the link did so far.
    pub(super) fn passed(&self) -> Passed {
        self.way.lock().expect("no thread panics here").passed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_go_both_ways() {
        // A client asks twice, the server answers with all that a datagram holds; the first question is
        // lost on the way.
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let link = Link { drop: vec![1], ..Link::default() };
        let relay = Relay::start(server.local_addr().unwrap(), link).unwrap();
        let mut datagram = vec![0; DATAGRAM_LARGEST];
        client.send_to(b"one", relay.address()).unwrap();
        client.send_to(b"two", relay.address()).unwrap();
        let (length, from) = server.recv_from(&mut datagram).unwrap();
        assert_eq!(&datagram[..length], b"two");
        server.send_to(&[7; DATAGRAM_LARGEST], from).unwrap();
        let (length, from) = client.recv_from(&mut datagram).unwrap();
        assert_eq!((length, from), (DATAGRAM_LARGEST, relay.address()));
        assert!(datagram.iter().all(|byte| *byte == 7));
        assert_eq!(relay.passed(), Passed { sent: 3, lost: 1, ..Passed::default() });
    }
}
