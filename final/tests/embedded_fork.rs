//! A process with a site forks, in a process of its own.
#![allow(unsafe_code)]

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use unavez::{CallError, IpcClient, IpcServer, Options, SendError, Site, SiteError};

fn site() -> Site {
    let listen = "127.0.0.1:0".parse().unwrap();
    Site::with(Options { listen, ..Options::default() }).unwrap()
}

/// In the child every operation on the parent's site is an error, dropping included none hangs, and a
/// site of its own works. The parent's goes on.
#[test]
fn a_child_makes_its_own_site() {
    let parents = site();
    let server = IpcServer::new(&parents).unwrap();
    let client = IpcClient::new(&parents, server.port());
    let sent = client.send_request("hello").unwrap();
    let (request, id) = server.receive_request().unwrap();
    // SAFETY: the child's only thread goes on with memory that no other thread was changing under a
    // lock that it needs: the allocator is usable after fork.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let ok = std::panic::catch_unwind(move || {
                let forked = SiteError::Forked;
                assert_eq!(client.call("x"), Err(CallError::NotSent(forked.into())));
                assert_eq!(client.receive_reply(), Err(forked));
                assert_eq!(client.receive_reply_of(sent), Err(CallError::Site(forked)));
                assert_eq!(client.cancel(sent), Err(forked));
                assert_eq!(server.receive_request(), Err(forked));
                assert_eq!(server.send_reply("x", id), Err(SendError::Site(forked)));
                assert_eq!(server.register("x"), Err(SendError::Site(forked)));
                assert_eq!(parents.counters(), Err(forked));
                assert!(server.is_cancelled(&id));
                parents.stop();
                drop((client, server, parents));
                let own = site();
                let server = IpcServer::new(&own).unwrap();
                let client = IpcClient::new(&own, server.port());
                let sent = client.send_request("mine").unwrap();
                let (request, id) = server.receive_request().unwrap();
                server.send_reply(request, id).unwrap();
                assert_eq!(client.receive_reply_of(sent).unwrap().body(), "mine");
            });
            // SAFETY: ends the child without the test harness, whose threads it does not have.
            unsafe { libc::_exit(i32::from(ok.is_err())) }
        }
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
            server.send_reply(request, id).unwrap();
            assert_eq!(client.receive_reply_of(sent).unwrap().body(), "hello");
        }
    }
}
