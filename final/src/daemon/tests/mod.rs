//! A daemon in this process, on a socket of its own, and processes that say what they want.

mod calls;
mod half;
mod hostile;
mod library;
mod limits;
mod lives;
mod long;
mod look;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;

use super::{Daemon, Options};
use crate::clock;
use crate::local::Kind;
use crate::local::attach::{Attachment, attach};
use crate::local::bell::Heard;
use crate::local::message::{Answer, Down, Ended, PatienceEnds, Up, patience_ends};
use crate::local::parts::{Came, Parts};
use crate::local::room::Room;
use crate::protocol::{BODY_MAX, Config, Flags, IpcPort, ServerId, ServerPort, Target};

/// How long anything may take on a busy machine.
const LONG: Duration = Duration::from_secs(20);

/// A daemon and its directory.
struct Host {
    daemon: Option<Daemon>,
    place: TempDir,
}

impl Host {
    fn new() -> Host {
        Host::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Options)) -> Host {
        let place = tempfile::tempdir().unwrap();
        let mut host = Host { daemon: None, place };
        host.start(change);
        host
    }

    /// Its processes may say more than the protocol takes.
    fn with_bodies(body_max: usize, change: impl FnOnce(&mut Options)) -> Host {
        let mut host = Host { daemon: None, place: tempfile::tempdir().unwrap() };
        let mut options = host.options();
        options.config.message_max = BODY_MAX;
        change(&mut options);
        host.daemon = Some(Daemon::start_with(options, body_max).unwrap());
        host
    }

    fn start(&mut self, change: impl FnOnce(&mut Options)) {
        let mut options = self.options();
        change(&mut options);
        self.daemon = Some(Daemon::start(options).unwrap());
    }

    fn options(&self) -> Options {
        Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            socket: Some(self.socket()),
            config: Config::lan(),
            ..Options::new(self.place.path().join("state"))
        }
    }

    fn socket(&self) -> PathBuf {
        self.place.path().join("unavezd.sock")
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    fn attach(&self, kind: Kind) -> Client {
        let mut it = attach(&self.socket(), kind).unwrap();
        let terms = it.welcome.terms;
        let (body_max, most) = (terms.message_max as usize, terms.long_bytes_max as usize);
        it.outbox.allow(most);
        Client { it, parts: Parts::new(0, body_max, most), buffer: Vec::new() }
    }

    /// Waits until so many processes are attached.
    fn wait_for(&self, processes: usize) {
        until(|| self.daemon().processes() == processes);
    }
}

fn until(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < end, "it does not come to hold");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A process, as the library will be one: it says and hears single messages.
struct Client {
    it: Attachment,
    parts: Parts,
    buffer: Vec<u8>,
}

impl Client {
    fn say(&mut self, up: &Up, body: &[u8]) {
        up.encode(&[], &mut self.buffer);
        let body = Bytes::copy_from_slice(body);
        let ring = self.it.outbox.push_all(&self.buffer, body, up.order()).unwrap();
        if ring {
            self.it.bell.ring();
        }
    }

    /// The next message, if one comes within this time.
    fn hear_for(&mut self, so_long: Duration) -> Option<(Down, Vec<u8>)> {
        let end = Instant::now() + so_long;
        loop {
            if self.it.outbox.channel().try_receive(&mut self.buffer).unwrap() {
                if self.it.outbox.channel().freed() {
                    self.it.bell.ring();
                }
                let came = self.parts.take(&self.buffer, &mut Room::new(usize::MAX)).unwrap();
                let Came::Whole(message) = came else { continue };
                let (down, body) = Down::decode(message.bytes()).unwrap();
                return Some((down, body.to_vec()));
            }
            if self.it.outbox.flush().unwrap() {
                self.it.bell.ring();
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            if self.it.outbox.channel().may_sleep().unwrap() {
                if self.it.bell.sleep(Some(left)) == Heard::End {
                    return None;
                }
                self.it.outbox.channel().woke();
            }
        }
    }

    fn hear(&mut self) -> (Down, Vec<u8>) {
        self.hear_for(LONG).expect("the daemon says something")
    }

    /// Whether the daemon has let it go.
    fn is_let_go(&mut self) -> bool {
        let end = Instant::now() + LONG;
        while Instant::now() < end {
            match self.it.bell.sleep(Some(Duration::from_millis(100))) {
                Heard::End => return true,
                _ => {
                    while matches!(self.it.outbox.channel().try_receive(&mut self.buffer), Ok(true))
                    {
                    }
                }
            }
        }
        false
    }

    fn ask(&mut self, call: u64, target: Target, body: &[u8]) {
        self.ask_with(call, target, body, Flags::NONE, in_ten_seconds());
    }

    fn ask_with(
        &mut self,
        call: u64,
        target: Target,
        body: &[u8],
        flags: Flags,
        patience_ends: PatienceEnds,
    ) {
        self.say(&Up::Ask { call, target, flags, patience_ends, max_reply: 100_000 }, body);
    }

    /// How the next call ends.
    fn hear_end(&mut self) -> (u64, Ended, Vec<u8>) {
        match self.hear() {
            (Down::End { call, ended }, body) => (call, ended, body),
            (other, _) => panic!("{other:?}"),
        }
    }

    fn hear_answer(&mut self, to: u64) -> Answer {
        match self.hear() {
            (Down::Answer { serial, answer }, _) if serial == to => answer,
            (other, _) => panic!("{other:?}"),
        }
    }

    /// Opens a port, registers a name for it, and may be handed one request.
    fn serve(&mut self, name: &str) -> ServerPort {
        self.say(&Up::OpenPort { serial: 1 }, &[]);
        let Answer::Opened(port) = self.hear_answer(1) else { panic!("it is not opened") };
        self.say(&Up::Register { serial: 2, port, name: name.into() }, &[]);
        assert_eq!(self.hear_answer(2), Answer::Done);
        self.say(&Up::Take { port }, &[]);
        port
    }

    /// The next request is answered with itself.
    fn echo(&mut self) {
        match self.hear() {
            (Down::Request { port, call, .. }, body) => {
                self.say(&Up::Reply { serial: 0, port, call, renew: true }, &body);
            }
            (other, _) => panic!("{other:?}"),
        }
    }

    /// A port of it, as others name it.
    fn name_of(&self, port: ServerPort) -> IpcPort {
        let (site, epoch) = (self.it.welcome.site, self.it.welcome.epoch);
        let address = self.it.welcome.address;
        IpcPort { address, server: ServerId { site, epoch, port } }
    }
}

fn in_ten_seconds() -> PatienceEnds {
    patience_ends(clock::now().boot, Some(Duration::from_secs(10)))
}
