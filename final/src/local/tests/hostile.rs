use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::unistd::Uid;

use super::super::control::{CONTROL_LEN, Lane};
use super::super::memory::Memory;
use super::super::queues::Queues;
use super::super::ring::{Place, Reader, Writer};
use super::super::sysv::Queue;
use super::super::{Channel, MESSAGE_MAX, Unsent, Way, noted};
use super::{NOBODY, as_nobody};

const LEN: usize = 1024;
const PLACE: Place = Place { start: CONTROL_LEN, len: LEN };

/// A ring of which the test is the other side, with its hands on every word.
fn ring() -> (Arc<Memory>, Lane<Arc<Memory>>) {
    let (memory, _) = Memory::make(CONTROL_LEN + LEN).unwrap();
    let memory = Arc::new(memory);
    (Arc::clone(&memory), Lane::new(memory, Way::Up))
}

/// Numbers that a hostile side may write where a count or a length belongs.
fn numbers() -> impl Iterator<Item = u64> {
    let near = [0, 1, 7, 8, LEN as u64, MESSAGE_MAX as u64, 1 << 16, 1 << 32, 1 << 63];
    let around = near.into_iter().flat_map(|it| [it.wrapping_sub(1), it, it.wrapping_add(1)]);
    around.chain([u64::MAX - 7, u64::MAX])
}

/// The writer's count is any number: the reader refuses what cannot be, and reads no more than the ring
/// holds of what can.
#[test]
fn any_tail_is_refused_or_harmless() {
    for tail in numbers() {
        let (_, lane) = ring();
        let mut reader = Reader::new(lane.clone(), PLACE);
        lane.tail().store(tail, Ordering::Release);
        let mut buffer = Vec::new();
        let mut received = 0;
        let end = loop {
            match reader.try_receive(&mut buffer) {
                Ok(true) => received += 1,
                other => break other,
            }
        };
        // All lengths in it are 0: each message is one word.
        let expected = if tail <= LEN as u64 { Ok(false) } else { end };
        assert_eq!((end, received), (expected, if end.is_ok() { tail } else { 0 }));
        assert_eq!(end.is_err(), tail > LEN as u64, "tail {tail}");
    }
}

/// The writer's count goes back after it was read.
#[test]
fn a_tail_that_goes_back_is_refused() {
    let (_, lane) = ring();
    let mut reader = Reader::new(lane.clone(), PLACE);
    lane.tail().store(5, Ordering::Release);
    let mut buffer = Vec::new();
    while reader.try_receive(&mut buffer).unwrap() {}
    lane.tail().store(4, Ordering::Release);
    assert!(reader.try_receive(&mut buffer).is_err());
    assert!(reader.may_sleep().is_err());
}

/// A length is any number: nothing is allocated, nothing beyond what was written is read.
#[test]
fn any_length_is_refused_or_harmless() {
    for len in numbers() {
        for there in [1, 2, 10, LEN as u64] {
            let (_, lane) = ring();
            let mut reader = Reader::new(lane.clone(), PLACE);
            lane.at(PLACE.start).store(len, Ordering::Relaxed);
            lane.tail().store(there, Ordering::Release);
            let mut buffer = Vec::new();
            let came = reader.try_receive(&mut buffer);
            let fits = len <= MESSAGE_MAX as u64 && len.div_ceil(8) < there;
            assert_eq!(came.is_ok(), fits, "{len} bytes in {there} words");
            assert!(buffer.capacity() <= 2 * MESSAGE_MAX);
        }
    }
}

/// The reader's count is any number: the writer refuses what cannot be, and never writes outside.
#[test]
fn any_head_is_refused_or_harmless() {
    for head in numbers() {
        let (_, lane) = ring();
        let mut writer = Writer::new(lane.clone(), PLACE);
        while writer.try_send(&[1; 100], &[]).is_ok() {}
        lane.head().store(head, Ordering::Release);
        let sent = writer.try_send(&[1; 100], &[]);
        let written = lane.tail().load(Ordering::Acquire);
        match sent {
            Err(Unsent::Broken(_)) => assert!(head > written),
            Err(Unsent::Full) => assert!(head < 14),
            Ok(_) => assert!(head <= written),
        }
    }
}

/// The reader's count goes back after it was seen.
#[test]
fn a_head_that_goes_back_is_refused() {
    let (_, lane) = ring();
    let mut writer = Writer::new(lane.clone(), PLACE);
    while writer.try_send(&[1; 100], &[]).is_ok() {}
    lane.head().store(14, Ordering::Release);
    writer.try_send(&[1; 100], &[]).unwrap();
    lane.head().store(13, Ordering::Release);
    assert!(matches!(writer.try_send(&[1; 100], &[]), Err(Unsent::Broken(_))));
}

