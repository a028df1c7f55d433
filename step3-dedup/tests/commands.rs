//! The commands as a person mistypes them: one line that says what is allowed, exit code 2.

use std::path::Path;
use std::process::Command;

use lab::examples::examples;

#[test]
fn wrong_words_get_one_line_that_says_what_is_allowed() {
    let [play, server, client, demo] =
        examples(["step3-play", "step3-server", "step3-client", "step3-demo"]).unwrap();
    for (program, args, allowed) in [
        (&play, "--los", "allowed: --diagram, --explore, --crashes, --help"),
        (
            &play,
            "drop replay 1",
            "a packet is one of packet, request, reply, stale, working, heartbeat, no_call",
        ),
        (&play, "drop reply 0", "a number is whole, from 1 to 1000"),
        (&play, "delay reply 1 by 3 weeks", "a time is a whole number of ms or s"),
        (&play, "crash C at 3 ms", "a site is A, the client, or B, the server"),
        (&play, "crash B soon", "a crash is at 20 ms, at event 3, before execution 1"),
        (&play, "3 calls some day", r#"after "calls" comes nothing or "at once""#),
        (&play, "drop reply", "it is written like this: drop reply 1"),
        (&play, "delay packet 2 300 ms", "it is written like this: delay packet 2 by 300 ms"),
        (&play, "delay reply 1 by 2 hours", "an hour at most"),
        (&play, "explode", "allowed are: drop reply 1; duplicate request 1 by 3 s; delay"),
        (&play, "", "allowed are: drop reply 1; duplicate request 1 by 3 s; delay"),
        (&play, "--explore=9", "1..=4"),
        (&play, "--crashes", "--explore <FAULTS>"),
        (&server, "--loss=2", "a share is from 0 to 1, or from 0% to 100%"),
        (&server, "--delay=soon", "a time is a whole number of ms or s"),
        (&server, "--listen=here", "an address is IP:PORT, like 127.0.0.1:7373"),
        (&server, "--listen=192.0.2.1:7373", "192.0.2.1:7373: Cannot assign requested address"),
        (&client, "--calls=0", "1..=100000"),
        (&client, "--calls=many", "not a whole number"),
        (&client, "--drop=a", "datagrams are counted from 1: 1,3"),
        (&client, "--server=here", "an address is IP:PORT, like 127.0.0.1:7373"),
        (&demo, "--duplicate=-1", "a share is from 0 to 1, or from 0% to 100%"),
        (&demo, "--service=3s", "--service is for the steps that can wait: from step 5"),
        (&demo, "--crashes=3", "--crashes is for the steps that keep an account: from step 4"),
        (
            &demo,
            "--fast",
            "allowed: --calls, --loss, --duplicate, --crashes, --service, --seed, --help",
        ),
    ] {
        assert_refused(program, args, allowed);
    }
}

fn assert_refused(program: &Path, argument: &str, allowed: &str) {
    let output = Command::new(program).arg(argument).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{argument}: {error}");
    assert!(output.stdout.is_empty(), "{argument}");
    assert!(error.starts_with("error: ") && error.contains(allowed), "{argument}: {error}");
    assert_eq!(error.lines().count(), 1, "{argument}: {error}");
}

#[test]
fn play_prints_what_the_book_prints() {
    // The text of the file is that of the command in its first line; the promise held: exit code 0.
    let [play] = examples(["step3-play"]).unwrap();
    let output = Command::new(&play).arg("drop reply 1").output().unwrap();
    let file =
        std::fs::read_to_string(lab::snapshot::folder().join("step3-lost-reply.snap")).unwrap();
    assert!(file.contains(&String::from_utf8(output.stdout).unwrap()));
    assert_eq!(output.status.code(), Some(0));

    let output = Command::new(&play).arg("crash B after execution 1 for 50 ms").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "a broken promise is exit code 1");
}
