//! Processes of several users at one daemon, which is yet another user's, as it is under systemd.
//!
//! Only root can start them; else these tests are skipped, and say so.

mod guest;
mod spy;

use std::env;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::unistd::Uid;

use super::{Daemon, Place, entries, until};
use guest::{Guest, User, sees_no_queues};

/// Whose daemon it is.
const OWNER: User = User::new(64_000);
const ALICE: User = User::new(64_001);
const BOB: User = User::new(64_002);
const ROOT: User = User::new(0);
/// A group that is nobody's own.
const GROUP: u32 = 64_102;

/// A place that all users can reach, with the programs in it.
struct Town {
    place: Place,
}

impl Town {
    /// None, if only root could make it.
    fn new() -> Option<Town> {
        if !Uid::effective().is_root() {
            println!("skipped: only root can become another user");
            return None;
        }
        let town = Town { place: Place::new() };
        for directory in [town.place.state(), town.place.socket().parent()?.to_owned()] {
            fs::create_dir(&directory).unwrap();
            chown(&directory, Some(OWNER.id), Some(OWNER.group)).unwrap();
        }
        fs::set_permissions(town.place.0.path(), Permissions::from_mode(0o755)).unwrap();
        for (from, to) in [
            (PathBuf::from(env!("CARGO_BIN_EXE_unavezd")), "unavezd"),
            (PathBuf::from(env!("CARGO_BIN_EXE_unavez")), "unavez"),
            (env::current_exe().unwrap(), "guest"),
        ] {
            let to = town.program(to);
            // They are large; and where they are not everybody may reach them.
            fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).unwrap();
        }
        Some(town)
    }

    fn program(&self, name: &str) -> PathBuf {
        self.place.0.path().join(name)
    }

    fn command(&self, user: &User, program: &str) -> Command {
        let mut command = Command::new(self.program(program));
        // Its directory for temporary files is another, so that the socket's is trusted.
        command.env_clear().env("TMPDIR", "/nowhere").env("UNAVEZ_SOCKET", self.place.socket());
        command.current_dir("/").stdin(Stdio::null());
        user.runs(&mut command);
        command
    }

    fn start(&self, flags: &[&str]) -> Daemon {
        let mut command = self.command(&OWNER, "unavezd");
        command.arg("--state").arg(self.place.state());
        command.args(["--listen", "127.0.0.1:0", "--log", "error"]);
        let mut child = command.args(flags).stdout(Stdio::piped()).spawn().unwrap();
        let (mut stdout, mut line) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        stdout.read_line(&mut line).unwrap();
        assert!(line.starts_with("unavezd: "), "it has not started: {line}");
        Daemon { child, line, _stdout: stdout }
    }

    /// A process of this user does this, and what it says until its end.
    fn guest_says(&self, user: &User, task: &str) -> String {
        Guest::start(self.command(user, "guest"), task).says()
    }

    /// The same of a tool: its exit code, what it shows, and its errors.
    fn tool(&self, user: &User, words: &[&str]) -> (Option<i32>, String, String) {
        let done = self.command(user, "unavez").args(words).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (done.status.code(), text(done.stdout), text(done.stderr))
    }
}

/// What a process says that asked itself something through the daemon.
const SERVED: &str = "hello\n";

fn refused(user: &User) -> String {
    let id = user.id;
    format!("the daemon does not serve user {id}; see its options --allow-user, --allow-group\n")
}

/// The queues of this user: their numbers, and who made them.
fn queues_of(user: &User) -> Vec<(i32, u32)> {
    let table = fs::read_to_string("/proc/sysvipc/msg").unwrap();
    let mut lines = table.lines();
    let names: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    let column = |name| names.iter().position(|it| *it == name).unwrap();
    let (id, owner, maker) = (column("msqid"), column("uid"), column("cuid"));
    let rows = lines.map(|line| line.split_whitespace().collect::<Vec<&str>>());
    let own = rows.filter(|row| row[owner] == user.id.to_string());
    own.map(|row| (row[id].parse().unwrap(), row[maker].parse().unwrap())).collect()
}

