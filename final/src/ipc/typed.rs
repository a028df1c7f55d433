//! Calls with types: requests and replies that serde knows, a function that serves them, and threads
//! that run it.
//!
//! Invariant: every request that is taken is answered, whatever the bytes in it and whatever the
//! function does.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::{fmt, io};

use bincode::config::{BigEndian, Configuration, Fixint, Limit, NoLimit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::nested::Shallow;
use super::{
    CallError, Conclusion, IpcClient, IpcPort, IpcServer, MsgId, RawMsg, SendError, Target,
    TargetError,
};
use crate::Site;
use crate::protocol::{self, Unknown};

const CODEC: Configuration<BigEndian, Fixint, NoLimit> =
    bincode::config::standard().with_big_endian().with_fixed_int_encoding();
/// Nothing claims more than so many times the bytes that it has: a `char` claims four and may have one.
const CLAIMED: usize = 4;

/// What is in a reply.
#[derive(Debug, Serialize, Deserialize)]
enum Answer<T> {
    Reply(T),
    Undecodable,
    Panicked,
    TooLong,
}

/// Asks a server of [`serve`].
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use unavez::{Site, TypedClient, serve};
///
/// #[derive(Serialize, Deserialize)]
/// struct Add(u32, u32);
///
/// let site = Site::embedded()?;
/// let service = serve(&site, "adder", 2, |Add(one, other)| one + other)?;
/// let adder: TypedClient<Add, u32> = TypedClient::new(&site, service.port());
/// assert_eq!(adder.call(&Add(3, 4))?, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TypedClient<Q, A> {
    client: IpcClient,
    types: PhantomData<fn(Q) -> A>,
}

/// Why a typed call has no reply. [`TypedError::conclude`] says what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TypedError {
    /// As without types.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The request cannot be written, or has more bytes than the site takes
    /// ([`protocol::Config::message_max`]); nothing was sent.
    #[error("the request is too long, or cannot be written")]
    Unsendable,
    /// The server cannot read it, and its function was not called: it expects another type.
    #[error("the server cannot read the request; it expects another type")]
    Undecodable,
    /// The server's function panicked.
    #[error("the server's function broke off")]
    Panicked,
    /// The server's function returned, but what it returned cannot be written, or has more bytes than
    /// either site takes ([`protocol::Config::message_max`]).
    #[error("the server's reply is too long, or cannot be written")]
    TooLong,
    /// The server's function returned something of another type.
    #[error("the server's reply cannot be read; it is of another type")]
    OtherType,
}

impl TypedError {
    /// What the caller may conclude.
    pub fn conclude(&self) -> Conclusion {
        match self {
            TypedError::Call(error) => error.conclude(),
            TypedError::Unsendable | TypedError::Undecodable => Conclusion::NotExecuted,
            TypedError::Panicked | TypedError::TooLong | TypedError::OtherType => {
                Conclusion::Executed
            }
        }
    }
}

impl<Q: Serialize, A: DeserializeOwned> TypedClient<Q, A> {
    /// A client of this server: a port, or a service by name.
    pub fn new(site: &Site, target: impl Into<Target>) -> TypedClient<Q, A> {
        TypedClient { client: IpcClient::new(site, target), types: PhantomData }
    }

    /// A client of the server of which this text speaks, as in [`IpcClient::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(site: &Site, text: &str) -> Result<TypedClient<Q, A>, TargetError> {
        Ok(TypedClient { client: IpcClient::open(site, text)?, types: PhantomData })
    }

    /// Asks, and waits for how it ends.
    ///
    /// # Errors
    /// There is no reply; [`TypedError::conclude`] says what follows.
    pub fn call(&self, request: &Q) -> Result<A, TypedError> {
        self.call_with(request, |message| message)
    }

    /// Asks with flags and a timeout: `client.call_with(&request, RawMsg::idempotent)`.
    ///
    /// # Errors
    /// As [`TypedClient::call`].
    pub fn call_with(
        &self,
        request: &Q,
        set: impl FnOnce(RawMsg) -> RawMsg,
    ) -> Result<A, TypedError> {
        let message = encode(request).ok_or(TypedError::Unsendable)?;
        read(self.client.call(set(message)))
    }

    /// Asks, and goes on; the outcome is received with the name returned.
    ///
    /// # Errors
    /// Nothing was sent.
    pub fn send_request(&self, request: &Q) -> Result<MsgId, TypedError> {
        let message = encode(request).ok_or(TypedError::Unsendable)?;
        self.client.send_request(message).map_err(|error| said(CallError::NotSent(error)))
    }

    /// Waits for the end of this call.
    ///
    /// # Errors
    /// As [`TypedClient::call`].
    pub fn receive_reply_of(&self, id: MsgId) -> Result<A, TypedError> {
        read(self.client.receive_reply_of(id))
    }

    /// The client beneath it.
    pub fn untyped(&self) -> &IpcClient {
        &self.client
    }
}

impl<Q, A> fmt::Debug for TypedClient<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_tuple("TypedClient").field(&self.client).finish()
    }
}

/// Threads that serve; they stop when it is dropped.
#[derive(Debug)]
pub struct Service {
    server: Arc<IpcServer>,
    workers: Vec<JoinHandle<()>>,
}

