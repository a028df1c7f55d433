//! I/O Local: between the processes of this host and the site (§4.2.1).
//!
//! Invariant: nothing that a process sends is believed before its life, its sender and its length are
//! checked, and whoever sent what is refused is told why.

use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::deaths::Deaths;
use super::{Door, Inside};
use crate::ipc::IpcError;
use crate::ipc::local::{BODY_MAX, Envelope, Letter, Malformed, PORT_LEN, ToDaemon, ToProcess};
use crate::ipc::noted::Noted;
use crate::ipc::sysv::{Queue, open_process};
use crate::site::{CallError, CallId, Deliver, Port, SendError, Time};

const THREAD: &str = "I/O Local";

/// What the thread needs beyond the site.
pub(super) struct Local {
    pub(super) queue: Queue,
    pub(super) state: PathBuf,
    pub(super) port: Port,
}

/// Waits for messages until the daemon's queue is removed.
pub(super) fn run(door: &Door, local: &Local, deaths: &Deaths) {
    while let Ok(bytes) = local.queue.receive() {
        door.enter(THREAD, |inside, now| match Letter::decode(&bytes) {
            Ok(letter) => handle(inside, now, local, deaths, letter),
            Err(Malformed { process }) => {
                inside.count("no message, dropped");
                refuse(inside, local, process.unwrap_or(-1), IpcError::Malformed);
            }
        });
    }
    // Somebody else removed it. Who hears no process must not vouch for any.
    let mut inside = door.lock();
    if !inside.stops {
        inside.count("queue removed by somebody else");
        let _ = kill(Pid::this(), Signal::SIGTERM);
    }
}

fn handle(inside: &mut Inside, now: Time, local: &Local, deaths: &Deaths, it: Letter<ToDaemon>) {
    let process = it.process;
    let done = match it.what {
        _ if it.life != local.port.epoch => Err(IpcError::NoDaemon),
        ToDaemon::Attach { pid, key } => attach(inside, local, deaths, process, (pid, key)),
        // Of a process that is gone already, too: it may say so, and then end.
        ToDaemon::Detach => {
            let_go(inside, now, deaths, process);
            Ok(())
        }
        _ if !inside.processes.knows(process) => Err(IpcError::NotAttached),
        ToDaemon::Open { tag } => {
            open(inside, local, process, tag);
            Ok(())
        }
        ToDaemon::Close { port } => {
            let abandoned = inside.processes.close(process, port);
            give_up(inside, now, abandoned);
            Ok(())
        }
        ToDaemon::Request { tag, address, epoch, port } => {
            let (to, body) = (Port { address, epoch }, it.body);
            if let Err(error) = request(inside, now, (process, tag), (to, port), &body) {
                inside.processes.put(process, ToProcess::Failed { tag, error }, Vec::new());
            }
            Ok(())
        }
        ToDaemon::Reply { call } => reply(inside, now, process, call, &it.body),
        ToDaemon::Taken => {
            inside.processes.flush(process);
            Ok(())
        }
    };
    if let Err(error) = done {
        refuse(inside, local, process, error);
    }
    // Its queue goes, which tells it.
    if inside.processes.is_behind(process) {
        inside.count("process that does not read, let go");
        let_go(inside, now, deaths, process);
    }
}

fn let_go(inside: &mut Inside, now: Time, deaths: &Deaths, process: i32) {
    deaths.forget(process);
    let abandoned = inside.processes.detach(process);
    give_up(inside, now, abandoned);
}

fn attach(
    inside: &mut Inside,
    local: &Local,
    deaths: &Deaths,
    process: i32,
    (pid, key): (u32, u32),
) -> Result<(), IpcError> {
    let descriptor = open_process(pid).map_err(|_| IpcError::NoProcess)?;
    // Checked before it is adopted, because what is adopted is removed with its process.
    let named = Queue::find(key).is_ok_and(|queue| queue.id() == process);
    if !named || process == local.queue.id() || inside.processes.knows(process) {
        return Err(IpcError::Malformed);
    }
    inside.processes.may_attach()?;
    let queue = Noted::adopt(&local.state, key).map_err(|_| IpcError::Malformed)?;
    inside.processes.attach(queue)?;
    deaths.watch(process, descriptor);
    Ok(())
}

