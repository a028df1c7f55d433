//! Messages that go over in parts.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;

use super::super::control::{CONTROL_LEN, Lane};
use super::super::memory::Memory;
use super::super::outbox::{Order, Outbox};
use super::super::parts::{Came, LONG_MAX, Parts};
use super::super::room::Room;
use super::super::{Broken, Channel, HEADER_MAX, MESSAGE_MAX, Unsent, Way};
use super::{each, noise, sysv};

/// Bodies that the receiver of these tests takes, and how many bytes of messages.
const BODY_MAX: usize = 2 << 20;
const MOST: usize = 4 << 20;

/// One side that receives.
struct Receiver {
    channel: Box<dyn Channel>,
    parts: Parts,
    room: Room,
    buffer: Vec<u8>,
}

impl Receiver {
    fn new(channel: Box<dyn Channel>) -> Receiver {
        let (parts, room) = (Parts::new(0, BODY_MAX, MOST), Room::new(2 * MOST));
        Receiver { channel, parts, room, buffer: Vec::new() }
    }

    /// What comes next: `None` is nothing, an empty one a part of something.
    fn receive(&mut self) -> Option<Vec<u8>> {
        if !self.channel.try_receive(&mut self.buffer).unwrap() {
            return None;
        }
        match self.parts.take(&self.buffer, &mut self.room).unwrap() {
            Came::Whole(message) => Some(message.bytes().to_vec()),
            Came::Part => Some(Vec::new()),
            Came::Refused(_) => panic!("there is room"),
        }
    }

    /// All that the other side has to say, in the order in which it is whole.
    fn receive_all(&mut self, outbox: &mut Outbox) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            match self.receive() {
                Some(message) if message.is_empty() => {}
                Some(message) => all.push(message),
                None if outbox.waiting() == 0 => return all,
                None => drop(outbox.flush().unwrap()),
            }
        }
    }
}

/// The first byte says which it is.
fn body(which: u8, len: usize) -> Bytes {
    let mut bytes: Vec<u8> = (0..len).map(|at| (at * 7 / 5) as u8).collect();
    bytes[0] = which;
    bytes.into()
}

fn firsts(messages: &[Vec<u8>]) -> Vec<u8> {
    messages.iter().map(|message| message[0]).collect()
}

/// Of any length around what fits, through any channel, either way: it comes as it was.
#[test]
fn what_is_long_comes_as_it_was() {
    each(|(daemon, process)| {
        let (mut outbox, mut receiver) = (Outbox::new(daemon), Receiver::new(process));
        let part = MESSAGE_MAX - 16;
        let around = |len: usize| len - 2..=len + 2;
        let lengths = around(MESSAGE_MAX).chain(around(2 * part)).chain(around(3 * part));
        for len in lengths.chain([100_000, BODY_MAX]) {
            for head in [1, 7, HEADER_MAX] {
                let (head, body) = (body(1, head), body(2, len - head.min(len / 2)));
                outbox.push_all(&head, body.clone(), Order::Free).unwrap();
                let came = receiver.receive_all(&mut outbox);
                assert!(came == [[&head[..], &body].concat()], "{len} bytes");
            }
        }
        assert_eq!((receiver.parts.claimed(), receiver.room.held()), (0, 0));
    });
}

/// Long messages wait, of which one is much longer: a short one comes before any of them is whole, and
/// the shorter ones before the longest.
#[test]
fn nobody_waits_for_a_long_one() {
    each(|(daemon, process)| {
        let (mut outbox, mut receiver) = (Outbox::new(daemon), Receiver::new(process));
        for (which, len) in [(1, BODY_MAX), (2, 300_000), (3, 10_000)] {
            outbox.push_all(&[which], body(0, len), Order::Free).unwrap();
        }
        outbox.push(&[4]).unwrap();
        let before = (0..).take_while(|_| {
            let came = receiver.receive().unwrap_or_else(|| {
                outbox.flush().unwrap();
                Vec::new()
            });
            came != [4]
        });
        assert!(before.count() <= 10, "what the channel had");
        let came = receiver.receive_all(&mut outbox);
        assert_eq!(firsts(&came), [3, 2, 1]);
    });
}