/// Nobody was allowed: root and the daemon's own user are served, any other is told that it is not.
#[test]
fn who_is_not_allowed_is_told_so() {
    let Some(town) = Town::new() else { return };
    let _daemon = town.start(&[]);
    for channel in ["shm", "sysv"] {
        let task = format!("call {channel}");
        assert_eq!(town.guest_says(&BOB, &task), refused(&BOB));
        assert_eq!(town.guest_says(&OWNER, &task), SERVED);
        assert_eq!(town.guest_says(&ROOT, &task), SERVED);
    }
}

/// One user is allowed: it is served, through either channel, and nobody else is.
#[test]
fn an_allowed_user_is_served() {
    let Some(town) = Town::new() else { return };
    let _daemon = town.start(&["--allow-user", &BOB.id.to_string()]);
    for channel in ["shm", "sysv"] {
        let task = format!("call {channel}");
        assert_eq!(town.guest_says(&BOB, &task), SERVED);
        assert_eq!(town.guest_says(&ALICE, &task), refused(&ALICE));
    }
}

/// A group is allowed: its members are served, whether it is their own group or one of many others.
#[test]
fn members_of_an_allowed_group_are_served() {
    let Some(town) = Town::new() else { return };
    let _daemon = town.start(&["--allow-group", &GROUP.to_string()]);
    let own = User { group: GROUP, ..BOB };
    let one_of_many = User { groups: &[64_100, 64_101, GROUP, 64_103], ..BOB };
    let stranger = User { groups: &[64_100, 64_101], ..BOB };
    for channel in ["shm", "sysv"] {
        let task = format!("call {channel}");
        assert_eq!(town.guest_says(&own, &task), SERVED);
        assert_eq!(town.guest_says(&one_of_many, &task), SERVED);
        assert_eq!(town.guest_says(&stranger, &task), refused(&BOB));
    }
}

/// Both are allowed, and one tries to get at what the other says and hears: its queues are closed to
/// reading, writing, removing and looking, its memory and its descriptors are out of reach, and the
/// daemon's, too. (The other one can do the harmless part of it: so the spy would see what there is.)
#[test]
fn another_users_messages_are_out_of_reach() {
    let Some(town) = Town::new() else { return };
    let daemon =
        town.start(&["--allow-user", &ALICE.id.to_string(), "--allow-user", &BOB.id.to_string()]);
    for channel in ["shm", "sysv"] {
        let victim =
            Guest::start(town.command(&ALICE, "guest"), &format!("serve {channel} secret"));
        let queues = queues_of(&ALICE);
        assert_eq!(queues.len(), if channel == "sysv" { 2 } else { 0 });
        assert!(queues.iter().all(|(_, maker)| *maker == OWNER.id), "{queues:?}");

        let pids = [victim.pid(), daemon.child.id()];
        for pid in pids {
            assert_eq!(
                town.guest_says(&BOB, &format!("spy on process {pid}")),
                "fd: EACCES\nmap_files: EACCES\nmem: EACCES\ndescriptors: EPERM\n",
            );
        }
        let own = town.guest_says(&ALICE, &format!("spy on process {}", victim.pid()));
        assert_eq!(own, "fd: ok\nmap_files: ok\nmem: ok\ndescriptors: ok\n");
        for (queue, _) in queues {
            assert_eq!(
                town.guest_says(&BOB, &format!("spy on queue {queue}")),
                "status: EACCES\nreceive: EACCES\npeek: EACCES\nsend: EACCES\nset: EPERM\n\
                 remove: EPERM\n",
            );
            assert_eq!(town.guest_says(&ALICE, &format!("look at queue {queue}")), "status: ok\n");
        }
        // It is as it was.
        assert_eq!(town.guest_says(&ALICE, "ask secret"), SERVED);
    }
}

