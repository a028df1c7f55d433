//! Queues that somebody will remove: each has a note in the state directory, from before it is made.
//!
//! Invariant: a queue made here is removed when its attachment ends, or by the daemon's next life; and
//! no other queue ever is.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use super::sysv::Queue;
use crate::state;

/// A key may be somebody's; so many in a row are no accident.
const DRAWS_MAX: u32 = 16;

/// A queue with its note; both go when it is dropped.
#[derive(Debug)]
pub(crate) struct Noted {
    name: Name,
    note: PathBuf,
}

/// By which another process knows a queue. Numbers of queues come round again; the key says whether
/// this is the one still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Name {
    pub(crate) id: i32,
    pub(crate) key: u32,
}

impl Noted {
    /// Makes a queue for this user.
    ///
    /// Its key is drawn and noted first: a crash may leave a note without a queue, but no queue
    /// without a note. With IPC_PRIVATE it would be the other way about.
    pub(crate) fn make(state: &Path, user: u32) -> io::Result<Noted> {
        let mut draws = 0;
        loop {
            draws += 1;
            let key = draw()?;
            let note = note_of(state, key);
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&note)?;
            match Queue::make(key) {
                Ok(queue) => {
                    let noted = Noted { name: Name { id: queue.id(), key }, note };
                    queue.give(user)?;
                    return Ok(noted);
                }
                Err(error) => {
                    fs::remove_file(&note)?;
                    match error.kind() {
                        io::ErrorKind::AlreadyExists if draws < DRAWS_MAX => {}
                        _ => return Err(error),
                    }
                }
            }
        }
    }

    /// The queue.
    #[cfg(test)]
    pub(crate) fn queue(&self) -> Queue {
        Queue::of_id(self.name.id)
    }

    /// By which the process knows it.
    pub(crate) fn name(&self) -> Name {
        self.name
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.name.remove();
        let _ = fs::remove_file(&self.note);
    }
}

impl Name {
    /// Whether there is a queue of this number, and it is this one.
    pub(crate) fn is_there(self) -> bool {
        Queue::of_id(self.id).status().is_ok_and(|status| status.key == self.key)
    }

    /// Removes the queue, if it is still there. Somebody else may have been faster, which is as well.
    pub(crate) fn remove(self) {
        if self.is_there() {
            let _ = Queue::of_id(self.id).remove();
        }
    }
}

/// Removes the queues that an earlier life left: exactly those that are noted, and that this user made.
pub(crate) fn clean(state: &Path) -> io::Result<()> {
    let folder = folder(state);
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(&folder)? {
        let name = entry?.file_name();
        let key = name.to_str().and_then(|name| u32::from_str_radix(name, 16).ok());
        let Some(key) = key.filter(|key| *key != 0) else { continue };
        // A note whose queue was never made, or is another's, is only a file.
        if let Ok(queue) = Queue::find(key)
            && queue.status().is_ok_and(|it| it.key == key && it.maker == geteuid().as_raw())
        {
            let _ = queue.remove();
        }
        let _ = fs::remove_file(folder.join(name));
    }
    Ok(())
}

fn folder(state: &Path) -> PathBuf {
    state.join("queues")
}

fn note_of(state: &Path, key: u32) -> PathBuf {
    folder(state).join(format!("{key:08x}"))
}

/// Any number but 0, which is IPC_PRIVATE.
fn draw() -> io::Result<u32> {
    Ok(u32::from_ne_bytes(state::random()?).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(state: &Path) -> usize {
        fs::read_dir(folder(state)).unwrap().count()
    }

    /// A daemon is killed with a queue in use: its next life removes it and its note.
    #[test]
    fn what_an_earlier_life_left_is_removed() {
        let state = tempfile::tempdir().unwrap();
        clean(state.path()).unwrap();
        let left = Noted::make(state.path(), geteuid().as_raw()).unwrap();
        let queue = left.queue();
        std::mem::forget(left);
        assert_eq!(notes(state.path()), 1);
        clean(state.path()).unwrap();
        assert!(queue.status().is_err());
        assert_eq!(notes(state.path()), 0);
    }

    /// A note whose queue was never made: only the note goes, and files that are no notes stay.
    #[test]
    fn a_note_without_a_queue_is_only_a_file() {
        let state = tempfile::tempdir().unwrap();
        clean(state.path()).unwrap();
        fs::write(note_of(state.path(), draw().unwrap()), "").unwrap();
        fs::write(folder(state.path()).join("readme"), "").unwrap();
        clean(state.path()).unwrap();
        assert_eq!(notes(state.path()), 1);
    }

    /// The kernel's number of a removed queue is another queue's now: that one stays.
    #[test]
    fn another_queue_of_that_number_stays() {
        let state = tempfile::tempdir().unwrap();
        clean(state.path()).unwrap();
        let mut other = Noted::make(state.path(), geteuid().as_raw()).unwrap();
        let key = other.name.key;
        Name { key: key ^ 1, ..other.name }.remove();
        assert!(other.queue().status().is_ok());
        other.name.key = key;
    }

    /// Its maker and its owner, and nobody else.
    #[test]
    fn a_queue_is_its_owners_alone() {
        let state = tempfile::tempdir().unwrap();
        clean(state.path()).unwrap();
        let (me, noted) = (geteuid().as_raw(), Noted::make(state.path(), geteuid().as_raw()));
        let noted = noted.unwrap();
        let status = noted.queue().status().unwrap();
        assert_eq!((status.mode & 0o777, status.maker, status.owner), (0o600, me, me));
    }
}
