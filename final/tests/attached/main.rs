//! Programs at a site that the daemon plays: the same as at one of their own, and with a daemon that is
//! stopped, killed and restarted under them.

mod interface;
mod long;
mod restart;
mod robbed;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use unavez::Site;
use unavez::attached::{self, Kind};
use unavez::daemon::{Daemon, Options};
use unavez::protocol::Config;

const KINDS: [Kind; 2] = [Kind::Shm, Kind::Sysv];

/// How long anything may take on a busy machine.
const LONG: Duration = Duration::from_secs(20);

/// A daemon in this process, and its directory.
struct Host {
    daemon: Option<Daemon>,
    place: TempDir,
    /// How long what is asked may take, if not as usual.
    patience: Option<Duration>,
}

impl Host {
    fn new() -> Host {
        let mut host = Host { daemon: None, place: tempfile::tempdir().unwrap(), patience: None };
        host.start();
        host
    }

    fn start(&mut self) {
        let mut config = Config::lan();
        config.patience_default = self.patience.unwrap_or(config.patience_default);
        let options = Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            socket: Some(self.socket()),
            config,
            ..Options::new(self.place.path().join("state"))
        };
        self.daemon = Some(Daemon::start(options).unwrap());
    }

    fn stop(&mut self) {
        self.daemon = None;
    }

    fn socket(&self) -> PathBuf {
        self.place.path().join("unavezd.sock")
    }

    fn attach(&self, channel: Kind) -> Site {
        let options = attached::Options { socket: Some(self.socket()), channel };
        Site::attach_with(options).unwrap()
    }
}

fn until(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < end, "it does not come to hold");
        std::thread::sleep(Duration::from_millis(1));
    }
}