/// Another user locks whatever it can open of what the daemon locks: it is started all the same.
#[test]
fn another_user_does_not_keep_the_daemon_from_starting() {
    let Some(town) = Town::new() else { return };
    // It was there before.
    drop(town.start(&[]));
    let (state, socket) = (town.place.state(), town.place.socket());
    let directory = socket.parent().unwrap();
    let places = [state.join("lock"), socket.with_extension("sock.lock"), directory.to_owned()];
    let mut strangers = places.map(|place| {
        let task = format!("lock {}", place.display());
        Guest::start(town.command(&BOB, "guest"), &task)
    });
    let said: Vec<String> = strangers.iter_mut().map(Guest::line).collect();
    const DENIED: &str = "Permission denied (os error 13)\n";
    assert_eq!(said, [DENIED, DENIED, "holds it\n"]);
    drop(town.start(&[]));
}

/// A process asks for queues that it cannot see: it is told so at once.
#[test]
fn queues_that_cannot_be_seen_are_an_error() {
    let Some(town) = Town::new() else { return };
    let _daemon = town.start(&[]);
    for (channel, said) in [
        ("shm", SERVED),
        ("sysv", "the channel cannot be used: its queues are not to be seen from here\n"),
    ] {
        let mut command = town.command(&ROOT, "guest");
        sees_no_queues(&mut command);
        assert_eq!(Guest::start(command, &format!("call {channel}")).says(), said);
    }
    until(|| entries(&town.place.state().join("queues")) == 0);
}

/// Both are allowed, and one looks with the tools: it sees nothing of the other, neither its process
/// nor its name nor its calls. Who may, does.
#[test]
fn another_users_processes_and_calls_are_not_shown() {
    let Some(town) = Town::new() else { return };
    let _daemon =
        town.start(&["--allow-user", &ALICE.id.to_string(), "--allow-user", &BOB.id.to_string()]);
    let victim = Guest::start(town.command(&ALICE, "guest"), "serve shm secret");
    let (id, owner) = (BOB.id, OWNER.id);
    let refused = format!(
        "user {id} may not see the processes and calls of this daemon; root and user {owner} may\n"
    );
    for words in [&["ps"][..], &["ps", "--json"], &["trace", "--for", "1ms"]] {
        assert_eq!(town.tool(&BOB, words), (Some(1), String::new(), refused.clone()));
    }
    let pid = victim.pid().to_string();
    for words in [&["stat"][..], &["stat", "--json"], &["stat", "--prometheus"]] {
        let (code, out, err) = town.tool(&BOB, words);
        assert_eq!((code, &*err), (Some(0), ""));
        assert!(!out.contains("secret") && !out.split_whitespace().any(|it| it == pid), "{out}");
    }
    for user in [&OWNER, &ROOT] {
        let (code, out, err) = town.tool(user, &["ps"]);
        assert_eq!((code, &*err), (Some(0), ""));
        assert!(out.contains("(secret)") && out.split_whitespace().any(|it| it == pid), "{out}");
    }
    let mut trace = town.command(&OWNER, "unavez").args(["trace"]).stdout(Stdio::piped()).spawn();
    let trace = trace.as_mut().unwrap();
    let mut lines = BufReader::new(trace.stdout.take().unwrap()).lines().map_while(Result::ok);
    // It may not watch yet when the first are made.
    let seen = std::thread::scope(|scope| {
        let line = scope.spawn(move || lines.find(|line| line.contains("hello")));
        while !line.is_finished() {
            assert_eq!(town.guest_says(&ALICE, "ask secret"), SERVED);
        }
        line.join().unwrap()
    });
    assert!(seen.is_some());
    let _ = trace.kill();
    let _ = trace.wait();
}

/// What a process says on its standard error stream, to its end.
fn read_all(mut from: impl Read) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    text
}
