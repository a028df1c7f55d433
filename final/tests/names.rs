//! Services by name, and the text that clients find them by.

use std::thread;
use std::time::Duration;

use unavez::ipc::{ServiceUrl, TargetError};
use unavez::protocol::{NotExecuted, SendError as Refused};
use unavez::{CallError, IpcClient, IpcServer, Options, RawMsg, SendError, Site};

fn site() -> Site {
    let listen = "127.0.0.1:0".parse().unwrap();
    Site::with(Options { listen, ..Options::default() }).unwrap()
}

/// A client knows the host and the name of a service: it finds it, also when the host has a name. Of a
/// port, printed and read back, it finds it, too (R10).
#[test]
fn a_service_is_found_by_name_and_by_port() {
    let (at, from) = (site(), site());
    let server = IpcServer::new(&at).unwrap();
    server.register("bank").unwrap();
    let port = at.address().port();
    let texts = [
        format!("unavez://127.0.0.1:{port}/bank"),
        format!("unavez://localhost:{port}/bank"),
        server.port().to_string(),
    ];
    let serving = thread::spawn(move || {
        for _ in 0..3 {
            let (request, id) = server.receive_request().unwrap();
            server.send_reply(request, id).unwrap();
        }
    });
    for text in texts {
        let client = IpcClient::open(&from, &text).unwrap();
        assert_eq!(client.call("hello").unwrap().body(), "hello", "{text}");
    }
    serving.join().unwrap();
}

/// The site is there, but has no such service: proved not to have run (R3).
#[test]
fn an_unknown_name_is_not_executed() {
    let at = site();
    let client = IpcClient::open(&at, &format!("unavez://{}/nobody", at.address())).unwrap();
    assert_eq!(client.call("x"), Err(CallError::NotExecuted(NotExecuted::NoSuchName)));
}

/// Nobody is there: the same is said whether the patience ends before the question is given up or not.
#[test]
fn a_site_that_does_not_answer_is_said_to_be_one() {
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("unavez://{}/bank", nobody.local_addr().unwrap());
    let from = site();
    let client = IpcClient::open(&from, &url).unwrap();
    let request = RawMsg::from("x").timeout(Duration::from_millis(50));
    assert_eq!(client.call(request), Err(CallError::NotExecuted(NotExecuted::Unresolved)));
}

/// A name belongs to one port, and goes with it.
#[test]
fn a_name_is_taken_until_its_server_is_dropped() {
    let at = site();
    let (one, other) = (IpcServer::new(&at).unwrap(), IpcServer::new(&at).unwrap());
    one.register("bank").unwrap();
    let bad_name = Err(SendError::Refused(Refused::BadName));
    assert_eq!(other.register("bank"), bad_name);
    assert_eq!(other.register(""), bad_name);
    assert_eq!(other.register(&"x".repeat(256)), bad_name);
    drop(one);
    other.register("bank").unwrap();
}

/// Somebody writes a name otherwise: one line says what is wrong with it.
#[test]
fn wrong_texts_are_explained() {
    let form = "a service is unavez://HOST:PORT/NAME, like unavez://127.0.0.1:7373/bank";
    let no_name = "the name of the service is missing after HOST:PORT/";
    let port = |text| format!("\"{text}\" is no port; it is a number from 1 to 65535");
    let cases = [
        ("", form.into()),
        ("bank", form.into()),
        ("http://host:1/bank", form.into()),
        ("unavez://host/bank", form.into()),
        ("unavez://:7373/bank", form.into()),
        ("unavez://a b:7373/bank", form.into()),
        ("unavez://::1:7373/bank", form.into()),
        ("unavez://[::1:7373/bank", form.into()),
        ("unavez://[host]:7373/bank", form.into()),
        ("unavez://host:7373", no_name.into()),
        ("unavez://host:7373/", no_name.into()),
        ("unavez://host:0/bank", port("0")),
        ("unavez://host:+1/bank", port("+1")),
        ("unavez://host:65536/bank", port("65536")),
        ("unavez://host:ba\nd/bank", port("bad")),
    ];
    for (text, said) in cases {
        let error = IpcClient::open(&site(), text).unwrap_err();
        assert_eq!(error.to_string(), said, "{text:?}");
    }
}

/// What is read is printed as it was.
#[test]
fn right_texts_are_printed_back() {
    for text in ["unavez://host.example:7373/a/b c", "unavez://[::1]:1/x", "unavez://1.2.3.4:9/é"]
    {
        assert_eq!(text.parse::<ServiceUrl>().unwrap().to_string(), text);
    }
}

/// A host of the other kind of address is of no use.
#[test]
fn a_host_must_be_reachable_from_this_site() {
    let error = IpcClient::open(&site(), "unavez://[::1]:7373/bank").unwrap_err();
    assert!(matches!(error, TargetError::NoAddress(host) if host == "::1"));
}
