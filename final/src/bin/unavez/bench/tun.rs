//! A network interface whose wire is this process (TUN): it reads what the host sends there, and what it
//! writes arrives at the host.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use crate::Result;

const DEVICE: &str = "/dev/net/tun";

/// Whether this user may make one.
pub(super) fn can_open() -> Result<()> {
    device().map(drop)
}

fn device() -> Result<File> {
    let mut options = OpenOptions::new();
    let device = options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open(DEVICE);
    Ok(device.map_err(|error| format!("{DEVICE}: {error}"))?)
}

/// Makes one of this name in the namespace of this thread; it goes with the file. Each read and each
/// write is one IP packet, and none blocks.
pub(super) fn open(name: &str) -> Result<File> {
    let device = device()?;
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_flags: (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short,
        },
    };
    // The last byte stays zero.
    for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    // SAFETY: the descriptor is open, and the kernel reads and writes one `ifreq`, which this is.
    let done = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if done == 0 {
        return Ok(device);
    }
    Err(format!("{DEVICE}: {}", io::Error::last_os_error()).into())
}
