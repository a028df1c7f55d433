//! The communication server of a site (§4): threads that each wait for one thing, around one [`Site`].
//!
//! Invariant: everything enters the site by one door. It locks, reads the clock, lets one event in, takes every action
//! out, and wakes Timer only when something is due earlier than before.

mod deaths;
mod faults;
mod io_local;
mod limits;
mod processes;
mod receive;
mod send;
mod timer;
mod trace;

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::{io, process};

use crossbeam_channel::{Sender, bounded};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use nix::time::{ClockId, clock_gettime};

pub use faults::Faults;

use crate::config::Config;
use crate::epoch::Life;
use crate::ipc::local::{Envelope, LOCAL_MAX, Place};
use crate::ipc::noted::{Noted, clean};
use crate::ipc::sysv::check_limits;
use crate::site::{Action, CallId, Port, Site, Time};
use crate::wire::Packet;
use deaths::Deaths;
use io_local::Local;
use processes::Processes;
use trace::Trace;

/// A daemon that runs; it stops when it is dropped. When somebody else removes its queue it sends its own process
/// SIGTERM.
#[derive(Debug)]
pub struct Daemon {
    port: Port,
    door: Arc<Door>,
    stop: Arc<EventFd>,
    threads: Vec<JoinHandle<()>>,
    /// When it is removed, I/O Local ends.
    queue: Option<Noted>,
    _life: Life,
}

/// How a daemon is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens: an address that clients can reach.
    pub listen: SocketAddr,
    /// Where it keeps its epoch and the names of its queues.
    pub state: PathBuf,
    /// Whether it prints what each thread does.
    pub trace: bool,
    /// A worse network.
    pub faults: Faults,
}

/// The one way to the site.
#[derive(Debug)]
struct Door {
    inside: Mutex<Inside>,
    timer: Condvar,
}

/// What the threads share, under one lock.
#[derive(Debug)]
struct Inside {
    site: Site,
    processes: Processes,
    /// `None` when the daemon stops: then Send has had its last packet.
    send: Option<Sender<(SocketAddr, Packet)>>,
    faults: Faults,
    noted: BTreeMap<String, u64>,
    trace: Trace,
    stops: bool,
    /// How many datagrams were handled.
    received: u64,
    /// Timer waits until Receive has handled so many, or finds no more.
    timer_yields: Option<u64>,
}

impl Daemon {
    /// Begins the next life of the site with this state directory.
    ///
    /// # Errors
    /// The directory's, the socket's, or the kernel has no room for a queue or for its messages.
    pub fn start(options: Options) -> io::Result<Daemon> {
        check_limits(LOCAL_MAX)?;
        let life = Life::begin(&options.state)?;
        clean(&options.state)?;
        let socket = Arc::new(UdpSocket::bind(options.listen)?);
        socket.set_nonblocking(true)?;
        let port = Port { address: socket.local_addr()?, epoch: life.epoch };
        let queue = Noted::make(&options.state)?;
        let (send, fifo) = bounded(limits::SEND_QUEUE_MAX);
        let door = Arc::new(Door {
            inside: Mutex::new(Inside {
                site: Site::new(Config::default(), life.epoch),
                processes: Processes::new(life.epoch),
                send: Some(send),
                faults: options.faults,
                noted: BTreeMap::new(),
                trace: Trace::new(options.trace),
                stops: false,
                received: 0,
                timer_yields: None,
            }),
            timer: Condvar::new(),
        });
        let (stop, deaths) = (Arc::new(EventFd::new()?), Arc::new(Deaths::new()?));
        let local = Local { queue: queue.queue(), state: options.state.clone(), port };

        let mut threads = Vec::new();
        let out = Arc::clone(&socket);
        threads.push(spawn("Send", move || send::run(&fifo, &out))?);
        let (inner, ended, watched) = (Arc::clone(&door), Arc::clone(&stop), Arc::clone(&socket));
        threads.push(spawn("Receive", move || receive::run(&inner, &watched, &ended))?);
        let inner = Arc::clone(&door);
        threads.push(spawn("Timer", move || timer::run(&inner, &socket))?);
        let (ended, watch, daemon) = (Arc::clone(&stop), Arc::clone(&deaths), local.queue);
        threads.push(spawn("Deaths", move || watch.run(life.epoch, daemon, &ended))?);
        let inner = Arc::clone(&door);
        threads.push(spawn("I/O Local", move || io_local::run(&inner, &local, &deaths))?);
        // Last: whoever reads it finds a daemon that answers.
        Place { key: queue.key(), pid: process::id(), life: life.epoch }.write(&options.state)?;
        Ok(Daemon { port, door, stop, threads, queue: Some(queue), _life: life })
    }

