//! TCP Fast Open (RFC 7413): the request travels with the first packet of the connection.
#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

use crate::Result;

/// What a host must allow: the client's part and the server's.
const BOTH: u32 = 3;
/// How many connections may wait whose client has not been heard twice.
const PENDING_MAX: libc::c_int = 4096;

/// Whether this host allows it; an error says what it lacks.
pub(super) fn check() -> Result<()> {
    let path = "/proc/sys/net/ipv4/tcp_fastopen";
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let allowed: u32 = text.trim().parse()?;
    match allowed & BOTH {
        BOTH => Ok(()),
        _ => Err(format!(
            "the kernel does not allow it: net.ipv4.tcp_fastopen is {allowed} here, 3 is wanted"
        )
        .into()),
    }
}

/// The listener takes requests that come with the first packet.
pub(super) fn allow(listener: &TcpListener) -> io::Result<()> {
    let pending = PENDING_MAX;
    let len = size_of_val(&pending) as libc::socklen_t;
    // SAFETY: the descriptor is open as long as the listener is borrowed, and the value is a `c_int`
    // of that length, which the kernel only reads.
    let done = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_FASTOPEN,
            (&raw const pending).cast(),
            len,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