/// All words are noise, again and again.
#[test]
fn noise_does_no_harm() {
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..500 {
        let (memory, lane) = ring();
        let mut reader = Reader::new(lane.clone(), PLACE);
        let mut writer = Writer::new(lane, PLACE);
        for word in memory.iter() {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            word.store(noise >> (noise % 64), Ordering::Relaxed);
        }
        let mut buffer = Vec::new();
        for _ in 0..LEN {
            let _ = reader.try_receive(&mut buffer);
            let _ = writer.try_send(&buffer, &[]);
            let _ = (reader.may_sleep(), reader.freed(), writer.taken());
        }
    }
}

/// The process removes its queues under the daemon's hands.
#[test]
fn queues_that_are_removed_break_the_channel() {
    let state = tempfile::tempdir().unwrap();
    noted::clean(state.path()).unwrap();
    let me = Uid::effective().as_raw();
    let (mut daemon, memory, names) = Queues::make(state.path(), me).unwrap();
    let mut process = Queues::open(&memory, names).unwrap();
    process.try_send(b"x", &[]).unwrap();
    process.remove();
    assert!(process.try_send(b"x", &[]).is_err());
    assert!(daemon.try_receive(&mut Vec::new()).is_err());
    assert!(matches!(daemon.try_send(b"x", &[]), Err(Unsent::Broken(_))));
}

/// A longer message than any may be lies in a queue: the channel is broken, not the daemon.
#[test]
fn a_long_message_in_a_queue_breaks_the_channel() {
    let state = tempfile::tempdir().unwrap();
    noted::clean(state.path()).unwrap();
    let me = Uid::effective().as_raw();
    let (mut daemon, memory, names) = Queues::make(state.path(), me).unwrap();
    let lane = Lane::new(Arc::new(Memory::open(&memory, CONTROL_LEN).unwrap()), Way::Up);
    assert!(Queue::of_id(names[0].id).try_send(&[0; MESSAGE_MAX + 1], &[]).unwrap());
    assert_eq!(daemon.try_receive(&mut Vec::new()), Ok(false), "it was not said to be there");
    lane.tail().store(1, Ordering::Release);
    assert!(daemon.try_receive(&mut Vec::new()).is_err());
}

/// The process says that it has sent any number of messages, and has not.
#[test]
fn messages_that_are_not_there_break_the_channel() {
    let state = tempfile::tempdir().unwrap();
    noted::clean(state.path()).unwrap();
    let me = Uid::effective().as_raw();
    for count in numbers().filter(|count| *count > 0) {
        let (mut daemon, memory, _) = Queues::make(state.path(), me).unwrap();
        let lane = Lane::new(Arc::new(Memory::open(&memory, CONTROL_LEN).unwrap()), Way::Up);
        lane.tail().store(count, Ordering::Release);
        assert_eq!(daemon.may_sleep(), Ok(false));
        assert!(daemon.try_receive(&mut Vec::new()).is_err());
    }
}

/// Queues of another user: they can be neither read nor written, nor removed; the user whose they are
/// can do all of it, and the daemon, too.
#[test]
fn another_users_queues_are_closed() {
    let state = tempfile::tempdir().unwrap();
    noted::clean(state.path()).unwrap();
    let (mut mine, _memory, [up, down]) =
        Queues::make(state.path(), Uid::effective().as_raw()).unwrap();
    mine.try_send(b"secret", &[]).unwrap();
    let shut_out = as_nobody(|| {
        let (up, down) = (Queue::of_id(up.id), Queue::of_id(down.id));
        Ok(down.try_receive(&mut Vec::new()).is_err()
            && up.try_send(b"forged", &[]).is_err()
            && down.status().is_err()
            && down.remove().is_err()
            && Queue::find(1).is_err())
    });
    assert_ne!(shut_out, Some(false));

    let (mut theirs, memory, names) = Queues::make(state.path(), NOBODY).unwrap();
    theirs.try_send(b"hello", &[]).unwrap();
    let let_in = as_nobody(|| {
        let mut channel = Queues::open(&memory, names)?;
        let mut buffer = Vec::new();
        let heard = channel.try_receive(&mut buffer) == Ok(true) && buffer == b"hello";
        Ok(heard && channel.try_send(b"hello back", &[]).is_ok())
    });
    assert_ne!(let_in, Some(false));
    if let_in.is_some() {
        let mut buffer = Vec::new();
        assert_eq!(theirs.try_receive(&mut buffer), Ok(true));
        assert_eq!(buffer, b"hello back");
    }
}
