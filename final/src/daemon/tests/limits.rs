use super::Host;
use crate::local::Kind;
use crate::local::message::{Answer, Ended, Up};
use crate::protocol::{SendError, Target};

/// More ports than a process may have; the ones that it has stay.
#[test]
fn ports_are_limited() {
    let host = Host::new();
    let mut process = host.attach(Kind::Shm);
    for serial in 0..super::super::limits::PORTS_MAX as u64 {
        process.say(&Up::OpenPort { serial }, &[]);
        assert!(matches!(process.hear_answer(serial), Answer::Opened(_)));
    }
    process.say(&Up::OpenPort { serial: 9999 }, &[]);
    assert_eq!(process.hear_answer(9999), Answer::Refused(SendError::TooManyPorts));
}

/// More open calls than a process may have: the next is not sent, and said so.
#[test]
fn calls_are_limited() {
    let host = Host::with(|options| options.process_calls_max = 100);
    let mut process = host.attach(Kind::Shm);
    let port = process.serve("slow");
    let target = Target::Port(process.name_of(port));
    let most = u64::from(process.it.welcome.terms.calls_max);
    for call in 0..=most {
        process.ask(call, target.clone(), b"");
    }
    loop {
        match process.hear() {
            (super::Down::Request { .. }, _) => {}
            (super::Down::End { call, ended }, _) => {
                assert_eq!((call, ended), (most, Ended::NotSent(SendError::TooManyCalls)));
                return;
            }
            (other, _) => panic!("{other:?}"),
        }
    }
}
