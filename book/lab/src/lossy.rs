//! A worse network under a real socket: what is sent by it may be lost, doubled or delayed.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::str::FromStr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::cli::parse_duration;
use crate::node::Time;

/// The flags of an example that make its network worse.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LinkArgs {
    /// Lose this share of the datagrams sent: 0.3 or 30%
    #[arg(long, value_name = "SHARE", default_value = "0")]
    pub loss: Share,
    /// Send this share of the datagrams twice: 0.2 or 20%
    #[arg(long, value_name = "SHARE", default_value = "0")]
    pub duplicate: Share,
    /// Hold each datagram back for a random time up to this one: 50ms, 2s
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = parse_duration)]
    pub delay: Time,
    /// Lose exactly these datagrams, counted from 1: 1,3
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', value_parser = parse_number)]
    pub drop: Vec<u64>,
    /// The same seed, the same losses; step 1 gets some calls through with this one
    #[arg(long, default_value_t = 2)]
    pub seed: u64,
}

/// A share from 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Share(pub f64);

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        let (number, whole) = match text.strip_suffix('%') {
            Some(number) => (number, 100.0),
            None => (text, 1.0),
        };
        match number.parse::<f64>() {
            Ok(number) if (0.0..=whole).contains(&number) => Ok(Share(number / whole)),
            _ => Err("a share is from 0 to 1, or from 0% to 100%".into()),
        }
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

fn parse_number(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or("datagrams are counted from 1: 1,3".into())
}

/// A link over a socket, with faults; `stream` tells two sides apart that have the same seed.
pub struct Lossy {
    socket: UdpSocket,
    args: LinkArgs,
    random: Pcg64Mcg,
    sent: u64,
    later: Option<Sender<Later>>,
}

/// A datagram that is held back.
struct Later {
    at: Instant,
    to: SocketAddr,
    datagram: Vec<u8>,
}

impl Lossy {
    /// Sends by this socket.
    ///
    /// # Errors
    /// The socket's.
    pub fn new(socket: &UdpSocket, args: LinkArgs, stream: u64) -> io::Result<Lossy> {
        let later = match args.delay {
            Time::ZERO => None,
            _ => Some(spawn_holder(socket.try_clone()?)),
        };
        Ok(Lossy {
            socket: socket.try_clone()?,
            random: Pcg64Mcg::seed_from_u64(args.seed.wrapping_mul(2).wrapping_add(stream)),
            args,
            sent: 0,
            later,
        })
    }

    /// Sends a datagram, or does not. What the kernel refuses to send is lost as well.
    pub fn send_to(&mut self, datagram: &[u8], to: SocketAddr) {
        self.sent += 1;
        // All is drawn for every datagram, so that one flag does not change what another draws.
        let lost = self.random.random_bool(self.args.loss.0);
        let doubled = self.random.random_bool(self.args.duplicate.0);
        let waits: [f64; 2] = self.random.random();
        if lost || self.args.drop.contains(&self.sent) {
            return;
        }
        for wait in &waits[..1 + usize::from(doubled)] {
            match &self.later {
                Some(later) => {
                    let at = Instant::now() + self.args.delay.mul_f64(*wait);
                    // The holder ends with the link, not before.
                    let _ = later.send(Later { at, to, datagram: datagram.to_vec() });
                }
                None => drop(self.socket.send_to(datagram, to)),
            }
        }
    }
}

/// A datagram that is overdue by so much is lost: this process was stopped, and a packet must not
/// outlive its time because of that.
const TOO_LATE: Time = Time::from_secs(1);

/// A thread that sends each datagram when its time has come.
fn spawn_holder(socket: UdpSocket) -> Sender<Later> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || hold(&socket, &receiver));
    sender
}

fn hold(socket: &UdpSocket, receiver: &Receiver<Later>) {
    let mut held: BTreeMap<(Instant, u64), Later> = BTreeMap::new();
    let mut count = 0;
    loop {
        let received = match held.first_key_value() {
            None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(((at, _), _)) => {
                receiver.recv_timeout(at.saturating_duration_since(Instant::now()))
            }
        };
        match received {
            Ok(later) => {
                count += 1;
                held.insert((later.at, count), later);
            }
            Err(RecvTimeoutError::Timeout) => {
                let due = held.pop_first().expect("its time came");
                if due.1.at.elapsed() < TOO_LATE {
                    let _ = socket.send_to(&due.1.datagram, due.1.to);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
