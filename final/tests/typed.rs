//! The typed layer: functions served by threads.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;

use serde::{Deserialize, Serialize};
use unavez::ipc::TypedError;
use unavez::protocol::{Config, NotExecuted};
use unavez::{
    CallError, Conclusion, IpcClient, IpcServer, Options, RawMsg, Site, SiteError, TypedClient,
    serve,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Ask {
    Add(i64, i64),
    Panic,
    Long(u32),
}

/// The longest message of [`short_site`].
const SHORT: usize = 10_000;

fn site() -> Site {
    site_with(Config::default())
}

/// A site that takes no long messages.
fn short_site() -> Site {
    site_with(Config { message_max: SHORT, ..Config::default() })
}

fn site_with(config: Config) -> Site {
    let listen = "127.0.0.1:0".parse().unwrap();
    Site::with(Options { listen, config, ..Options::default() }).unwrap()
}

fn function(ask: Ask) -> Result<i64, String> {
    match ask {
        Ask::Add(one, other) => one.checked_add(other).ok_or_else(|| "too much".into()),
        Ask::Panic => panic!("as the test wants it"),
        Ask::Long(long) => Err("x".repeat(long as usize)),
    }
}

/// Requests and replies of any type that serde knows, by name and by port.
#[test]
fn a_function_is_called_from_afar() {
    let (at, from) = (site(), site());
    let service = serve(&at, "sums", 2, function).unwrap();
    let url = format!("unavez://{}/sums", at.address());
    let client: TypedClient<Ask, Result<i64, String>> = TypedClient::open(&from, &url).unwrap();
    assert_eq!(client.call(&Ask::Add(1, 2)), Ok(Ok(3)));
    assert_eq!(client.call(&Ask::Add(i64::MAX, 1)), Ok(Err("too much".into())));
    assert_eq!(client.call_with(&Ask::Add(2, 2), RawMsg::idempotent), Ok(Ok(4)));
    let ids = [1, 2, 3].map(|one| client.send_request(&Ask::Add(one, 10)).unwrap());
    let sums = ids.map(|id| client.receive_reply_of(id).unwrap().unwrap());
    assert_eq!(sums, [11, 12, 13]);
    assert_eq!(service.port().server.site, at.id());
}

/// A function panics in every thread of the pool, and again: each of these calls ends so, and the pool
/// still serves.
#[test]
fn a_panic_ends_its_call_only() {
    let at = site();
    let service = serve(&at, "sums", 2, function).unwrap();
    let client: TypedClient<Ask, Result<i64, String>> = TypedClient::new(&at, service.port());
    for _ in 0..4 {
        let error = client.call(&Ask::Panic).unwrap_err();
        assert_eq!((error, error.conclude()), (TypedError::Panicked, Conclusion::Executed));
    }
    assert_eq!(client.call(&Ask::Add(1, 2)), Ok(Ok(3)));
}

/// Somebody sends bytes that are no request, or more than one: the function is not called, and he is
/// told.
#[test]
fn what_cannot_be_read_is_not_run() {
    let at = site();
    let ran = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&ran);
    let service = serve(&at, "count", 1, move |(): ()| *counter.lock().unwrap() += 1).unwrap();
    let client: TypedClient<u64, ()> = TypedClient::new(&at, service.port());
    let error = client.call(&7).unwrap_err();
    assert_eq!((error, error.conclude()), (TypedError::Undecodable, Conclusion::NotExecuted));
    assert_eq!(*ran.lock().unwrap(), 0);
}

/// Somebody claims lengths that are not there, in few bytes and in many: nothing is allocated for them,
/// which would be the end of this process, and he is told. (A claim is believed up to some times the bytes
/// that came.)
#[test]
fn a_claimed_length_allocates_nothing() {
    let at = site();
    let service = serve(&at, "lengths", 1, |texts: Vec<String>| texts.len()).unwrap();
    let client = IpcClient::new(&at, service.port());
    for claimed in [1 << 14, 1 << 40, 1 << 63, u64::MAX] {
        for len in [0, 1000, 100_000, 5_000_000] {
            // Two texts, of which the first has all the bytes but those of the second's length.
            let body = [2, len as u64].map(u64::to_be_bytes).concat();
            let body = [body, vec![b'x'; len], claimed.to_be_bytes().to_vec()].concat();
            let reply = client.call(body).unwrap();
            assert_eq!(reply.body(), &[0, 0, 0, 1][..], "{claimed} behind {len}");
        }
    }
}

