//! A fault plan: what goes wrong in a run, as one line of text.
//!
//! Invariant: a plan's `Display` parses to the same plan, so a caption is enough to repeat a trace.

use std::fmt;
use std::str::FromStr;

use crate::node::Time;

/// Names of packets that a plan may pick; `packet` is any of them.
pub const KINDS: [&str; 13] = [
    "packet",
    "request",
    "reply",
    "stale",
    "working",
    "heartbeat",
    "no_call",
    "busy",
    "refused",
    "challenge",
    "abort",
    "aborted",
    "wrong_site",
];

/// Each has a letter.
const CLIENTS_MAX: u32 = 20;

/// An example of each part that a plan may have.
const FORMS: [&str; 14] = [
    "drop reply 1",
    "duplicate request 1 by 3 s",
    "delay packet 2 by 300 ms",
    "reorder request 1",
    "crash B at 20 ms for 50 ms",
    "pause A at 20 ms for 5 s",
    "service takes 500 ms",
    "2 calls",
    "2 calls at once",
    "2 clients",
    "storm 7",
    "restart storm 7",
    "slow storm 7",
    "no faults",
];

/// What is asked, and what goes wrong. The default is one call and no fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Calls of each client, one after the other.
    pub calls: u32,
    /// How many clients there are; a storm draws it.
    pub clients: u32,
    /// All calls are asked at the start instead, as far as the core allows it.
    pub at_once: bool,
    /// How long the service takes for a request.
    pub service: Time,
    /// What goes wrong, in any order.
    pub faults: Vec<Fault>,
    /// Random faults besides.
    pub storm: Option<Storm>,
}

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The network does this to that packet.
    Packet(Pick, Fate),
    /// A site loses its memory.
    Crash {
        /// Which: 0 is `A`.
        site: usize,
        /// When.
        when: When,
        /// How long until it comes back; `None` is never.
        down: Option<Time>,
    },
    /// A site stands still, and its clock with it; what arrives waits in its buffer.
    Pause {
        /// Which: 0 is `A`.
        site: usize,
        /// When.
        at: Time,
        /// How long.
        long: Time,
    },
}

/// One packet of a run: the `number`th of its kind, from 1, as they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// One of [`KINDS`].
    pub kind: &'static str,
    /// Counted from 1.
    pub number: u32,
}

/// What the network does to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It never arrives.
    Drop,
    /// A copy arrives, so much later than the packet.
    Duplicate(Time),
    /// It arrives so much later.
    Delay(Time),
    /// It arrives right after the next packet on its way, or a second late if there is none.
    Reorder,
}

/// When a site crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At this time.
    At(Time),
    /// Just before the bench's `n`th event, from 1: an arrival, a timeout, a service done …
    Event(u32),
    /// Just before the `n`th execution, from 1.
    BeforeExecution(u32),
    /// Just after it, before the reply is sent.
    AfterExecution(u32),
}

/// Random faults, all from one seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storm {
    /// What kind.
    pub weather: Weather,
    /// The same seed, the same run.
    pub seed: u64,
}

/// What a storm is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// A network that loses 30 %, doubles 20 % and delays 30 % by up to 2 s.
    Network,
    /// That, and sites that crash and come back.
    Restarts,
    /// A network that loses 10 %, doubles 20 % and delays 10 %, and a service that takes 3 to 8 s.
    Slow,
}

/// A plan that could not be read, with what is allowed in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError(String);

impl Default for Plan {
    fn default() -> Self {
        Plan {
            calls: 1,
            clients: 1,
            at_once: false,
            service: Time::ZERO,
            faults: Vec::new(),
            storm: None,
        }
    }
}

impl Plan {
    /// A storm and nothing else.
    pub fn storm(weather: Weather, seed: u64) -> Plan {
        Plan { storm: Some(Storm { weather, seed }), ..Plan::default() }
    }

