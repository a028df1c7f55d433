//! The rings between a process and its daemon under shuttle: the files that wake the two sides are the
//! ones that run, with shuttle's atomics under them and bells made of its lock.

#[path = "../src/local/control.rs"]
#[allow(dead_code)]
mod control;
#[path = "../src/local/ring.rs"]
#[allow(dead_code)]
mod ring;

/// What they take from the standard library elsewhere.
mod sync {
    pub(super) use shuttle::sync::atomic::{AtomicU64, Ordering, fence};
}

use std::time::Duration;

use control::{CONTROL_LEN, Lane, Words};
use ring::{Place, Reader, Writer};
use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::thread;
use sync::{AtomicU64, Ordering};

/// So many schedules of each kind; `UNAVEZ_SCHEDULES=10000` tries more.
const SCHEDULES: usize = 500;
/// Two words and a length.
const MESSAGE_MAX: usize = 16;
/// The rings hold one message, or two, and a part of the next does not fit: of these the writer is told
/// when both were read.
const LENGTHS: [usize; 2] = [4, 8];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    #[allow(dead_code)]
    Down,
}

#[derive(Debug)]
enum Unsent {
    Full,
    #[allow(dead_code)]
    Broken(Broken),
}

#[derive(Debug)]
struct Broken(#[allow(dead_code)] &'static str);

impl From<Broken> for Unsent {
    fn from(broken: Broken) -> Unsent {
        Unsent::Broken(broken)
    }
}

/// Words, and the kernel's part in sleeping on them.
struct Shared {
    words: Vec<AtomicU64>,
    woken: Mutex<u64>,
    changed: Condvar,
}

type Memory = Arc<Shared>;

impl Words for Memory {
    fn words(&self) -> &[AtomicU64] {
        &self.words
    }

    fn sleep(&self, index: usize, value: u64, _: Option<Duration>) {
        let mut woken = self.woken.lock().unwrap();
        let before = *woken;
        while *woken == before && self.words[index].load(Ordering::SeqCst) == value {
            woken = self.changed.wait(woken).unwrap();
        }
    }

    fn wake(&self, _: usize, _: bool) {
        *self.woken.lock().unwrap() += 1;
        self.changed.notify_all();
    }
}

/// Wakes one side, or spares it its next sleep.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap() = true;
        self.changed.notify_one();
    }

    fn sleep(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.changed.wait(rung).unwrap();
        }
        *rung = false;
    }
}

fn schedules() -> usize {
    std::env::var("UNAVEZ_SCHEDULES").map_or(SCHEDULES, |text| text.parse().expect("a number"))
}

/// One side writes more than fits, the other reads; both sleep whenever they may, the reader by its
/// bell or on the word. A wake-up that is lost
/// is a deadlock, which shuttle reports.
fn write_and_read(len: usize, on_word: bool) {
    let place = Place { start: CONTROL_LEN, len };
    let words = (0..CONTROL_LEN + len).map(|_| AtomicU64::new(0)).collect();
    let memory = Arc::new(Shared { words, woken: Mutex::new(0), changed: Condvar::new() });
    let lane = Lane::new(memory, Way::Up);
    let (mut writer, mut reader) = (Writer::new(lane.clone(), place), Reader::new(lane, place));
    let (at_writer, at_reader) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
    let (rings_reader, sleeps) = (Arc::clone(&at_reader), Arc::clone(&at_writer));
    let writes = thread::spawn(move || {
        for number in 0..4_u8 {
            loop {
                match writer.try_send(&[number; 12], &[]) {
                    Ok(true) => rings_reader.ring(),
                    Ok(false) => {}
                    Err(Unsent::Full) => {
                        sleeps.sleep();
                        continue;
                    }
                    Err(Unsent::Broken(_)) => panic!("nobody broke it"),
                }
                break;
            }
        }
    });
    let word = reader.lane();
    let (mut buffer, mut next) = (Vec::new(), 0);
    loop {
        reader.woke();
        while reader.try_receive(&mut buffer).unwrap() {
            assert_eq!(buffer, [next; 12]);
            next += 1;
        }
        if reader.freed() {
            at_writer.ring();
        }
        if next == 4 {
            break;
        }
        if on_word && reader.may_sleep_on_word().unwrap() {
            word.sleep(None);
        } else if !on_word && reader.may_sleep().unwrap() {
            at_reader.sleep();
        }
    }
    writes.join().unwrap();
}

#[test]
fn no_wake_up_is_lost_at_random() {
    for len in LENGTHS {
        shuttle::check_random(move || write_and_read(len, false), schedules());
        shuttle::check_random(move || write_and_read(len, true), schedules());
    }
}

#[test]
fn no_wake_up_is_lost_with_few_switches() {
    for len in LENGTHS {
        shuttle::check_pct(move || write_and_read(len, false), schedules(), 4);
        shuttle::check_pct(move || write_and_read(len, true), schedules(), 4);
    }
}
