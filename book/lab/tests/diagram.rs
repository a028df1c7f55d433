//! The space-time diagram.

use lab::events::{Event, What};
use lab::{Time, diagram};

fn ms(ms: u64) -> Time {
    Time::from_millis(ms)
}

fn sent(at: u64, from: usize, label: &str, arrivals: &[u64]) -> Event {
    let what = What::Sent {
        to: 1 - from,
        label: label.into(),
        arrivals: arrivals.iter().copied().map(ms).collect(),
        late: false,
    };
    Event { at: ms(at), site: from, what }
}

#[test]
fn it_stands_in_a_page_as_it_is() {
    // No blank line (Markdown would end the block), no ids (they would clash), no colours.
    let events = [sent(0, 0, "REQUEST \"a<b>&c\"", &[5]), sent(5, 1, "REPLY", &[])];
    let svg = diagram(&events, "drop <reply> 1");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(!svg.contains("\n\n") && !svg.contains(" id=") && !svg.contains("<?xml"));
    assert!(svg.contains("role=\"img\"") && svg.contains("<title>drop &lt;reply&gt; 1</title>"));
    assert!(svg.contains("a&lt;b&gt;&amp;c"));
    assert!(!svg.contains('#'), "no colour: {svg}");
}

#[test]
fn every_copy_has_an_arrow_and_every_loss_a_cross() {
    let arrows = |svg: &str| svg.matches("<polygon").count();
    let crosses = |svg: &str| svg.matches("round").count() / 2;
    let svg = diagram(&[sent(0, 0, "REQUEST", &[5, 3000]), sent(5, 1, "REPLY", &[])], "");
    assert_eq!((arrows(&svg), crosses(&svg)), (2, 1));
    let crash = Event { at: ms(7), site: 1, what: What::Crashed };
    let restart = Event { at: ms(9), site: 1, what: What::Restarted(2) };
    let svg = diagram(&[crash, restart], "");
    assert_eq!((arrows(&svg), crosses(&svg)), (0, 1));
    assert!(svg.contains(">life 2</text>"));
}