    /// Where it listens, and which life it is in.
    pub fn port(&self) -> Port {
        self.port
    }

    /// How often each thing happened that no packet shows.
    pub fn noted(&self) -> BTreeMap<String, u64> {
        self.door.lock().noted.clone()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let mut inside = self.door.lock();
        (inside.stops, inside.send) = (true, None);
        // Their queues go with them, which tells them.
        inside.processes = Processes::new(self.port.epoch);
        drop(inside);
        drop(self.queue.take());
        let _ = self.stop.write(1);
        self.door.timer.notify_one();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Door {
    /// Lets one event in.
    fn enter(&self, thread: &str, event: impl FnOnce(&mut Inside, Time)) {
        self.event(&mut self.lock(), thread, event);
    }

    fn event(&self, inside: &mut Inside, thread: &str, event: impl FnOnce(&mut Inside, Time)) {
        let (before, now) = (inside.site.deadline(), now());
        event(inside, now);
        while let Some(action) = inside.site.poll_action() {
            match action {
                Action::Send { to, packet } => inside.send(thread, to, packet),
                Action::Deliver(what) => io_local::deliver(inside, thread, now, what),
                Action::Note(note) => {
                    inside.trace.noted(thread, &note.to_string());
                    inside.count(&note.to_string());
                }
            }
        }
        let after = inside.site.deadline();
        if after.is_some_and(|after| before.is_none_or(|before| after < before)) {
            self.timer.notify_one();
        }
    }

    /// Receive has handled a datagram that Timer may wait for.
    fn tell_timer(&self, socket: &UdpSocket) {
        let mut inside = self.lock();
        let received = inside.received;
        if inside.timer_yields.is_some_and(|enough| received >= enough || !readable(socket)) {
            inside.timer_yields = None;
            self.timer.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("no thread panics while it holds the lock")
    }
}

impl Inside {
    fn send(&mut self, thread: &str, to: SocketAddr, packet: Packet) {
        let copies = self.faults.copies();
        self.trace.sent(thread, to, &packet, copies);
        for _ in 0..copies {
            let Some(fifo) = &self.send else { return };
            if fifo.try_send((to, packet.clone())).is_err() {
                self.count("packet dropped, Send has too many");
            }
        }
    }

    /// Answers a call in the place of a process.
    fn answer(&mut self, now: Time, call: CallId, envelope: Envelope) {
        if self.site.send_reply(now, call, envelope.wrap(&[])).is_err() {
            self.count("answer to a call that is not in service, dropped");
        }
    }

    fn count(&mut self, what: &str) {
        *self.noted.entry(what.into()).or_default() += 1;
    }
}

/// Whether a datagram lies in the socket.
fn readable(socket: &UdpSocket) -> bool {
    let mut sockets = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    poll(&mut sockets, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.into()).spawn(run)
}

/// The time since the machine started, the time that it slept included: a caller's patience runs
/// out while its machine sleeps, too.
fn now() -> Time {
    clock_gettime(ClockId::CLOCK_BOOTTIME).expect("every Linux since 2.6.39 has this clock").into()
}
