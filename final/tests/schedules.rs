//! The threads around the lock under shuttle: the file that leads them is the one that runs, with
//! shuttle's lock and condition variable under it and a socket made of them.

#[path = "../src/site/lead.rs"]
mod lead;

/// What `lead.rs` takes from the standard library elsewhere.
mod sync {
    pub(super) use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard};
}

use std::collections::VecDeque;
use std::time::Duration;

use lead::{Crew, Door, Sleeper};
use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::thread;

/// So many schedules of each scenario and kind; `UNAVEZ_SCHEDULES=10000` tries more.
const SCHEDULES: usize = 500;
/// A deadline; time is no matter here but for what is earlier.
const SOON: Duration = Duration::from_secs(1);

/// What a thread waits for: a datagram with this number.
type Event = u8;

/// Behind the lock: what has come, and a timer.
struct Model {
    crew: Crew<Event>,
    world: Arc<World>,
    came: Vec<Event>,
    due: Option<Duration>,
    stopped: bool,
}

/// What a datagram wakes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    /// Whoever sleeps on the socket, as the network's does.
    #[default]
    All,
    /// Who said last that it is going to sleep, as a daemon does.
    Told,
}

/// The network and the kernel: what sleepers sleep on.
#[derive(Default)]
struct World {
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
        }
        came.is_some()
    }

    fn settle(&mut self) {}

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
const TIMER: Event = 0;

impl Model {
    fn bring(&mut self, event: Event) {
        self.came.push(event);
        self.crew.tell_one(event);
    }

    fn take(&mut self, event: Event) -> Option<()> {
        let at = self.came.iter().position(|came| *came == event)?;
        self.came.remove(at);
        Some(())
    }
}

impl World {
    /// A datagram comes.
    fn send(&self, event: Event) {
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
    fn until(&self, event: Event) {
        let mut kernel = self.kernel.lock().unwrap();
        while !kernel.brought.contains(&event) {
            kernel = self.changed.wait(kernel).unwrap();
        }
    }

    /// Time passes, as far as whoever sleeps until then.
    fn pass(&self, until: Duration) {
        let mut kernel = self.kernel.lock().unwrap();
        kernel.now = kernel.now.max(until);
        drop(kernel);
        self.changed.notify_all();
    }
}

struct Sleepers(Arc<World>);

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
struct Scene {
    door: Arc<Door<Model, Sleepers>>,
    world: Arc<World>,
    background: Option<thread::JoinHandle<()>>,
}

impl Scene {
    fn new(kind: Kind) -> Scene {
        let world = Arc::new(World { kind, ..World::default() });
        let model = Model {
            crew: Crew::default(),
            world: Arc::clone(&world),
            came: Vec::new(),
            due: None,
            stopped: false,
        };
        let door = Arc::new(Door::new(model, Sleepers(Arc::clone(&world))));
        let watched = Arc::clone(&door);
        let background = Some(thread::spawn(move || watched.watch()));
        Scene { door, world, background }
    }

    fn spawn(&self, run: impl FnOnce(&Door<Model, Sleepers>) + Send + 'static) -> Thread {
        let door = Arc::clone(&self.door);
        thread::spawn(move || run(&door))
    }

    fn wait(&self, event: Event) -> Thread {
        self.spawn(move |door| door.wait(event, None, |model| model.take(event)).unwrap())
    }

