//! What a small call allocates once all is in its stride: the bodies, and little else.

mod counting;

use std::net::SocketAddr;
use std::thread;

use bytes::Bytes;
use counting::Counting;
use unavez::{IpcClient, IpcServer, Options, Site};

#[global_allocator]
static ALLOCATED: Counting = Counting::new();

fn site() -> Site {
    let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Site::with(Options { listen, ..Options::default() }).unwrap()
}

const CALLS: usize = 2000;
const TOGETHER: usize = 100;
/// How many pieces of memory a call may take, by itself and as one of many. A packet that comes late
/// costs some more.
const SINGLY_MAX: f64 = 5.2;
const MANY_MAX: f64 = 6.0;

/// One call after the other, and many together. Of what is counted, two pieces are the bodies that come,
/// the request's and the reply's; three are the core's: the request's body is kept beside the copy that
/// is handed over, its record, and the call's place among those that wait to be sent. What leads there and
/// back, the site and its way to the network, allocates nothing for a call, and a few pieces for each
/// handful.
#[test]
fn a_small_call_allocates_little() {
    let (at, from) = (site(), site());
    let servers = [IpcServer::new(&at).unwrap(), IpcServer::new(&at).unwrap()];
    let [one, some] = [0, 1].map(|it: usize| IpcClient::new(&from, servers[it].port()));
    let [single, together] = servers;
    let threads = [
        thread::spawn(move || {
            while let Ok((request, id)) = single.receive_request() {
                single.send_reply(request, id).unwrap();
            }
        }),
        thread::spawn(move || {
            while let Ok(requests) = together.receive_requests(TOGETHER) {
                together.send_replies(requests);
            }
        }),
    ];
    let body = Bytes::from_static(&[7; 64]);
    let singly = || {
        for _ in 0..CALLS {
            one.call(body.clone()).unwrap();
        }
    };
    let many = || {
        for _ in 0..CALLS / TOGETHER {
            let mut open = some.send_requests((0..TOGETHER).map(|_| body.clone())).len();
            while open > 0 {
                open -= some.receive_replies(TOGETHER).unwrap().len();
            }
        }
    };
    // Tables and buffers get as large as they have to be.
    singly();
    many();
    let counted = |what: &dyn Fn()| {
        let before = ALLOCATED.count();
        what();
        (ALLOCATED.count() - before) as f64 / CALLS as f64
    };
    let (singly, many) = (counted(&singly), counted(&many));
    println!("a call: {singly}, one of many: {many}");
    assert!(singly <= SINGLY_MAX && many <= MANY_MAX, "{singly}, {many}");
    at.stop();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
