//! The lossy link on real sockets.

use std::net::UdpSocket;
use std::time::Duration;

use lab::lossy::{LinkArgs, Lossy, Share};

/// Sends datagrams 1 to 50 by the link, and gives those that arrive until 0 does. What is held back
/// comes after 0, so then it gives the first 49: nobody says when all has come.
fn received(args: LinkArgs) -> Vec<u8> {
    let [from, to] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let address = to.local_addr().unwrap();
    let delay = args.delay;
    let mut link = Lossy::new(&from, args, 0).unwrap();
    for number in 1..=50 {
        link.send_to(&[number], address);
    }
    if delay == Duration::ZERO {
        from.send_to(&[0], address).unwrap();
    }
    to.set_read_timeout(Some(Duration::from_secs(2) + delay)).unwrap();
    let mut buffer = [0; 1];
    let mut numbers = Vec::new();
    while to.recv(&mut buffer).is_ok()
        && buffer[0] != 0
        && (delay == Duration::ZERO || numbers.len() < 49)
    {
        numbers.push(buffer[0]);
    }
    numbers
}

#[test]
fn without_faults_everything_arrives_once() {
    assert_eq!(received(LinkArgs::default()), (1..=50).collect::<Vec<_>>());
}

#[test]
fn exactly_the_dropped_ones_are_lost() {
    let numbers = received(LinkArgs { drop: vec![1, 3], ..LinkArgs::default() });
    let expected: Vec<u8> = (1..=50).filter(|number| ![1, 3].contains(number)).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn a_seed_decides_what_is_lost_and_doubled() {
    let args =
        |seed| LinkArgs { loss: Share(0.3), duplicate: Share(0.2), seed, ..LinkArgs::default() };
    let numbers = received(args(1));
    assert_eq!(numbers, received(args(1)));
    assert_ne!(numbers, received(args(2)));
    assert!((1..=50).any(|number| !numbers.contains(&number)), "some are lost");
    assert!(numbers.windows(2).any(|pair| pair[0] == pair[1]), "some are doubled");
}

#[test]
fn what_is_held_back_arrives_in_another_order() {
    let numbers = received(LinkArgs { delay: Duration::from_millis(20), ..LinkArgs::default() });
    let mut sorted = numbers.clone();
    sorted.sort();
    assert_eq!(numbers.len(), 49);
    assert_ne!(numbers, sorted);
}

#[test]
fn shares_are_numbers_or_percentages() {
    assert_eq!("0.3".parse(), Ok(Share(0.3)));
    assert_eq!("30%".parse(), Ok(Share(0.3)));
    for wrong in ["", "2", "-1", "101%", "%", "NaN", "a"] {
        assert!(wrong.parse::<Share>().is_err(), "{wrong}");
    }
}
