//! Many datagrams a system call, with a safe face: nix makes memory for each of these calls, and cannot
//! tell the kernel of each message how it is to be cut.
//!
//! Invariant: no function here can be misused to break memory. What the kernel is told lives as long as
//! the call, and of what it says back nothing is taken that it did not write.

#![allow(unsafe_code)]

use std::io::{self, IoSlice};
use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libc::{c_int, c_uint, cmsghdr, iovec, mmsghdr, sockaddr_in, sockaddr_in6};

/// So many messages a system call sends at most.
pub(super) const SENT_MAX: usize = 32;
/// So many messages a system call reads at most.
pub(super) const READ_MAX: usize = 8;
/// Into so many datagrams the kernel cuts a message at most (UDP_MAX_SEGMENTS of its older versions).
pub(super) const SEGMENTS_MAX: usize = 64;
/// The room for one number about a message.
const CONTROL_LEN: usize = 32;

/// What one call sends to one host: a datagram, or several of this length, the last of any up to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) to: SocketAddr,
    pub(super) parts: &'a [IoSlice<'a>],
    pub(super) segment: Option<u16>,
}

/// What one call brought from one host: a datagram, or several of this length, the last of any up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Came {
    pub(super) from: SocketAddr,
    pub(super) len: usize,
    pub(super) segment: Option<usize>,
}

#[repr(C)]
#[derive(Clone, Copy)]
union Address {
    v4: sockaddr_in,
    v6: sockaddr_in6,
}

/// Aligned as the kernel wants it.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL_LEN]);

const NO_CONTROL: Control = Control([0; CONTROL_LEN]);

/// Sends the first [`SENT_MAX`] of these, and says how many left; an error is the first one's.
pub(super) fn send(socket: BorrowedFd, messages: &[Message]) -> io::Result<usize> {
    let mut to = [MaybeUninit::<Address>::uninit(); SENT_MAX];
    let mut controls = [NO_CONTROL; SENT_MAX];
    let mut headers = [const { MaybeUninit::<mmsghdr>::uninit() }; SENT_MAX];
    let places = to.iter_mut().zip(&mut controls).zip(&mut headers);
    let mut count = 0;
    for (message, ((to, control), header)) in messages.iter().zip(places) {
        // SAFETY: a header is numbers and pointers only, and all of them may be zero.
        let header = header.write(unsafe { zeroed() });
        let (to, to_len) = put_address(to, message.to);
        header.msg_hdr.msg_name = ptr::from_mut(to).cast();
        header.msg_hdr.msg_namelen = to_len;
        // The standard library promises that an `IoSlice` is an `iovec`.
        header.msg_hdr.msg_iov = message.parts.as_ptr().cast::<iovec>().cast_mut();
        header.msg_hdr.msg_iovlen = message.parts.len() as _;
        if let Some(segment) = message.segment {
            put_segment(header, control, segment);
        }
        count += 1;
    }
    let flags = libc::MSG_DONTWAIT as _;
    // SAFETY: so many headers are written, and all that they point to outlives the call; of it the
    // kernel only reads.
    let sent =
        unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr().cast(), count, flags) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
}

