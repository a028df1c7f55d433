//! Every count and duration of the daemon's local side, with its reason, and nothing but.

use std::time::Duration;

/// How many requests one process has in hand, and may be handed at once, together: with the calls it
/// bounds what waits for a process that does not read.
pub(super) const TAKES_MAX: u32 = 1024;
/// The same as the daemon counts it: to the process a long reply is said when it waits to leave, and what
/// it takes in its place may come first.
pub(super) const TAKES_SEEN_MAX: u32 = 2 * TAKES_MAX;
/// How many ports one process has at most: a sixteenth of what a site has.
pub(super) const PORTS_MAX: usize = 256;
/// How many messages wait for a process before it is read no further: what it asks for and does not
/// read stays its own affair.
pub(super) const WAITING_MAX: usize = 256;
/// How many messages wait for a process that watches the calls before lines are lost to it: less than
/// would keep it from being read.
pub(super) const LINES_MAX: usize = 128;
/// How many messages of one process are read in a turn; then it is the others' turn.
pub(super) const TURN_MAX: usize = 32;
/// As how many of these a part of a long message counts, for it takes so much longer: half a ring of parts
/// is a turn, and fills again while others have theirs.
pub(super) const PART_COST: usize = 8;
/// How many messages of a process are read at its end (R28): as many as any channel holds.
pub(super) const LAST_MAX: usize = 4096;
/// While datagrams come one by one, Receive looks for a second behind the first once in so many times.
pub(super) const LOOK_EVERY: u32 = 8;
/// How many datagrams are read before others may enter.
pub(super) const BURST_MAX: usize = 16;
/// How many datagrams are read before the timers run, whether or not more have come: a flood does not
/// stop them.
pub(super) const READ_MAX: usize = 1024;
/// How many processes are accepted in a turn; then it is the others' turn.
pub(super) const ACCEPT_MAX: usize = 64;
/// How long a process that connects may take to say hello: it takes microseconds.
pub(super) const HELLO_WAIT: Duration = Duration::from_secs(5);
/// How long a daemon that stops waits for processes to read what it has told them.
pub(super) const STOP_WAIT: Duration = Duration::from_millis(500);
/// How many descriptors the daemon has beside those of its processes, with some to spare.
pub(super) const OWN_DESCRIPTORS: usize = 64;
/// How many each process takes: its socket, its bell, and the one that tells its end.
pub(super) const DESCRIPTORS: usize = 3;