    /// All threads end: shuttle says so if one sleeps for ever.
    fn end(mut self) {
        self.door.stop(|model| model.stopped = true);
        self.background.take().unwrap().join().unwrap();
    }
}

type Thread = thread::JoinHandle<()>;

fn join(threads: impl IntoIterator<Item = Thread>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Under random schedules, and under those with few preemptions at bad moments (PCT).
fn explore(scenario: impl Fn(Kind) + Send + Sync + Copy + 'static) {
    let schedules = std::env::var("UNAVEZ_SCHEDULES").ok();
    let schedules = schedules.map_or(SCHEDULES, |text| text.parse().expect("a number"));
    for kind in [Kind::All, Kind::Told] {
        shuttle::check_random(move || scenario(kind), schedules);
        shuttle::check_pct(move || scenario(kind), schedules, 3);
    }
}

/// Three threads wait while three datagrams come: whoever leads leaves when its own has come, and each
/// gets its own (HOUSE §5.6, R5).
#[test]
fn each_waiting_thread_gets_its_own() {
    explore(|kind| {
        let scene = Scene::new(kind);
        let threads = [1, 2, 3].map(|event| scene.wait(event));
        for event in [3, 1, 2] {
            scene.world.send(event);
        }
        join(threads);
        scene.end();
    });
}

/// A thread waits again and again, as one that calls does; another one follows it.
#[test]
fn a_thread_that_comes_back_leaves_nobody_behind() {
    explore(|kind| {
        let scene = Scene::new(kind);
        let slow = scene.wait(9);
        let world = Arc::clone(&scene.world);
        let calls = scene.spawn(move |door| {
            for event in 1..=3 {
                world.send(event);
                door.wait(event, None, |model| model.take(event)).unwrap();
            }
            world.send(9);
        });
        join([slow, calls]);
        scene.end();
    });
}

/// Nobody waits when a datagram comes: the background thread takes it in. So it does after a thread
/// that led has left.
#[test]
fn the_background_receives_when_nobody_waits() {
    explore(|kind| {
        let scene = Scene::new(kind);
        scene.world.send(1);
        scene.wait(1).join().unwrap();
        scene.world.send(2);
        scene.world.until(2);
        scene.end();
    });
}

/// A thread sleeps without end when another one sets a deadline, and time passes: the deadline is met,
/// whoever it is that sleeps (R5).
#[test]
fn an_earlier_deadline_is_met() {
    explore(|kind| {
        let scene = Scene::new(kind);
        let sleeper = scene.wait(1);
        let timed = scene.wait(TIMER);
        scene.door.enter(|model| model.due = Some(SOON));
        scene.world.pass(SOON);
        timed.join().unwrap();
        scene.world.send(1);
        sleeper.join().unwrap();
        scene.end();
    });
}

/// The same while nobody waits: the background thread meets it.
#[test]
fn a_deadline_is_met_while_nobody_waits() {
    explore(|kind| {
        let scene = Scene::new(kind);
        scene.door.enter(|model| model.due = Some(SOON));
        scene.world.pass(SOON);
        scene.world.until(TIMER);
        scene.end();
    });
}

/// A thread finds at once what it waits for, and what it does about it sets a deadline, as taking a
/// request does: the background thread, which sleeps without end, meets it.
#[test]
fn a_deadline_set_in_leaving_is_met() {
    explore(|kind| {
        let scene = Scene::new(kind);
        scene.world.send(1);
        scene.world.until(1);
        let look = |model: &mut Model| {
            model.take(1)?;
            model.due = Some(SOON);
            Some(())
        };
        scene.door.wait(1, None, look).unwrap();
        scene.world.pass(SOON);
        scene.world.until(TIMER);
        scene.end();
    });
}

/// A thread does not find what it waits for, but in looking it brings what the leader waits for, as when
/// requests are found to have come too late: the leader is woken.
#[test]
fn what_is_brought_in_looking_wakes() {
    explore(|kind| {
        let scene = Scene::new(kind);
        let leader = scene.wait(2);
        let looks = scene.spawn(|door| {
            let mut brought = false;
            let look = |model: &mut Model| {
                if !std::mem::replace(&mut brought, true) {
                    model.bring(2);
                }
                model.take(1)
            };
            door.wait(1, None, look).unwrap();
        });
        leader.join().unwrap();
        scene.world.send(1);
        looks.join().unwrap();
        scene.end();
    });
}

/// What a thread waits for is brought by another thread and no datagram, as when a call is called off:
/// it is woken, whether it leads or follows.
#[test]
fn what_another_thread_brings_wakes() {
    explore(|kind| {
        let scene = Scene::new(kind);
        let threads = [1, 2].map(|event| scene.wait(event));
        for event in [2, 1] {
            scene.spawn(move |door| door.enter(|model| model.bring(event))).join().unwrap();
        }
        join(threads);
        scene.end();
    });
}

/// Two threads wait for the same, as servers do, and one for something else; two come at once: neither
/// is left without.
#[test]
fn two_that_wait_for_the_same_get_one_each() {
    explore(|kind| {
        let scene = Scene::new(kind);
        let (same, other) = ([7, 7].map(|event| scene.wait(event)), scene.wait(8));
        scene.door.enter(|model| [7, 7].map(|event| model.bring(event)));
        join(same);
        scene.world.send(8);
        other.join().unwrap();
        scene.end();
    });
}

/// Several threads ask for the same outcome, which only one can take: the others are told, too.
#[test]
fn what_concerns_all_wakes_all() {
    explore(|kind| {
        let scene = Scene::new(kind);
        let look = |model: &mut Model| model.came.contains(&7).then_some(());
        let wait = || scene.spawn(move |door| door.wait(7, None, look).unwrap());
        let threads = [wait(), wait(), wait()];
        scene.door.enter(|model| {
            model.came.push(7);
            model.crew.tell_all(7);
        });
        join(threads);
        scene.end();
    });
}

/// Threads wait when all stops: they look, see it and leave.
#[test]
fn all_leave_when_it_stops() {
    explore(|kind| {
        let scene = Scene::new(kind);
        let stopped = |model: &mut Model| model.stopped.then_some(());
        let wait = |event| scene.spawn(move |door| door.wait(event, None, stopped).unwrap());
        let threads = [wait(1), wait(2)];
        scene.end();
        join(threads);
    });
}