    /// The same plan and one more fault.
    #[must_use]
    pub fn and(&self, fault: Fault) -> Plan {
        let mut plan = self.clone();
        plan.faults.push(fault);
        plan
    }

    fn add(&mut self, item: &str) -> Result<(), String> {
        let words: Vec<&str> = item.split_whitespace().collect();
        match words[..] {
            ["no", "faults"] => {}
            [number, "calls", ref rest @ ..] => {
                self.calls = parse_number(number)?;
                self.at_once = match rest {
                    [] => false,
                    ["at", "once"] => true,
                    _ => return Err(r#"after "calls" comes nothing or "at once""#.into()),
                };
            }
            [number, "clients"] => match parse_number(number)? {
                clients @ ..=CLIENTS_MAX => self.clients = clients,
                _ => return Err(format!("{CLIENTS_MAX} clients at most")),
            },
            ["service", "takes", ref time @ ..] => self.service = parse_time(time)?,
            ["storm", seed] => self.storm = Some(parse_storm(Weather::Network, seed)?),
            ["restart", "storm", seed] => self.storm = Some(parse_storm(Weather::Restarts, seed)?),
            ["slow", "storm", seed] => self.storm = Some(parse_storm(Weather::Slow, seed)?),
            _ => self.faults.push(parse_fault(&words)?),
        }
        Ok(())
    }
}

impl FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Plan, PlanError> {
        let mut plan = Plan::default();
        for item in text.split(';').map(str::trim) {
            plan.add(item)
                .map_err(|why| PlanError(format!("\"{}\": {why}", item.escape_debug())))?;
        }
        Ok(plan)
    }
}

fn parse_fault(words: &[&str]) -> Result<Fault, String> {
    Ok(match *words {
        ["drop", kind, number] => Fault::Packet(parse_pick(kind, number)?, Fate::Drop),
        ["reorder", kind, number] => Fault::Packet(parse_pick(kind, number)?, Fate::Reorder),
        ["duplicate", kind, number] => {
            Fault::Packet(parse_pick(kind, number)?, Fate::Duplicate(Time::ZERO))
        }
        ["duplicate", kind, number, "by", ref time @ ..] => {
            Fault::Packet(parse_pick(kind, number)?, Fate::Duplicate(parse_time(time)?))
        }
        ["delay", kind, number, "by", ref time @ ..] => {
            Fault::Packet(parse_pick(kind, number)?, Fate::Delay(parse_time(time)?))
        }
        ["crash", site, ref when @ ..] => parse_crash(site, when)?,
        ["pause", site, "at", ref times @ ..] => {
            let mut times = times.split(|word| *word == "for");
            let mut time = || parse_time(times.next().unwrap_or(&[]));
            Fault::Pause { site: parse_site(site)?, at: time()?, long: time()? }
        }
        [first, ..] if let Some(form) = FORMS.iter().find(|form| form.starts_with(first)) => {
            return Err(format!("it is written like this: {form}"));
        }
        _ => return Err(format!("allowed are: {}", FORMS.join("; "))),
    })
}

fn parse_crash(site: &str, words: &[&str]) -> Result<Fault, String> {
    let split = words.iter().position(|word| *word == "for");
    let (when, down) = match split {
        Some(at) => (&words[..at], Some(parse_time(&words[at + 1..])?)),
        None => (words, None),
    };
    let when = match *when {
        ["at", "event", number] => When::Event(parse_number(number)?),
        ["at", ref time @ ..] => When::At(parse_time(time)?),
        ["before", "execution", number] => When::BeforeExecution(parse_number(number)?),
        ["after", "execution", number] => When::AfterExecution(parse_number(number)?),
        _ => {
            return Err(
                "a crash is at 20 ms, at event 3, before execution 1 or after execution 1".into()
            );
        }
    };
    Ok(Fault::Crash { site: parse_site(site)?, when, down })
}

