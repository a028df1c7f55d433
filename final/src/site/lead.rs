//! Whoever waits does the receiving: threads around one lock, of which one leads.
//!
//! A thread that waits for a reply or a request *leads* if nobody else does: it sleeps on the socket,
//! reads, and runs the timers, until what it waits for has come. The others *follow*: they sleep until
//! they are told that theirs has come, or that they shall lead. So a reply wakes the thread that
//! wants it and no other. When nobody waits, a *background* thread does it.
//!
//! Invariant, whenever nobody holds the lock:
//! - If threads follow, one leads or is called to (and will look): no datagram lies unread while
//!   somebody waits.
//! - If nobody leads or is called to, the background thread watches the socket, or will look within
//!   [`GRACE`].
//! - Whoever sleeps on the socket sleeps no longer than to the deadline of [`Inside`]; whoever makes
//!   that earlier wakes it. So does whoever brings what it waits for.
//! - All that was read from the socket is handled: it is read under the lock. All that is to be sent has
//!   left.

use std::convert::Infallible;
use std::time::Duration;

use super::sync::{Arc, Condvar, Mutex, MutexGuard};

/// How long threads may stay away between two waits before the background thread steps in. It must be
/// short beside the least time between two packets of one call (10 ms), and spares a thread that makes
/// one call after the other two thread switches each.
const GRACE: Duration = Duration::from_millis(2);
/// So often it is read without letting others have the lock.
const BURST_MAX: u32 = 8;

/// A moment, as in [`crate::protocol::Time`].
type Time = Duration;

/// What stands behind the lock.
pub(crate) trait Inside {
    /// What a thread can wait for.
    type Event: Copy + PartialEq;
    /// Who waits for what.
    fn crew(&mut self) -> &mut Crew<Self::Event>;
    /// When [`Inside::round`] is wanted, whether or not a datagram comes.
    fn deadline(&self) -> Option<Time>;
    /// Reads and handles what has come, if anything has, and all timers that are due. Tells the crew what
    /// came of it. `true` if there may be more.
    fn round(&mut self) -> bool;
    /// The lock is let go: what the last events want sent leaves.
    fn settle(&mut self);
    /// This thread is going to sleep on the socket; `false` if there is something to read already.
    fn may_sleep(&mut self, who: Sleeper) -> bool;
    /// A thread begins to wait for this, or ceases to.
    fn waits(&mut self, event: Self::Event, begins: bool);
    /// Whether the background thread shall leave: there is nothing to watch.
    fn is_over(&self) -> bool;
}

/// How threads sleep on the socket.
pub(crate) trait Sleep {
    /// The time.
    fn now(&self) -> Time;
    /// Sleeps until it is woken, or then, or, if wanted, until the socket can be read.
    fn sleep(&self, who: Sleeper, socket: bool, until: Option<Time>);
    /// Wakes it, or spares it its next sleep.
    fn wake(&self, who: Sleeper);
}

/// Who sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sleeper {
    /// The thread that leads.
    Leader,
    /// The background thread.
    Background,
}

/// The one way to what is inside.
#[derive(Debug)]
pub(crate) struct Door<I, S> {
    inside: Mutex<I>,
    sleep: S,
}

/// Who waits for what.
#[derive(Debug)]
pub(crate) struct Crew<E> {
    leader: Option<Leader<E>>,
    followers: Vec<Follower<E>>,
    /// What followers slept on before, for those that come.
    beds: Vec<Arc<Condvar>>,
    /// This follower was called to lead and has not looked yet.
    called: Option<u64>,
    background: Background,
    /// How often somebody began to lead, or ceased.
    changes: u64,
    waits: u64,
}

#[derive(Debug)]
struct Leader<E> {
    who: u64,
    waits_for: E,
    /// What it waits for has come.
    came: bool,
    /// How long it sleeps; [`AWAKE`] if it has been woken.
    until: Option<Time>,
}

#[derive(Debug)]
struct Follower<E> {
    who: u64,
    waits_for: E,
    wake: Arc<Condvar>,
}

#[derive(Debug, PartialEq)]
enum Background {
    /// For ever: somebody leads, and wakes it when he leaves and nobody follows.
    Asleep,
    /// For [`GRACE`] at most.
    Resting,
    /// On the socket, so long.
    Watching(Option<Time>),
}

/// Nothing is earlier.
const AWAKE: Option<Time> = Some(Time::ZERO);

