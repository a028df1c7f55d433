//! Which life of a site this is (§3.4).
//!
//! Invariant: an epoch is on stable storage before it is used, and no two lives have the same one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::str::FromStr;
use std::{array, fmt};

use serde::{Deserialize, Serialize};

/// Names a life of a site. It is compared for equality only: no life is older than another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[doc(alias = "incarnation")]
pub struct Epoch {
    /// Counted on stable storage: another one for each life, even if the dice fall alike.
    pub counter: u32,
    /// Drawn for this life: another one even if the storage is lost, or copied to another machine.
    pub random: u32,
}

/// A life of a site that has a state directory. Until it is dropped no other site may begin one.
#[derive(Debug)]
pub struct Life {
    /// Its epoch.
    pub epoch: Epoch,
    _lock: File,
}

impl Epoch {
    /// The epoch of a site that keeps no state: it has but one life, so all of it is drawn.
    ///
    /// # Errors
    /// The kernel gives no random numbers.
    pub fn random() -> io::Result<Epoch> {
        let mut bytes = [0; 8];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let word = |at: usize| u32::from_be_bytes(array::from_fn(|i| bytes[at + i]));
        Ok(Epoch { counter: word(0), random: word(4) })
    }
}

impl Life {
    /// Begins the next life of the site whose state is in this directory, which is made if need be.
    ///
    /// # Errors
    /// Another site uses the directory, or the file with the counter is damaged or cannot be
    /// written. No epoch is used then.
    pub fn begin(directory: &Path) -> io::Result<Life> {
        fs::create_dir_all(directory)?;
        let lock = OpenOptions::new().create(true).append(true).open(directory.join("lock"))?;
        lock.try_lock().map_err(|_| io::Error::other("another site uses this state directory"))?;
        let counter = next_counter(&directory.join("epoch"))?;
        store(directory, counter)?;
        Ok(Life { epoch: Epoch { counter, ..Epoch::random()? }, _lock: lock })
    }
}

fn next_counter(file: &Path) -> io::Result<u32> {
    let parse = |bytes| String::from_utf8(bytes).ok()?.strip_suffix('\n')?.parse().ok();
    let last = match fs::read(file) {
        // A first life, or one whose storage was lost: the random half makes it a stranger.
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        bytes => parse(bytes?).ok_or_else(|| {
            io::Error::other("the file \"epoch\" is damaged; it holds one number and a line end")
        })?,
    };
    u32::checked_add(last, 1).ok_or_else(|| io::Error::other("all epochs are used up"))
}

/// Writes a new file and puts it in the place of the old one, so that a crash leaves one of them.
fn store(directory: &Path, counter: u32) -> io::Result<()> {
    let new = directory.join("epoch.new");
    let mut file = File::create(&new)?;
    writeln!(file, "{counter}")?;
    file.sync_all()?;
    fs::rename(&new, directory.join("epoch"))?;
    File::open(directory)?.sync_all()
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}-{:08x}", self.counter, self.random)
    }
}

impl FromStr for Epoch {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Epoch, &'static str> {
        let (counter, random) = text.split_once('-').unwrap_or_default();
        let (counter, random) = (counter.parse().ok(), u32::from_str_radix(random, 16).ok());
        let epoch = counter.zip(random).map(|(counter, random)| Epoch { counter, random });
        epoch.ok_or("an epoch is two numbers, like 3-00c0ffee")
    }
}
