//! Packets that decode, with fields near the values where something changes.

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use unavez::protocol::{
    BODY_MAX, ClientId, ClientPort, Credit, DATAGRAM_MAX, Epoch, Fate, Flags, Fragment, Grant,
    Kind, Packet, Ran, Reason, ServerId, ServerPort, SiteId, SiteReply, SiteRequest, Token,
    UNLIMITED,
};

pub(crate) const SITE: SiteId = SiteId(7);
pub(crate) const EPOCH: Epoch = Epoch { counter: 3, random: 9 };
const OTHER_EPOCH: Epoch = Epoch { counter: 2, random: 9 };

/// What the fuzzer may draw on: tokens that the site gave, packets that it sent.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Of calls that the site made, the newest last.
    pub(crate) asked: Vec<Packet>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) ports: Vec<ServerPort>,
    /// Large messages that packets began: the tag of their fragments, and how long they are.
    pub(crate) begun: Vec<(u64, u32)>,
    /// Whether tokens are shown in this run; if not, nothing may be sent that was not paid for.
    pub(crate) show_tokens: bool,
}

impl Known {
    /// A packet from a client.
    pub(crate) fn question(&self, input: &mut Unstructured) -> Result<Packet> {
        let site = *input.choose(&[11, 11, 11, 11, 12, 12, 13, SITE.0])?;
        let port = ClientPort(input.int_in_range(1..=3)?);
        let client = ClientId { site: SiteId(site), epoch: self.epoch(input)?, port };
        let (server, seq) = (self.server(input)?, seq(input)?);
        let flags = Flags(*input.choose(&[0, 0, 0, 1, 2, 2, 3])?);
        let floor = floor(input, seq)?;
        let token = self.token(input)?;
        let (kind, attempt) = match input.int_in_range(0..=8)? {
            0 => (Kind::Heartbeat { floor, token }, 0),
            1 => (Kind::Abort { floor, token }, 0),
            2 => (Kind::Fetch { floor, token, credit: credit(input)? }, 0),
            _ => {
                let ordered = flags.has(Flags::ORDERED);
                let before = *input.choose(&[0, seq - 1, seq - 1, 1, seq / 2])?;
                let kind = Kind::Request {
                    floor,
                    predecessor: if ordered && before < seq { before } else { 0 },
                    patience: *input.choose(&[
                        5_000,
                        0,
                        1,
                        200,
                        60_000,
                        UNLIMITED - 1,
                        UNLIMITED,
                    ])?,
                    rto: *input.choose(&[200, 1, 20, u32::MAX])?,
                    max_reply: *input.choose(&[BODY_MAX as u32, 0, 10, u32::MAX])?,
                    hash: *input.choose(&[1, 1, 1, 2])?,
                    token,
                };
                (kind, *input.choose(&[1, 1, 2, 3, u32::MAX])?)
            }
        };
        let mut packet = Packet { flags, attempt, client, server, seq, kind, body: Bytes::new() };
        packet.body = match kind {
            Kind::Request { .. } if server.port == ServerPort(0) => for_site(input)?,
            Kind::Request { .. } if input.ratio(1, 4)? => {
                packet.flags = packet.flags | Flags::BEGINS;
                beginning(input, BODY_MAX)?
            }
            Kind::Request { .. } => body(input, BODY_MAX)?,
            Kind::Fetch { .. } => ranges(input)?,
            _ => Bytes::new(),
        };
        Ok(packet)
    }

    /// The first packet of a request of 3,000 bytes.
    pub(crate) fn large_request(&self, input: &mut Unstructured) -> Result<Packet> {
        let client = ClientId { site: SiteId(11), epoch: EPOCH, port: ClientPort(4) };
        let (server, seq) = (self.server(input)?, seq(input)?);
        let (floor, token) = (floor(input, seq)?, self.token(input)?);
        let (predecessor, patience, rto, max_reply, hash) = (0, 5_000, 200, 1000, 1);
        let kind = Kind::Request { floor, predecessor, patience, rto, max_reply, hash, token };
        let body = [&3000_u32.to_be_bytes(), &[b'x'; 1000][..]].concat().into();
        Ok(Packet { flags: Flags::BEGINS, attempt: 1, client, server, seq, kind, body })
    }

    /// What follows it.
    pub(crate) fn rest_of(packet: &Packet, wrong: bool) -> Fragment {
        let whole = vec![b'x'; 3000];
        let mut body = [&whole[1000..], &crc32c::crc32c(&whole).to_be_bytes()].concat();
        body[0] ^= u8::from(wrong);
        Fragment { tag: packet.tag(), serial: 1, offset: 1000, asks: true, body: body.into() }
    }

