//! Several packets in one datagram (PROTOCOL §3): what is ready for the same host at the same moment
//! travels together, and nothing waits to be joined.

use std::net::SocketAddr;

use super::fragments::Fragment;
use super::wire::{DATAGRAM_MAX, Form, Packet, WireError, unframe};

/// Joins packets into datagrams, in order.
///
/// ```
/// use unavez::protocol::{Datagrams, Packet};
/// # use unavez::protocol::*;
/// # let kind = Kind::NoCall;
/// # let client = ClientId { site: SiteId(1), ..ClientId::default() };
/// # let (server, body) = (ServerId::default(), Default::default());
/// # let packet = Packet { flags: Flags::NONE, attempt: 0, client, server, seq: 1, kind, body };
/// let to = "127.0.0.1:7373".parse().unwrap();
/// let mut sent = Vec::new();
/// let mut datagrams = Datagrams::default();
/// for _ in 0..3 {
///     datagrams.push(to, &packet, |to, datagram| sent.push((to, datagram.to_vec())));
/// }
/// datagrams.flush(|to, datagram| sent.push((to, datagram.to_vec())));
/// assert_eq!(sent.len(), 1);
/// ```
#[derive(Debug, Default)]
pub struct Datagrams {
    to: Option<SocketAddr>,
    bytes: Vec<u8>,
}

impl Datagrams {
    /// Takes one more packet; gives away the datagram before it if it does not fit in.
    pub fn push(&mut self, to: SocketAddr, packet: &Packet, send: impl FnMut(SocketAddr, &[u8])) {
        if self.to != Some(to) || self.bytes.len() + packet.encoded_len() > DATAGRAM_MAX {
            self.flush(send);
            self.to = Some(to);
        }
        packet.encode(&mut self.bytes);
    }

    /// Gives away what is left.
    pub fn flush(&mut self, mut send: impl FnMut(SocketAddr, &[u8])) {
        if let Some(to) = self.to.take() {
            send(to, &self.bytes);
        }
        self.bytes.clear();
    }
}

/// What a datagram is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A packet.
    Packet(Packet),
    /// A piece of a large message.
    Fragment(Fragment<&'a [u8]>),
}

/// What a datagram that came from anybody is made of; after the first that is nothing there is no more.
pub fn pieces(datagram: &[u8]) -> impl Iterator<Item = Result<Piece<'_>, WireError>> {
    let mut rest = datagram;
    let mut first = true;
    std::iter::from_fn(move || {
        if rest.is_empty() && !first {
            return None;
        }
        first = false;
        match read(rest) {
            Ok((piece, used)) => {
                rest = &rest[used..];
                Some(Ok(piece))
            }
            Err(error) => {
                rest = &[];
                Some(Err(error))
            }
        }
    })
}

fn read(bytes: &[u8]) -> Result<(Piece<'_>, usize), WireError> {
    let (form, bytes) = unframe(bytes)?;
    let piece = match form {
        Form::Packet => Piece::Packet(Packet::read(bytes)?),
        Form::Fragment => Piece::Fragment(Fragment::decode(bytes)?),
    };
    Ok((piece, bytes.len()))
}

/// The packets of a datagram that came from anybody, without fragments; after the first piece that is
/// nothing there are no more.
pub fn packets(datagram: &[u8]) -> impl Iterator<Item = Result<Packet, WireError>> {
    pieces(datagram).filter_map(|piece| match piece {
        Ok(Piece::Packet(packet)) => Some(Ok(packet)),
        Ok(Piece::Fragment(_)) => None,
        Err(error) => Some(Err(error)),
    })
}
