//! Every count of the daemon, with its reason, and nothing but.

/// How many packets wait to be sent at most. More are dropped, as the network might; the protocol
/// sends again. Two for each call that a site may have outstanding.
pub(super) const SEND_QUEUE_MAX: usize = 2048;
/// How many calls of one process have not ended at most: a quarter of what the site may have
/// outstanding, so that one process does not take them all.
pub(super) const CALLS_MAX: usize = 256;
/// How many requests one process has in its hands at most. With the calls it bounds the backlog:
/// memory stays bounded when a process does not read.
pub(super) const SERVING_MAX: usize = 1024;
/// How many ports one process has at most.
pub(super) const PORTS_MAX: usize = 64;
/// How many processes are attached at most: each takes a descriptor, and the daemon may have 1,024 by default.
pub(super) const PROCESSES_MAX: usize = 512;
/// How many messages wait for a process at most. What it may rightly be owed is fewer; one that asks
/// on and on and never reads is let go.
pub(super) const BACKLOG_MAX: usize = 2 * (CALLS_MAX + SERVING_MAX + PORTS_MAX);
/// How many bytes of a socket's buffer a datagram takes at least. Linux counts its own description of the
/// datagram, too, which alone takes more.
pub(super) const DATAGRAM_MIN: usize = 256;
