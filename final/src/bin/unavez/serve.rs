//! A service: an echo, a bank, or any command.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use bytes::Bytes;
use bytesize::ByteSize;
use rustix::fs::{Access, access};
use signal_hook::consts::SIGTERM;
use unavez::protocol::Config;
use unavez::{IpcServer, Options, Site};

use crate::Result;
use crate::args::{FaultArgs, parse_address, parse_name};
use crate::bank::Bank;
use crate::common::sizes::{bytes, message_size};
use crate::net::{self, AttachArgs, Signalled};

/// What a reply begins with when the command that made it did not exit with 0: then come the words
/// `exit 1` or `signal 9`, a newline, and what the command wrote. A reply of an orderly end that
/// happens to begin so is marked as well, with `exit 0`, so that no output can feign a failure.
pub(crate) const MARK: &[u8] = b"\0unavez ";
/// A pipe that is empty takes so many bytes at once, however few the kernel grants (one page).
const PIPE_MIN: usize = 4096;

/// Serves an echo, a bank, or any command.
///
/// It prints where it listens and serves until it is told to stop: by Ctrl-C or kill.
#[derive(Debug, clap::Args)]
#[command(
    subcommand_value_name = "SERVICE",
    subcommand_help_heading = "Services",
    after_help = "\
A command is run once for each request: the request is its standard input, what it writes is the
reply. If it exits with another code than 0, the reply says so, and `unavez call` exits with 1. Its
standard error goes where that of the server goes.

A server without --state is a new
site each time that it starts; nothing runs twice in either case.

Exit codes: 0 stopped by Ctrl-C or kill, 2 it could not start.

Examples:
  unavez serve echo
  unavez serve --listen 0.0.0.0:7373 bank --ledger account.txt
  unavez serve --name upper --workers 4 -- tr a-z A-Z
  unavez serve --loss 30% --trace echo
  unavez serve --attach --name upper -- tr a-z A-Z"
)]
pub(crate) struct Args {
    /// Where to listen; port 0 takes any that is free
    #[arg(long, conflicts_with = "attach", value_name = "ADDRESS", value_parser = parse_address, default_value = "127.0.0.1:7373")]
    listen: SocketAddr,
    /// What the service is called [default: as the service or the command]
    #[arg(long, value_parser = parse_name)]
    name: Option<String>,
    /// A directory where the site keeps who it is, made if need be; one site each
    #[arg(long, value_name = "DIR", conflicts_with = "attach")]
    state: Option<PathBuf>,
    /// How many requests are served at a time [default: as many as there are processors]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    /// No datagram lives for more than 2 s on this network, instead of 30 s
    #[arg(long, conflicts_with = "attach")]
    lan: bool,
    /// The longest request and the longest reply, up to 1 GiB [default: 64 MiB; a daemon has its own]
    #[arg(long, conflicts_with = "attach", value_name = "SIZE", value_parser = message_size)]
    message_max: Option<ByteSize>,
    /// Print each packet, and what happens without one
    #[arg(long)]
    trace: bool,
    /// Stop when the standard input ends: a server that must not outlive who started it
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
    #[command(flatten)]
    attach: AttachArgs,
    #[command(flatten)]
    faults: FaultArgs,
    #[command(subcommand)]
    service: Option<Builtin>,
    /// A command and its arguments, after --
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Debug, clap::Subcommand)]
enum Builtin {
    /// The reply is the request
    Echo,
    /// An account that answers "debit N" and "balance"
    Bank {
        /// A file that gets a line for each debit, so that the account outlives the process
        #[arg(long, value_name = "FILE")]
        ledger: Option<PathBuf>,
    },
}

/// What answers requests.
#[derive(Debug)]
enum Service {
    Echo,
    Bank(Mutex<Bank>),
    Command(Vec<OsString>),
}

