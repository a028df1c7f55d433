//! Queues that somebody else removes, under living processes and a living daemon.

use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use unavez::attached::Kind;
use unavez::protocol::Unknown;
use unavez::{Conclusion, IpcClient, IpcServer, RawMsg};

use super::{Host, until};

/// An administrator removes one of the two queues of a busy process, again and again: it attaches again,
/// and nothing runs twice, or although it was said that it did not.
#[test]
fn who_is_robbed_of_its_queue_goes_on() {
    let (near, far) = (Host::new(), Host::new());
    let site = far.attach(Kind::Shm);
    let server = IpcServer::new(&site).unwrap();
    let at_client = near.attach(Kind::Sysv);
    let client = IpcClient::new(&at_client, server.port());
    let runs: Mutex<HashMap<String, u32>> = Mutex::default();
    let (stop, next, replies) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let denied: Mutex<Vec<String>> = Mutex::default();
    let left_waiting = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Ok((request, id)) = server.receive_request() {
                    let number = String::from_utf8(request.body().to_vec()).unwrap();
                    *runs.lock().unwrap().entry(number).or_default() += 1;
                    let _ = server.send_reply(request, id);
                }
            });
        }
        let clients: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let number = next.fetch_add(1, Ordering::Relaxed).to_string();
                        let request = RawMsg::from(number.clone()).timeout(Duration::from_secs(5));
                        match client.call(request) {
                            Ok(reply) => {
                                assert_eq!(*reply.body(), number);
                                replies.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(error) if error.conclude() == Conclusion::NotExecuted => {
                                denied.lock().unwrap().push(number);
                            }
                            Err(error) => {
                                let left = u64::from(error == Unknown::TimedOut.into());
                                left_waiting.fetch_add(left, Ordering::Relaxed);
                            }
                        }
                    }
                })
            })
            .collect();
        for round in 0..100 {
            let before = replies.load(Ordering::Relaxed);
            until(|| replies.load(Ordering::Relaxed) > before + 50);
            let notes = fs::read_dir(near.place.path().join("state/queues")).unwrap();
            let mut keys: Vec<_> =
                notes.map(|note| note.unwrap().file_name().into_string().unwrap()).collect();
            keys.sort_unstable();
            if let Some(key) = keys.get(round % 2) {
                let key = format!("0x{key}");
                let _ = Command::new("ipcrm").args(["-Q", &key]).output();
            }
        }
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
        site.stop();
    });
    assert_eq!(left_waiting.into_inner(), 0, "calls were left waiting");
    let runs = runs.lock().unwrap();
    let twice: Vec<_> = runs.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{} ran twice: {twice:?}", twice.len());
    let denied = denied.lock().unwrap();
    let lies: Vec<_> = denied.iter().filter(|number| runs.contains_key(*number)).collect();
    assert!(lies.is_empty(), "{lies:?}");
}