/// Somebody sends what is nested deeper than the stack of a thread is high: it is not read, by the server or
/// by the client, and neither is the end of its process. What is nested less deep is, in every way in which
/// things are nested.
#[test]
fn what_is_nested_too_deep_is_not_read() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Tree {
        Leaf,
        Name(String),
        Newtype(Box<Tree>),
        Tuple(Box<Tree>, u8),
        Struct { below: Option<Box<Tree>> },
        Many(Vec<Tree>),
        Map(BTreeMap<u8, Tree>),
    }
    fn tree(levels: usize) -> Tree {
        (0..levels).fold(Tree::Name("in the middle".into()), |it, level| match level % 5 {
            0 => Tree::Newtype(it.into()),
            1 => Tree::Tuple(it.into(), 7),
            2 => Tree::Struct { below: Some(it.into()) },
            3 => Tree::Many(vec![Tree::Leaf, it]),
            _ => Tree::Map(BTreeMap::from([(1, Tree::Leaf), (2, it)])),
        })
    }
    let at = site();
    let service = serve(&at, "tree", 1, |it: Tree| it).unwrap();
    let client: TypedClient<Tree, Tree> = TypedClient::new(&at, service.port());
    for levels in [0, 1, 100] {
        assert_eq!(client.call(&tree(levels)), Ok(tree(levels)));
    }
    assert_eq!(client.call(&tree(300)), Err(TypedError::Undecodable));
    // Each level has four bytes: that it is a `Newtype`.
    let deep = [0, 0, 0, 2].repeat(4_000_000);
    let raw = IpcClient::new(&at, service.port());
    assert_eq!(raw.call(deep.clone()).unwrap().body(), &[0, 0, 0, 1][..]);
    assert_eq!(client.call(&Tree::Leaf), Ok(Tree::Leaf));

    let false_one = IpcServer::new(&at).unwrap();
    let client: TypedClient<Tree, Tree> = TypedClient::new(&at, false_one.port());
    let id = client.send_request(&Tree::Leaf).unwrap();
    let (_, asked) = false_one.receive_request().unwrap();
    false_one.send_reply([vec![0; 4], deep].concat(), asked).unwrap();
    assert_eq!(client.receive_reply_of(id), Err(TypedError::OtherType));
}

/// Of every length, and of types that take more memory than bytes: requests and replies of megabytes.
#[test]
fn large_values_travel() {
    let (at, from) = (site(), site());
    let service = serve(&at, "echo", 1, |it: (Vec<char>, Vec<u64>, String)| it).unwrap();
    type Echo = TypedClient<(Vec<char>, Vec<u64>, String), (Vec<char>, Vec<u64>, String)>;
    let client: Echo = TypedClient::new(&from, service.port());
    for len in [0, 1, 1000, 5000, 200_000] {
        let value = (vec!['x'; len], vec![u64::MAX; len], "ñ".repeat(len));
        assert!(client.call(&value).unwrap() == value, "{len}");
        // Nothing but characters: four bytes of memory for each on the way.
        let value = (vec!['x'; 4 * len], Vec::new(), String::new());
        assert!(client.call(&value).unwrap() == value, "{len}");
    }
}

/// Client and server disagree about the reply, or it is too long for one of them: the client knows that the
/// service ran.
#[test]
fn a_reply_that_cannot_be_read_was_executed() {
    let at = site();
    let service = serve(&at, "sums", 1, function).unwrap();
    let short = short_site();
    let too_short = serve(&short, "sums", 1, function).unwrap();
    for (from, to) in [(&short, service.port()), (&at, too_short.port())] {
        let client: TypedClient<Ask, Result<i64, String>> = TypedClient::new(from, to);
        // Before the text stand what it is, twice, and its length.
        let fits = SHORT - 16;
        assert_eq!(client.call(&Ask::Long(fits as u32)).unwrap().unwrap_err().len(), fits);
        let error = client.call(&Ask::Long(fits as u32 + 1)).unwrap_err();
        assert_eq!((error, error.conclude()), (TypedError::TooLong, Conclusion::Executed));
    }
    let client: TypedClient<Ask, Result<i64, String>> = TypedClient::new(&at, service.port());
    assert_eq!(client.call(&Ask::Long(300_000)).unwrap().unwrap_err().len(), 300_000);
    let other: TypedClient<Ask, u8> = TypedClient::new(&at, service.port());
    let error = other.call(&Ask::Add(1, 2)).unwrap_err();
    assert_eq!((error, error.conclude()), (TypedError::OtherType, Conclusion::Executed));
}