fn parse_site(site: &str) -> Result<usize, String> {
    match site.as_bytes() {
        [letter @ b'A'..=b'B'] => Ok(usize::from(letter - b'A')),
        _ => Err("a site is A, the client, or B, the server".into()),
    }
}

fn parse_pick(kind: &str, number: &str) -> Result<Pick, String> {
    let kind = KINDS.into_iter().find(|known| *known == kind);
    Ok(Pick {
        kind: kind.ok_or_else(|| format!("a packet is one of {}", KINDS.join(", ")))?,
        number: parse_number(number)?,
    })
}

fn parse_storm(weather: Weather, seed: &str) -> Result<Storm, String> {
    let seed = seed.parse().map_err(|_| "a seed is a whole number")?;
    Ok(Storm { weather, seed })
}

fn parse_number(word: &str) -> Result<u32, String> {
    match word.parse() {
        Ok(number @ 1..=1000) => Ok(number),
        _ => Err("a number is whole, from 1 to 1000".into()),
    }
}

pub(crate) fn parse_time(words: &[&str]) -> Result<Time, String> {
    let text = words.concat();
    let (number, unit) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        _ => 0,
    };
    match number.parse::<u64>() {
        Ok(number @ 0..=3_600_000) if (1..=3_600_000).contains(&(number.max(1) * factor)) => {
            Ok(Time::from_millis(number * factor))
        }
        _ => Err("a time is a whole number of ms or s, an hour at most: 20 ms, 2 s".into()),
    }
}

/// A time as plans and traces write it.
pub(crate) fn show_time(time: Time) -> String {
    match time.as_millis() {
        ms if ms > 0 && ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut items = Vec::new();
        if self.clients > 1 {
            items.push(format!("{} clients", self.clients));
        }
        if self.calls > 1 || self.at_once {
            let at_once = if self.at_once { " at once" } else { "" };
            items.push(format!("{} calls{at_once}", self.calls));
        }
        if self.service > Time::ZERO {
            items.push(format!("service takes {}", show_time(self.service)));
        }
        items.extend(self.faults.iter().map(Fault::to_string));
        items.extend(self.storm.map(|storm| storm.to_string()));
        if items.is_empty() {
            items.push("no faults".into());
        }
        f.write_str(&items.join("; "))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Fault::Packet(pick, Fate::Drop) => write!(f, "drop {pick}"),
            Fault::Packet(pick, Fate::Duplicate(Time::ZERO)) => write!(f, "duplicate {pick}"),
            Fault::Packet(pick, Fate::Duplicate(by)) => {
                write!(f, "duplicate {pick} by {}", show_time(*by))
            }
            Fault::Packet(pick, Fate::Delay(by)) => write!(f, "delay {pick} by {}", show_time(*by)),
            Fault::Packet(pick, Fate::Reorder) => write!(f, "reorder {pick}"),
            Fault::Crash { site, when, down } => {
                write!(f, "crash {} {when}", site_name(*site))?;
                down.map_or(Ok(()), |down| write!(f, " for {}", show_time(down)))
            }
            Fault::Pause { site, at, long } => {
                let (site, at, long) = (site_name(*site), show_time(*at), show_time(*long));
                write!(f, "pause {site} at {at} for {long}")
            }
        }
    }
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.number)
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            When::At(time) => write!(f, "at {}", show_time(*time)),
            When::Event(number) => write!(f, "at event {number}"),
            When::BeforeExecution(number) => write!(f, "before execution {number}"),
            When::AfterExecution(number) => write!(f, "after execution {number}"),
        }
    }
}

impl fmt::Display for Storm {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let kind = match self.weather {
            Weather::Network => "",
            Weather::Restarts => "restart ",
            Weather::Slow => "slow ",
        };
        write!(f, "{kind}storm {}", self.seed)
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PlanError {}

/// A site's letter in traces and plans.
pub fn site_name(site: usize) -> char {
    char::from(b'A' + u8::try_from(site).unwrap_or(25).min(25))
}
