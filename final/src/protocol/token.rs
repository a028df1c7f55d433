//! Address tokens (R36): who shows one has received a packet at this address. No state is kept.

use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use siphasher::sip::SipHasher24;

use super::ids::SiteId;
use super::kind::Token;
use super::site::Time;

/// Gives tokens and knows its own again; the key is drawn for each epoch.
#[derive(Debug)]
pub(crate) struct Tokens {
    key: (u64, u64),
    began: Time,
    life: Duration,
}

impl Tokens {
    pub(crate) fn new(key: (u64, u64), began: Time, life: Duration) -> Tokens {
        Tokens { key, began, life }
    }

    pub(crate) fn issue(&self, now: Time, address: SocketAddr, client: SiteId) -> Token {
        let issued = self.age(now).as_millis() as u64;
        Token { issued, mac: self.mac(issued, address, client) }
    }

    /// Whether this site gave it to this client at this address, not too long ago.
    pub(crate) fn is_valid(
        &self,
        now: Time,
        address: SocketAddr,
        client: SiteId,
        token: Token,
    ) -> bool {
        let age = self.age(now).checked_sub(Duration::from_millis(token.issued));
        age.is_some_and(|age| age <= self.life)
            && token.mac == self.mac(token.issued, address, client)
    }

    fn age(&self, now: Time) -> Duration {
        now.saturating_sub(self.began)
    }

    fn mac(&self, issued: u64, address: SocketAddr, client: SiteId) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.key.0, self.key.1);
        (issued, address, client).hash(&mut hasher);
        hasher.finish()
    }
}
