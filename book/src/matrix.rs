//! The matrix: what each step makes of each fault, found by running it.

use crate::bench::{Core, STEPS};
use crate::figure::{escape, figure};
use lab::{Plan, Run, diagram};
use std::fmt::Write;

/// The fault plans, by the name of the row.
const ROWS: [(&str, &str); 14] = [
    ("nothing", "no faults"),
    ("lost request", "drop request 1"),
    ("lost reply", "drop reply 1"),
    ("duplicate", "duplicate request 1"),
    ("late duplicate", "duplicate request 1 by 25 s"),
    ("reordering", "2 calls at once; reorder request 1"),
    ("late reply", "2 calls; delay reply 1 by 203 ms"),
    ("slow service", "service takes 5 s"),
    ("lost acknowledgement", "service takes 5 s; drop working 1"),
    ("server crash before execution", "crash B before execution 1 for 50 ms"),
    ("server crash after execution", "crash B after execution 1 for 50 ms"),
    ("client crash", "2 calls; crash A at 7 ms for 50 ms"),
    (
        "restart while the client sleeps",
        "2 calls; pause A at 7 ms for 40 s; crash B at 20 ms for 50 ms",
    ),
    ("both crash", "2 calls; crash A at 7 ms for 50 ms; crash B at 8 ms for 50 ms"),
];

/// The matrix as plain text.
pub fn matrix_text() -> String {
    let mut text = String::new();
    for (name, plan) in ROWS {
        let _ = writeln!(text, "{name}: {plan}");
        for core in STEPS {
            let _ = writeln!(text, "    {:18}{}", core.name, run(core, plan).verdict);
        }
    }
    text
}

/// The matrix as a table whose cells lead to their traces on the page `traces`.
pub(crate) fn matrix_table(traces: &str) -> String {
    let mut table = "<table>\n<thead><tr><th>fault plan</th>".to_owned();
    for core in STEPS {
        let _ = write!(table, "<th>{}</th>", core.name);
    }
    table.push_str("</tr></thead>\n<tbody>\n");
    for (name, plan) in ROWS {
        let _ = write!(table, "<tr><th scope=\"row\">{name}<br><code>{plan}</code></th>");
        for core in STEPS {
            let run = run(core, plan);
            let (class, verdict) = (class(&run), run.verdict.to_string().replace("; ", "<br>"));
            let link = format!("{traces}#{}", anchor(name, core));
            let _ = write!(table, "<td class=\"{class}\"><a href=\"{link}\">{verdict}</a></td>");
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody>\n</table>");
    let caption = "What became of the calls; each verdict leads to its trace.";
    figure("verdicts", caption, &table)
}

/// All traces of the matrix, under headings that its cells lead to.
pub(crate) fn matrix_traces() -> String {
    let mut page = String::new();
    for (name, plan) in ROWS {
        let _ = write!(page, "\n## {name}\n\nFault plan: `{plan}`\n");
        for core in STEPS {
            let run = run(core, plan);
            let id = anchor(name, core);
            let _ = write!(page, "\n### {} {{#{id}}}\n\n", core.name);
            let _ = write!(page, "```text\n{run}```\n\n");
            let summary = "<details><summary>As a diagram</summary>";
            let svg = diagram(&run.events, &format!("{}, {plan}", core.name));
            let _ =
                write!(page, "{summary}\n{}</details>\n", figure("diagram", &escape(plan), &svg));
        }
    }
    page
}

fn run(core: Core, plan: &str) -> Run {
    let plan: Plan = plan.parse().expect("a row's plan is right");
    (core.run)(&plan)
}

/// Good: every call has its reply. Bad: a promise was broken.
fn class(run: &Run) -> &'static str {
    let replied = run.verdict.calls.iter().all(|call| call.end == lab::End::Replied);
    match run.verdict.breach() {
        Some(_) => "bad",
        None if replied => "good",
        None => "fair",
    }
}

fn anchor(row: &str, core: Core) -> String {
    format!("{}-{}", row.replace(' ', "-"), core.name)
}
