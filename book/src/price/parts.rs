//! What the kernel's part costs: a system call, a datagram, and a thread that wakes another.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{hint, thread};

use crossbeam_channel::bounded;
use nix::sys::eventfd::EventFd;
use step6_daemon::Epoch;
use step6_daemon::ipc::sysv::Queue;

use super::steps::HERE;
use super::{Host, LEN, Once, Result, pin};

pub(crate) fn clock(_at: &str, _host: &Host) -> Result<Once> {
    Ok(Box::new(|| {
        hint::black_box(step5_heartbeat::udp::now());
        Ok(())
    }))
}

/// The shortest system call of a socket.
pub(crate) fn nothing(_at: &str, _host: &Host) -> Result<Once> {
    let socket = UdpSocket::bind(HERE)?;
    socket.set_nonblocking(true)?;
    Ok(Box::new(move || match socket.recv(&mut [0; LEN]) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        other => Err(format!("nobody sends, and yet: {other:?}").into()),
    }))
}

/// A thread sends a datagram to itself and receives it: nobody wakes.
pub(crate) fn datagram(_at: &str, _host: &Host) -> Result<Once> {
    let socket = UdpSocket::bind(HERE)?;
    let at = socket.local_addr()?;
    Ok(Box::new(move || {
        socket.send_to(&[7; LEN], at)?;
        socket.recv(&mut [0; LEN])?;
        Ok(())
    }))
}

/// `std` parks threads with a futex.
pub(crate) fn futex(_at: &str, host: &Host) -> Result<Once> {
    let asked = Arc::new(AtomicBool::new(false));
    let (asks, client) = (asked.clone(), thread::current());
    let await_turn = |asked: &AtomicBool, mine| {
        while asked.load(Ordering::Acquire) != mine {
            thread::park();
        }
    };
    let server = other(host, move || {
        loop {
            await_turn(&asked, true);
            asked.store(false, Ordering::Release);
            client.unpark();
        }
    });
    Ok(Box::new(move || {
        asks.store(true, Ordering::Release);
        server.unpark();
        await_turn(&asks, false);
        Ok(())
    }))
}

pub(crate) fn eventfd(_at: &str, host: &Host) -> Result<Once> {
    let (there, back) = (Arc::new(EventFd::new()?), Arc::new(EventFd::new()?));
    let (asked, answers) = (there.clone(), back.clone());
    other(host, move || while asked.read().and_then(|_| answers.write(1)).is_ok() {});
    Ok(Box::new(move || {
        there.write(1)?;
        back.read()?;
        Ok(())
    }))
}

pub(crate) fn channel(_at: &str, host: &Host) -> Result<Once> {
    let ((there, asked), (answers, back)) = (bounded(1), bounded(1));
    other(host, move || while asked.recv().is_ok_and(|bytes| answers.send(bytes).is_ok()) {});
    Ok(Box::new(move || {
        there.send([7; LEN])?;
        back.recv()?;
        Ok(())
    }))
}

pub(crate) fn sysv(_at: &str, host: &Host) -> Result<Once> {
    let queues = Queues([Queue::make(key()?)?, Queue::make(key()?)?]);
    let [there, back] = queues.0;
    other(host, move || while there.receive().and_then(|bytes| back.send(&bytes)).is_ok() {});
    Ok(Box::new(move || {
        let Queues([there, back]) = &queues;
        there.send(&[7; LEN])?;
        back.receive()?;
        Ok(())
    }))
}

/// They are gone when this is dropped.
struct Queues([Queue; 2]);

impl Drop for Queues {
    fn drop(&mut self) {
        for queue in self.0 {
            let _ = queue.remove();
        }
    }
}

fn key() -> Result<u32> {
    Ok(Epoch::random()?.random)
}

/// Runs on the server's core.
fn other(host: &Host, run: impl FnOnce() + Send + 'static) -> thread::Thread {
    let cpu = host.server_cpu;
    let other = thread::spawn(move || match pin(cpu) {
        Ok(()) => run(),
        Err(error) => panic!("a thread is not held on core {cpu}: {error}"),
    });
    other.thread().clone()
}