/// The code that reads a request, or writes a reply, panics: the call ends, and the pool, whose service
/// has an odd name, still serves.
#[test]
fn types_that_panic_end_their_call_only() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(from = "u8", into = "u8")]
    struct Fussy(u8);
    impl From<u8> for Fussy {
        fn from(byte: u8) -> Fussy {
            assert_ne!(byte, 1, "as the test wants it");
            Fussy(byte)
        }
    }
    impl From<Fussy> for u8 {
        fn from(fussy: Fussy) -> u8 {
            assert_ne!(fussy.0, 2, "as the test wants it");
            fussy.0
        }
    }
    impl Clone for Fussy {
        fn clone(&self) -> Fussy {
            Fussy(self.0)
        }
    }
    let at = site();
    let service = serve(&at, "odd\0name", 1, |fussy: Fussy| fussy).unwrap();
    let client: TypedClient<u8, u8> = TypedClient::new(&at, service.port());
    assert_eq!(client.call(&1), Err(TypedError::Undecodable));
    assert_eq!(client.call(&2), Err(TypedError::TooLong));
    assert_eq!(client.call(&3), Ok(3));
}

/// A request that is too long is not sent.
#[test]
fn a_request_that_does_not_fit_is_not_sent() {
    let client: TypedClient<String, ()> =
        TypedClient::open(&short_site(), "unavez://127.0.0.1:9/x").unwrap();
    // Before the text stands its length.
    let longer = "x".repeat(SHORT - 7);
    let error = client.call(&longer).unwrap_err();
    assert_eq!((error, error.conclude()), (TypedError::Unsendable, Conclusion::NotExecuted));
    assert_eq!(client.send_request(&longer), Err(TypedError::Unsendable));
    assert!(client.send_request(&longer[1..].to_string()).is_ok());
}

/// Four threads serve four calls at once: none is answered before all are begun.
#[test]
fn workers_serve_at_once() {
    let at = site();
    let meet = Barrier::new(4);
    let wait = move |(): ()| {
        meet.wait();
        format!("{:?}", thread::current().id())
    };
    let service = serve(&at, "meet", 4, wait).unwrap();
    let client: TypedClient<(), String> = TypedClient::new(&at, service.port());
    let ids = [(); 4].map(|()| client.send_request(&()).unwrap());
    let threads: HashSet<String> =
        ids.into_iter().map(|id| client.receive_reply_of(id).unwrap()).collect();
    assert_eq!(threads.len(), 4);
}

/// A service is stopped with one call in hand and one queued: the one is answered, the other refused
/// (R28).
#[test]
fn stopping_answers_what_was_begun() {
    let at = site();
    let (begun, begins) = mpsc::channel();
    let (go, wait) = mpsc::channel();
    let (begun, wait) = (Mutex::new(begun), Mutex::new(wait));
    let function = move |number: u32| {
        begun.lock().unwrap().send(()).unwrap();
        wait.lock().unwrap().recv().unwrap();
        number
    };
    let service = serve(&at, "slow", 1, function).unwrap();
    let client: TypedClient<u32, u32> = TypedClient::new(&site(), service.port());
    let (first, second) = (client.send_request(&1).unwrap(), client.send_request(&2).unwrap());
    begins.recv().unwrap();
    while at.entries().unwrap().records < 2 {
        thread::yield_now();
    }
    service.finish();
    go.send(()).unwrap();
    // A worker that took the second one would wait for ever.
    service.stop();
    assert_eq!(client.receive_reply_of(first), Ok(1));
    let refused = CallError::NotExecuted(NotExecuted::ServerDied);
    assert_eq!(client.receive_reply_of(second), Err(TypedError::Call(refused)));
}

/// The site is stopped under a pool: its threads leave.
#[test]
fn a_pool_leaves_with_its_site() {
    let at = site();
    let service = serve(&at, "sums", 2, function).unwrap();
    let client: TypedClient<Ask, Result<i64, String>> = TypedClient::new(&at, service.port());
    at.stop();
    service.stop();
    let stopped = CallError::NotSent(SiteError::Stopped.into());
    assert_eq!(client.call(&Ask::Panic), Err(TypedError::Call(stopped)));
}