/// Serves under this name with so many threads, each of which calls the function for one request at a
/// time.
///
/// A function that panics ends the call, with [`TypedError::Panicked`], not the thread. What is nested
/// more than 256 deep is not read, for each level takes some of the thread's stack. Sequences of what takes
/// no bytes, as of `()`, are nothing to take from strangers: who sends eight bytes makes them of any length.
///
/// # Errors
/// The name is taken, empty or too long; there are too many ports; no thread can be made.
///
/// # Panics
/// Without a worker nobody would serve.
pub fn serve<Q, A, F>(site: &Site, name: &str, workers: usize, function: F) -> io::Result<Service>
where
    Q: DeserializeOwned,
    A: Serialize,
    F: Fn(Q) -> A + Send + Sync + 'static,
{
    assert!(workers > 0, "without a worker nobody would serve");
    let server = IpcServer::new(site).map_err(io::Error::other)?;
    server.register(name).map_err(io::Error::other)?;
    let mut service = Service { server: Arc::new(server), workers: Vec::new() };
    let function = Arc::new(function);
    for _ in 0..workers {
        let (server, function) = (Arc::clone(&service.server), Arc::clone(&function));
        let work = move || work(&server, |body| answer(body, &*function));
        // A thread's name ends at its first zero.
        let thread = thread::Builder::new().name(name.replace('\0', " "));
        service.workers.push(thread.spawn(work)?);
    }
    Ok(service)
}

impl Service {
    /// Its port: what a client needs to know to ask it.
    pub fn port(&self) -> IpcPort {
        self.server.port()
    }

    /// Takes no more requests, and does not wait. What comes is refused when the service is stopped.
    pub fn finish(&self) {
        self.server.finish();
    }

    /// Takes no more requests and waits until those that were taken are answered; then the others are
    /// refused. Dropping it does the same.
    pub fn stop(self) {}
}

impl Drop for Service {
    fn drop(&mut self) {
        self.finish();
        if self.server.site().door().is_err() {
            // After `fork` there are no such threads.
            return;
        }
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

fn work(server: &IpcServer, answer: impl Fn(&[u8]) -> RawMsg) {
    while let Ok((request, id)) = server.receive_request() {
        // Nobody may want it any more.
        let _: Result<(), SendError> = server.send_reply(answer(request.body()), id);
    }
}

fn answer<Q, A>(body: &[u8], function: &impl Fn(Q) -> A) -> RawMsg
where
    Q: DeserializeOwned,
    A: Serialize,
{
    // The types may have code of their own that reads and writes them.
    let answer = match caught(|| decode(body)).flatten() {
        None => Answer::Undecodable,
        Some(request) => caught(|| function(request)).map_or(Answer::Panicked, Answer::Reply),
    };
    let too_long = || encode(&Answer::<()>::TooLong).expect("it is four bytes");
    caught(|| encode(&answer)).flatten().unwrap_or_else(too_long)
}

/// `None` if it panics. What it shares with other calls is its own to keep whole.
fn caught<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).ok()
}

fn read<A: DeserializeOwned>(reply: Result<RawMsg, CallError>) -> Result<A, TypedError> {
    match decode(reply.map_err(said)?.body()) {
        Some(Answer::Reply(reply)) => Ok(reply),
        Some(Answer::Undecodable) => Err(TypedError::Undecodable),
        Some(Answer::Panicked) => Err(TypedError::Panicked),
        Some(Answer::TooLong) => Err(TypedError::TooLong),
        None => Err(TypedError::OtherType),
    }
}

/// What is too long is the sites' affair, and has names of its own here.
fn said(error: CallError) -> TypedError {
    match error {
        CallError::NotSent(SendError::Refused(protocol::SendError::TooLong)) => {
            TypedError::Unsendable
        }
        CallError::Unknown(Unknown::ReplyTooBig) => TypedError::TooLong,
        error => error.into(),
    }
}

fn encode(message: &impl Serialize) -> Option<RawMsg> {
    bincode::serde::encode_to_vec(message, CODEC).ok().map(RawMsg::new)
}

/// All of it, or nothing. What the bytes claim to hold is believed within a limit that fits how many they
/// are, for memory is taken before it is filled; the limits are few, as each is a decoder of its own.
fn decode<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    const K: usize = 1 << 10;
    const M: usize = 1 << 20;
    let claimed = CLAIMED.saturating_mul(body.len());
    let fits = |limit: usize| claimed <= limit;
    match () {
        () if fits(4 * K) => decode_within::<T, { 4 * K }>(body),
        () if fits(64 * K) => decode_within::<T, { 64 * K }>(body),
        () if fits(M) => decode_within::<T, M>(body),
        () if fits(16 * M) => decode_within::<T, { 16 * M }>(body),
        () if fits(256 * M) => decode_within::<T, { 256 * M }>(body),
        () => decode_within::<T, { u32::MAX as usize }>(body),
    }
}

fn decode_within<T: DeserializeOwned, const LIMIT: usize>(body: &[u8]) -> Option<T> {
    let codec: Configuration<BigEndian, Fixint, Limit<LIMIT>> = CODEC.with_limit();
    let (Shallow(message), used) = bincode::serde::decode_from_slice(body, codec).ok()?;
    (used == body.len()).then_some(message)
}
