//! What is left of a site that was dropped, in a process of its own.

use std::{fs, thread};

use unavez::{IpcClient, IpcServer, Options, Site, serve};

fn count(what: &str) -> usize {
    fs::read_dir(format!("/proc/self/{what}")).unwrap().count()
}

/// Sites with clients, servers, pools and state are used and dropped, in several orders: no thread and
/// no open file is left, and the state is free.
#[test]
fn nothing_is_left() {
    let state = tempfile::tempdir().unwrap();
    let options = || Options {
        listen: "127.0.0.1:0".parse().unwrap(),
        state: Some(state.path().into()),
        ..Options::default()
    };
    let before = (count("task"), count("fd"));
    for round in 0..6 {
        let site = Site::with(options()).unwrap();
        let service = serve(&site, "echo", 2, |text: String| text).unwrap();
        let typed = unavez::TypedClient::<String, String>::new(&site, service.port());
        assert_eq!(typed.call(&"hello".into()).unwrap(), "hello");
        let server = IpcServer::new(&site).unwrap();
        let client = IpcClient::new(&site, server.port());
        client.send_request("never answered").unwrap();
        let waiting = thread::spawn({
            let site = site.clone();
            move || IpcServer::new(&site).unwrap().receive_request()
        });
        assert!(count("task") > before.0 && count("fd") > before.1);
        if round % 2 == 0 {
            drop((client, typed));
        }
        if round % 3 == 0 {
            drop(service);
        }
        site.stop();
        let _ = waiting.join();
    }
    assert_eq!((count("task"), count("fd")), before);
}