pub(crate) fn run(args: Args) -> Result {
    let (service, name) = (args.service()?, args.name()?);
    let processors = || thread::available_parallelism().map_or(1, |count| count.get() as u16);
    let workers = args.workers.unwrap_or_else(processors);
    let stop = net::on_stop()?;
    if args.until_stdin_ends {
        let tell = stop.tell.clone();
        thread::spawn(move || {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            let _ = tell.try_send(Signalled(SIGTERM));
        });
    }
    let link = args.faults.link();
    let Args { listen, lan, trace, .. } = args;
    let config = if lan { Config::lan() } else { Config::default() };
    let config = config.with_message_max(args.message_max.map_or(config.message_max, bytes));
    let options = Options { listen, state: args.state, config, trace, link, ..Options::default() };
    let embedded = || Site::with(options).map_err(|it| format!("cannot serve at {listen}: {it}"));
    let site = args.attach.site().unwrap_or_else(embedded)?;
    let server = IpcServer::new(&site)?;
    server.register(&name)?;
    writeln!(io::stdout(), "unavez://{}/{name}", site.address())?;

    let (served, most) = (AtomicU64::new(0), site.config().message_max);
    let work = || {
        while let Ok((request, id)) = server.receive_request() {
            // Whoever asked may have left by now.
            let _ = server.send_reply(service.run(request.body(), most), id);
            served.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        (0..workers).for_each(|_| drop(scope.spawn(work)));
        let _ = stop.told.recv();
        server.finish();
    });
    eprintln!("stopped; {} requests were served", served.into_inner());
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn service(&self) -> Result<Service> {
        Ok(match (&self.service, &self.command[..]) {
            (Some(Builtin::Echo), []) => Service::Echo,
            (Some(Builtin::Bank { ledger }), []) => {
                let bank = Bank::open(ledger.as_deref());
                let path = ledger.as_deref().unwrap_or(Path::new(""));
                Service::Bank(Mutex::new(bank.map_err(|e| format!("{}: {e}", path.display()))?))
            }
            (None, [program, ..]) => {
                find(program, env::var_os("PATH").as_deref())?;
                Service::Command(self.command.clone())
            }
            _ => return Err("serve what? allowed: echo, bank, or -- COMMAND ARGS".into()),
        })
    }

    fn name(&self) -> Result<String> {
        let program = self.command.first().map(Path::new).and_then(Path::file_name);
        let name = match (&self.name, &self.service) {
            (Some(name), _) => name,
            (None, Some(Builtin::Echo)) => "echo",
            (None, Some(Builtin::Bank { .. })) => "bank",
            (None, None) => program.and_then(|name| name.to_str()).unwrap_or_default(),
        };
        Ok(parse_name(name).map_err(|error| format!("{error}; see --name"))?)
    }
}

/// Where this program is, as the kernel or the shell would find it, or why nothing can run it.
fn find(program: &OsStr, path: Option<&OsStr>) -> std::result::Result<PathBuf, String> {
    let name = Path::new(program).display();
    let may_run = |path: &PathBuf| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    if program.as_bytes().contains(&b'/') {
        let program = PathBuf::from(program);
        return match (may_run(&program), program.exists()) {
            (true, _) => Ok(program),
            (_, true) => Err(format!("{name}: not a program that may be run")),
            (_, false) => Err(format!("{name}: no such program")),
        };
    }
    // As exec does without one.
    let path = path.unwrap_or("/bin:/usr/bin".as_ref());
    let mut all = env::split_paths(path).map(|dir| dir.join(program));
    all.find(may_run).ok_or_else(|| format!("{name}: no such program in $PATH"))
}

impl Service {
    /// Runs one request. A reply of more bytes than this is too long, and may be cut there.
    fn run(&self, request: &Bytes, most: usize) -> Bytes {
        match self {
            Service::Echo => request.clone(),
            Service::Bank(bank) => bank.lock().expect("no request panics").serve(request).into(),
            Service::Command(words) => {
                let reply = run_command(words, request, most).unwrap_or_else(|error| {
                    eprintln!("{}: {error}", Path::new(&words[0]).display());
                    marked("not started", error.to_string().as_bytes())
                });
                reply.into()
            }
        }
    }
}

/// Runs a command with a request as its input; gives the reply.
fn run_command(words: &[OsString], request: &Bytes, most: usize) -> io::Result<Vec<u8>> {
    let mut command = Command::new(&words[0]);
    // A Ctrl-C in the terminal is for the server, which answers first what it has in hand.
    command.args(&words[1..]).process_group(0);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    feed(child.stdin.take().expect("it is piped"), request);
    let mut output = Vec::new();
    let stdout = child.stdout.take().expect("it is piped");
    // One byte more shows that it is too long; of endless output no more is read, and the command
    // finds its pipe closed.
    let read = stdout.take(most as u64 + 1).read_to_end(&mut output);
    let status = child.wait()?;
    read?;
    Ok(match (status.code(), status.signal()) {
        (Some(0), _) if output.starts_with(MARK) => marked("exit 0", &output),
        (Some(0), _) => output,
        // Too long in any case: the client learns that it ran.
        _ if output.len() > most => output,
        (Some(code), _) => marked(&format!("exit {code}"), &output),
        (None, signal) => marked(&format!("signal {}", signal.unwrap_or_default()), &output),
    })
}

/// Writes a request to a command. Not all read it, and some write before they do: what may not fit the
/// pipe is written by a thread. It ends when nobody has the other end of the pipe any more, and is not
/// waited for, as that may be a child of the command that outlives it.
fn feed(mut stdin: ChildStdin, request: &Bytes) {
    if request.len() <= PIPE_MIN {
        let _ = stdin.write_all(request);
        return;
    }
    let request = request.clone();
    thread::spawn(move || stdin.write_all(&request));
}

/// A reply of a command that failed.
fn marked(how: &str, output: &[u8]) -> Vec<u8> {
    [MARK, how.as_bytes(), b"\n", output].concat()
}

