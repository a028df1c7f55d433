//! How many bytes are held for all processes together, in their long messages.
//!
//! Invariant: what is taken is given back, by the same user; and no user takes more than is left for the
//! others: so whoever takes all that he can leaves as much as he has.

use std::collections::HashMap;

/// What is left of it.
#[derive(Debug)]
pub(crate) struct Room {
    most: usize,
    held: usize,
    /// By user; those who hold nothing are not here.
    users: HashMap<u32, usize>,
}

impl Room {
    pub(crate) fn new(most: usize) -> Room {
        Room { most, held: 0, users: HashMap::new() }
    }

    /// Whether a user may have so much more.
    pub(crate) fn has(&self, user: u32, bytes: usize) -> bool {
        let held = self.users.get(&user).copied().unwrap_or(0);
        let left = self.most.saturating_sub(self.held);
        held.saturating_add(bytes.saturating_mul(2)) <= left
    }

    /// Takes so much for a user, if there is.
    pub(crate) fn take(&mut self, user: u32, bytes: usize) -> bool {
        let has = self.has(user, bytes);
        if has {
            self.take_anyway(user, bytes);
        }
        has
    }

    /// Takes so much, whether or not there is.
    pub(crate) fn take_anyway(&mut self, user: u32, bytes: usize) {
        if bytes > 0 {
            self.held += bytes;
            *self.users.entry(user).or_default() += bytes;
        }
    }

    /// So much is free again.
    pub(crate) fn give(&mut self, user: u32, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.held = self.held.saturating_sub(bytes);
        if let Some(held) = self.users.get_mut(&user) {
            *held = held.saturating_sub(bytes);
            if *held == 0 {
                self.users.remove(&user);
            }
        }
    }

    /// How much is held.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One user takes all that he can, then others do: each finds some. What they give back can be taken
    /// again.
    #[test]
    fn nobody_takes_what_is_left_for_others() {
        let mut room = Room::new(1200);
        let all = |room: &mut Room, user| (0..).take_while(|_| room.take(user, 10)).count() * 10;
        assert_eq!(all(&mut room, 1), 600);
        assert_eq!(all(&mut room, 2), 300);
        assert_eq!(all(&mut room, 3), 150);
        assert_eq!((all(&mut room, 1), room.held()), (0, 1050));
        room.give(1, 600);
        room.give(2, 300);
        assert_eq!((all(&mut room, 1), room.held()), (520, 670));
        room.give(1, 520);
        room.give(3, 150);
        assert_eq!((room.held(), room.users.len()), (0, 0));
    }

    /// What must be taken is counted, so that others see that there is none left.
    #[test]
    fn what_must_be_taken_counts() {
        let mut room = Room::new(100);
        room.take_anyway(1, 500);
        assert!(!room.take(2, 1) && !room.take(1, usize::MAX));
        room.give(1, 500);
        assert!(room.take(2, 50) && !room.take(2, 1));
    }
}
