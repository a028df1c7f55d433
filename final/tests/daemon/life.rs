use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Instant;

use nix::sys::signal::Signal;
use unavez::{IpcClient, Site};

use super::{LONG, Place, entries, fails};

/// It starts, says where it is, answers the network, and leaves nothing when it is told to stop.
#[test]
fn it_starts_and_stops() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let place = Place::new();
        let began = Instant::now();
        let mut daemon = place.start(&["--lan"]);
        assert!(began.elapsed() < LONG);
        let expected = format!("processes at {}\n", place.socket().display());
        assert!(daemon.line.ends_with(&expected), "{}", daemon.line);
        let pid = fs::read_to_string(place.state().join("pid")).unwrap();
        assert_eq!(pid.trim(), daemon.child.id().to_string());
        // Nobody serves there, and that is known for certain.
        let site = Site::embedded().unwrap();
        let url = format!("unavez://{}/nobody", daemon.address());
        let error = IpcClient::open(&site, &url).unwrap().call("?").unwrap_err();
        assert_eq!(error.to_string(), "no service of this name");
        assert!(daemon.signal(signal).success());
        assert!(!place.socket().exists());
        assert!(!place.state().join("pid").exists());
        assert_eq!(entries(&place.state().join("queues")), 0);
    }
}

/// It is killed: the next life starts at the same place, as the same site in another epoch.
#[test]
fn a_killed_daemon_is_no_obstacle() {
    let place = Place::new();
    let mut first = place.start(&[]);
    let mode = fs::metadata(place.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666, "who may be attached is for the daemon to say");
    first.signal(Signal::SIGKILL);
    assert!(place.socket().exists());
    let read = || fs::read_to_string(place.state().join("life")).unwrap();
    let (life, mut second) = (read(), place.start(&[]));
    let field = |text: &str, at: usize| text.split(' ').nth(at).unwrap().to_owned();
    assert_eq!(field(&life, 0), field(&read(), 0));
    assert_eq!((field(&life, 1), field(&read(), 1)), ("1".into(), "2".into()));
    assert!(second.signal(Signal::SIGTERM).success());
}

/// Two daemons want one state, or one socket: the second says which.
#[test]
fn one_daemon_at_one_place() {
    let (place, other) = (Place::new(), Place::new());
    let _daemon = place.start(&[]);
    assert!(place.fails(&[]).contains("another site uses it"));
    let said = fails(other.command_at(&place.socket(), &[]));
    assert!(said.contains("another daemon listens there"), "{said}");
    assert!(said.ends_with("; see --listen, --state and --socket\n"), "{said}");
}

/// What it is told and does not understand is an error that names it.
#[test]
fn a_wrong_setting_is_an_error() {
    let place = Place::new();
    let file = place.0.path().join("unavezd.toml");
    fs::write(&file, "lisen = \"127.0.0.1:0\"").unwrap();
    assert!(place.fails(&["--config", file.to_str().unwrap()]).contains("lisen"));
    assert!(place.fails(&["--allow-user", "no such user"]).contains("no such user"));
    assert!(place.fails(&["--config", "/nowhere"]).contains("/nowhere: "));
    for (flags, allowed) in [
        (&["--log", "loud"][..], "a level is error, warn, info, debug or trace"),
        (&["--listne", "x"], "is --listen meant?"),
        (&["--frob"], "allowed: --config, --listen, "),
        (&["start"], "allowed: --config, --listen, "),
        (&["--advertise", "7373"], "an address is IP:PORT"),
        (&["--message-max", "2GiB"], "at least 1072 bytes and at most 1 GiB"),
        (&["--man", "--lan"], "cannot be used with"),
        (&["--completions", "tcsh"], "possible values: bash"),
    ] {
        let said = place.fails(flags);
        assert!(said.contains(allowed) && said.lines().count() == 1, "{said}");
    }
}

/// Its manual and the completions of its flags are printed, and nothing is started.
#[test]
fn it_explains_itself() {
    let print = |words: &[&str]| {
        let done = Command::new(env!("CARGO_BIN_EXE_unavezd")).args(words).output().unwrap();
        assert_eq!((done.status.code(), done.stderr.len()), (Some(0), 0));
        String::from_utf8(done.stdout).unwrap()
    };
    let manual = print(&["--man"]);
    assert!(manual.contains(".TH unavezd 8 ") && !manual.contains("EXTRA"), "{manual}");
    for heading in ["NAME", "SYNOPSIS", "OPTIONS", "FILES", "EXIT STATUS", "EXAMPLES"] {
        assert!(manual.contains(&format!(".SH {heading}\n")), "{heading}: {manual}");
    }
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(print(&["--completions", shell]).contains("message-max"), "{shell}");
    }
}
