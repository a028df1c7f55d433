//! Who this site is and which life of it this is (R7).
//!
//! Invariant: an epoch is on stable storage before it is used, and no two lives have the same one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::protocol::{Epoch, SiteId};

/// A life of a site. Until it is dropped no other site may begin one in the same directory.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) site: SiteId,
    pub(crate) epoch: Epoch,
    _lock: Option<File>,
}

impl Life {
    /// Begins the next life of the site whose state is in this directory, which is made if need be.
    /// Without one the site is new, and this its only life.
    pub(crate) fn begin(directory: Option<&Path>) -> io::Result<Life> {
        let Some(directory) = directory else {
            let epoch = Epoch { counter: random_u32()?, random: random_u32()? };
            return Ok(Life { site: new_site()?, epoch, _lock: None });
        };
        let (site, counter, lock) = next_life(directory).map_err(|error| {
            let place = directory.display();
            io::Error::new(error.kind(), format!("state directory {place}: {error}"))
        })?;
        let epoch = Epoch { counter, random: random_u32()? };
        Ok(Life { site, epoch, _lock: Some(lock) })
    }
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

fn random_u32() -> io::Result<u32> {
    Ok(u32::from_ne_bytes(random()?))
}

/// 0 is no site's.
fn new_site() -> io::Result<SiteId> {
    Ok(SiteId(u64::from_ne_bytes(random()?).max(1)))
}

fn next_life(directory: &Path) -> io::Result<(SiteId, u32, File)> {
    fs::create_dir_all(directory)?;
    // Whoever can open it can hold it.
    let mut lock = OpenOptions::new();
    let lock = lock.create(true).append(true).mode(0o600).open(directory.join("lock"))?;
    lock.try_lock().map_err(|_| io::Error::other("another site uses it"))?;
    let (site, last) = match fs::read_to_string(directory.join("life")) {
        Ok(text) => read(&text).ok_or_else(damaged)?,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(damaged()),
        // A first life. If its storage was lost, it is another site now, a stranger to all.
        Err(error) if error.kind() == io::ErrorKind::NotFound => (new_site()?, 0),
        Err(error) => return Err(error),
    };
    let counter = u32::checked_add(last, 1);
    let counter = counter.ok_or_else(|| io::Error::other("all epochs are used up"))?;
    store(directory, &line(site, counter))?;
    Ok((site, counter, lock))
}

fn damaged() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the file \"life\" is damaged; if it is removed, the site begins anew under another id",
    )
}

/// What the file holds: who, which life, and a checksum over both.
fn line(site: SiteId, counter: u32) -> String {
    let text = format!("{site} {counter}");
    format!("{text} {:08x}\n", crc32c::crc32c(text.as_bytes()))
}

fn read(text: &str) -> Option<(SiteId, u32)> {
    let mut fields = text.split(' ');
    let site = SiteId(u64::from_str_radix(fields.next()?, 16).ok()?);
    let counter = fields.next()?.parse().ok()?;
    (site.0 != 0 && line(site, counter) == text).then_some((site, counter))
}

/// Writes a new file and puts it in the place of the old one, so that a crash leaves one of them.
fn store(directory: &Path, text: &str) -> io::Result<()> {
    let new = directory.join("life.new");
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, directory.join("life"))?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A site is restarted: it is the same site in another life (R7).
    #[test]
    fn each_life_has_another_epoch() {
        let directory = tempfile::tempdir().unwrap();
        let begin = || Life::begin(Some(directory.path())).unwrap();
        let first = begin();
        let (site, epoch) = (first.site, first.epoch);
        drop(first);
        let second = begin();
        assert_eq!((second.site, second.epoch.counter), (site, epoch.counter + 1));
        assert_ne!(second.epoch.random, epoch.random);
    }

    /// Two sites are given one directory: the second does not begin (R7).
    #[test]
    fn a_state_directory_serves_one_site() {
        let directory = tempfile::tempdir().unwrap();
        let _first = Life::begin(Some(directory.path())).unwrap();
        let error = Life::begin(Some(directory.path())).unwrap_err();
        assert!(error.to_string().ends_with("another site uses it"), "{error}");
    }

    /// Any byte of the file changes, or its end is lost: the site does not begin, and nothing is
    /// written over (R7).
    #[test]
    fn a_damaged_file_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        drop(Life::begin(Some(directory.path())).unwrap());
        let file = directory.path().join("life");
        let whole = fs::read(&file).unwrap();
        let changed = (0..whole.len()).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x81;
            bytes
        });
        let cut = (0..whole.len()).map(|end| whole[..end].to_vec());
        for bytes in changed.chain(cut) {
            fs::write(&file, &bytes).unwrap();
            let error = Life::begin(Some(directory.path())).unwrap_err();
            assert!(error.to_string().contains("is damaged"), "{error}");
            assert_eq!(fs::read(&file).unwrap(), bytes);
        }
        fs::write(&file, &whole).unwrap();
        assert_eq!(Life::begin(Some(directory.path())).unwrap().epoch.counter, 2);
    }

    /// The machine dies while a new file is written: the old one counts (R7).
    #[test]
    fn a_half_written_file_is_ignored() {
        let directory = tempfile::tempdir().unwrap();
        drop(Life::begin(Some(directory.path())).unwrap());
        fs::write(directory.path().join("life.new"), "00c0").unwrap();
        assert_eq!(Life::begin(Some(directory.path())).unwrap().epoch.counter, 2);
    }

    /// Sites without a directory are strangers to each other (R7).
    #[test]
    fn without_a_directory_all_is_drawn() {
        let (one, other) = (Life::begin(None).unwrap(), Life::begin(None).unwrap());
        assert_ne!(one.site, other.site);
        assert_ne!(one.epoch, other.epoch);
    }

    /// The last epoch was used: better no site than one that lives twice (R7).
    #[test]
    fn epochs_do_not_come_round_again() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("life"), line(SiteId(7), u32::MAX)).unwrap();
        let error = Life::begin(Some(directory.path())).unwrap_err();
        assert!(error.to_string().ends_with("used up"), "{error}");
    }
}