impl<E> Default for Crew<E> {
    fn default() -> Self {
        Crew {
            leader: None,
            followers: Vec::new(),
            beds: Vec::new(),
            called: None,
            background: Background::Resting,
            changes: 0,
            waits: 0,
        }
    }
}

impl<I: Inside, S: Sleep> Door<I, S> {
    pub(crate) fn new(inside: I, sleep: S) -> Door<I, S> {
        Door { inside: Mutex::new(inside), sleep }
    }

    /// Lets a thread in that does not wait.
    pub(crate) fn enter<T>(&self, event: impl FnOnce(&mut I) -> T) -> T {
        let mut inside = self.lock();
        let result = event(&mut inside);
        self.settle(&mut inside);
        result
    }

    /// Waits until `look` finds what this event brings; `None` if it has not come until then. `look`
    /// is asked first, last, and whenever something may have come.
    pub(crate) fn wait<T>(
        &self,
        event: I::Event,
        until: Option<Time>,
        mut look: impl FnMut(&mut I) -> Option<T>,
    ) -> Option<T> {
        let begin = |_: &mut I| Ok::<_, Infallible>(event);
        let Ok(found) = self.begin(until, begin, |inside, _| look(inside));
        found
    }

    /// Begins something, and waits for the event that it names, all by one way in.
    ///
    /// # Errors
    /// It was not begun.
    pub(crate) fn begin<T, E>(
        &self,
        until: Option<Time>,
        begin: impl FnOnce(&mut I) -> Result<I::Event, E>,
        mut look: impl FnMut(&mut I, I::Event) -> Option<T>,
    ) -> Result<Option<T>, E> {
        let mut inside = self.lock();
        let event = match begin(&mut inside) {
            Ok(event) => event,
            Err(error) => {
                self.settle(&mut inside);
                return Err(error);
            }
        };
        let who = inside.crew().number();
        let (mut burst, mut waits) = (0, false);
        let found = loop {
            let found = look(&mut inside, event);
            if found.is_some() || until.is_some_and(|until| until <= self.sleep.now()) {
                break found;
            }
            if !std::mem::replace(&mut waits, true) {
                inside.waits(event, true);
            }
            let leader = inside.crew().leader.as_ref().map(|leader| leader.who);
            inside = if leader.is_none_or(|leader| leader == who) {
                self.lead(inside, who, event, until, &mut burst)
            } else {
                self.follow(inside, who, event, until)
            };
        };
        if waits {
            inside.waits(event, false);
        }
        self.leave(&mut inside, who);
        // What `look` did may be due earlier than the others sleep.
        self.settle(&mut inside);
        Ok(found)
    }

    /// What the background thread does, until all stops.
    pub(crate) fn watch(&self) {
        let mut seen = 0;
        let mut inside = self.lock();
        while !inside.is_over() {
            let deadline = inside.deadline();
            let crew = inside.crew();
            let calm = std::mem::replace(&mut seen, crew.changes) == crew.changes;
            let (background, until) = match (calm, crew.is_led()) {
                (true, true) => (Background::Asleep, None),
                (true, false) => (Background::Watching(deadline), deadline),
                (false, _) => (Background::Resting, Some(self.sleep.now() + GRACE)),
            };
            let watches = matches!(background, Background::Watching(_));
            crew.background = background;
            if !watches || inside.may_sleep(Sleeper::Background) {
                drop(inside);
                self.sleep.sleep(Sleeper::Background, watches, until);
                inside = self.lock();
            }
            if watches && !inside.crew().is_led() {
                (0..BURST_MAX).any(|_| !inside.round());
                inside.settle();
            }
        }
    }

    /// All threads look once more, and see that it stops.
    pub(crate) fn stop(&self, end: impl FnOnce(&mut I)) {
        self.enter(|inside| {
            end(inside);
            inside.crew().tell(|_| true);
        });
        self.sleep.wake(Sleeper::Background);
    }

