use std::thread;

use super::super::outbox::Outbox;
use super::super::{Channel, MESSAGE_MAX, Unsent};
use super::{bells, each};

/// Every length, so that the ring's end falls everywhere into messages, from both sides.
#[test]
fn what_is_sent_is_received() {
    each(|(mut daemon, mut process)| {
        let mut buffer = Vec::new();
        for len in (0..=MESSAGE_MAX).chain((0..=MESSAGE_MAX).rev()) {
            let message: Vec<u8> = (0..len).map(|at| (at ^ len) as u8).collect();
            daemon.try_send(&message, &[]).unwrap();
            assert!(process.try_receive(&mut buffer).unwrap());
            assert_eq!(buffer, message);
            process.try_send(&message, &[]).unwrap();
            assert!(daemon.try_receive(&mut buffer).unwrap());
            assert_eq!(buffer, message);
        }
        assert!(!process.try_receive(&mut buffer).unwrap());
    });
}

/// A message of two halves, cut anywhere: it comes as one.
#[test]
fn two_halves_are_one_message() {
    each(|(mut daemon, mut process)| {
        let mut buffer = Vec::new();
        for len in [0, 1, 7, 8, 9, 16, 23, 24, 100] {
            let message: Vec<u8> = (1..=len).collect();
            for at in 0..=message.len() {
                let (head, body) = message.split_at(at);
                daemon.try_send(head, body).unwrap();
                assert!(process.try_receive(&mut buffer).unwrap());
                assert_eq!(buffer, message, "cut at {at}");
            }
        }
        let half = [7; MESSAGE_MAX / 2 + 1];
        assert!(matches!(daemon.try_send(&half, &half), Err(Unsent::Broken(_))));
    });
}

/// More than fits is not sent, whole messages are, and what was sent comes in order.
#[test]
fn what_does_not_fit_is_not_begun() {
    each(|(mut daemon, mut process)| {
        let (mut buffer, mut sent) = (Vec::new(), 0_u32);
        while process.try_send(&[sent as u8; 1000], &[]).is_ok() {
            sent += 1;
        }
        assert!(sent > 4, "{sent}");
        assert_eq!(process.try_send(&[0; 1000], &[]), Err(Unsent::Full));
        let mut freed = Vec::new();
        for number in 0..sent {
            assert_eq!(process.taken(), u64::from(number));
            assert!(daemon.try_receive(&mut buffer).unwrap());
            assert_eq!(buffer, [number as u8; 1000]);
            freed.extend(daemon.freed().then_some(number));
        }
        assert_eq!(process.taken(), u64::from(sent));
        assert!(!daemon.try_receive(&mut buffer).unwrap());
        // It was told that there is no room: it is rung once, and not for one message.
        assert!(freed.len() == 1 && freed[0] + 1 >= sent / 2, "{freed:?} of {sent}");
        assert!(!daemon.freed());
    });
}

/// A message longer than any may be is not sent.
#[test]
fn too_long_is_refused() {
    each(|(mut daemon, _process)| {
        let sent = daemon.try_send(&[0; MESSAGE_MAX + 1], &[]);
        assert!(matches!(sent, Err(Unsent::Broken(_))));
    });
}

/// Only a side that sleeps is rung, and once.
#[test]
fn who_is_awake_is_not_rung() {
    each(|(mut daemon, mut process)| {
        assert_eq!(daemon.try_send(b"awake", &[]), Ok(false));
        assert_eq!(process.may_sleep(), Ok(false));
        assert!(process.try_receive(&mut Vec::new()).unwrap());
        assert_eq!(process.may_sleep(), Ok(true));
        assert_eq!(daemon.try_send(b"asleep", &[]), Ok(true));
        assert_eq!(daemon.try_send(b"woken", &[]), Ok(false));
        process.woke();
        assert_eq!(process.may_sleep(), Ok(false));
    });
}

/// The process is gone: what it has said is all there to read (R28), and then nothing.
#[test]
fn what_was_said_before_the_end_is_heard() {
    each(|(mut daemon, mut process)| {
        process.try_send(b"last words", &[]).unwrap();
        drop(process);
        let mut buffer = Vec::new();
        assert!(daemon.try_receive(&mut buffer).unwrap());
        assert_eq!(buffer, b"last words");
        assert!(!daemon.try_receive(&mut buffer).unwrap());
    });
}

/// What does not fit waits in order, and leaves when there is room.
#[test]
fn nothing_overtakes_what_waits() {
    each(|(daemon, mut process)| {
        let (mut outbox, mut buffer) = (Outbox::new(daemon), Vec::new());
        for number in 0..500_u32 {
            outbox.push(&[&number.to_be_bytes()[..], &[0; 996]].concat()).unwrap();
        }
        assert!(outbox.waiting() > 400);
        assert_eq!(outbox.pushed(), 500);
        for number in 0..500_u32 {
            if !process.try_receive(&mut buffer).unwrap() {
                assert!(process.freed(), "it waits for room");
                outbox.flush().unwrap();
                assert!(process.try_receive(&mut buffer).unwrap());
            }
            assert_eq!(buffer[..4], number.to_be_bytes());
        }
        assert_eq!(outbox.waiting(), 0);
    });
}

/// Two threads that sleep whenever they may, for a hundred thousand messages: none is lost, none comes
/// twice, and nobody sleeps for ever.
#[test]
fn nobody_sleeps_through_a_message() {
    each(|(daemon, process)| {
        let (rings_writer, rings_reader) = bells();
        let writer = thread::spawn(move || {
            let mut outbox = Outbox::new(process);
            for number in 0..100_000_u64 {
                let len = (number % 300) as usize;
                let message = [&number.to_be_bytes()[..], &[7; 300][..len]].concat();
                if outbox.push(&message).unwrap() {
                    rings_reader.ring();
                }
                while outbox.waiting() > 0 {
                    rings_reader.sleep(None);
                    if outbox.flush().unwrap() {
                        rings_reader.ring();
                    }
                }
            }
        });
        read_all(daemon, &rings_writer, 100_000);
        writer.join().unwrap();
    });
}

fn read_all(mut channel: Box<dyn Channel>, bell: &super::Bell, count: u64) {
    let (mut buffer, mut next) = (Vec::new(), 0);
    while next < count {
        channel.woke();
        while channel.try_receive(&mut buffer).unwrap() {
            assert_eq!(buffer[..8], next.to_be_bytes());
            assert_eq!(buffer.len() as u64, 8 + next % 300);
            next += 1;
        }
        if channel.freed() {
            bell.ring();
        }
        if next < count && channel.may_sleep().unwrap() {
            bell.sleep(None);
        }
    }
}
