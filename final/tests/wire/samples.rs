//! One packet of each kind, no two fields alike, so that none can be taken for another.

use unavez::protocol::{
    ClientId, ClientPort, Credit, Epoch, Fate, Flags, Grant, Kind, Packet, Ran, Reason, ServerId,
    ServerPort, SiteId, Token,
};

/// How many kinds there are.
pub(crate) const KINDS: usize = 14;

pub(crate) const CLIENT: ClientId = ClientId {
    site: SiteId(0x0102_0304_0506_0708),
    epoch: Epoch { counter: 7, random: 0x1112_1314 },
    port: ClientPort(0xfeed_f00d_cafe_d00d),
};

pub(crate) const SERVER: ServerId = ServerId {
    site: SiteId(0x2122_2324_2526_2728),
    epoch: Epoch { counter: 4, random: 0x3132_3334 },
    port: ServerPort(0x0000_0000_0000_4142),
};

const TOKEN: Token = Token { issued: 0x5152_5354, mac: 0x6162_6364_6566_6768 };

/// Of each kind one, in the order of their numbers on the wire.
pub(crate) fn samples() -> Vec<Packet> {
    let grant = Grant { window: 128, port_life: 600_000, token: TOKEN };
    let request = Kind::Request {
        floor: 90,
        predecessor: 98,
        patience: 30_000,
        rto: 200,
        max_reply: 1072,
        hash: 0x7172_7374_7576_7778,
        token: TOKEN,
    };
    let both = Flags::ORDERED | Flags::IDEMPOTENT;
    let all = vec![
        packet(request, 3, both, b"add 5 to \"Ana\"\n"),
        packet(Kind::Reply { service_time: 1500, grant }, 2, Flags::NONE, b"5"),
        packet(Kind::Working { service_time: 10, heartbeat: 1000, grant }, 1, Flags::NONE, b""),
        packet(Kind::Heartbeat { floor: 91, token: TOKEN }, 0, Flags::NONE, b""),
        packet(Kind::Stale { present: NEXT_LIFE, fresh: true }, 1, Flags::NONE, b""),
        packet(Kind::NoCall, 0, Flags::NONE, b""),
        packet(Kind::Busy { after: 100 }, 5, Flags::NONE, b""),
        packet(Kind::Refused { ran: Ran::No, reason: Reason::Expired }, 1, Flags::NONE, b""),
        packet(Kind::Challenge { token: TOKEN }, 1, Flags::NONE, b""),
        packet(Kind::Abort { floor: 92, token: TOKEN }, 0, Flags::ORDERED, b""),
        packet(Kind::Aborted { fate: Fate::Stopping }, 0, Flags::NONE, b""),
        packet(Kind::WrongSite, 1, Flags::NONE, b""),
        packet(Kind::Credit { credit: CREDIT }, 1, Flags::NONE, HAVE),
        packet(Kind::Fetch { floor: 93, token: TOKEN, credit: CREDIT }, 0, Flags::NONE, HAVE),
    ];
    let numbers: Vec<usize> = all.iter().map(|packet| number(&packet.kind)).collect();
    assert_eq!(numbers, (0..KINDS).collect::<Vec<_>>(), "of each kind one");
    all
}

/// The bytes of a packet.
pub(crate) fn bytes(packet: &Packet) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(&mut bytes);
    bytes
}

/// The number of a kind on the wire. Whoever adds a kind is stopped here, and adds a sample.
pub(crate) fn number(kind: &Kind) -> usize {
    match kind {
        Kind::Request { .. } => 0,
        Kind::Reply { .. } => 1,
        Kind::Working { .. } => 2,
        Kind::Heartbeat { .. } => 3,
        Kind::Stale { .. } => 4,
        Kind::NoCall => 5,
        Kind::Busy { .. } => 6,
        Kind::Refused { .. } => 7,
        Kind::Challenge { .. } => 8,
        Kind::Abort { .. } => 9,
        Kind::Aborted { .. } => 10,
        Kind::WrongSite => 11,
        Kind::Credit { .. } => 12,
        Kind::Fetch { .. } => 13,
    }
}

const CREDIT: Credit = Credit {
    building: 0x9192_9394,
    newest: 7,
    granted: 0x0010_0000,
    room: 0x0002_0000,
    stalled: true,
};

/// The first 1,068 bytes, and 1,172 after a gap.
const HAVE: &[u8] = &[0, 0, 0, 0, 0, 0, 4, 44, 0, 0, 8, 192, 0, 0, 13, 84];

const NEXT_LIFE: Epoch = Epoch { counter: 5, random: 0x8182_8384 };

fn packet(kind: Kind, attempt: u32, flags: Flags, body: &'static [u8]) -> Packet {
    Packet { flags, attempt, client: CLIENT, server: SERVER, seq: 99, kind, body: body.into() }
}
