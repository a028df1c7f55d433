//! A run as a space-time diagram in SVG: time runs down, each site has a line, each copy of a packet an arrow.
//!
//! Invariant: the picture stands in a page as it is. It has no ids, no blank line and no colour of its own.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::events::{Event, What};
use crate::node::Time;
use crate::plan::site_name;

const ROW: f64 = 26.0;
/// What a long time without events takes.
const PAUSE: f64 = 18.0;
const PAUSE_FROM: Time = Time::from_millis(50);
const TOP: f64 = 48.0;
const TIME_X: f64 = 66.0;
const FIRST_X: f64 = 242.0;
const SITE_GAP: f64 = 326.0;
const NOTE_WIDTH: f64 = 172.0;
/// What fits beside a site's line, in characters.
const NOTE_CHARS: usize = 24;

type Point = (f64, f64);

/// The diagram of a run, under a title that a screen reader reads.
pub fn diagram(events: &[Event], title: &str) -> String {
    let layout = Layout::of(events);
    let (width, height) = (layout.x(layout.sites - 1) + NOTE_WIDTH, layout.bottom() + 20.0);
    let mut svg = format!(
        "<svg class=\"diagram\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" font-size=\"11\" \
         fill=\"currentColor\" stroke=\"none\">\n<title>{}</title>\n",
        escape(title)
    );
    for site in 0..layout.sites {
        draw_site(&mut svg, &layout, events, site);
    }
    for (time, block) in &layout.blocks {
        text(&mut svg, (TIME_X, block.y + 4.0), "end", &format!("{} ms", time.as_millis()));
    }
    for (index, event) in events.iter().enumerate() {
        draw_event(&mut svg, &layout, index, event);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Where everything stands: one row an event, in blocks of the same moment.
struct Layout {
    sites: usize,
    rows: Vec<f64>,
    blocks: BTreeMap<Time, Block>,
}

struct Block {
    y: f64,
    rows: usize,
}

impl Layout {
    fn of(events: &[Event]) -> Layout {
        let mut blocks = BTreeMap::new();
        let mut sites = 2;
        for event in events {
            sites = sites.max(event.site + 1);
            blocks.entry(event.at).or_insert(Block { y: 0.0, rows: 0 }).rows += 1;
            for at in arrivals(event) {
                blocks.entry(*at).or_insert(Block { y: 0.0, rows: 0 });
            }
        }
        let mut y = TOP;
        let mut before = Time::ZERO;
        for (time, block) in &mut blocks {
            if *time - before > PAUSE_FROM {
                y += PAUSE;
            }
            before = *time;
            block.y = y;
            y += ROW * block.rows.max(1) as f64;
        }
        let mut used: BTreeMap<Time, usize> = BTreeMap::new();
        let rows = events.iter().map(|event| {
            let row = used.entry(event.at).or_default();
            *row += 1;
            blocks[&event.at].y + ROW * (*row - 1) as f64
        });
        Layout { sites, rows: rows.collect(), blocks }
    }

    fn x(&self, site: usize) -> f64 {
        FIRST_X + SITE_GAP * site as f64
    }

    fn bottom(&self) -> f64 {
        let last = self.blocks.values().next_back();
        last.map_or(TOP, |block| block.y + ROW * block.rows.max(1) as f64)
    }
}

fn arrivals(event: &Event) -> &[Time] {
    match &event.what {
        What::Sent { arrivals, .. } => arrivals,
        _ => &[],
    }
}

/// A site's name and its line, which a crash breaks off until the restart.
fn draw_site(svg: &mut String, layout: &Layout, events: &[Event], site: usize) {
    let x = layout.x(site);
    let role = if site == 1 { "server" } else { "client" };
    text(svg, (x, 20.0), "middle", &format!("{} ({role})", site_name(site)));
    let mut from = Some(30.0);
    for (index, event) in events.iter().enumerate().filter(|(_, event)| event.site == site) {
        match (&event.what, from) {
            (What::Crashed, Some(top)) => {
                line(svg, &[(x, top), (x, layout.rows[index])], "");
                cross(svg, (x, layout.rows[index]));
                from = None;
            }
            (What::Restarted(_), None) => from = Some(layout.rows[index]),
            _ => {}
        }
    }
    if let Some(top) = from {
        line(svg, &[(x, top), (x, layout.bottom())], "");
    }
}

fn draw_event(svg: &mut String, layout: &Layout, index: usize, event: &Event) {
    let y = layout.rows[index];
    match &event.what {
        What::Sent { to, label, arrivals, .. } => {
            let end = |at: &Time| (layout.x(*to), layout.blocks[at].y);
            let start = (layout.x(event.site), y);
            draw_packet(svg, start, layout.x(*to), arrivals.iter().map(end).collect(), label);
        }
        What::Crashed => beside(svg, layout, index, event.site, "crash"),
        What::Restarted(life) => beside(svg, layout, index, event.site, &format!("life {life}")),
        What::Executed(body) => {
            let (x, y) = (layout.x(event.site), y);
            let _ = writeln!(svg, r#"<circle cx="{x:.0}" cy="{y:.0}" r="5"/>"#);
            beside(svg, layout, index, event.site, &format!("execute \"{body}\""));
        }
        What::Ended { call, end } => {
            let end = end.split(';').next().unwrap_or(end);
            beside(svg, layout, index, event.site, &format!("call {call} ends: {end}"));
        }
        What::Note(note) => beside(svg, layout, index, event.site, note),
    }
}

/// The copies of a packet. One that is long under way turns off and comes down beside the others.
fn draw_packet(svg: &mut String, start: Point, to: f64, ends: Vec<Point>, label: &str) {
    let late = |end: &Point| end.1 - start.1 > 2.5 * ROW;
    let aim = ends.iter().copied().find(|end| !late(end)).unwrap_or((to, start.1 + 0.7 * ROW));
    for end in &ends {
        // Detours of different packets come down side by side.
        let turn = between(start, aim, 0.74 + start.1 % 5.0 * 0.03);
        match late(end) {
            true => arrow(svg, &[start, turn, (turn.0, end.1 - 8.0), *end]),
            false => arrow(svg, &[start, *end]),
        }
    }
    if ends.is_empty() {
        let lost = between(start, aim, 0.8);
        line(svg, &[start, lost], "");
        cross(svg, lost);
    }
    along(svg, start, aim, label);
}

fn between(from: Point, to: Point, share: f64) -> Point {
    (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share)
}

/// Text beside a site's line, in two lines if need be: the first site's to the left, the others' to
/// the right.
fn beside(svg: &mut String, layout: &Layout, index: usize, site: usize, what: &str) {
    let (x, anchor) = match site {
        0 => (layout.x(0) - 10.0, "end"),
        _ => (layout.x(site) + 10.0, "start"),
    };
    let y = layout.rows[index] + 4.0;
    let split = what.char_indices().take(NOTE_CHARS + 1).filter(|(_, char)| *char == ' ').last();
    match split {
        Some((at, _)) if what.chars().count() > NOTE_CHARS => {
            text(svg, (x, y - 6.0), anchor, &what[..at]);
            text(svg, (x, y + 6.0), anchor, &what[at + 1..]);
        }
        _ => text(svg, (x, y), anchor, what),
    }
}

fn text(svg: &mut String, (x, y): Point, anchor: &str, what: &str) {
    let what = escape(what);
    let _ = writeln!(svg, r#"<text x="{x:.0}" y="{y:.0}" text-anchor="{anchor}">{what}</text>"#);
}

/// Text along an arrow, just above it.
fn along(svg: &mut String, from: Point, to: Point, what: &str) {
    let (left, right) = if from.0 < to.0 { (from, to) } else { (to, from) };
    let angle = ((right.1 - left.1) / (right.0 - left.0)).atan().to_degrees();
    let (x, y) = ((left.0 + right.0) / 2.0, (left.1 + right.1) / 2.0);
    let what = escape(what);
    let _ = writeln!(
        svg,
        r#"<text x="{x:.0}" y="{y:.0}" dy="-5" text-anchor="middle" transform="rotate({angle:.1} {x:.0} {y:.0})">{what}</text>"#
    );
}

fn line(svg: &mut String, points: &[Point], attributes: &str) {
    let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.0},{y:.0}")).collect();
    let points = points.join(" ");
    let _ = writeln!(
        svg,
        r#"<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.5"{attributes}/>"#
    );
}

fn arrow(svg: &mut String, points: &[Point]) {
    line(svg, points, "");
    let [.., (from_x, from_y), (x, y)] = *points else { return };
    let angle = (y - from_y).atan2(x - from_x).to_degrees();
    let _ = writeln!(
        svg,
        r#"<polygon points="0,0 -9,4 -9,-4" transform="translate({x:.0} {y:.0}) rotate({angle:.1})"/>"#
    );
}

fn cross(svg: &mut String, (x, y): Point) {
    for (dx, dy) in [(5.0, 5.0), (5.0, -5.0)] {
        line(svg, &[(x - dx, y - dy), (x + dx, y + dy)], r#" stroke-linecap="round""#);
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
