//! What happened in a run: the one list that trace, diagram and verdict are made from.

use std::fmt;

use crate::node::Time;
use crate::plan::site_name;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Time,
    /// To which site; 0 is `A`.
    pub site: usize,
    /// What.
    pub what: What,
}

/// What can happen to a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It sent a packet.
    Sent {
        /// To which site.
        to: usize,
        /// The packet as a person reads it.
        label: String,
        /// When each copy arrives: none is lost, two is doubled.
        arrivals: Vec<Time>,
        /// Whether a copy comes later than the network's usual time.
        late: bool,
    },
    /// The service ran.
    Executed(String),
    /// A call of this client ended.
    Ended {
        /// Counted from 1 over all clients.
        call: usize,
        /// How.
        end: String,
    },
    /// What no packet shows.
    Note(String),
    /// It lost its memory.
    Crashed,
    /// It began this life.
    Restarted(u32),
}

/// A run's events as text: one a line, time first, fixed columns.
#[derive(Debug)]
pub struct Trace<'a>(pub &'a [Event]);

impl fmt::Display for Trace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.iter().try_for_each(|event| writeln!(f, "{event}"))
    }
}

/// A line of the trace. `->` sent, `-x` lost, `=>` doubled, `~>` late.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let site = site_name(self.site);
        write!(f, "{:>6} ms  {site}", self.at.as_millis())?;
        match &self.what {
            What::Sent { to, label, arrivals, late } => {
                let arrow = match (arrivals.len(), late) {
                    (0, _) => "-x",
                    (1, false) => "->",
                    (1, true) => "~>",
                    _ => "=>",
                };
                write!(f, " {arrow} {}  {label}", site_name(*to))?;
                if arrivals.len() > 1 || *late {
                    let times: Vec<String> =
                        arrivals.iter().map(|at| at.as_millis().to_string()).collect();
                    write!(f, "  (arrives at {} ms)", times.join(" and "))?;
                }
                Ok(())
            }
            What::Executed(body) => write!(f, "       execute \"{body}\""),
            What::Ended { call, end } => write!(f, "       call {call} ends: {end}"),
            What::Note(note) => write!(f, "       {note}"),
            What::Crashed => write!(f, "       crash"),
            What::Restarted(life) => write!(f, "       restart, life {life}"),
        }
    }
}