/// As many long messages as will not fit the other side at once: they come all the same.
#[test]
fn no_more_are_under_way_than_was_agreed() {
    for (count, len) in [(3 * LONG_MAX, 9000), (10, BODY_MAX / 2)] {
        each(|(daemon, process)| {
            let (mut outbox, mut receiver) = (Outbox::new(daemon), Receiver::new(process));
            outbox.allow(MOST);
            for which in 0..count {
                outbox.push_all(&[which as u8], body(0, len), Order::Free).unwrap();
            }
            assert!(outbox.long_bytes() >= count * len - 64 * len.min(1024));
            let mut came = firsts(&receiver.receive_all(&mut outbox));
            came.sort_unstable();
            assert_eq!(came, (0..count as u8).collect::<Vec<_>>());
            assert_eq!(outbox.long_bytes(), 0);
        });
    }
}

/// What may not overtake does not; all else does.
#[test]
fn what_is_ordered_stays_so() {
    each(|(daemon, process)| {
        let (mut outbox, mut receiver) = (Outbox::new(daemon), Receiver::new(process));
        let mut say = |which: u8, len: usize, order| {
            outbox.push_all(&[which], body(0, len), order).unwrap();
        };
        say(1, BODY_MAX, Order::Free);
        say(2, 50, Order::Ordered);
        say(3, 300_000, Order::Ordered);
        say(4, 50, Order::Ordered);
        say(5, 20_000, Order::Ordered);
        say(6, 50, Order::Free);
        say(7, 50, Order::Last);
        say(8, 50, Order::Ordered);
        say(9, 50, Order::Free);
        assert_eq!(firsts(&receiver.receive_all(&mut outbox)), [2, 6, 9, 3, 4, 5, 1, 7, 8]);
    });
}

/// A message is taken back when nothing of it has left, when a part has, and when all has: the other
/// side never has it, but the last.
#[test]
fn what_is_taken_back_does_not_come() {
    each(|(daemon, process)| {
        let (mut outbox, mut receiver) = (Outbox::new(daemon), Receiver::new(process));
        for which in 1..=20 {
            let order = if which == 19 { Order::Last } else { Order::Free };
            outbox.push_all(&[which], body(0, 200_000), order).unwrap();
        }
        outbox.push(&[21]).unwrap();
        while receiver.receive().unwrap() != [21] {
            outbox.flush().unwrap();
        }
        // Some have begun, 18 waits for its turn, 19 for the others.
        for number in [1, 2, 18, 19] {
            assert!(outbox.take_back(number).is_some(), "{number}");
        }
        assert!(outbox.take_back(1).is_none_or(|done| done.is_ok()), "twice");
        let came = receiver.receive_all(&mut outbox);
        assert!(outbox.take_back(3).is_none());
        assert_eq!(came.len(), 16, "{:?}", firsts(&came));
        assert!(!firsts(&came).iter().any(|it| [1, 2, 18, 19].contains(it)));
        assert_eq!((receiver.parts.claimed(), receiver.room.held()), (0, 0));
        assert_eq!((outbox.waiting(), outbox.long_bytes()), (0, 0));
    });
}

/// The other side ends in the middle: what it has not taken to the last part, it has never acted on.
#[test]
fn what_was_not_taken_whole_is_known() {
    each(|(daemon, process)| {
        let mut outbox = Outbox::new(daemon).logged();
        let mut receiver = Receiver::new(process);
        outbox.push(&[1]).unwrap();
        outbox.push_all(&[2], body(0, 20_000), Order::Free).unwrap();
        outbox.push_all(&[3], body(0, 500_000), Order::Free).unwrap();
        outbox.push_all(&[4], Bytes::new(), Order::Last).unwrap();
        assert_eq!(outbox.untaken(), HashSet::from([1, 2, 3, 4]));
        let mut came = Vec::new();
        while came != [[1]] {
            came.extend(receiver.receive());
        }
        assert_eq!(outbox.untaken(), HashSet::from([2, 3, 4]));
        let mut whole = 0;
        while whole == 0 {
            outbox.flush().unwrap();
            whole = receiver.receive().unwrap().len();
        }
        assert_eq!((whole, outbox.untaken()), (20_001, HashSet::from([3, 4])));
        let last = receiver.receive_all(&mut outbox);
        assert_eq!((firsts(&last), outbox.untaken()), (vec![3, 4], HashSet::new()));
    });
}

