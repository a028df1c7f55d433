//! The driver: one thread, one socket, the loop.
//!
//! Invariant: between two calls the site has no action left.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

use crate::config::Config;
use crate::epoch::Epoch;
use crate::site::{Action, CallId, Deliver, Port, SendError, Site, Time};
use crate::wire::DATAGRAM_MAX;

/// More datagrams than a socket holds by default, so that so many are all that had arrived; and a
/// bound, so that who sends without end cannot keep the timers from being served.
const BACKLOG_MAX: usize = 4096;

/// How a datagram leaves. It may lose it, as the network may.
pub type Link = Box<dyn FnMut(&[u8], SocketAddr)>;

/// A site behind a real socket.
pub struct Udp {
    socket: UdpSocket,
    link: Link,
    site: Site,
    delivered: VecDeque<Deliver>,
    noted: BTreeMap<String, u64>,
}

impl Udp {
    /// A site that listens at this address; port 0 is any free one.
    ///
    /// # Errors
    /// The socket's.
    pub fn bind(address: SocketAddr, config: Config, epoch: Epoch) -> io::Result<Udp> {
        let socket = UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        let sender = socket.try_clone()?;
        Ok(Udp {
            socket,
            // What the kernel refuses to send is lost, like any other datagram.
            link: Box::new(move |datagram, to| drop(sender.send_to(datagram, to))),
            site: Site::new(config, epoch),
            delivered: VecDeque::new(),
            noted: BTreeMap::new(),
        })
    }

    /// Sends by another way from now on: a worse network, to see what it does.
    pub fn send_by(&mut self, link: Link) {
        self.link = link;
    }

    /// The socket: its address, and the way out.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// How often each thing happened that no packet shows.
    pub fn noted(&self) -> &BTreeMap<String, u64> {
        &self.noted
    }

    /// See [`Site::send_request`].
    ///
    /// # Errors
    /// As there.
    pub fn send_request(&mut self, to: Port, body: Vec<u8>) -> Result<CallId, SendError> {
        let call = self.site.send_request(now(), to, body)?;
        self.drain();
        Ok(call)
    }

    /// See [`Site::send_reply`].
    ///
    /// # Errors
    /// As there.
    pub fn send_reply(&mut self, call: CallId, body: Vec<u8>) -> Result<(), SendError> {
        self.site.send_reply(now(), call, body)?;
        self.drain();
        Ok(())
    }

    /// Blocks until there is something for a process of this host.
    ///
    /// # Errors
    /// The socket's.
    pub fn receive(&mut self) -> io::Result<Deliver> {
        loop {
            if let Some(delivered) = self.delivered.pop_front() {
                return Ok(delivered);
            }
            // What had arrived by now is handled before what is due by now: a copy that lies in the
            // socket must find its record.
            let now = now();
            let mut read = 0;
            while read < BACKLOG_MAX && self.receive_datagram()? {
                read += 1;
            }
            self.site.handle_timeout(now);
            self.drain();
            if read == 0 && self.delivered.is_empty() {
                self.sleep()?;
            }
        }
    }

    /// Until a datagram or the deadline comes.
    fn sleep(&self) -> io::Result<()> {
        let mut sockets = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        let left = self.site.deadline().map(|at| at.saturating_sub(now()));
        match ppoll(&mut sockets, left.map(TimeSpec::from_duration), None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// `false` if there is none.
    fn receive_datagram(&mut self) -> io::Result<bool> {
        // One byte more than allowed, so that what is too long is seen to be.
        let mut buffer = [0; DATAGRAM_MAX + 1];
        match self.socket.recv_from(&mut buffer) {
            Ok((length, from)) => self.site.handle_packet(now(), from, &buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        self.drain();
        Ok(true)
    }

    fn drain(&mut self) {
        while let Some(action) = self.site.poll_action() {
            match action {
                Action::Send { to, packet } => (self.link)(&packet.encode(), to),
                Action::Deliver(what) => self.delivered.push_back(what),
                Action::Note(note) => *self.noted.entry(note.to_string()).or_default() += 1,
            }
        }
    }
}

/// The time since the machine started, the time that it slept included: a caller's patience runs
/// out while its machine sleeps, too.
fn now() -> Time {
    clock_gettime(ClockId::CLOCK_BOOTTIME).expect("every Linux since 2.6.39 has this clock").into()
}