fn open(inside: &mut Inside, local: &Local, process: i32, tag: u64) {
    let answer = match inside.processes.open(process) {
        Ok(port) => ToProcess::Opened { tag, address: local.port.address, port },
        Err(error) => ToProcess::Failed { tag, error },
    };
    inside.processes.put(process, answer, Vec::new());
}

fn request(
    inside: &mut Inside,
    now: Time,
    (process, tag): (i32, u64),
    (to, port): (Port, u64),
    body: &[u8],
) -> Result<(), IpcError> {
    check_length(body)?;
    inside.processes.may_call(process)?;
    let body = [&port.to_be_bytes(), body].concat();
    let call = inside.site.send_request(now, to, body).map_err(conclude)?;
    inside.processes.called(process, tag, call);
    Ok(())
}

fn reply(
    inside: &mut Inside,
    now: Time,
    process: i32,
    number: u64,
    body: &[u8],
) -> Result<(), IpcError> {
    check_length(body)?;
    let call = inside.processes.answered(process, number)?;
    inside.trace.answered(THREAD, body);
    inside.site.send_reply(now, call, Envelope::Reply.wrap(body)).map_err(conclude)
}

fn check_length(body: &[u8]) -> Result<(), IpcError> {
    (body.len() <= BODY_MAX).then_some(()).ok_or(IpcError::TooLong)
}

/// The protocol has no packet for the death of a process, and would vouch for the call as long as
/// the daemon lives. So the daemon answers in its place.
fn give_up(inside: &mut Inside, now: Time, abandoned: Vec<CallId>) {
    for call in abandoned {
        inside.answer(now, call, Envelope::ServerDied);
    }
}

/// What the site has for a process. A caller that is gone leaves nothing to deliver to.
pub(super) fn deliver(inside: &mut Inside, thread: &str, now: Time, what: Deliver) {
    let (call, end) = match what {
        Deliver::Request { call, body } => return serve(inside, thread, now, call, &body),
        Deliver::Reply { call, body } => (call, Envelope::open(&body).map(<[u8]>::to_vec)),
        Deliver::Failed { call, error } => (call, Err(error.into())),
    };
    let Some((process, tag)) = inside.processes.end(call) else {
        return inside.count("end of a call whose process is gone, dropped");
    };
    inside.trace.ended(thread, &end);
    match end {
        Ok(body) => inside.processes.put(process, ToProcess::Reply { tag }, body),
        Err(error) => inside.processes.put(process, ToProcess::Failed { tag, error }, Vec::new()),
    }
}

fn serve(inside: &mut Inside, thread: &str, now: Time, call: CallId, body: &[u8]) {
    let done = match body.split_first_chunk::<PORT_LEN>() {
        Some((port, body)) => {
            let port = u64::from_be_bytes(*port);
            inside.trace.served(thread, port, body);
            inside.processes.serve(call, port, body)
        }
        None => Err(IpcError::NoSuchPort),
    };
    match done {
        Ok(()) => {}
        Err(IpcError::Overloaded) => inside.answer(now, call, Envelope::Overloaded),
        Err(_) => inside.answer(now, call, Envelope::NoSuchPort),
    }
}

/// Tells whoever sent something that it was not done, if there is a queue of this user to tell it in
/// and room in it: nobody waits for it.
fn refuse(inside: &mut Inside, local: &Local, process: i32, error: IpcError) {
    inside.count(&format!("message refused: {error}"));
    let queue = Queue::of_id(process);
    let noted = queue.status().is_ok_and(|status| {
        Noted::is_noted(&local.state, status.key) && process != local.queue.id()
    });
    if noted {
        let what = ToProcess::Refused { error };
        let letter = Letter { life: local.port.epoch, process, what, body: Vec::new() };
        let _ = queue.try_send(&letter.encode());
    }
}

fn conclude(error: SendError) -> IpcError {
    match error {
        SendError::TooLong => IpcError::TooLong,
        SendError::TooManyCalls => IpcError::TooManyCalls,
        SendError::NotServing => IpcError::UnknownMsgId,
    }
}

impl From<CallError> for IpcError {
    fn from(error: CallError) -> IpcError {
        match error {
            CallError::Unreachable => IpcError::Unreachable,
            CallError::Forgotten => IpcError::Forgotten,
            CallError::ServerRestarted { present } => IpcError::ServerRestarted { present },
        }
    }
}