/// The queue is gone when something is put into it: the other side has never acted on that.
#[test]
fn what_cannot_leave_was_not_taken() {
    let state = tempfile::tempdir().unwrap();
    let (daemon, process) = sysv(state.path());
    let mut outbox = Outbox::new(process).logged();
    let mut receiver = Receiver::new(daemon);
    outbox.push(&[1]).unwrap();
    assert_eq!(receiver.receive(), Some(vec![1]));
    outbox.channel().remove();
    assert!(outbox.push(&[2]).is_err());
    assert_eq!(outbox.untaken(), HashSet::from([2]));
    // It is not tried again without end.
    assert_eq!(outbox.flush(), Ok(false));
}

/// Two threads that sleep whenever they may, one says long and short messages in turn: each comes once,
/// and nobody sleeps for ever.
#[test]
fn nobody_sleeps_through_a_part() {
    each(|(daemon, process)| {
        let (at_writer, at_reader) = super::bells();
        let writer = std::thread::spawn(move || {
            let mut outbox = Outbox::new(process);
            for number in 0..3000_u32 {
                let len = if number % 10 == 0 { 20_000 } else { 1 };
                let head = number.to_be_bytes();
                if outbox.push_all(&head, vec![1; len].into(), Order::Free).unwrap() {
                    at_reader.ring();
                }
                let most = if number == 2999 { 0 } else { 30 };
                while outbox.waiting() > most {
                    at_reader.sleep(None);
                    if outbox.flush().unwrap() {
                        at_reader.ring();
                    }
                }
            }
        });
        let (mut receiver, mut came) = (Receiver::new(daemon), HashSet::new());
        while came.len() < 3000 {
            receiver.channel.woke();
            while let Some(message) = receiver.receive() {
                assert!(message.is_empty() || came.insert(message[..4].to_vec()), "twice");
            }
            if receiver.channel.freed() {
                at_writer.ring();
            }
            if came.len() < 3000 && receiver.channel.may_sleep().unwrap() {
                at_writer.sleep(None);
            }
        }
        writer.join().unwrap();
    });
}

/// A channel that has so many bytes of room, and notes what was last tried.
#[derive(Debug)]
struct Narrow {
    room: Arc<AtomicUsize>,
    was_full: Arc<AtomicBool>,
}

impl Channel for Narrow {
    fn try_send(&mut self, head: &[u8], body: &[u8]) -> Result<bool, Unsent> {
        let left = self.room.load(Relaxed).checked_sub(head.len() + body.len());
        self.was_full.store(left.is_none(), Relaxed);
        self.room.store(left.ok_or(Unsent::Full)?, Relaxed);
        Ok(false)
    }

    fn try_receive(&mut self, _: &mut Vec<u8>) -> Result<bool, Broken> {
        Ok(false)
    }

    fn freed(&mut self) -> bool {
        false
    }

    fn may_sleep(&mut self) -> Result<bool, Broken> {
        Ok(true)
    }

    fn may_sleep_on_word(&mut self) -> Result<bool, Broken> {
        Ok(true)
    }

    fn lane(&self) -> Lane<Arc<Memory>> {
        let (memory, _) = Memory::make(CONTROL_LEN).unwrap();
        Lane::new(Arc::new(memory), Way::Up)
    }

    fn woke(&mut self) {}

    fn taken(&self) -> u64 {
        0
    }
}

/// Whatever is said, and whenever there is room: as long as something waits, what was tried last was
/// refused. So the other side knows that somebody waits, and rings.
#[test]
fn whoever_waits_has_asked_for_room() {
    let (room, was_full) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let narrow = Narrow { room: Arc::clone(&room), was_full: Arc::clone(&was_full) };
    let mut outbox = Outbox::new(Box::new(narrow));
    let mut noise = noise();
    let mut waited = 0;
    for number in 1..20_000 {
        let more = room.load(Relaxed) + noise(7000) as usize;
        room.store(more.min(20_000), Relaxed);
        let order = [Order::Free, Order::Free, Order::Ordered, Order::Last][noise(4) as usize];
        match noise(8) {
            0 => drop(outbox.push_all(&[1], body(1, 9000 + noise(30_000) as usize), order)),
            1..5 => drop(outbox.push_all(&[1], body(1, 1 + noise(500) as usize), order)),
            5 => drop(outbox.take_back(number - noise(50).min(number))),
            _ => drop(outbox.flush()),
        }
        assert!(outbox.waiting() == 0 || was_full.load(Relaxed), "{number}");
        waited += u32::from(outbox.waiting() > 0);
    }
    assert!(waited > 1000, "{waited}");
}
