//! Queues that somebody will remove: each has a note in the state directory, from before it is made.
//!
//! Invariant: a queue made here is removed when its owner ends, or by the daemon when the owner was
//! killed, or by the daemon's next start when both were; and no other queue ever is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::sysv::Queue;

/// A queue with its note; both go when it is dropped.
#[derive(Debug)]
pub struct Noted {
    queue: Queue,
    key: u32,
    note: PathBuf,
}

impl Noted {
    /// Makes a queue for whoever uses this state directory.
    ///
    /// Its key is drawn and noted first: a crash may leave a note without a queue, but no queue without a note. With
    /// `IPC_PRIVATE` it would be the other way about.
    ///
    /// # Errors
    /// The note cannot be written, or the kernel has no room for another queue.
    pub fn make(state: &Path) -> io::Result<Noted> {
        fs::create_dir_all(folder(state))?;
        let key = draw()?;
        let note = note_of(state, key);
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&note)?;
        match Queue::make(key) {
            Ok(queue) => Ok(Noted { queue, key, note }),
            Err(error) => {
                fs::remove_file(&note)?;
                Err(error)
            }
        }
    }

    /// Takes over the care for a queue that another process made, if it has a note here and is this user's.
    ///
    /// # Errors
    /// There is no such queue.
    pub fn adopt(state: &Path, key: u32) -> io::Result<Noted> {
        let note = note_of(state, key);
        fs::metadata(&note)?;
        let queue = Queue::find(key)?;
        if queue.status()?.owner != geteuid().as_raw() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(Noted { queue, key, note })
    }

    /// Whether a queue with this key is one of those.
    pub fn is_noted(state: &Path, key: u32) -> bool {
        note_of(state, key).exists()
    }

    /// The queue.
    pub fn queue(&self) -> Queue {
        self.queue
    }

    /// Its key, by which another process finds it.
    pub fn key(&self) -> u32 {
        self.key
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        // Numbers of queues come round again; its key says whether this is the one still.
        if self.queue.status().is_ok_and(|status| status.key == self.key) {
            // Somebody else may have been faster, which is as well.
            let _ = self.queue.remove();
        }
        let _ = fs::remove_file(&self.note);
    }
}

/// Removes the queues that an earlier life left, and its processes': exactly those that are noted.
///
/// # Errors
/// The notes cannot be read.
pub fn clean(state: &Path) -> io::Result<()> {
    fs::create_dir_all(folder(state))?;
    for entry in fs::read_dir(folder(state))? {
        let name = entry?.file_name();
        let key = name.to_str().and_then(|name| u32::from_str_radix(name, 16).ok());
        // Dropped at once. A note whose queue was never made, or is another's, is only a file.
        let Some(key) = key else { continue };
        if Noted::adopt(state, key).is_err() {
            // Its owner may just be removing it.
            let _ = fs::remove_file(note_of(state, key));
        }
    }
    Ok(())
}

fn folder(state: &Path) -> PathBuf {
    state.join("queues")
}

fn note_of(state: &Path, key: u32) -> PathBuf {
    folder(state).join(format!("{key:08x}"))
}

/// Any number but 0, which is `IPC_PRIVATE`.
fn draw() -> io::Result<u32> {
    let mut bytes = [0; 4];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes).max(1))
}
