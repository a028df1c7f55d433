//! Help, completions and manual pages.

use std::fs;

use super::run;

#[test]
fn help_teaches_by_examples() {
    // Of the program and of each command; the short form, too.
    run(&["--version"]).is(0, concat!("unavez ", env!("CARGO_PKG_VERSION"), "\n"));
    assert!(run(&["-h"]).out.contains("Examples:\n"));
    let bench = cfg!(feature = "bench").then_some("bench");
    let always = ["serve", "call", "ping", "stat", "ps", "trace", "demo", "completions", "man"];
    for command in always.into_iter().chain(bench) {
        let help = run(&[command, "--help"]);
        assert_eq!((help.code, &*help.err), (Some(0), ""));
        assert!(help.out.contains(&format!("Examples:\n  unavez {command}")), "{}", help.out);
    }
}

#[test]
fn shells_get_completions() {
    // Each names the commands.
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let done = run(&["completions", shell]);
        assert_eq!(done.code, Some(0));
        assert!(done.out.contains("unavez") && done.out.contains("ping"), "{shell}");
    }
}

#[test]
fn manual_has_a_page_for_each_command() {
    // On the standard output the first, in a directory all.
    assert!(run(&["man"]).out.contains(".TH unavez 1"));
    let dir = tempfile::tempdir().unwrap();
    run(&["man", dir.path().to_str().unwrap()]).is(0, "");
    for page in ["unavez", "unavez-serve", "unavez-serve-bank", "unavez-call", "unavez-demo"] {
        let text = fs::read_to_string(dir.path().join(format!("{page}.1"))).unwrap();
        assert!(text.contains(".SH NAME"), "{page}");
        assert!(!text.contains("EXTRA") && !text.contains("help(1)"), "{page}");
    }
    let call = fs::read_to_string(dir.path().join("unavez-call.1")).unwrap();
    assert!(call.contains(".SH EXAMPLES\n"), "{call}");
    let status = call.split(".SH ").find(|it| it.starts_with("EXIT STATUS\n")).unwrap();
    assert!(status.contains("0  replied") && !status.contains("Exit codes"), "{status}");
}
