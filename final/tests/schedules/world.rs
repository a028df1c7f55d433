//! What stands behind the lock, the network and the kernel, for the threads that meet at the door.

use std::collections::VecDeque;
use std::time::Duration;

use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::thread;

use super::lead::{self, Crew, Door, Sleeper};

/// A deadline; time is no matter here but for what is earlier.
pub(super) const SOON: Duration = Duration::from_secs(1);

/// What a thread waits for: a datagram with this number.
pub(super) type Event = u8;

/// Behind the lock: what has come, what is to be sent, and a timer.
pub(super) struct Model {
    pub(super) crew: Crew<Event>,
    world: Arc<World>,
    pub(super) came: Vec<Event>,
    said: Vec<Event>,
    pub(super) due: Option<Duration>,
    pub(super) stopped: bool,
}

/// What a datagram wakes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whoever sleeps on the socket, as the network's does.
    #[default]
    All,
    /// Who said last that it is going to sleep, as a daemon does.
    Told,
}

/// The network and the kernel: what sleepers sleep on.
#[derive(Default)]
pub(super) struct World {
    kind: Kind,
    kernel: Mutex<Kernel>,
    changed: Condvar,
}

#[derive(Default)]
struct Kernel {
    socket: VecDeque<Event>,
    rung: [bool; 2],
    /// Whom a datagram woke.
    woken: [bool; 2],
    /// Who said last that it is going to sleep, and was not woken since.
    sleeps: Option<Sleeper>,
    /// When nothing else happens, time passes.
    now: Duration,
    /// What was brought inside.
    brought: Vec<Event>,
}

impl lead::Inside for Model {
    type Event = Event;

    fn crew(&mut self) -> &mut Crew<Event> {
        &mut self.crew
    }

    fn deadline(&self) -> Option<Duration> {
        self.due
    }

    fn round(&mut self) -> bool {
        let came = self.world.kernel.lock().unwrap().socket.pop_front();
        let now = self.world.kernel.lock().unwrap().now;
        let fired = self.due.take_if(|due| *due <= now).map(|_| TIMER);
        for event in came.into_iter().chain(fired) {
            self.bring(event);
            self.world.note(event);
            if event == QUESTION {
                self.say(ANSWER);
            }
        }
        came.is_some()
    }

    fn settle(&mut self) {
        self.said.drain(..).for_each(|event| self.world.send(event));
    }

    fn may_sleep(&mut self, who: Sleeper) -> bool {
        let mut kernel = self.world.kernel.lock().unwrap();
        let may_sleep = self.world.kind == Kind::All || kernel.socket.is_empty();
        if self.world.kind == Kind::Told {
            // On a word, only what comes after this wakes.
            kernel.woken[who as usize] = false;
            kernel.rung[who as usize] &= who != Sleeper::Leader;
        }
        kernel.sleeps = may_sleep.then_some(who);
        may_sleep
    }

    fn waits(&mut self, _: Event, _: bool) {}

    fn is_over(&self) -> bool {
        self.stopped
    }
}

/// Comes when the timer fires.
pub(super) const TIMER: Event = 0;
/// To this one, when it comes, the answer is sent.
pub(super) const QUESTION: Event = 100;
pub(super) const ANSWER: Event = 101;

impl Model {
    pub(super) fn bring(&mut self, event: Event) {
        self.came.push(event);
        self.crew.tell_one(event);
    }

    /// A datagram is to be sent, to this very host.
    pub(super) fn say(&mut self, event: Event) {
        self.said.push(event);
    }

    pub(super) fn take(&mut self, event: Event) -> Option<()> {
        let at = self.came.iter().position(|came| *came == event)?;
        self.came.remove(at);
        Some(())
    }
}

impl World {
    /// A datagram comes.
    pub(super) fn send(&self, event: Event) {
        let mut kernel = self.kernel.lock().unwrap();
        kernel.socket.push_back(event);
        if let Some(who) = kernel.sleeps.take() {
            kernel.woken[who as usize] = true;
        }
        drop(kernel);
        self.changed.notify_all();
    }

    /// This was read, or fired.
    fn note(&self, event: Event) {
        self.kernel.lock().unwrap().brought.push(event);
        self.changed.notify_all();
    }

    /// Waits, away from the door, until it was.
    pub(super) fn until(&self, event: Event) {
        let mut kernel = self.kernel.lock().unwrap();
        while !kernel.brought.contains(&event) {
            kernel = self.changed.wait(kernel).unwrap();
        }
    }

    /// Time passes, as far as whoever sleeps until then.
    pub(super) fn pass(&self, until: Duration) {
        let mut kernel = self.kernel.lock().unwrap();
        kernel.now = kernel.now.max(until);
        drop(kernel);
        self.changed.notify_all();
    }
}

pub(super) struct Sleepers(Arc<World>);

impl lead::Sleep for Sleepers {
    fn now(&self) -> Duration {
        self.0.kernel.lock().unwrap().now
    }

    fn sleep(&self, who: Sleeper, socket: bool, until: Option<Duration>) {
        let mut kernel = self.0.kernel.lock().unwrap();
        loop {
            if std::mem::take(&mut kernel.rung[who as usize]) {
                return;
            }
            let woken = match self.0.kind {
                Kind::All => !kernel.socket.is_empty(),
                Kind::Told => std::mem::take(&mut kernel.woken[who as usize]),
            };
            if socket && woken {
                return;
            }
            // A rest ends in its time whatever else does not happen.
            let rests = !socket && until.is_some();
            if rests || until.is_some_and(|until| until <= kernel.now) {
                drop(kernel);
                return thread::yield_now();
            }
            kernel = self.0.changed.wait(kernel).unwrap();
        }
    }

    fn wake(&self, who: Sleeper) {
        self.0.kernel.lock().unwrap().rung[who as usize] = true;
        self.0.changed.notify_all();
    }
}

/// A door, its background thread, and the world.
pub(super) struct Scene {
    pub(super) door: Arc<Door<Model, Sleepers>>,
    pub(super) world: Arc<World>,
    background: Option<thread::JoinHandle<()>>,
}

impl Scene {
    pub(super) fn new(kind: Kind) -> Scene {
        let world = Arc::new(World { kind, ..World::default() });
        let model = Model {
            crew: Crew::default(),
            world: Arc::clone(&world),
            came: Vec::new(),
            said: Vec::new(),
            due: None,
            stopped: false,
        };
        let door = Arc::new(Door::new(model, Sleepers(Arc::clone(&world))));
        let watched = Arc::clone(&door);
        let background = Some(thread::spawn(move || watched.watch()));
        Scene { door, world, background }
    }

    pub(super) fn spawn(
        &self,
        run: impl FnOnce(&Door<Model, Sleepers>) + Send + 'static,
    ) -> Thread {
        let door = Arc::clone(&self.door);
        thread::spawn(move || run(&door))
    }

    pub(super) fn wait(&self, event: Event) -> Thread {
        self.spawn(move |door| door.wait(event, None, |model| model.take(event)).unwrap())
    }

    /// All threads end: shuttle says so if one sleeps for ever.
    pub(super) fn end(mut self) {
        self.door.stop(|model| model.stopped = true);
        self.background.take().unwrap().join().unwrap();
    }
}

pub(super) type Thread = thread::JoinHandle<()>;

pub(super) fn join(threads: impl IntoIterator<Item = Thread>) {
    for thread in threads {
        thread.join().unwrap();
    }
}