    /// A piece of a large message that a packet began, right or not.
    pub(crate) fn fragment(&self, input: &mut Unstructured) -> Result<Option<Fragment>> {
        let Ok((tag, len)) = input.choose(&self.begun).copied() else { return Ok(None) };
        // Of the longest only what a fragment can reach is made.
        let mut whole = vec![b'x'; len.min(100_000) as usize];
        whole.extend(crc32c::crc32c(&whole).to_be_bytes());
        let end = whole.len() as u32;
        let offset: u32 = *input.choose(&[1068, 1068, 1068, 0, 900, 2268, 3468, 1 << 30])?;
        let to = offset.saturating_add(*input.choose(&[1200, 60_000, 300, 60_000])?).min(end);
        let from = (offset as usize).min(to as usize);
        let mut body = whole[from..to as usize].to_vec();
        match body.first_mut() {
            None => body.push(7),
            Some(first) => *first ^= u8::from(input.ratio(1, 4)?),
        }
        let serial = *input.choose(&[1, 2, 3, 4, u32::MAX])?;
        let (asks, body) = (input.arbitrary()?, body.into());
        Ok(Some(Fragment { tag, serial, offset, asks, body }))
    }

    /// A packet from a server, most often about something that the site asked.
    pub(crate) fn answer(&self, input: &mut Unstructured) -> Result<Packet> {
        if self.asked.is_empty() {
            return self.question(input);
        }
        let mut packet = input.choose(&self.asked)?.clone();
        packet.attempt = *input.choose(&[packet.attempt, packet.attempt, 1, 0, 2, u32::MAX])?;
        match input.int_in_range(0..=15)? {
            0 => packet.server = self.server(input)?,
            1 => packet.seq = seq(input)?,
            2 => packet.client.port.0 ^= 1,
            3 => packet.client.epoch = OTHER_EPOCH,
            _ => {}
        }
        packet.flags = Flags::NONE;
        packet.kind = self.answer_kind(input)?;
        packet.body = match packet.kind {
            Kind::Reply { .. } if packet.server.port == ServerPort(0) => from_site(input)?,
            Kind::Reply { .. } if input.ratio(1, 4)? => {
                packet.flags = Flags::BEGINS;
                beginning(input, DATAGRAM_MAX - packet.kind.header_len())?
            }
            Kind::Reply { .. } => body(input, DATAGRAM_MAX - packet.kind.header_len())?,
            Kind::Credit { .. } => ranges(input)?,
            _ => Bytes::new(),
        };
        Ok(packet)
    }

    fn answer_kind(&self, input: &mut Unstructured) -> Result<Kind> {
        let service_time = *input.choose(&[0, 1000, 1_000_000, u32::MAX])?;
        let token = Token { issued: 1, mac: input.int_in_range(1..=2)? };
        let grant = Grant {
            window: *input.choose(&[64, 0, 1, 128, u32::MAX])?,
            port_life: *input.choose(&[4_000, 0, 1, 600_000, u32::MAX])?,
            token,
        };
        Ok(match input.int_in_range(0..=10)? {
            10 => Kind::Credit { credit: credit(input)? },
            0 => Kind::Reply { service_time, grant },
            1 => {
                let heartbeat = *input.choose(&[1000, 0, 1, 100, u32::MAX])?;
                Kind::Working { service_time, heartbeat, grant }
            }
            2 => Kind::Stale { present: self.epoch(input)?, fresh: input.arbitrary()? },
            3 => Kind::NoCall,
            4 => Kind::Busy { after: *input.choose(&[100, 0, 1, 10_000, u32::MAX])? },
            5 | 6 => Kind::Refused {
                ran: *input.choose(&[Ran::No, Ran::Maybe, Ran::Once])?,
                reason: *input.choose(&[
                    Reason::PortClosed,
                    Reason::NoSuchPort,
                    Reason::Expired,
                    Reason::Aborted,
                    Reason::ServerDied,
                    Reason::Orphaned,
                    Reason::Forgotten,
                    Reason::FalseRetry,
                    Reason::ReplyTooBig,
                    Reason::RequestTooBig,
                ])?,
            },
            7 => Kind::Challenge { token },
            8 => {
                Kind::Aborted { fate: *input.choose(&[Fate::NotRun, Fate::Stopping, Fate::Maybe])? }
            }
            _ => Kind::WrongSite,
        })
    }

