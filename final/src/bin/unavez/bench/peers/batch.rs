//! The floor for many calls at a time: datagrams by the dozen, in one system call each way.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};

use super::{Peer, udp};
use crate::Result;
use crate::bench::orders::{Message, reply_len};

/// How many datagrams a system call takes.
const AT_ONCE: usize = 64;
/// The longest that is sent here.
const LONGEST: usize = 2048;
/// After so long without one, those that are open are lost.
const LOST_AFTER: Duration = Duration::from_millis(200);

type Headers = MultiHeaders<SockaddrStorage>;
type Received = Vec<(usize, Option<SockaddrStorage>)>;

pub(super) fn serve(ip: IpAddr) -> Result<String> {
    let socket = udp::bind(ip)?;
    let at = socket.local_addr()?.to_string();
    thread::spawn(move || {
        let (mut batch, fd) = (Batch::new(), socket.as_raw_fd());
        loop {
            // An error speaks of a client that is gone.
            if let Ok(came) = batch.receive(fd) {
                let _ = batch.send_back(fd, &came);
            }
        }
    });
    Ok(at)
}

/// Room for the datagrams of one system call.
struct Batch {
    buffers: Vec<[u8; LONGEST]>,
    incoming: Headers,
    outgoing: Headers,
}

impl Batch {
    fn new() -> Batch {
        let headers = || Headers::preallocate(AT_ONCE, None);
        Batch { buffers: vec![[0; LONGEST]; AT_ONCE], incoming: headers(), outgoing: headers() }
    }

    /// Waits for one, and takes what else is there.
    fn receive(&mut self, fd: RawFd) -> nix::Result<Received> {
        let mut slices: Vec<[IoSliceMut; 1]> =
            self.buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let flags = MsgFlags::MSG_WAITFORONE;
        let came = recvmmsg(fd, &mut self.incoming, slices.iter_mut(), flags, None)?;
        Ok(came.map(|one| (one.bytes, one.address)).collect())
    }

    fn send_back(&mut self, fd: RawFd, came: &Received) -> nix::Result<()> {
        let (lens, to): (Vec<usize>, Vec<_>) = came.iter().copied().unzip();
        let slices: Vec<[IoSlice; 1]> = self
            .buffers
            .iter()
            .zip(lens)
            .map(|(buffer, len)| [IoSlice::new(&buffer[..reply_len(&buffer[..len])])])
            .collect();
        send(fd, &mut self.outgoing, &slices, &to)
    }

    fn send_copies(&mut self, fd: RawFd, body: &[u8], copies: usize) -> nix::Result<()> {
        let slices = vec![[IoSlice::new(body)]; copies];
        send(fd, &mut self.outgoing, &slices, &vec![None; copies])
    }
}

/// Sends them all; the kernel may take them in several bites.
fn send(
    fd: RawFd,
    headers: &mut Headers,
    slices: &[[IoSlice; 1]],
    to: &[Option<SockaddrStorage>],
) -> nix::Result<()> {
    let mut sent = 0;
    while sent < slices.len() {
        let (rest, to) = (&slices[sent..], &to[sent..]);
        sent += sendmmsg(fd, headers, rest, to, [], MsgFlags::empty())?.count();
    }
    Ok(())
}

pub(super) struct Batches {
    socket: UdpSocket,
    batch: Batch,
}

impl Batches {
    pub(super) fn connect(ip: IpAddr, at: SocketAddr) -> Result<Batches> {
        let socket = udp::bind(ip)?;
        socket.connect(at)?;
        socket.set_read_timeout(Some(LOST_AFTER))?;
        Ok(Batches { socket, batch: Batch::new() })
    }
}

impl Peer for Batches {
    fn exchange(&mut self, message: &Message) -> Result<()> {
        self.pipeline(message, 1, 1)
    }

    fn pipeline(&mut self, message: &Message, calls: usize, open: usize) -> Result<()> {
        let (body, fd) = (message.body(), self.socket.as_raw_fd());
        if body.len() > LONGEST {
            return Err(format!("too long: {LONGEST} bytes at most").into());
        }
        let (mut to_send, mut done, mut flying) = (calls, 0, 0);
        while done < calls {
            let now = to_send.min(open - flying);
            for part in (0..now).step_by(AT_ONCE) {
                self.batch.send_copies(fd, &body, AT_ONCE.min(now - part))?;
            }
            (to_send, flying) = (to_send - now, flying + now);
            match self.batch.receive(fd) {
                Ok(came) => {
                    for (len, _) in &came {
                        message.check(*len)?;
                    }
                    // What was taken for lost may come late.
                    flying -= came.len().min(flying);
                    done += came.len();
                }
                Err(Errno::EAGAIN) => (to_send, flying) = (to_send + flying, 0),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