    /// One turn of the thread that leads: sleeps, unless there was something to read the last time, and
    /// reads.
    fn lead<'a>(
        &'a self,
        mut inside: MutexGuard<'a, I>,
        who: u64,
        waits_for: I::Event,
        until: Option<Time>,
        burst: &mut u32,
    ) -> MutexGuard<'a, I> {
        inside.settle();
        let until = [inside.deadline(), until].into_iter().flatten().min();
        let crew = inside.crew();
        let leads = crew.leader.replace(Leader { who, waits_for, came: false, until });
        crew.changes += u64::from(leads.is_none());
        if let Background::Watching(_) = crew.background {
            crew.background = Background::Resting;
            self.sleep.wake(Sleeper::Background);
        }
        if *burst == 0 && inside.may_sleep(Sleeper::Leader) {
            drop(inside);
            self.sleep.sleep(Sleeper::Leader, true, until);
            inside = self.lock();
        }
        *burst = if inside.round() { (*burst + 1) % BURST_MAX } else { 0 };
        inside
    }

    /// Sleeps until it is told that what it waits for has come, or called to lead.
    fn follow<'a>(
        &'a self,
        mut inside: MutexGuard<'a, I>,
        who: u64,
        waits_for: I::Event,
        until: Option<Time>,
    ) -> MutexGuard<'a, I> {
        // What `look` did may be due earlier than others sleep, or be what they wait for.
        self.settle(&mut inside);
        let wake = inside.crew().beds.pop().unwrap_or_default();
        inside.crew().followers.push(Follower { who, waits_for, wake: Arc::clone(&wake) });
        let mut inside = match until.map(|until| until.saturating_sub(self.sleep.now())) {
            None => wake.wait(inside).expect(UNBROKEN),
            Some(time) => wake.wait_timeout(inside, time).expect(UNBROKEN).0,
        };
        let crew = inside.crew();
        crew.followers.retain(|follower| follower.who != who);
        crew.called = crew.called.filter(|called| *called != who);
        crew.beds.push(wake);
        inside
    }

    /// A thread has what it waited for. If nobody leads now, another one must.
    fn leave(&self, inside: &mut I, who: u64) {
        let crew = inside.crew();
        if crew.leader.as_ref().is_some_and(|leader| leader.who == who) {
            crew.leader = None;
            crew.changes += 1;
        }
        if crew.is_led() {
            return;
        }
        if let Some(follower) = crew.followers.pop() {
            crew.called = Some(follower.who);
            follower.wake.notify_one();
        } else if crew.background == Background::Asleep {
            crew.background = Background::Resting;
            self.sleep.wake(Sleeper::Background);
        }
    }

    /// What is to be sent leaves. Wakes whoever sleeps on the socket, if what it waits for has come, or if
    /// it sleeps too long.
    fn settle(&self, inside: &mut I) {
        inside.settle();
        let deadline = inside.deadline();
        let crew = inside.crew();
        let called = crew.called.is_some();
        let (who, wanted, until) = match (&mut crew.leader, &mut crew.background) {
            (Some(Leader { came: true, until, .. }), _) => (Sleeper::Leader, AWAKE, until),
            (Some(leader), _) => (Sleeper::Leader, deadline, &mut leader.until),
            (None, Background::Watching(until)) if !called => {
                (Sleeper::Background, deadline, until)
            }
            _ => return,
        };
        if wanted.is_some_and(|wanted| until.is_none_or(|until| wanted < until)) {
            *until = AWAKE;
            self.sleep.wake(who);
        }
    }

    fn lock(&self) -> MutexGuard<'_, I> {
        self.inside.lock().expect(UNBROKEN)
    }
}

const UNBROKEN: &str = "no thread panics while it holds the lock";

impl<E: Copy + PartialEq> Crew<E> {
    /// Something came that one thread can use: the leader, if it waits for that, or a follower.
    pub(crate) fn tell_one(&mut self, event: E) {
        match &mut self.leader {
            Some(leader) if leader.waits_for == event && !leader.came => leader.came = true,
            _ => {
                let waits = self.followers.iter().position(|it| it.waits_for == event);
                if let Some(at) = waits {
                    self.followers.swap_remove(at).wake.notify_one();
                }
            }
        }
    }

    /// Something came that all threads want to know that wait for it.
    pub(crate) fn tell_all(&mut self, event: E) {
        self.tell(|waits_for| waits_for == event);
    }

    fn tell(&mut self, concerns: impl Fn(E) -> bool) {
        if let Some(leader) = &mut self.leader {
            leader.came |= concerns(leader.waits_for);
        }
        for follower in self.followers.extract_if(.., |it| concerns(it.waits_for)) {
            follower.wake.notify_one();
        }
    }

    /// Whether a thread that waits does the receiving, or will.
    fn is_led(&self) -> bool {
        self.leader.is_some() || self.called.is_some()
    }

    fn number(&mut self) -> u64 {
        self.waits += 1;
        self.waits
    }
}
