//! What the daemon is told: by flags, and by a file in which all of them can stand.
//!
//! Invariant: a flag counts more than the file, and the file more than what is usual; what is not
//! understood is an error that names it.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use bytesize::ByteSize;
use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use nix::unistd::{Group, Uid, User};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use tracing::Level;
use unavez::daemon::Options;
use unavez::protocol::Config;

use crate::common::pages;
use crate::common::sizes::{bytes, message_size, size};

/// The communication server of this host: exactly-once request and reply over UDP for its processes.
///
/// It runs until it gets SIGTERM or SIGINT. Processes find it by its socket.
#[derive(Debug, Parser)]
#[command(name = "unavezd", version, after_help = MORE)]
pub(crate) struct Cli {
    /// A file with settings in TOML; see below
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen; other hosts must reach it [default: 0.0.0.0:7373]
    #[arg(long, value_name = "IP:PORT", value_parser = address)]
    listen: Option<SocketAddr>,
    /// The address that ports bear, if others reach it by another one
    #[arg(long, value_name = "IP:PORT", value_parser = address)]
    advertise: Option<SocketAddr>,
    /// Where it keeps who it is [default: $STATE_DIRECTORY; /var/lib/unavez for root; else
    /// $XDG_STATE_HOME/unavez or ~/.local/state/unavez]
    #[arg(long, value_name = "DIRECTORY")]
    state: Option<PathBuf>,
    /// Where processes come [default: $UNAVEZ_SOCKET; else unavezd.sock in /run/unavez, for root or if
    /// that is its user's; else in $XDG_RUNTIME_DIR/unavez or /tmp/unavez-UID]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Serve this user's processes, too, beside its own user's and root's; may be given again
    #[arg(long, value_name = "USER")]
    allow_user: Vec<String>,
    /// Serve the processes of this group's members, too; may be given again
    #[arg(long, value_name = "GROUP")]
    allow_group: Vec<String>,
    /// How many processes are served at most [default: 4096]
    #[arg(long, value_name = "NUMBER", value_parser = at_least_one)]
    processes_max: Option<usize>,
    /// The longest request and the longest reply, up to 1 GiB [default: 64 MiB]
    #[arg(long, value_name = "SIZE", value_parser = message_size)]
    message_max: Option<ByteSize>,
    /// How much of long messages it holds for one process at most [default: 128 MiB, or the longest]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    process_bytes_max: Option<ByteSize>,
    /// How much for all processes [default: 1 GiB, or what two have]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    bytes_max: Option<ByteSize>,
    /// For a local network: no packet lives for more than 2 s, and few are lost
    #[arg(long)]
    lan: bool,
    /// What is said on the standard error stream: error, warn, info, debug or trace (every packet)
    /// [default: info]
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    log: Option<Level>,
    /// Print the manual page
    #[arg(long, exclusive = true)]
    man: bool,
    /// Print completions for a shell
    #[arg(long, value_name = "SHELL", exclusive = true)]
    completions: Option<Shell>,
}

const MORE: &str = "\
A file of settings:
  listen = \"0.0.0.0:7373\"
  # advertise = \"192.0.2.1:7373\"
  # state = \"/var/lib/unavez\"
  # socket = \"/run/unavez/unavezd.sock\"
  allow-users = []    # names or numbers: [\"alice\", \"1001\"]
  allow-groups = []
  processes-max = 4096
  message-max = \"64 MiB\"
  process-bytes-max = \"128 MiB\"
  bytes-max = \"1 GiB\"
  lan = false
  log = \"info\"

What stands there is usual. A flag counts more than the file.

When it is ready it prints one line: where it listens, and its socket. SIGTERM, SIGINT and SIGHUP stop
it in order. `unavez ps`, `unavez stat` and `unavez trace` show what happens in it.

Exit codes: 0 stopped by a signal, 2 it could not start.

Examples:
  unavezd --listen 127.0.0.1:7373                   to try it: for this machine only
  unavez serve --attach --name upper -- tr a-z A-Z  a service of it
  unavezd --listen 192.0.2.1:7373 --allow-group users
  unavezd --config /etc/unavez/unavezd.toml
  unavezd --man | man -l -
  unavezd --completions bash > ~/.local/share/bash-completion/completions/unavezd";

/// The file. What is not in it is as usual.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct File {
    #[serde(deserialize_with = "an_address")]
    listen: Option<SocketAddr>,
    #[serde(deserialize_with = "an_address")]
    advertise: Option<SocketAddr>,
    state: Option<PathBuf>,
    socket: Option<PathBuf>,
    allow_users: Vec<String>,
    allow_groups: Vec<String>,
    #[serde(deserialize_with = "a_count")]
    processes_max: Option<usize>,
    #[serde(deserialize_with = "a_message_size")]
    message_max: Option<ByteSize>,
    #[serde(deserialize_with = "a_size")]
    process_bytes_max: Option<ByteSize>,
    #[serde(deserialize_with = "a_size")]
    bytes_max: Option<ByteSize>,
    lan: bool,
    #[serde(deserialize_with = "a_level")]
    log: Option<Level>,
}

