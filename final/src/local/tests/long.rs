//! Messages that go over in parts.

use std::collections::HashSet;

use bytes::Bytes;

use super::super::outbox::{Order, Outbox};
use super::super::parts::{Came, LONG_MAX, Message, Part, Parts};
use super::super::room::Room;
use super::super::{Channel, HEADER_MAX, MESSAGE_MAX};
use super::{each, shm, sysv};

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

fn part(number: u64, total: usize, bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    Part { number, total: total as u32 }.encode(&mut message);
    [&message[..], bytes].concat()
}

/// What a hostile side may claim: lengths that no message has, more at once than may be, more bytes than
/// a message has, none at all. It is refused before anything is held for it.
#[test]
fn what_cannot_be_is_refused() {
    let longest = BODY_MAX + HEADER_MAX;
    let wrong = |said: &[Vec<u8>]| {
        let (mut parts, mut room) = (Parts::new(0, BODY_MAX, MOST), Room::new(2 * MOST));
        let (last, before) = said.split_last().unwrap();
        for part in before {
            assert_eq!(parts.take(part, &mut room), Ok(Came::Part));
        }
        let claimed = parts.claimed();
        assert!(parts.take(last, &mut room).is_err());
        assert_eq!((parts.claimed(), room.held()), (claimed, claimed));
    };
    for total in [0, 1, MESSAGE_MAX, longest + 1, u32::MAX as usize] {
        wrong(&[part(1, total, b"x")]);
    }
    wrong(&[part(1, longest, b"")]);
    wrong(&[part(1, longest, b"x"), part(1, longest - 1, b"x")]);
    wrong(&[part(1, 9000, &[0; 8000]), part(1, 9000, &[0; 1001])]);
    let many = |count: usize, total| -> Vec<_> {
        (0..count as u64).map(|number| part(number, total, b"x")).collect()
    };
    wrong(&many(LONG_MAX + 1, 9000));
    wrong(&many(2, MOST / 2 + 1));
}

/// There is no room: the first part is shown, once; what follows is passed over, and when it is over
/// the next message may begin. What was not refused is not touched.
#[test]
fn what_has_no_room_is_passed_over() {
    let (mut parts, mut room) = (Parts::new(0, BODY_MAX, MOST), Room::new(60_000));
    assert_eq!(parts.take(&part(1, 20_000, &[1; 8000]), &mut room), Ok(Came::Part));
    let first = part(2, 20_000, &[2; 8000]);
    assert_eq!(parts.take(&first, &mut room), Ok(Came::Refused(&[2; 8000])));
    for _ in 0..2 {
        assert_eq!(parts.take(&part(2, 20_000, &[2; 6000]), &mut room), Ok(Came::Part));
    }
    assert_eq!(parts.take(&part(1, 20_000, &[1; 8000]), &mut room), Ok(Came::Part));
    let last = part(1, 20_000, &[1; 4000]);
    let whole = parts.take(&last, &mut room);
    assert!(matches!(whole, Ok(Came::Whole(Message::Long(whole))) if whole == vec![1; 20_000]));
    assert_eq!(room.held(), 0);
    // Called off, with room and without.
    assert_eq!(parts.take(&part(2, 20_000, &[2; 1]), &mut room), Ok(Came::Part));
    assert!(matches!(parts.take(&part(3, 20_000, &[3; 1]), &mut room), Ok(Came::Refused(_))));
    for number in [2, 3] {
        assert_eq!(parts.take(&part(number, 20_000, &[]), &mut room), Ok(Came::Part));
    }
    assert_eq!((parts.claimed(), room.held()), (0, 0));
}

/// Any parts in any order: nothing panics, and no more is held than may be.
#[test]
fn noise_in_parts_does_no_harm() {
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: u64| {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise % below
    };
    let (mut whole, mut refused, mut broken) = (0, 0, 0);
    for _ in 0..2000 {
        let (mut parts, mut room) = (Parts::new(0, 20_000, 50_000), Room::new(80_000));
        for _ in 0..100 {
            let number = draw(4);
            let total = match draw(50) {
                0 => draw(u64::from(u32::MAX)) as usize,
                _ => [9000, 12_000, 20_000, 15_000][number as usize],
            };
            let bytes = vec![0; [3000, draw(10) as usize, 8000][draw(3) as usize]];
            match parts.take(&part(number, total, &bytes), &mut room) {
                Ok(Came::Whole(_)) => whole += 1,
                Ok(Came::Refused(_)) => refused += 1,
                Ok(Came::Part) => {}
                Err(_) => broken += 1,
            }
            assert!(parts.claimed() <= 50_000);
            assert_eq!(parts.claimed(), room.held());
        }
    }
    assert!(whole > 100 && refused > 100 && broken > 100, "{whole} {refused} {broken}");
}

/// Messages that happen to begin as a part does not are whole; one that is cut within a part's head is
/// none that could be one.
#[test]
fn short_messages_are_themselves() {
    let (mut parts, mut room) = (Parts::new(0, BODY_MAX, MOST), Room::new(2 * MOST));
    let whole = part(1, 9000, b"x");
    for end in 0..16 {
        let came = parts.take(&whole[..end], &mut room);
        assert_eq!(came, Ok(Came::Whole(Message::Short(&whole[..end]))));
    }
    let (mut daemon, process) = shm();
    daemon.try_send(b"short", &[]).unwrap();
    assert_eq!(Receiver::new(process).receive().unwrap(), b"short");
}