/// Takes a reply apart: how its command ended, if it is marked, and what it wrote.
pub(crate) fn unmark(reply: &[u8]) -> (Option<&str>, &[u8]) {
    let Some(rest) = reply.strip_prefix(MARK) else { return (None, reply) };
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return (None, reply) };
    match std::str::from_utf8(&rest[..end]) {
        Ok("exit 0") => (None, &rest[end + 1..]),
        Ok(how) if ["exit ", "signal ", "not "].iter().any(|word| how.starts_with(word)) => {
            (Some(how), &rest[end + 1..])
        }
        _ => (None, reply),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 1 << 20;

    fn run(words: &[&str], request: &[u8]) -> Bytes {
        let words = words.iter().map(OsString::from).collect();
        Service::Command(words).run(&Bytes::copy_from_slice(request), MOST)
    }

    #[test]
    fn output_of_a_command_is_the_reply() {
        // The request is its input; a command need not read it, however long it is.
        assert_eq!(run(&["tr", "a-z", "A-Z"], b"hello"), "HELLO");
        for len in [1, PIPE_MIN, PIPE_MIN + 1, MOST] {
            assert_eq!(run(&["printf", "hi"], &vec![b'x'; len]), "hi");
            assert_eq!(run(&["cat"], &vec![b'x'; len]), vec![b'x'; len]);
        }
    }

    #[test]
    fn command_may_write_before_it_reads() {
        // More than a pipe holds, in both directions; and all of it after the input was read.
        let script = "head -c 300000 /dev/zero; cat";
        assert_eq!(run(&["sh", "-c", script], &[0; 400_000]), vec![0; 700_000]);
        let script = "cat > /dev/null; head -c 300000 /dev/zero";
        assert_eq!(run(&["sh", "-c", script], &[0; 400_000]), vec![0; 300_000]);
    }

    #[test]
    fn reply_does_not_wait_for_who_keeps_the_input() {
        // The command ends; a child of it has its input, and reads none.
        let began = std::time::Instant::now();
        let script = "exec 3<&0; sleep 20 <&3 >/dev/null 2>&1 & echo $!";
        let reply = run(&["sh", "-c", script], &[0; 400_000]);
        assert!(began.elapsed() < std::time::Duration::from_secs(10));
        let child = std::str::from_utf8(&reply).unwrap();
        run(&["sh", "-c", &format!("kill {child}")], b"");
    }

    #[test]
    fn failure_of_a_command_is_told_apart() {
        // By code, by signal, and one that is not there; what it wrote comes along.
        let reply = run(&["sh", "-c", "cat; exit 3"], b"diff");
        assert_eq!(unmark(&reply), (Some("exit 3"), &b"diff"[..]));
        let reply = run(&["sh", "-c", "kill -9 $$"], &[0; 400_000]);
        assert_eq!(unmark(&reply), (Some("signal 9"), &b""[..]));
        let reply = run(&["/no/such/command"], b"");
        assert_eq!(unmark(&reply).0, Some("not started"));
    }

    #[test]
    fn program_is_found_as_a_shell_finds_it() {
        // In the directories of PATH, past what may not be run; or by its path, whatever PATH is.
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tr");
        std::fs::write(&file, "").unwrap();
        let path = format!("/nowhere:{}:/usr/bin:/bin", dir.path().display());
        let find = |program: &str| super::find(program.as_ref(), Some(path.as_ref()));
        assert!(find("tr").unwrap().ends_with("bin/tr"));
        assert_eq!(find("/bin/sh").unwrap(), Path::new("/bin/sh"));
        assert_eq!(find("nosuchcmd").unwrap_err(), "nosuchcmd: no such program in $PATH");
        assert_eq!(find("/no/such").unwrap_err(), "/no/such: no such program");
        let told = find(file.to_str().unwrap()).unwrap_err();
        assert!(told.ends_with("tr: not a program that may be run"), "{told}");
        assert!(find("/bin/").is_err());
    }

    #[test]
    fn output_cannot_feign_a_failure() {
        // A command gives back what looks like a failed command's reply.
        let request = marked("exit 3", b"diff");
        assert_eq!(unmark(&run(&["cat"], &request)), (None, &request[..]));
        // And a service that is no command, bytes that are only alike.
        assert_eq!(unmark(b"\0unavez \n"), (None, &b"\0unavez \n"[..]));
        assert_eq!(unmark(b"\0unavez exit"), (None, &b"\0unavez exit"[..]));
        assert_eq!(unmark(b"\0unavez \xff\n"), (None, &b"\0unavez \xff\n"[..]));
    }

    #[test]
    fn endless_output_is_cut() {
        // The command never ends by itself; its reply is too long, which the library tells the client.
        assert_eq!(run(&["yes"], b"").len(), MOST + 1);
        assert_eq!(run(&["yes"], &[0; MOST]).len(), MOST + 1);
    }
}
