//! What anybody may send: nothing panics, nothing grows beyond its bounds, nobody is fooled (§9).

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use unavez::protocol::{
    ClientId, ClientPort, Config, Entries, Kind, Note, Packet, ServerId, SiteId, SiteReply, Token,
};

use crate::pair::{Pair, bytes, config, ms, names, request, secs};

const FROM: ([u8; 4], u16) = ([192, 0, 2, 7], 53);

/// Another site counts fewer things than this one, or claims to: what it does not count is 0.
#[test]
fn counters_of_another_site_may_be_fewer() {
    let reply = [vec![0, 0, 0, 2], vec![0; 8 + 8 + 8 * 8]].concat();
    let Some(SiteReply::Counters { counters, .. }) = SiteReply::decode(&reply) else {
        panic!("it can be read");
    };
    assert!(Note::ALL.iter().all(|note| counters.get(*note) == 0));
}

/// Whoever does not know the client's port guesses in vain: replies under thousands of ids end nothing
/// (R8, R17).
#[test]
fn a_guessed_reply_ends_nothing() {
    let mut pair = Pair::new(config());
    let (call, first) = pair.ask("debit 10");
    let reply = pair.run(&first);
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..20_000 {
        let mut forged = reply.clone();
        forged.client.port = ClientPort(random.next_u64());
        forged.body = Bytes::from_static(b"forged");
        pair.at_client(&forged);
    }
    assert_eq!(pair.outcome(call), None);
    assert_eq!(pair.client.count(Note::Orphan), 20_000);
}

/// Answers that name the call, but another life, site or port of the server, prove nothing (R17, R29).
#[test]
fn a_spoofed_life_of_the_server_proves_nothing() {
    let mut pair = Pair::new(config());
    let (call, first) = pair.ask("debit 10");
    let present = first.server.epoch;
    let kind = Kind::Stale { present, fresh: true };
    let stale = Packet { kind, body: Bytes::new(), ..first };
    let mut others = [stale.clone(), stale.clone(), stale];
    others[0].server.epoch.random ^= 1;
    others[1].server.site.0 ^= 1;
    others[2].server.port.0 ^= 1;
    others.iter().for_each(|it| assert_eq!(pair.at_client(it), []));
    assert_eq!(pair.outcome(call), None);
}

/// A whole conversation is played again, to both sides: nothing runs, nothing ends again (R1, R17).
#[test]
fn a_replayed_conversation_changes_nothing() {
    let mut pair = Pair::new(config());
    for _ in 0..5 {
        let (_, first) = pair.ask("debit 10");
        let reply = pair.run(&first);
        pair.at_client(&reply);
    }
    let (to_server, to_client) = (pair.client.sent.clone(), pair.server.sent.clone());
    for _ in 0..3 {
        to_server.iter().for_each(|(_, packet)| drop(pair.at_server(packet)));
        to_client.iter().for_each(|(_, packet)| drop(pair.at_client(packet)));
        pair.pass(secs(5));
    }
    assert_eq!((pair.server.count(Note::Executed), pair.client.ended.len()), (5, 5));
    assert_eq!(pair.take(), None);
}

/// Packets come back to who sent them: dropped, or told that they went wrong, and no storm of answers
/// begins (R6, R17).
#[test]
fn a_reflected_packet_begins_nothing() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    let reply = pair.run(&first);
    let reflected = pair.at_client(&first);
    assert_eq!(names(&reflected), ["WRONG_SITE"]);
    assert_eq!(pair.at_server(&reply), []);
    assert_eq!(pair.at_server(&reflected[0]), []);
    assert_eq!(pair.at_client(&reflected[0]), []);
}

/// The floor jumps to the last number of all, the number is the last of all, and both go back: what is
/// below is refused, what is beyond is put off, and nothing overflows (R15, R25, R26).
#[test]
fn floors_and_numbers_may_be_the_last_of_all() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    let with = |seq, low| {
        let mut packet = Packet { seq, ..first.clone() };
        if let Kind::Request { floor, .. } = &mut packet.kind {
            *floor = low;
        }
        packet
    };
    let token = Token::NONE;
    let last = u64::MAX;
    for (seq, low) in [(1, 1), (last, 1), (last, last), (1, 1), (last, last - 63), (last - 1, 1)] {
        let packet = with(seq, low);
        pair.at_server(&packet);
        pair.at_server(&packet);
        for kind in [Kind::Heartbeat { floor: low, token }, Kind::Abort { floor: low, token }] {
            pair.at_server(&Packet { kind, attempt: 0, body: Bytes::new(), ..packet.clone() });
        }
        while let Some(taken) = pair.take() {
            pair.reply(taken.call, "done");
        }
    }
    assert!(pair.server.count(Note::Executed) <= 2);
    pair.pass_at_server(secs(8000));
    assert_eq!(pair.server.site.entries(), Entries::default());
}

/// A client that heeds no window: beyond it nothing is taken (R26).
#[test]
fn no_more_than_a_window_is_taken() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    for seq in 1..2000 {
        pair.at_server(&Packet { seq, ..first.clone() });
    }
    let entries = pair.server.site.entries();
    assert_eq!((entries.records, entries.tombstones), (64, 1));
}

