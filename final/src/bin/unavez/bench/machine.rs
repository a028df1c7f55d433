//! What a result is worth depends on: the machine, its kernel, the day and the version.

use std::fmt;
use std::fs;
use std::thread;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) kernel: String,
    /// How TCP finds its rate: the kernel's default.
    pub(super) tcp: String,
    /// Of the run, in UTC.
    pub(super) date: String,
    /// Of `unavez`.
    pub(super) version: String,
    /// Whether the program was built to be fast.
    pub(super) optimized: bool,
}

impl Machine {
    pub(super) fn here() -> Machine {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Machine {
            cpu: cpu(&read("/proc/cpuinfo")).unwrap_or("unknown").into(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().into(),
            tcp: read("/proc/sys/net/ipv4/tcp_congestion_control").trim().into(),
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            optimized: !cfg!(debug_assertions),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Machine { cpu, cores, kernel, tcp, date, version, .. } = self;
        write!(f, "unavez {version}, {cpu}, {cores} cores, Linux {kernel} (TCP: {tcp}), {date}")
    }
}

/// The processor's name: kernels for x86 and others for ARM call it differently.
fn cpu(info: &str) -> Option<&str> {
    let named = |name| {
        let line = info.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim()).filter(|it| !it.is_empty())
    };
    named("model name").or_else(|| named("Model")).or_else(|| named("CPU part"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_has_a_name() {
        // Of two kinds of machines, and of none that is known.
        assert_eq!(cpu("processor\t: 0\nmodel name\t: AMD EPYC\n"), Some("AMD EPYC"));
        assert_eq!(cpu("CPU part\t: 0xd0c\n"), Some("0xd0c"));
        assert_eq!(cpu("processor\t: 0\n"), None);
    }
}
