//! What Prometheus scrapes: the text exposition format, version 0.0.4.
//!
//! Invariant: each metric is one group of lines, its help, its type and its samples; whatever stands in
//! a label is escaped.

use std::fmt::{Display, Write};
use std::time::Duration;

use unavez::observe::ProcessInfo;
use unavez::protocol::Note;

use crate::ps::Attached;
use crate::stat::{Host, Peer, Said};

/// All that a site says, for one scrape.
pub(crate) fn text(said: &Said) -> String {
    let mut text = Text(String::new());
    let mut who = vec![("site", said.site.to_string())];
    if let Some(host) = &said.host {
        who.push(("epoch", host.epoch.to_string()));
        who.push(("address", host.address.to_string()));
    }
    text.metric("gauge", "site_info", "Who the site is.", [(labels(&who), 1)]);
    for (note, count) in said.counters.iter() {
        let name = format!("{}_total", snake_case(note));
        text.metric("counter", &name, note.describe(), [(String::new(), count)]);
    }
    for (name, about, count) in said.entries() {
        text.metric("gauge", name, about, [(String::new(), count)]);
    }
    if let Some(host) = &said.host {
        text.host(host);
    }
    text.0
}

struct Text(String);

impl Text {
    fn host(&mut self, host: &Host) {
        let peers = |which: fn(&Peer) -> Duration| {
            let peer =
                move |it: &Peer| (labels(&[("peer", it.0.to_string())]), which(it).as_secs_f64());
            host.peers.iter().map(peer)
        };
        let about = "Round trip to a site, smoothed.";
        self.metric("gauge", "round_trip_seconds", about, peers(|it| it.1));
        let about = "Variation of the round trip to a site.";
        self.metric("gauge", "round_trip_variation_seconds", about, peers(|it| it.2));
        // Not everybody may see them.
        let Ok(Attached { processes, ports }) = &host.attached else { return };
        let sum =
            |what: fn(&ProcessInfo) -> u32| processes.iter().map(|it| u64::from(what(it))).sum();
        for (name, about, count) in [
            ("processes", "Processes attached.", processes.len() as u64),
            ("ports", "Ports that they have opened.", ports.len() as u64),
            ("requests_in_hand", "Requests handed to them and not answered.", sum(|it| it.in_hand)),
            ("messages_waiting", "Messages that they have not read.", sum(|it| it.waiting)),
        ] {
            self.metric("gauge", name, about, [(String::new(), count)]);
        }
    }

    /// Its help, its type, and a line for each labels and value.
    fn metric<V: Display>(
        &mut self,
        kind: &str,
        name: &str,
        about: &str,
        samples: impl IntoIterator<Item = (String, V)>,
    ) {
        let about = about.replace('\\', r"\\").replace('\n', r"\n");
        let _ = writeln!(self.0, "# HELP unavez_{name} {about}\n# TYPE unavez_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(self.0, "unavez_{name}{labels} {value}");
        }
    }
}

fn labels(labels: &[(&str, String)]) -> String {
    let escape = |text: &str| text.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
    let labels = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value)));
    format!("{{{}}}", labels.collect::<Vec<_>>().join(","))
}

/// `NotExecuted` is `not_executed`.
fn snake_case(note: Note) -> String {
    let mut snake = String::new();
    for char in format!("{note:?}").chars() {
        if char.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(char.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
#[path = "../../../tests/cli/exposition.rs"]
mod exposition;

#[cfg(test)]
mod tests {
    use unavez::observe::ObserveError;
    use unavez::protocol::{Counters, Entries, SiteId};

    use super::*;

    fn said(host: Option<Host>) -> Said {
        Said { site: SiteId(7), counters: Counters::default(), entries: Entries::default(), host }
    }

    #[test]
    fn what_is_scraped_is_by_the_rules() {
        // A site far away, a daemon with and without processes that may be seen: one value each, read
        // as Prometheus reads them.
        let micros = Duration::from_micros;
        let peers = vec![(SiteId(1), micros(120), micros(7)), (SiteId(2), micros(0), micros(0))];
        let process = ProcessInfo::default();
        let attached = Attached { processes: vec![process.clone(), process], ports: vec![] };
        let refused = ObserveError::NotAllowed { user: 1, owner: 0 };
        for (attached, processes) in
            [(None, None), (Some(Ok(attached)), Some(2.0)), (Some(Err(refused)), None)]
        {
            let is_host = attached.is_some();
            let host = attached.map(|attached| Host {
                epoch: unavez::protocol::Epoch { counter: 3, random: 4 },
                address: "[::1]:7373".parse().unwrap(),
                peers: peers.clone(),
                attached,
            });
            let read = exposition::read(&text(&said(host))).unwrap();
            let get = |name: &str| read.get(name).copied();
            assert_eq!(get("unavez_not_executed_total"), Some(0.0));
            assert_eq!(get("unavez_calls"), Some(0.0));
            assert_eq!(get("unavez_processes"), processes);
            let trip = is_host.then_some(0.00012);
            assert_eq!(get(r#"unavez_round_trip_seconds{peer="0000000000000001"}"#), trip);
            let info = match is_host {
                true => r#"{site="0000000000000007",epoch="3-00000004",address="[::1]:7373"}"#,
                false => r#"{site="0000000000000007"}"#,
            };
            assert_eq!(get(&format!("unavez_site_info{info}")), Some(1.0));
        }
    }

    #[test]
    fn labels_are_escaped() {
        // The three characters that end a label, or a line.
        assert_eq!(labels(&[("a", "b\\c\"d\ne".into())]), r#"{a="b\\c\"d\ne"}"#);
    }
}
