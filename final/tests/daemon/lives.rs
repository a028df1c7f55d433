//! A daemon and its processes that are killed or stopped, for real.

use std::fs::{self, DirEntry};
use std::io;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use unavez::attached::{Kind, Options};
use unavez::protocol::Unknown;
use unavez::{CallError, Conclusion, IpcClient, IpcServer, RawMsg, Site, SiteError};

use super::program::Program;
use super::{LONG, Place, entries, until};

fn attach(place: &Place, channel: Kind) -> Site {
    Site::attach_with(Options { socket: Some(place.socket()), channel }).unwrap()
}

fn upper(site: &Site) -> IpcClient {
    IpcClient::open(site, &format!("unavez://{}/upper", site.address())).unwrap()
}

fn within(patience: Duration) -> RawMsg {
    RawMsg::from("hello").timeout(patience)
}

/// All its threads have stopped: it does nothing more.
fn stop(pid: u32) {
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGSTOP).unwrap();
    let is_stopped = |task: io::Result<DirEntry>| {
        let stat = fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
        stat.rsplit(") ").next().unwrap().starts_with('T')
    };
    until(|| fs::read_dir(format!("/proc/{pid}/task")).unwrap().all(is_stopped));
}

/// The daemon is killed with a call in hand, and queues are left in the kernel. It is started again:
/// those queues are gone; the call has ended as unknown; and the server, for which nobody did anything,
/// is found by its name.
#[test]
fn a_killed_daemon_is_replaced_under_its_programs() {
    let place = Place::new();
    let mut first = place.start(&["--log", "error"]);
    let mut program = Program::start(&place, true, "serve");
    program.line();
    let (site, slow) = (attach(&place, Kind::Sysv), attach(&place, Kind::Sysv));
    let server = IpcServer::new(&slow).unwrap();
    let client = IpcClient::new(&site, server.port());
    let id = client.send_request(within(LONG)).unwrap();
    let (_, request) = server.receive_request().unwrap();

    first.signal(Signal::SIGKILL);
    let error = client.receive_reply_of(id).unwrap_err();
    assert_eq!(error, CallError::Site(SiteError::Restarted));
    assert_eq!(error.conclude(), Conclusion::Unknown);
    until(|| server.is_cancelled(&request));
    assert_eq!(entries(&place.state().join("queues")), 4);

    let epoch = site.epoch();
    let _second = place.start(&["--log", "error"]);
    until(|| site.epoch() != epoch && slow.epoch() == site.epoch());
    until(|| upper(&site).call(within(LONG)).is_ok_and(|reply| reply.body() == "HELLO"));
    until(|| entries(&place.state().join("queues")) == 4);
}

/// A server process is killed and started again: a client that knows its name needs to know nothing else.
#[test]
fn a_server_that_comes_back_is_found_by_its_name() {
    let place = Place::new();
    let _daemon = place.start(&["--log", "error"]);
    let upper = upper(&attach(&place, Kind::Shm));
    for _ in 0..3 {
        let mut program = Program::start(&place, true, "serve");
        program.line();
        until(|| upper.call(within(LONG)).is_ok_and(|reply| reply.body() == "HELLO"));
    }
}

/// A server process is stopped in the middle of its work. Who calls it waits as long as it has said, and
/// is told that it may have run; others at the same daemon are served. It goes on, and serves.
#[test]
fn a_stopped_server_stops_only_its_own_calls() {
    let place = Place::new();
    let _daemon = place.start(&["--log", "error"]);
    let mut program = Program::start(&place, true, "serve");
    program.line();
    let site = attach(&place, Kind::Shm);
    let upper = upper(&site);
    assert_eq!(upper.call(within(LONG)).unwrap().body(), "HELLO");
    stop(program.pid());
    let error = upper.call(within(Duration::from_millis(300))).unwrap_err();
    assert_eq!(error.conclude(), Conclusion::Unknown, "{error}");

    let other = IpcServer::new(&site).unwrap();
    let client = IpcClient::new(&attach(&place, Kind::Sysv), other.port());
    let id = client.send_request(within(LONG)).unwrap();
    let (request, from) = other.receive_request().unwrap();
    other.send_reply(request, from).unwrap();
    assert_eq!(client.receive_reply_of(id).unwrap().body(), "hello");

    program.signal(Signal::SIGCONT);
    assert_eq!(upper.call(within(LONG)).unwrap().body(), "HELLO");
}

/// The daemon is stopped: a call ends all the same, by the clock of its own process, soon after its
/// patience. The daemon goes on, and so does everything.
#[test]
fn a_stopped_daemon_holds_nobody_for_ever() {
    let place = Place::new();
    let daemon = place.start(&["--log", "error"]);
    let mut program = Program::start(&place, true, "serve");
    program.line();
    let site = attach(&place, Kind::Shm);
    let upper = upper(&site);
    assert_eq!(upper.call(within(LONG)).unwrap().body(), "HELLO");
    stop(daemon.child.id());
    let began = Instant::now();
    let error = upper.call(within(Duration::from_millis(100))).unwrap_err();
    assert_eq!(error, Unknown::TimedOut.into());
    assert!(began.elapsed() < Duration::from_millis(2100) + LONG / 2, "{:?}", began.elapsed());
    kill(daemon.pid(), Signal::SIGCONT).unwrap();
    until(|| upper.call(within(LONG)).is_ok_and(|reply| reply.body() == "HELLO"));
}