/// What counts in the end.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) options: Options,
    pub(crate) log: Level,
}

impl Cli {
    /// What is to be printed, if nothing else is wanted.
    pub(crate) fn page(&self) -> Option<io::Result<Vec<u8>>> {
        let mut command = Cli::command();
        command.build();
        match (self.man, self.completions) {
            // An administrator's program.
            (true, _) => Some(pages::page(&command, "8").map(|(_, page)| page)),
            (_, Some(shell)) => Some(Ok(pages::completions(&mut command, shell))),
            _ => None,
        }
    }

    /// Reads the file, too.
    pub(crate) fn settings(self) -> Result<Settings, String> {
        let file = self.config.as_deref().map_or(Ok(File::default()), File::read)?;
        let state = self.state.or(file.state).or_else(usual_state);
        let state = state.ok_or("there is no home to keep its state in; see --state")?;
        let usual = Options::new(state);
        let log = self.log.or(file.log).unwrap_or(Level::INFO);
        let processes_max = self.processes_max.or(file.processes_max);
        let config = if self.lan || file.lan { Config::lan() } else { usual.config };
        let message_max = self.message_max.or(file.message_max).map(bytes);
        let message_max = message_max.unwrap_or(config.message_max);
        let process_bytes_max = self.process_bytes_max.or(file.process_bytes_max).map(bytes);
        let process_bytes_max = process_bytes_max.unwrap_or(usual.process_bytes_max);
        let bytes_max = self.bytes_max.or(file.bytes_max).map(bytes);
        let options = Options {
            listen: self.listen.or(file.listen).unwrap_or(usual.listen),
            advertise: self.advertise.or(file.advertise),
            socket: self.socket.or(file.socket),
            allow_users: numbers(&[file.allow_users, self.allow_user].concat(), "user", user)?,
            allow_groups: numbers(&[file.allow_groups, self.allow_group].concat(), "group", group)?,
            processes_max: processes_max.unwrap_or(usual.processes_max),
            process_bytes_max,
            bytes_max: bytes_max.unwrap_or(usual.bytes_max),
            config: config.with_message_max(message_max),
            ..usual
        };
        Ok(Settings { options, log })
    }
}

impl File {
    fn read(path: &Path) -> Result<File, String> {
        let name = path.display();
        let text = fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
        toml::from_str(&text).map_err(|error| {
            let before = text.get(..error.span().map_or(0, |at| at.start)).unwrap_or_default();
            let at = before.matches('\n').count();
            let line = text.lines().nth(at).unwrap_or_default().trim();
            let why = error.message().replace('\n', " ");
            format!("{name}, line {}: \"{line}\": {why}", at + 1)
        })
    }
}

/// A setting of the file is understood as a flag is.
fn said<'de, D: Deserializer<'de>, T, E: Display>(
    from: D,
    read: fn(&str) -> Result<T, E>,
) -> Result<Option<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a number or a text is wanted")]
    enum Said {
        Number(i64),
        Text(String),
    }
    let text = match Said::deserialize(from)? {
        Said::Number(number) => number.to_string(),
        Said::Text(text) => text,
    };
    read(&text).map(Some).map_err(de::Error::custom)
}

fn an_address<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    said(from, address)
}

fn a_count<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    said(from, at_least_one)
}

fn a_message_size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ByteSize>, D::Error> {
    said(from, message_size)
}

fn a_size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ByteSize>, D::Error> {
    said(from, size)
}

fn a_level<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Level>, D::Error> {
    said(from, level)
}

fn usual_state() -> Option<PathBuf> {
    let variable = |name| env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    if let Some(state) = variable("STATE_DIRECTORY") {
        return Some(state);
    }
    if Uid::effective().is_root() {
        return Some("/var/lib/unavez".into());
    }
    let states = variable("XDG_STATE_HOME");
    let states = states.or_else(|| variable("HOME").map(|home| home.join(".local/state")));
    states.map(|states| states.join("unavez"))
}

fn numbers(
    names: &[String],
    what: &str,
    find: impl Fn(&str) -> Option<u32>,
) -> Result<Vec<u32>, String> {
    let number = |name: &String| {
        let number = name.parse().ok().or_else(|| find(name));
        number
            .ok_or_else(|| format!("there is no {what} \"{name}\" here; allowed: a name or number"))
    };
    names.iter().map(number).collect()
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "an address is IP:PORT, like 0.0.0.0:7373 or [::]:7373")
}

