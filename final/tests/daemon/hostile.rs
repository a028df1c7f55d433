use std::os::fd::OwnedFd;
use std::{fs, thread};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with,
};

use super::{Place, until};

fn open(place: &Place) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    connect(&socket, &SocketAddrUnix::new(place.socket()).unwrap())?;
    Ok(socket)
}

/// What the daemon says; empty if it only ends.
fn hear(socket: &OwnedFd) -> Vec<u8> {
    let mut bytes = [0; 300];
    loop {
        match recv(socket, &mut bytes, RecvFlags::empty()) {
            Ok((len, _)) => return bytes[..len].to_vec(),
            Err(Errno::INTR | Errno::CONNRESET) => {}
            Err(_) => return Vec::new(),
        }
    }
}

fn descriptors(pid: nix::unistd::Pid) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Four thousand attempts that say nonsense, nothing, or leave at once: each that waits for an answer
/// gets one, and no descriptor is left over.
#[test]
fn nonsense_is_answered_and_leaves_nothing() {
    let place = Place::new();
    let mut daemon = place.start(&["--log", "error"]);
    let before = descriptors(daemon.pid());
    thread::scope(|scope| {
        for number in 0..4_usize {
            let place = &place;
            scope.spawn(move || {
                for attempt in 0..1000_usize {
                    let socket = open(place).unwrap();
                    let length = (attempt * 7 + number) % 300;
                    let _ = send(&socket, &vec![number as u8; length], SendFlags::NOSIGNAL);
                    if attempt % 4 == 0 {
                        assert!(hear(&socket).starts_with(b"UVld"), "attempt {attempt}");
                    }
                }
            });
        }
    });
    until(|| descriptors(daemon.pid()) == before);
    assert!(daemon.signal(Signal::SIGTERM).success());
}

/// More come than it may have, and stay: the next ones are told so, at once, and when those have said
/// nothing for too long they are sent away.
#[test]
fn who_says_nothing_is_sent_away() {
    let place = Place::new();
    let daemon = place.start(&["--processes-max", "20", "--log", "error"]);
    let before = descriptors(daemon.pid());
    let silent: Vec<OwnedFd> = (0..20).map(|_| open(&place).unwrap()).collect();
    until(|| descriptors(daemon.pid()) == before + 20);
    assert!(hear(&open(&place).unwrap()).starts_with(b"UVld"));
    for socket in &silent {
        assert!(hear(socket).starts_with(b"UVld"));
    }
    until(|| descriptors(daemon.pid()) == before);
}

/// It has hardly any descriptors: those for whom there is none are told so, and it lives.
#[test]
fn a_daemon_without_descriptors_lives() {
    let place = Place::new();
    // Its own limits are as low as its configuration would not let it come.
    let daemon = place.start(&["--processes-max", "1000000", "--log", "error"]);
    let limit = nix::libc::rlimit { rlim_cur: 40, rlim_max: 40 };
    lower_limit(daemon.pid(), limit);
    let crowd: Vec<OwnedFd> = (0..60).map(|_| open(&place).unwrap()).collect();
    let last = crowd.last().unwrap();
    assert!(hear(last).starts_with(b"UVld"));
    drop(crowd);
    let socket = open(&place).unwrap();
    // It may be told before it says anything: not all of the crowd are known to be gone yet.
    let _ = send(&socket, b"?", SendFlags::NOSIGNAL);
    assert!(hear(&socket).starts_with(b"UVld"));
}

#[allow(unsafe_code)]
fn lower_limit(pid: nix::unistd::Pid, limit: nix::libc::rlimit) {
    // SAFETY: the kernel reads one rlimit, and writes none.
    let done = unsafe {
        nix::libc::prlimit(
            pid.as_raw(),
            nix::libc::RLIMIT_NOFILE,
            &raw const limit,
            std::ptr::null_mut(),
        )
    };
    assert_eq!(done, 0);
}

/// Ten thousand processes come at once, and stay, where three hundred may: these are attached, all others
/// are told why not, and nothing is left over.
#[test]
fn ten_thousand_come_at_once() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if most < 11_000 {
        return println!("skipped: only {most} files may be open");
    }
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let place = Place::new();
    let daemon = place.start(&["--processes-max", "300", "--log", "error"]);
    let before = descriptors(daemon.pid());
    let crowd: Vec<OwnedFd> = thread::scope(|scope| {
        let comes = |_| {
            let socket = open(&place).unwrap();
            // Whoever is refused already cannot say it.
            let _ = send(&socket, b"UVld\0\x03\0\0\0\0", SendFlags::NOSIGNAL);
            socket
        };
        let part = || scope.spawn(move || (0..1250).map(comes).collect::<Vec<_>>());
        let parts = [(); 8].map(|()| part());
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    let answers: Vec<Vec<u8>> = crowd.iter().map(hear).collect();
    let welcome = answers.iter().filter(|answer| answer[6..10] == [0; 4]).count();
    let refused = answers.iter().filter(|answer| answer[6..10] == [0, 0, 0, 1]).count();
    assert_eq!((welcome, refused), (300, 9700));
    drop(crowd);
    until(|| descriptors(daemon.pid()) == before);
    drop(place.attach(0));
}
