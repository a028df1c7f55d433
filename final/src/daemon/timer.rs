//! Timer: knows when something is due (§4.2.3).
//!
//! The paper's Timer does what is due. Ours has Receive do it, which alone knows that nothing lies unread
//! in the socket; so Receive can sleep in the receive itself.
//!
//! Invariant: it is awake only when something may be due. A deadline that was cancelled is slept to, so
//! that a busy site does not wake it twice for each call; whoever brings an earlier one wakes it.

use std::time::Duration;

use super::door::{Door, UNBROKEN};
use super::inside::Stage;
use crate::clock;
use crate::protocol::Time;
use crate::udp::{Bell, Socket};

/// Until the daemon stops.
pub(super) fn run(door: &Door, socket: &Socket, receive: &Bell) {
    let mut inside = door.lock();
    while inside.stage() != Stage::Stopped {
        let deadline = inside.site.deadline();
        let now = clock::running();
        let left = deadline.map(|deadline| deadline.saturating_sub(now));
        let is_due = left == Some(Duration::ZERO);
        if is_due {
            socket.wake(receive);
        }
        // While Receive is about to do it nobody but Receive needs to wake this thread.
        inside.timer_sleeps = deadline.unwrap_or(Time::MAX);
        inside = match left.filter(|_| !is_due) {
            None => door.timer.wait(inside).expect(UNBROKEN),
            Some(left) => door.timer.wait_timeout(inside, left).expect(UNBROKEN).0,
        };
        inside.timer_sleeps = Time::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::daemon::inside::Inside;
    use crate::embedded::network::Network;
    use crate::embedded::trace::Trace;
    use crate::protocol::{
        Config, Epoch, Flags, IpcPort, ProcessId, Request, Site, SiteId, Target,
    };

    /// What was due is called off after Timer has woken Receive for it, and before Receive has looked:
    /// what is due next is not slept through.
    #[test]
    fn what_is_called_off_hides_nothing() {
        let socket = Arc::new(Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap());
        let receive = Bell::new().unwrap();
        let site = Site::new(clock::now(), Config::lan(), SiteId(7), Epoch::default(), [1; 32]);
        let trace = Trace::new(SiteId(7), false);
        let network = Network::new(Arc::clone(&socket), None, trace);
        let door = Door::new(Inside::new(site, network, 16));
        // It takes everything, and answers nothing.
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let target = Target::Port(IpcPort::site_at(nobody.local_addr().unwrap()));
        let ask = |patience| {
            let patience = Some(Duration::from_millis(patience));
            let flags = Flags::IDEMPOTENT;
            let request = Request { body: "x".into(), flags, patience, max_reply: 100 };
            door.enter(|inside| {
                inside.site.send_request(clock::now(), ProcessId(3), &target, request).unwrap()
            })
        };
        std::thread::scope(|scope| {
            scope.spawn(|| run(&door, &socket, &receive));
            let first = ask(20);
            ask(100);
            receive.sleep(None, None);
            door.enter(|inside| inside.site.cancel(clock::now(), first));
            // Receive's turn.
            door.enter(|inside| inside.read_burst(1));
            let long = Duration::from_secs(10);
            let before = clock::running();
            receive.sleep(None, Some(long));
            let waited = clock::running() - before;
            door.stop(Duration::ZERO);
            assert!(waited < long, "it is slept through");
        });
    }
}