fn at_least_one(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|number| *number > 0).ok_or("it is a number from 1")
}

fn level(text: &str) -> Result<Level, &'static str> {
    text.parse().map_err(|_| "a level is error, warn, info, debug or trace")
}

fn user(name: &str) -> Option<u32> {
    Some(User::from_name(name).ok()??.uid.as_raw())
}

fn group(name: &str) -> Option<u32> {
    Some(Group::from_name(name).ok()??.gid.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(flags: &[&str]) -> Result<Settings, String> {
        Cli::try_parse_from([&["unavezd", "--state", "/s"], flags].concat()).unwrap().settings()
    }

    /// The settings of the help are what is usual.
    #[test]
    fn the_file_in_the_help_is_usual() {
        let file = MORE.split("\n\n").next().unwrap();
        let text = file.lines().filter_map(|line| line.strip_prefix("  "));
        let text: Vec<&str> = text.collect();
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("unavezd.toml");
        fs::write(&path, text.join("\n")).unwrap();
        let read = settings(&["--config", path.to_str().unwrap()]).unwrap();
        let usual = settings(&[]).unwrap();
        assert_eq!(format!("{read:?}"), format!("{usual:?}"));
        // What stands there as a comment is understood, too.
        fs::write(&path, text.join("\n").replace("# ", "")).unwrap();
        let told = settings(&["--config", path.to_str().unwrap()]).unwrap_err();
        assert!(told.contains("allow-users"), "only that one has words behind it: {told}");
    }

    /// A flag counts more than the file.
    #[test]
    fn a_flag_counts_more_than_the_file() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("unavezd.toml");
        fs::write(
            &path,
            "listen = \"127.0.0.1:1\"\nallow-users = [\"root\", \"7\"]\nlog = \"warn\"",
        )
        .unwrap();
        let flags = ["--config", path.to_str().unwrap(), "--listen", "127.0.0.1:2"];
        let read = settings(&flags).unwrap();
        assert_eq!(read.options.listen.port(), 2);
        assert_eq!(read.options.allow_users, [0, 7]);
        assert_eq!(read.log, Level::WARN);
    }

    /// Where longer messages are carried, there is room for them; by flags, or by the file.
    #[test]
    fn a_longer_message_has_room() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("unavezd.toml");
        let [message, process, all] =
            [("message-max", "1 GiB"), ("process-bytes-max", "3GiB"), ("bytes-max", "5 GiB")];
        let line = |(name, size)| format!("{name} = \"{size}\"\n");
        fs::write(&path, [message, process, all].map(line).concat()).unwrap();
        let flags = [message, process, all].map(|(name, size)| format!("--{name}={size}"));
        for flags in
            [&flags.each_ref().map(String::as_str)[..], &["--config", path.to_str().unwrap()]]
        {
            let Options { config, process_bytes_max, bytes_max, .. } =
                settings(flags).unwrap().options;
            assert_eq!(config.message_max, 1 << 30);
            assert!(config.building_per_address_max > 1 << 30);
            assert_eq!((process_bytes_max, bytes_max), (3 << 30, 5 << 30));
        }
        let usual = settings(&[]).unwrap().options.config;
        assert_eq!(usual, Config::default());
    }

    /// What is not understood is named.
    #[test]
    fn a_wrong_setting_is_named() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("unavezd.toml");
        let size = "a size is a number of bytes, or one with a unit: 64 MiB, 10 MB";
        for (text, allowed) in [
            ("port = 7", "expected one of `listen`, `advertise`,"),
            ("log = \"loud\"", "a level is error, warn, info, debug or trace"),
            ("listen", "expected `=`"),
            ("listen = \"x\"", "an address is IP:PORT, like 0.0.0.0:7373"),
            ("processes-max = 0", "it is a number from 1"),
            ("message-max = \"2 GiB\"", "at least 1072 bytes and at most 1 GiB"),
            ("message-max = 10", "at least 1072 bytes and at most 1 GiB"),
            ("process-bytes-max = \"much\"", size),
            ("bytes-max = -1", size),
        ] {
            fs::write(&path, format!("lan = true\n{text}")).unwrap();
            let told = settings(&["--config", path.to_str().unwrap()]).unwrap_err();
            let named = format!("unavezd.toml, line 2: \"{text}\": ");
            assert!(told.contains(&named) && told.contains(allowed), "{told}");
            assert_eq!(told.lines().count(), 1);
        }
        let told = settings(&["--allow-user", "nobody of that name"]).unwrap_err();
        assert!(told.contains("nobody of that name"), "{told}");
        assert!(settings(&["--config", "/nowhere"]).unwrap_err().contains("/nowhere"));
    }
}
