//! The processes of the bench from outside.
//!
//! Invariant: they do not outlive this one. Each ends when its input does, which the kernel closes when
//! this process ends in whichever way.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::orders::Start;
use super::space::Space;
use crate::Result;
use crate::net::Stop;

/// After how long without a word something is wrong: longer than any message takes.
const HANGS_AFTER: Duration = Duration::from_secs(600);
/// How long a process may take to end by itself.
const ENDS_WITHIN: Duration = Duration::from_secs(2);
/// What is said when a person stops the bench.
pub(super) const INTERRUPTED: &str = "interrupted";

pub(super) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Process {
    pub(super) fn start(space: Option<&Space>, start: &Start) -> Result<Process> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bench-role").stdin(Stdio::piped()).stdout(Stdio::piped());
        // Ctrl-C is for the process that they belong to.
        command.process_group(0);
        let mut child = match space {
            Some(space) => space.within(|| Ok(command.spawn()?))?,
            None => command.spawn()?,
        };
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let output = output.expect("it is piped");
        let (line, lines) = crossbeam_channel::unbounded();
        thread::spawn(move || {
            let mut all = BufReader::new(output).lines().map_while(std::result::Result::ok);
            all.try_for_each(|text| line.send(text))
        });
        let mut process = Process { child, input, lines };
        process.tell(start)?;
        Ok(process)
    }

    pub(super) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub(super) fn tell(&mut self, what: &impl Serialize) -> Result<()> {
        let input = self.input.as_mut().expect("it is closed in the end only");
        writeln!(input, "{}", serde_json::to_string(what)?).map_err(|_| ENDED)?;
        Ok(())
    }

    /// Waits for its next word.
    pub(super) fn hear<T: DeserializeOwned>(&self, stop: &Stop) -> Result<T> {
        let line = crossbeam_channel::select! {
            recv(self.lines) -> line => line.map_err(|_| ENDED)?,
            recv(stop.told) -> _ => return Err(INTERRUPTED.into()),
            default(HANGS_AFTER) => return Err("a process of the bench hangs".into()),
        };
        Ok(serde_json::from_str(&line)?)
    }
}

const ENDED: &str = "a process of the bench has failed";

impl Drop for Process {
    fn drop(&mut self) {
        self.input = None;
        // Its output ends with it; what is still there is not wanted.
        while self.lines.recv_timeout(ENDS_WITHIN).is_ok() {}
        if self.lines.recv_timeout(Duration::ZERO) == Err(RecvTimeoutError::Timeout) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
