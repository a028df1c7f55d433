//! Reads the text exposition format of Prometheus, version 0.0.4, and takes nothing that its rules do not
//! allow: https://prometheus.io/docs/instrumenting/exposition_formats/

use std::collections::{BTreeMap, BTreeSet};

/// Each sample by its name with its labels, or the line that is wrong and why.
pub(crate) fn read(text: &str) -> Result<BTreeMap<String, f64>, String> {
    let whole = text.strip_suffix('\n').ok_or("the last line has no end")?;
    let mut read = Reader::default();
    for line in whole.split('\n') {
        read.line(line).map_err(|why| format!("{why}: {line:?}"))?;
    }
    Ok(read.samples)
}

#[derive(Default)]
struct Reader {
    samples: BTreeMap<String, f64>,
    /// Metrics whose lines have begun; all of a metric stand together.
    begun: BTreeSet<String>,
    metric: Metric,
}

/// The one whose lines these are.
#[derive(Default)]
struct Metric {
    name: String,
    has_help: bool,
    kind: Option<String>,
    has_samples: bool,
}

type Rule = Result<(), &'static str>;

impl Reader {
    fn line(&mut self, line: &str) -> Rule {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').ok_or("a help without text")?;
            self.begin(name)?;
            check_escapes(text, &['\\', 'n'])?;
            let twice = std::mem::replace(&mut self.metric.has_help, true);
            rule(!twice && !self.metric.has_samples, "a second or late help")
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').ok_or("a type without one")?;
            self.begin(name)?;
            let known = ["counter", "gauge", "histogram", "summary", "untyped"];
            rule(known.contains(&kind), "an unknown type")?;
            rule(kind != "counter" || name.ends_with("_total"), "a counter is a total")?;
            let before = self.metric.kind.replace(kind.into());
            rule(before.is_none() && !self.metric.has_samples, "a second or late type")
        } else {
            rule(!line.starts_with('#') && !line.is_empty(), "neither help, type nor sample")?;
            self.sample(line)
        }
    }

    fn begin(&mut self, name: &str) -> Rule {
        if name == self.metric.name {
            return Ok(());
        }
        rule(is_name(name, true), "no name of a metric")?;
        rule(self.begun.insert(name.into()), "a metric in two places")?;
        self.metric = Metric { name: name.into(), ..Metric::default() };
        Ok(())
    }

    fn sample(&mut self, line: &str) -> Rule {
        let (series, value) = line.rsplit_once(' ').ok_or("a sample without value")?;
        let name = match series.split_once('{') {
            None => series,
            Some((name, labels)) => {
                let labels = labels.strip_suffix('}').ok_or("labels without end")?;
                check_labels(labels)?;
                name
            }
        };
        self.begin(name)?;
        rule(self.metric.has_help && self.metric.kind.is_some(), "a sample before its type")?;
        self.metric.has_samples = true;
        let value: f64 = value.parse().map_err(|_| "no number")?;
        rule(value >= 0.0, "nothing here is negative")?;
        rule(self.samples.insert(series.into(), value).is_none(), "a sample twice")
    }
}

fn check_labels(labels: &str) -> Rule {
    let (mut rest, mut seen) = (labels, BTreeSet::new());
    loop {
        let (name, value) = rest.split_once("=\"").ok_or("a label without value")?;
        rule(is_name(name, false) && seen.insert(name), "no name of a label, or twice")?;
        let mut escaped = false;
        let end = value.find(|char| {
            let ends = char == '"' && !escaped;
            escaped = char == '\\' && !escaped;
            ends
        });
        let (value, after) = value.split_at(end.ok_or("a value without end")?);
        check_escapes(value, &['\\', 'n', '"'])?;
        match after[1..].strip_prefix(',') {
            Some(more) => rest = more,
            None => return rule(after.len() == 1, "no comma between labels"),
        }
    }
}

fn check_escapes(text: &str, allowed: &[char]) -> Rule {
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        let fine = char != '\\' || chars.next().is_some_and(|next| allowed.contains(&next));
        rule(fine, "an unknown escape")?;
    }
    Ok(())
}

fn is_name(name: &str, is_metric: bool) -> bool {
    let fits = |char: char| char.is_ascii_alphanumeric() || char == '_' || is_metric && char == ':';
    !name.is_empty()
        && !name.starts_with(|char: char| char.is_ascii_digit())
        && name.chars().all(fits)
}

fn rule(holds: bool, why: &'static str) -> Rule {
    if holds { Ok(()) } else { Err(why) }
}

#[test]
fn what_breaks_the_rules_is_not_read() {
    // One break each.
    const HEAD: &str = "# HELP a_total x\n# TYPE a_total counter\n";
    assert_eq!(read(&format!("{HEAD}a_total{{b=\"c\\\"d\"}} 1\n")).unwrap().len(), 1);
    for broken in [
        "",
        "a_total 1",
        "a_total\n",
        "a_total x\n",
        "a_total -1\n",
        "\n",
        "# a\n",
        "a_total 1\na_total 1\n",
        "a_total{b=\"c} 1\n",
        "a_total{b=c} 1\n",
        "a_total{b=\"c\"d=\"e\"} 1\n",
        "a_total{b=\"c\",b=\"e\"} 1\n",
        "a_total{1b=\"c\"} 1\n",
        "a_total{b=\"\\c\"} 1\n",
        "a_total 1\n# TYPE a_total counter\n",
        "b 1\n",
        "# HELP b x\n# TYPE b counter\nb 1\n",
        "# HELP b x\n# TYPE b number\nb 1\n",
        "# HELP b \\x\n# TYPE b gauge\nb 1\n",
        "# HELP b x\n# TYPE b gauge\nb 1\na_total 1\n",
    ] {
        let what = if broken.is_empty() { "x".into() } else { format!("{HEAD}{broken}") };
        assert!(read(&what).is_err(), "{what}");
    }
}