/// All zeros where a name should be: no packet, or for nobody (R8, R10).
#[test]
fn nobody_is_called_zero() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask("debit 10");
    let nobody = Packet { client: ClientId::default(), ..first.clone() };
    assert_eq!(pair.at_server(&nobody), []);
    let anonymous = ClientId { site: SiteId(1), ..ClientId::default() };
    pair.at_server(&Packet { client: anonymous, ..first.clone() });
    assert_eq!(pair.take().unwrap().call.client, anonymous);
    let no_number = Packet { seq: 0, ..first.clone() };
    assert_eq!(pair.at_server(&no_number), []);
    let to_nobody = Packet { server: ServerId::default(), ..first };
    pair.at_server(&to_nobody);
    assert_eq!(pair.take(), None);
    assert_eq!(pair.server.count(Note::Malformed), 2);
}

/// Strangers without end, each with another name: the tables stay within their bounds (R26, R35).
#[test]
fn strangers_without_end_fill_no_more_than_the_tables() {
    let small = Config {
        clients_max: 50,
        windows_sum_max: 50 * 64,
        records_max: 100,
        bytes_max: 100 * 1100,
        port_life: secs(8),
        port_life_max: secs(8),
        ..config()
    };
    let mut pair = Pair::new(small);
    let (_, first) = pair.ask("debit 10");
    let mut random = StdRng::seed_from_u64(2);
    for i in 0..5000 {
        let mut packet = first.clone();
        packet.client.port = ClientPort(random.next_u64());
        pair.server.give(pair.now, FROM.into(), &packet);
        if i % 50 == 0 {
            pair.pass_at_server(ms(500));
        }
        let entries = pair.server.site.entries();
        assert!(entries.tombstones <= 50 && entries.records <= 100, "{entries:?}");
        assert!(entries.bytes <= small.bytes_max, "{entries:?}");
    }
}

/// 100,000 datagrams of random bytes, or of packets with some bits turned and their checksum mended:
/// both sides live, within their bounds, and still serve.
#[test]
fn random_and_mutated_datagrams_do_no_harm() {
    let mut pair = Pair::new(config());
    let mut random = StdRng::seed_from_u64(3);
    let packets = every_kind(&mut pair);
    for i in 0..100_000 {
        let datagram = match i % 4 {
            0 => random_bytes(&mut random),
            _ => mutated(&packets[random.random_range(0..packets.len())], &mut random),
        };
        let side = if random.random() { &mut pair.server } else { &mut pair.client };
        side.site.handle_datagram(pair.now, FROM.into(), &datagram);
        side.drain();
        side.sent.clear();
        if i % 1000 == 0 {
            while pair.take().is_some() {}
            pair.pass(ms(100));
            pair.server.sent.clear();
        }
    }
    assert!(pair.server.site.entries().timers < 300_000);
    let port = pair.serve("still");
    pair.port = port;
    let (_, sent) = pair.ask_for(&pair.by_name("still"), request("debit 10")).unwrap();
    let answer = pair.at_server(&sent[0]);
    assert_eq!(answer.len(), 1, "{sent:?}");
}

/// A packet of every kind, of one open call.
fn every_kind(pair: &mut Pair) -> Vec<Packet> {
    let (_, first) = pair.ask("debit 10");
    let reply = pair.run(&first);
    let Kind::Reply { grant, .. } = reply.kind else { panic!("{reply}") };
    let token = grant.token;
    let present = first.server.epoch;
    let kinds = [
        Kind::Working { service_time: 1, heartbeat: 1, grant },
        Kind::Heartbeat { floor: 1, token },
        Kind::Stale { present, fresh: true },
        Kind::NoCall,
        Kind::Busy { after: 1 },
        Kind::Challenge { token },
        Kind::Abort { floor: 1, token },
        Kind::WrongSite,
    ];
    let others = kinds.map(|kind| Packet { kind, attempt: 0, body: Bytes::new(), ..first.clone() });
    let mut packets = vec![first.clone(), reply];
    packets.extend(others);
    packets
}

fn random_bytes(random: &mut StdRng) -> Vec<u8> {
    let mut datagram = vec![0; random.random_range(0..1300)];
    random.fill_bytes(&mut datagram);
    datagram
}

/// Some bytes changed, and half of the time the checksum made right again.
fn mutated(packet: &Packet, random: &mut StdRng) -> Vec<u8> {
    let mut datagram = bytes(packet);
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..datagram.len());
        datagram[at] = if random.random() { random.random() } else { 0xff };
    }
    if random.random() {
        mend(&mut datagram);
    }
    datagram
}

/// The checksum is CRC-32C over all, itself taken for zero.
fn mend(datagram: &mut [u8]) {
    datagram[8..12].fill(0);
    let mut sum = !0u32;
    for byte in datagram.iter() {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
        }
    }
    datagram[8..12].copy_from_slice(&(!sum).to_be_bytes());
}