    fn server(&self, input: &mut Unstructured) -> Result<ServerId> {
        let others = [SiteId(0), SiteId(12)];
        let site = if input.ratio(1, 16)? { *input.choose(&others)? } else { SITE };
        let port = match input.int_in_range(0..=7)? {
            0 => ServerPort(0),
            1 => ServerPort(input.int_in_range(1..=4)?),
            _ => self.ports.last().copied().unwrap_or(ServerPort(1)),
        };
        Ok(ServerId { site, epoch: self.epoch(input)?, port })
    }

    fn epoch(&self, input: &mut Unstructured) -> Result<Epoch> {
        let others = [OTHER_EPOCH, Epoch::default()];
        Ok(if input.ratio(1, 16)? { *input.choose(&others)? } else { EPOCH })
    }

    fn token(&self, input: &mut Unstructured) -> Result<Token> {
        let show = self.show_tokens && input.arbitrary()?;
        let made_up = Token { issued: 1, mac: 2 };
        let newest = self.tokens.last().copied().unwrap_or(made_up);
        Ok(if show { *input.choose(&[newest, newest, made_up])? } else { Token::NONE })
    }
}

/// Small ones, those around a window's end, and those at the end of all numbers.
fn seq(input: &mut Unstructured) -> Result<u64> {
    let bases = [1, 1, 1, 62, 126, 190, 1 << 32, u64::MAX - 3];
    Ok(input.choose(&bases)? + input.int_in_range(0..=3)?)
}

fn floor(input: &mut Unstructured, seq: u64) -> Result<u64> {
    let below = *input.choose(&[0, 1, 2, 63, 64, 65, 127, 128, u64::MAX])?;
    Ok(seq.saturating_sub(below).max(1))
}

fn body(input: &mut Unstructured, max: usize) -> Result<Bytes> {
    Ok(Bytes::from(vec![b'x'; *input.choose(&[0, 1, 300, max])?]))
}

/// How long a message is, and how it begins.
fn beginning(input: &mut Unstructured, max: usize) -> Result<Bytes> {
    let len: u32 = *input.choose(&[3000, 3000, 3000, 20_000, 1 << 30, 0, u32::MAX])?;
    let first = vec![b'x'; *input.choose(&[max - 4, max - 4, 1, 0])?];
    let first = if first.len() < len as usize { &first[..] } else { b"" };
    // No site sends what is impossible, and `decode` is tried elsewhere.
    let len = if len as usize > first.len() && len <= 1 << 30 { len } else { 3000 };
    Ok([&len.to_be_bytes(), first].concat().into())
}

fn credit(input: &mut Unstructured) -> Result<Credit> {
    Ok(Credit {
        building: *input.choose(&[1, 1, 2])?,
        newest: *input.choose(&[0, 1, 3, 9, u32::MAX])?,
        granted: *input.choose(&[0, 1068, 5000, u32::MAX])?,
        room: *input.choose(&[0, 1000, 100_000, u32::MAX])?,
        stalled: input.arbitrary()?,
    })
}

fn ranges(input: &mut Unstructured) -> Result<Bytes> {
    let all: [&[u32]; 6] =
        [&[], &[0, 1068], &[0, 1068, 2240, 3004], &[0, 3004], &[0, 20_004], &[5, u32::MAX]];
    Ok(input.choose(&all)?.iter().flat_map(|number| number.to_be_bytes()).collect())
}

fn for_site(input: &mut Unstructured) -> Result<Bytes> {
    Ok(match input.int_in_range(0..=3)? {
        0 => SiteRequest::Resolve(if input.arbitrary()? { "a" } else { "b" }.into()).encode(),
        1 => SiteRequest::Ping(body(input, 1000)?.to_vec()).encode(),
        2 => SiteRequest::Counters.encode(),
        _ => body(input, BODY_MAX)?,
    })
}

fn from_site(input: &mut Unstructured) -> Result<Bytes> {
    Ok(match input.int_in_range(0..=3)? {
        0 => SiteReply::Resolved(None).encode(),
        1 => SiteReply::Malformed.encode(),
        2 => body(input, 1000)?,
        _ => {
            let site = SiteId(input.int_in_range(0..=2)?);
            let server = ServerId { site, epoch: EPOCH, port: ServerPort(1) };
            SiteReply::Resolved(Some(server)).encode()
        }
    })
}
