//! TCP: a connection for each request, with and without Fast Open, and one that is kept.
//!
//! A message has its length before it; both leave in one system call.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, connect, listen, setsockopt,
    socket, sockopt,
};

use super::{Peer, fast_open, tcp_many};
use crate::Result;
use crate::bench::orders::{FRAME, Message, reply_len};

/// How many threads take connections: clients may come at the same time.
const THREADS: usize = 4;
/// The longest message: nobody can make a server allocate more.
const LONGEST: usize = 16 << 20;
/// What is read ahead of many small messages.
const READ_AHEAD: usize = 64 << 10;

pub(super) fn serve(ip: IpAddr) -> Result<String> {
    serve_at(TcpListener::bind((ip, 0))?)
}

pub(super) fn serve_fast_open(ip: IpAddr) -> Result<String> {
    fast_open::check()?;
    let listener = TcpListener::bind((ip, 0))?;
    fast_open::allow(&listener)?;
    serve_at(listener)
}

fn serve_at(listener: TcpListener) -> Result<String> {
    // As many may wait as the kernel allows.
    listen(&listener, Backlog::MAXALLOWABLE)?;
    let at = listener.local_addr()?.to_string();
    for _ in 0..THREADS {
        let listener = listener.try_clone()?;
        thread::spawn(move || {
            loop {
                let Ok((stream, _)) = listener.accept() else { continue };
                // The client is gone, or speaks nonsense: the next one.
                let _ = answer_all(&stream);
            }
        });
    }
    Ok(at)
}

/// Answers one message after the other, until there are no more.
fn answer_all(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(READ_AHEAD, stream);
    let mut writer = BufWriter::with_capacity(READ_AHEAD, stream);
    let mut frame = Vec::new();
    while read_frame(&mut reader, &mut frame)? {
        let len = reply_len(&frame[FRAME..]);
        frame[..FRAME].copy_from_slice(&(len as u32).to_be_bytes());
        writer.write_all(&frame[..FRAME + len])?;
        // Replies to what has come together leave together.
        if reader.buffer().is_empty() {
            writer.flush()?;
        }
    }
    Ok(())
}

/// Reads a message, and leaves room for a length before it; there may be none any more.
fn read_frame(reader: &mut impl Read, frame: &mut Vec<u8>) -> io::Result<bool> {
    let mut len = [0; FRAME];
    if let Err(error) = reader.read_exact(&mut len) {
        return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(false) } else { Err(error) };
    }
    let body = u32::from_be_bytes(len) as usize;
    if body > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    frame.resize(FRAME + body, 0);
    reader.read_exact(&mut frame[FRAME..])?;
    Ok(true)
}

/// Sends a request and reads its reply.
fn ask(stream: &mut TcpStream, message: &Message, buffer: &mut Vec<u8>) -> Result<()> {
    stream.write_all(message.framed())?;
    buffer.resize(FRAME + message.reply_len(), 0);
    stream.read_exact(buffer)?;
    Ok(())
}

/// A connection for each request: the paper's opponent (§5).
pub(super) struct Each {
    at: SocketAddr,
    buffer: Vec<u8>,
}

impl Each {
    pub(super) fn new(at: SocketAddr) -> Each {
        Each { at, buffer: Vec::new() }
    }
}

impl Peer for Each {
    fn exchange(&mut self, message: &Message) -> Result<()> {
        ask(&mut TcpStream::connect(self.at)?, message, &mut self.buffer)
    }

    fn pipeline(&mut self, message: &Message, calls: usize, open: usize) -> Result<()> {
        tcp_many::connections(self.at, message, calls, open)
    }
}

/// The same, and the request travels with the first packet.
pub(super) struct FastOpen {
    at: SocketAddr,
    buffer: Vec<u8>,
}

impl FastOpen {
    pub(super) fn new(at: SocketAddr) -> Result<FastOpen> {
        fast_open::check()?;
        Ok(FastOpen { at, buffer: Vec::new() })
    }
}

impl Peer for FastOpen {
    fn exchange(&mut self, message: &Message) -> Result<()> {
        let family = if self.at.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&socket, sockopt::TcpFastOpenConnect, &true)?;
        // With a cookie nothing is sent before the request.
        connect(socket.as_raw_fd(), &SockaddrStorage::from(self.at))?;
        ask(&mut TcpStream::from(socket), message, &mut self.buffer)
    }
}

/// One connection for all requests.
pub(super) struct Open {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Open {
    pub(super) fn connect(at: SocketAddr) -> Result<Open> {
        let stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        Ok(Open { stream, buffer: Vec::new() })
    }
}

impl Peer for Open {
    fn exchange(&mut self, message: &Message) -> Result<()> {
        ask(&mut self.stream, message, &mut self.buffer)
    }

    fn pipeline(&mut self, message: &Message, calls: usize, open: usize) -> Result<()> {
        let (frame, reply_len) = (message.framed(), FRAME + message.reply_len());
        let (mut sent, mut received) = (0, 0);
        self.buffer.resize(READ_AHEAD, 0);
        while received < calls * reply_len {
            let may = calls.min(received / reply_len + open);
            if may > sent {
                self.stream.write_all(&frame.repeat(may - sent))?;
                sent = may;
            }
            let len = self.stream.read(&mut self.buffer)?;
            if len == 0 {
                return Err("the server has closed the connection".into());
            }
            received += len;
        }
        Ok(())
    }
}
