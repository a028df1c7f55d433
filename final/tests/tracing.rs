//! What a program sees of its sites through `tracing`. In a program of its own: whoever listens, listens
//! to all of it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use unavez::{IpcClient, IpcServer, Options, Site};

static SEEN: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());

/// Keeps every event of this crate, by its target.
struct Listener;

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().starts_with("unavez")
    }
    fn new_span(&self, span: &Attributes) -> Id {
        let mut text = Text(String::new());
        span.record(&mut text);
        SEEN.lock().unwrap().entry("span".into()).or_default().push(text.0);
        Id::from_u64(1)
    }
    fn event(&self, event: &Event) {
        assert!(event.parent().is_some(), "each event is in the span of its site");
        let mut text = Text(String::new());
        event.record(&mut text);
        let target = event.metadata().target().to_owned();
        SEEN.lock().unwrap().entry(target).or_default().push(text.0);
    }
    fn record(&self, _: &Id, _: &Record) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn packets_notes_and_ends_are_events() {
    // One call, its packets at both ends, and what no packet shows.
    tracing::subscriber::set_global_default(Listener).unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let site = Site::with(Options { listen, ..Options::default() }).unwrap();
    let server = IpcServer::new(&site).unwrap();
    let client = IpcClient::new(&site, server.port());
    let id = client.send_request("hello").unwrap();
    let (request, call) = server.receive_request().unwrap();
    server.send_reply(request, call).unwrap();
    client.receive_reply_of(id).unwrap();
    drop((client, server));
    let own = format!("id={} ", site.id());
    drop(site);
    let seen = SEEN.lock().unwrap();
    assert_eq!(seen["span"], [own]);
    let packets = &seen["unavez::packet"];
    for (what, start) in
        [("REQUEST", "sent"), ("REQUEST", "came"), ("REPLY", "sent"), ("REPLY", "came")]
    {
        let found = |line: &String| line.contains(what) && line.contains(start);
        assert_eq!(
            packets.iter().filter(|line| found(line)).count(),
            1,
            "{start} {what}: {packets:?}"
        );
    }
    assert_eq!(packets.len(), 4, "{packets:?}");
    let notes = &seen["unavez::note"];
    assert!(notes.iter().any(|note| note.contains("request handed over")), "{notes:?}");
    let ends = &seen["unavez::call"];
    assert!(ends.iter().any(|end| end.contains("taken")), "{ends:?}");
    assert!(
        ends.iter()
            .any(|end| end.contains("reply \"hello\"") || end.contains(r#"reply \"hello\""#)),
        "{ends:?}"
    );
}