/// Reads as many messages as there are, one into each of these buffers, and says what came; how many is
/// the result. If it waits, then for the first one only.
pub(super) fn receive<'a>(
    socket: BorrowedFd,
    buffers: impl Iterator<Item = &'a mut [u8]>,
    waits: bool,
    came: &mut [Option<Came>],
) -> io::Result<usize> {
    let mut from = [MaybeUninit::<Address>::zeroed(); READ_MAX];
    let mut controls = [NO_CONTROL; READ_MAX];
    let mut parts = [const { MaybeUninit::<iovec>::uninit() }; READ_MAX];
    let mut headers = [const { MaybeUninit::<mmsghdr>::uninit() }; READ_MAX];
    let places = from.iter_mut().zip(&mut controls).zip(&mut parts).zip(&mut headers);
    let mut count = 0;
    for (buffer, (((from, control), part), header)) in buffers.take(came.len()).zip(places) {
        let part =
            part.write(iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() });
        // SAFETY: a header is numbers and pointers only, and all of them may be zero.
        let header = header.write(unsafe { zeroed() });
        header.msg_hdr.msg_name = from.as_mut_ptr().cast();
        header.msg_hdr.msg_namelen = size_of::<Address>() as _;
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
        header.msg_hdr.msg_controllen = CONTROL_LEN as _;
        count += 1;
    }
    let flags = if waits { libc::MSG_WAITFORONE } else { libc::MSG_DONTWAIT };
    // SAFETY: so many headers are written, and all that they point to outlives the call; each buffer,
    // address and control is borrowed by one header only.
    let read = unsafe {
        let headers = headers.as_mut_ptr().cast();
        libc::recvmmsg(socket.as_raw_fd(), headers, count as c_uint, flags as _, ptr::null_mut())
    };
    if read < 0 {
        return Err(io::Error::last_os_error());
    }
    let read = (read as usize).min(count);
    for ((header, from), came) in headers[..read].iter().zip(&from).zip(came) {
        // SAFETY: those of the first `count` are written, and so many were read.
        let header = unsafe { header.assume_init_ref() };
        // SAFETY: it was all zeros, and what the kernel wrote over it is a number, too.
        let from = address(unsafe { from.assume_init_ref() });
        let (len, segment) = (header.msg_len as usize, segment_of(header));
        *came = from.map(|from| Came { from, len, segment });
    }
    Ok(read)
}

fn put_address(place: &mut MaybeUninit<Address>, address: SocketAddr) -> (&mut Address, c_uint) {
    // SAFETY: an address is numbers only, and all of them may be zero.
    let place = place.write(unsafe { zeroed() });
    match address {
        SocketAddr::V4(it) => {
            let v4 = sockaddr_in {
                sin_family: libc::AF_INET as _,
                sin_port: it.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(it.ip().octets()) },
                sin_zero: [0; 8],
            };
            place.v4 = v4;
            (place, size_of::<sockaddr_in>() as c_uint)
        }
        SocketAddr::V6(it) => {
            let v6 = sockaddr_in6 {
                sin6_family: libc::AF_INET6 as _,
                sin6_port: it.port().to_be(),
                sin6_flowinfo: it.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: it.ip().octets() },
                sin6_scope_id: it.scope_id(),
            };
            place.v6 = v6;
            (place, size_of::<sockaddr_in6>() as c_uint)
        }
    }
}

/// `None` if it is no address of the Internet.
fn address(place: &Address) -> Option<SocketAddr> {
    // SAFETY: whichever of the two it is, all of it was written, and is numbers only; both begin with
    // the family.
    let (v4, v6) = unsafe { (place.v4, place.v6) };
    match c_int::from(v4.sin_family) {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// Tells the kernel to cut the message into datagrams of this length.
fn put_segment(header: &mut mmsghdr, control: &mut Control, segment: u16) {
    let header = &mut header.msg_hdr;
    header.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: this only counts.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<u16>() as c_uint) } as _;
    const { assert!(size_of::<cmsghdr>() + size_of::<u64>() <= CONTROL_LEN) };
    // SAFETY: there is room for a header and a number, so the first header is there, and its data.
    unsafe {
        let first = libc::CMSG_FIRSTHDR(header);
        (*first).cmsg_level = libc::SOL_UDP;
        (*first).cmsg_type = libc::UDP_SEGMENT;
        (*first).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as c_uint) as _;
        libc::CMSG_DATA(first).cast::<u16>().write_unaligned(segment);
    }
}

/// Of what length the datagrams are that the kernel joined, if it joined several.
fn segment_of(header: &mmsghdr) -> Option<usize> {
    let header = &header.msg_hdr;
    // SAFETY: the control's place and length are those that the kernel left; it wrote whole entries.
    let first = unsafe { libc::CMSG_FIRSTHDR(header).as_ref() }?;
    let is_segment = first.cmsg_level == libc::SOL_UDP && first.cmsg_type == libc::UDP_GRO;
    if !is_segment || (first.cmsg_len as usize) < size_of::<cmsghdr>() + size_of::<c_int>() {
        return None;
    }
    // SAFETY: the entry is long enough for this number.
    let segment = unsafe { libc::CMSG_DATA(first).cast::<c_int>().read_unaligned() };
    usize::try_from(segment).ok().filter(|it| *it > 0)
}
