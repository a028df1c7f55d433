//! Processes of this program: each plays a role, is told lines and says lines.
//!
//! Invariant: none outlives the process that started it, or the value that stands for it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;
use std::{env, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::set_parent_process_death_signal;

use super::{LONG, Result, SOON};

pub(crate) struct Process {
    child: Child,
    /// None, when it is told nothing more.
    hears: Option<ChildStdin>,
    says: Receiver<String>,
}

/// Called first in each role.
pub(crate) fn die_with_parent() -> Result<()> {
    Ok(set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?)
}

impl Process {
    /// Starts this program with these arguments.
    pub(crate) fn start(role: &[impl AsRef<OsStr>]) -> Result<Process> {
        let mut command = Command::new(env::current_exe()?);
        command.args(role).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let hears = child.stdin.take();
        let output = child.stdout.take().expect("it is piped");
        let (line, says) = channel();
        thread::spawn(move || {
            let mut lines = BufReader::new(output).lines().map_while(std::result::Result::ok);
            lines.try_for_each(|text| line.send(text))
        });
        Ok(Process { child, hears, says })
    }

    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        let hears = self.hears.as_mut().ok_or("it is told nothing more")?;
        Ok(writeln!(hears, "{line}")?)
    }

    /// The next line that it says.
    pub(crate) fn hear(&self) -> Result<String> {
        let line = self.says.recv_timeout(LONG);
        line.map_err(|error| format!("process {} says nothing: {error}", self.id()).into())
    }

    /// The next line, if it has been said.
    pub(crate) fn try_hear(&self) -> Option<String> {
        self.says.try_recv().ok()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.id().cast_signed()), signal)?)
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        let until = Instant::now() + LONG;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= until {
                return Err(format!("process {} does not end", self.id()).into());
            }
            thread::sleep(SOON);
        }
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Tells it nothing more, upon which it ends.
    pub(crate) fn end(mut self) -> Result<()> {
        self.hears = None;
        match self.wait()? {
            status if status.success() => Ok(()),
            status => Err(format!("process {}: {status}", self.id()).into()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
