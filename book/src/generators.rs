//! The book's computed directives: each runs what it shows while the book is built.

use crate::bench::{Core, STEPS};
use crate::comparison;
use crate::figure::{escape, figure};
use crate::matrix::{matrix_table, matrix_traces};
use crate::preprocess::{Generator, Generators};
use crate::price;
use crate::protocol::{
    broken_table, counters_table, daemon_limits_table, limits_table, packets_table, schedules_table,
};
use crate::scoreboard::{grouped, scoreboard_table};
use crate::stepdiff::added_lines;
use crate::trace::Trace;
use lab::run::Cost;
use lab::{Faults, Plan, diagram};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// All of them, by name.
pub fn generators() -> Generators {
    let all: [(&str, Generator); 29] = [
        ("added", added),
        ("chart", comparison::chart),
        ("claims", comparison::claims),
        ("comparison-run", comparison::run),
        ("holds", comparison::holds),
        ("losses", comparison::losses),
        ("measured", comparison::measured),
        ("sizes", comparison::sizes),
        ("verdict", comparison::verdict),
        ("broken", |_words| Ok(broken_table())),
        ("cost", cost),
        ("counters", |_words| Ok(counters_table())),
        ("daemon-limits", |_words| daemon_limits_table()),
        ("diagram", diagram_figure),
        ("explored", |words| explored(words, Faults::Network)),
        ("explored-with-crashes", |words| explored(words, Faults::Crashes)),
        ("limits", |_words| limits_table()),
        ("matrix", |_words| Ok(matrix_table("matrix-traces.html"))),
        ("matrix-traces", |_words| Ok(matrix_traces())),
        ("packets", |_words| packets_table()),
        ("price", price::micros),
        ("price-bars", price::bars_figure),
        ("price-claim", price::claim),
        ("price-cores", |_words| price::cores_table()),
        ("price-table", price::ways_table),
        ("price-times", price::times),
        ("schedules", |_words| Ok(schedules_table())),
        ("scoreboard", |_words| scoreboard_table().map_err(|error| error.to_string())),
        ("shortest", shortest),
    ];
    all.into()
}

/// `{{#diagram step3-lost-reply}}`: the space-time diagram of a trace.
fn diagram_figure(words: &[&str]) -> Result<String, String> {
    let [name] = words else { return Err("one trace is wanted".into()) };
    let file = lab::snapshot::folder().join(format!("{name}.snap"));
    let snapshot = fs::read_to_string(file).map_err(|e| format!("trace `{name}`: {e}"))?;
    let trace = Trace::parse(&snapshot)?;
    let core = trace.example().and_then(Core::played_by).ok_or("no step plays this trace")?;
    let plan: Plan = trace.plan.parse().map_err(|e| format!("{e}"))?;
    let svg = diagram(&(core.run)(&plan).events, &format!("{}: {plan}", core.name));
    Ok(figure("diagram", &format!("{}, {}", core.name, escape(trace.plan)), &svg))
}

/// `{{#explored step3-dedup 3 2 calls}}`: how many plans of up to 3 faults of the network ran for
/// this plan. That none broke a promise is part of it.
fn explored(words: &[&str], faults: Faults) -> Result<String, String> {
    let (core, faults_max, plan) = exploration(words)?;
    let found = (core.explore)(&plan, faults, faults_max);
    match found.broken {
        None => Ok(grouped(&found.plans.to_string())),
        Some((plan, verdict)) => Err(format!("a promise is broken by \"{plan}\": {verdict}")),
    }
}

/// `{{#shortest step2-retransmit 3 no faults}}`: the shortest plan that breaks a promise.
fn shortest(words: &[&str]) -> Result<String, String> {
    let (core, faults_max, plan) = exploration(words)?;
    let found = (core.explore)(&plan, Faults::Network, faults_max);
    let (plan, verdict) = found.broken.ok_or("no promise is broken")?;
    Ok(format!("`{plan}` ({verdict})"))
}

fn exploration(words: &[&str]) -> Result<(Core, usize, Plan), String> {
    let [step, faults_max, plan @ ..] = words else {
        return Err("a step, a number of faults and a plan are wanted".into());
    };
    let faults_max = faults_max.parse().map_err(|_| "the number of faults is no number")?;
    let plan = plan.join(" ").parse().map_err(|e| format!("{e}"))?;
    Ok((core(step)?, faults_max, plan))
}

/// `{{#cost step2-retransmit step3-dedup}}`: what a call costs in each step.
fn cost(words: &[&str]) -> Result<String, String> {
    let mut table = "<table>\n<thead><tr><th>one call</th><th>step</th><th>packets</th>\
                     <th>bytes</th><th>entries and timers held at most</th>\
                     <th>nothing held after</th></tr></thead>\n<tbody>\n"
        .to_owned();
    for plan in ["no faults", "drop reply 1"] {
        for step in words {
            let plan: Plan = plan.parse().expect("it is right");
            let run = (core(step)?.run)(&plan);
            let Cost { packets, bytes, entries_max, lasted } = run.cost;
            let ended = match run.verdict.breach() {
                Some(lab::Breach::NeverEnded) => "never".to_owned(),
                _ => format!("{} ms", grouped(&lasted.as_millis().to_string())),
            };
            let _ = writeln!(
                table,
                "<tr><th scope=\"row\" class=\"name\"><code>{plan}</code></th><td class=\"name\">{step}</td>\
                 <td class=\"number\">{packets}</td><td class=\"number\">{bytes}</td>\
                 <td class=\"number\">{entries_max}</td><td class=\"number\">{ended}</td></tr>"
            );
        }
    }
    table.push_str("</tbody>\n</table>");
    let caption = "Both sites together; measured on the bench while this page was made.";
    Ok(figure("verdicts", caption, &table))
}

/// `{{#added step2-retransmit step3-dedup}}`: lines of code that a step adds to `src`.
fn added(words: &[&str]) -> Result<String, String> {
    let [from, to] = words else { return Err("two steps are wanted".into()) };
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let lines = added_lines(&workspace, from, to).map_err(|error| error.to_string())?;
    Ok(lines.to_string())
}

fn core(step: &str) -> Result<Core, String> {
    let known = STEPS.into_iter().find(|core| core.name == step);
    known.ok_or_else(|| format!("`{step}` is no step"))
}
