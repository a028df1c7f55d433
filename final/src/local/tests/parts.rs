//! What a hostile side may say in parts.

use super::super::parts::{Came, LONG_MAX, Message, Part, Parts};
use super::super::room::Room;
use super::super::{HEADER_MAX, MESSAGE_MAX};
use super::noise;

/// Bodies that are taken in these tests, and how many bytes of messages.
const BODY_MAX: usize = 2 << 20;
const MOST: usize = 4 << 20;

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
    let mut draw = noise();
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
}
