//! What the chapters say beyond what is generated: captions, exercises, sizes, the scoreboard.

use book::{Core, STORMS, Trace, added_lines, changed_files, scoreboard_file, scoreboard_text};
use lab::Plan;
use std::fs;
use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let mut files: Vec<_> = paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    files.sort();
    files
}

#[test]
fn every_caption_reproduces_its_trace() {
    // The command in the first line of each trace, run again here, prints the rest of it.
    let traces = files(&lab::snapshot::folder(), ".snap");
    assert!(traces.len() >= 16, "{} traces", traces.len());
    for file in traces {
        let snapshot = fs::read_to_string(&file).expect("it can be read");
        let trace = Trace::parse(&snapshot).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let example = trace.example().expect("the command runs an example");
        let core = Core::played_by(example).unwrap_or_else(|| panic!("`{example}` plays nothing"));
        let plan: Plan = trace.plan.parse().expect("the plan is right");
        assert_eq!(plan.to_string(), trace.plan, "{}: the plan is in its one form", file.display());
        let text = (core.text)(example, &plan);
        assert_eq!(
            text.trim_end(),
            format!("$ {}\n{}", trace.command, trace.events),
            "{}",
            file.display()
        );
    }
}

#[test]
fn every_plan_in_a_chapter_is_one() {
    // `… --example step2-play -- "drop reply 1"`, wherever it stands in a text.
    let mut plans = 0;
    for file in files(&workspace().join("book/chapters"), ".md") {
        let text = fs::read_to_string(&file).expect("it can be read");
        for after in text.split("-play -- \"").skip(1) {
            let plan = after.split('"').next().expect("a split has a first part");
            if plan != "…" {
                plans += 1;
                assert!(plan.parse::<Plan>().is_ok(), "{}: {plan}", file.display());
            }
        }
    }
    assert!(plans >= 5, "{plans} plans");
}

fn verdict(example: &str, plan: &str) -> String {
    let core = Core::played_by(example).expect("it plays");
    (core.run)(&plan.parse().expect("it is right")).verdict.to_string()
}

#[test]
fn the_answers_to_the_exercises_are_right() {
    assert!(
        verdict("step1-play", "2 calls; drop request 2")
            .contains("call 2: never executed, never ended")
    );
    assert!(verdict("step1-play", "crash B at 0 ms").contains("never ended"));
    assert!(
        verdict("step1-play", "2 calls; duplicate request 1")
            .contains("call 2: executed once, given a wrong reply")
    );
    assert_eq!(verdict("step2-play", "service takes 900 ms"), "executed 5 times, replied");
    assert_eq!(verdict("step3-play", "duplicate request 1 by 40 s"), "executed twice, replied");
    assert_eq!(verdict("step3-play", "duplicate request 1 by 32 s"), "executed once, replied");
    assert_eq!(verdict("step3-play", "duplicate request 1 by 32001 ms"), "executed twice, replied");
    let both = "2 calls; crash A at 7 ms for 50 ms; crash B at 8 ms for 50 ms";
    assert!(verdict("step4-play", both).ends_with("call 2: never executed, failed"));
}

#[test]
fn steps_differ_only_where_they_should() {
    // A chapter adds some 200 lines of code, to these files and no other.
    for (from, to, files) in [
        ("step1-udp", "step2-retransmit", "client config lib server site timers udp"),
        ("step2-retransmit", "step3-dedup", "client config lib server site timers wire"),
        ("step3-dedup", "step4-epochs", "client epoch lib server site timers udp wire"),
        ("step4-epochs", "step5-heartbeat", "client config lib server site timers udp wire"),
    ] {
        let workspace = workspace();
        let changed =
            changed_files(&workspace.join(from), &workspace.join(to)).expect("both are there");
        let expected: Vec<_> = files.split(' ').map(|file| format!("src/{file}.rs")).collect();
        assert_eq!(changed, expected, "{from} to {to}");
        let added = added_lines(&workspace, from, to).expect("both are there");
        assert!(added <= 210, "{to} adds {added} lines");
    }
}

#[test]
fn the_scoreboard_is_what_its_storms_give() {
    // All storms of all cells. To accept a change: cargo run -p book -- scoreboard > the file.
    let kept = fs::read_to_string(scoreboard_file()).expect("it is there");
    assert_eq!(kept, scoreboard_text(STORMS, &|| ()));
}
