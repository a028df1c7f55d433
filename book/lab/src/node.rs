//! What the bench asks of a core: events in, actions out, a deadline.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

/// A moment of virtual time: how long after the start of the run.
pub type Time = Duration;

/// A protocol's core, as the bench drives it. [`node!`](crate::node!) makes one of each step's `Site`.
pub trait Node: Sized {
    /// Names a call between the core and its processes.
    type Call: Copy + Eq + Debug;

    /// A new life of a site: 1 is the first, each restart begins the next.
    fn start(life: u32) -> Self;

    /// The same, for a core that must know when it begins and where it is.
    fn start_at(life: u32, _now: Time, _me: SocketAddr) -> Self {
        Self::start(life)
    }

    /// A process asks. `Err` says why it may not.
    ///
    /// # Errors
    /// The core's own.
    fn send_request(
        &mut self,
        now: Time,
        to: SocketAddr,
        body: &[u8],
    ) -> Result<Self::Call, String>;

    /// The service answers a request that it was handed.
    fn send_reply(&mut self, now: Time, call: Self::Call, body: &[u8]);

    /// A datagram came.
    fn handle_packet(&mut self, now: Time, from: SocketAddr, datagram: &[u8]);

    /// The deadline is due.
    fn handle_timeout(&mut self, now: Time);

    /// What to do next, until `None`.
    fn poll_action(&mut self) -> Option<Action<Self::Call>>;

    /// When [`Node::handle_timeout`] is next wanted.
    fn deadline(&self) -> Option<Time>;

    /// Table entries and timers held: 0 when nothing is going on.
    fn entries(&self) -> usize;
}

/// What a core wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<Call> {
    /// Send these bytes; the label is the packet's line in the trace, its kind first.
    Send {
        /// Where to.
        to: SocketAddr,
        /// The packet as a person reads it.
        label: String,
        /// The packet as it travels.
        datagram: Vec<u8>,
    },
    /// Hand the service a request.
    Request {
        /// Names it in the reply.
        call: Call,
        /// What is asked.
        body: Vec<u8>,
    },
    /// A call ended with a reply.
    Reply {
        /// Which.
        call: Call,
        /// The answer.
        body: Vec<u8>,
    },
    /// A call ended without one.
    Failed {
        /// Which.
        call: Call,
        /// Why.
        why: String,
    },
    /// A call ended without one, and it is proved that the service never ran for it.
    NotExecuted {
        /// Which.
        call: Call,
        /// Why.
        why: String,
    },
    /// A line for the trace.
    Note(String),
}

/// Makes a [`Node`] of a step's `Site`: all steps have the same shape, so one adapter fits them.
///
/// - `node!(Step1: step1_udp, no clock);` for the first step,
/// - `node!(Step2: step2_retransmit, |_life| Site::default());` for a core with a clock,
/// - `node!(Step4: step4_epochs, |epoch| Site::new(config, epoch), epochs);` for one whose clients
///   must name the life of the server: they know its first, and learn of the others as they ask.
#[macro_export]
macro_rules! node {
    ($(#[$doc:meta])* $name:ident: $step:ident, no clock) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(pub $step::Site);

        impl $crate::Node for $name {
            fn start(_life: u32) -> Self {
                $name($step::Site::default())
            }
            fn send_request(
                &mut self,
                _now: $crate::Time,
                to: ::std::net::SocketAddr,
                body: &[u8],
            ) -> Result<Self::Call, String> {
                self.0.send_request(to, body.to_vec()).map_err(|error| error.to_string())
            }
            fn send_reply(&mut self, _now: $crate::Time, call: Self::Call, body: &[u8]) {
                self.0.send_reply(call, body.to_vec()).expect("the bench answers each request once")
            }
            fn handle_packet(
                &mut self,
                _now: $crate::Time,
                from: ::std::net::SocketAddr,
                datagram: &[u8],
            ) {
                self.0.handle_packet(from, datagram)
            }
            fn handle_timeout(&mut self, _now: $crate::Time) {}
            fn deadline(&self) -> Option<$crate::Time> {
                None
            }
            $crate::node!(@every $step;;);
        }
    };
    ($(#[$doc:meta])* $name:ident: $step:ident, |$life:ident| $site:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(pub $step::Site);

        impl $crate::Node for $name {
            fn start($life: u32) -> Self {
                $name($site)
            }
            fn send_request(
                &mut self,
                now: $crate::Time,
                to: ::std::net::SocketAddr,
                body: &[u8],
            ) -> Result<Self::Call, String> {
                self.0.send_request(now, to, body.to_vec()).map_err(|error| error.to_string())
            }
            $crate::node!(@timed $step);
            $crate::node!(@every $step;;
                Action::Deliver(Deliver::Failed { call, error }) => {
                    $crate::Action::Failed { call, why: error.to_string() }
                });
        }
    };
    ($(#[$doc:meta])* $name:ident: $step:ident, |$epoch:ident| $site:expr, epochs) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(
            pub $step::Site,
            /// The lives of servers that are known not to be the first.
            pub ::std::collections::BTreeMap<::std::net::SocketAddr, $step::Epoch>,
        );

        impl $crate::Node for $name {
            fn start(life: u32) -> Self {
                let $epoch = $step::Epoch { counter: life, random: 0 };
                $name($site, ::std::collections::BTreeMap::new())
            }
            fn send_request(
                &mut self,
                now: $crate::Time,
                to: ::std::net::SocketAddr,
                body: &[u8],
            ) -> Result<Self::Call, String> {
                let first = $step::Epoch { counter: 1, random: 0 };
                let epoch = self.1.get(&to).copied().unwrap_or(first);
                let to = $step::Port { address: to, epoch };
                self.0.send_request(now, to, body.to_vec()).map_err(|error| error.to_string())
            }
            $crate::node!(@timed $step);
            $crate::node!(@every $step; known;
                Action::Deliver(Deliver::Failed { call, error }) => {
                    if let $step::CallError::ServerRestarted { present } = error {
                        known.insert(call.peer, present);
                    }
                    $crate::Action::Failed { call, why: error.to_string() }
                });
        }
    };
    (@timed $step:ident) => {
        fn send_reply(&mut self, now: $crate::Time, call: Self::Call, body: &[u8]) {
            self.0.send_reply(now, call, body.to_vec()).expect("the bench answers each request once")
        }
        fn handle_packet(
            &mut self,
            now: $crate::Time,
            from: ::std::net::SocketAddr,
            datagram: &[u8],
        ) {
            self.0.handle_packet(now, from, datagram)
        }
        fn handle_timeout(&mut self, now: $crate::Time) {
            self.0.handle_timeout(now)
        }
        fn deadline(&self) -> Option<$crate::Time> {
            self.0.deadline()
        }
    };
    (@every $step:ident; $($known:ident)?; $($failed:pat => $end:expr)?) => {
        type Call = $step::CallId;
        fn poll_action(&mut self) -> Option<$crate::Action<Self::Call>> {
            use $step::{Action, Deliver};
            $(let $known = &mut self.1;)?
            Some(match self.0.poll_action()? {
                Action::Send { to, packet } => {
                    let (label, datagram) = (packet.to_string(), packet.encode());
                    $crate::Action::Send { to, label, datagram }
                }
                Action::Deliver(Deliver::Request { call, body }) => $crate::Action::Request { call, body },
                Action::Deliver(Deliver::Reply { call, body }) => $crate::Action::Reply { call, body },
                $($failed => $end,)?
                Action::Note(note) => $crate::Action::Note(note.to_string()),
            })
        }
        fn entries(&self) -> usize {
            self.0.entries()
        }
    };
}
