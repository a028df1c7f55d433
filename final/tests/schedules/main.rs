//! The threads around the lock under shuttle: the file that leads them is the one that runs, with
//! shuttle's lock and condition variable under it and a socket made of them.

#[path = "../../src/site/lead.rs"]
mod lead;
mod world;

/// What `lead.rs` takes from the standard library elsewhere.
mod sync {
    pub(super) use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard};
}

use shuttle::sync::Arc;
use world::{ANSWER, Kind, Model, QUESTION, SOON, Scene, TIMER, join};

/// So many schedules of each scenario and kind; `UNAVEZ_SCHEDULES=10000` tries more.
const SCHEDULES: usize = 500;

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

/// A thread says something before it waits for the answer, as one that calls does; it leads or follows
/// then, and what it said has left.
#[test]
fn what_is_said_before_waiting_is_heard() {
    explore(|kind| {
        let scene = Scene::new(kind);
        let ask = |event| {
            scene.spawn(move |door| {
                let begin = |model: &mut Model| {
                    model.say(event);
                    Ok::<_, ()>(event)
                };
                door.begin(None, begin, |model, event| model.take(event)).unwrap().unwrap();
            })
        };
        join([ask(1), ask(2), ask(QUESTION), scene.wait(ANSWER)]);
        scene.end();
    });
}

/// What a thread says that does not wait, or that finds what it waits for at once, or that is refused, is
/// heard by one that does.
#[test]
fn what_is_said_in_leaving_is_heard() {
    explore(|kind| {
        let scene = Scene::new(kind);
        let threads = [1, 2, 3].map(|event| scene.wait(event));
        let says = scene.spawn(|door| {
            door.enter(|model| model.say(1));
            let found = |model: &mut Model| {
                model.say(2);
                Some(())
            };
            door.wait(2, None, found).unwrap();
            let refused = door.begin(
                None,
                |model| {
                    model.say(3);
                    Err::<_, u8>(3)
                },
                |_, _| Some(()),
            );
            assert_eq!(refused, Err(3));
        });
        join(threads.into_iter().chain([says]));
        scene.end();
    });
}

/// What comes is answered while nobody waits: by the background thread.
#[test]
fn the_background_answers() {
    explore(|kind| {
        let scene = Scene::new(kind);
        scene.world.send(QUESTION);
        scene.world.until(ANSWER);
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
