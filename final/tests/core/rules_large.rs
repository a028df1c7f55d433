//! R40 to R43: messages larger than a datagram.

use bytes::Bytes;
use unavez::protocol::{
    Config, DATAGRAM_MAX, Flags, Fragment, Kind, NotExecuted, Note, Outcome, Packet, Ran, Reason,
    Request, Unknown,
};

use crate::pair::{End, Pair, config, ms, request, secs};

/// Some fragments, and no two parts of it alike.
const LEN: usize = 20_000;

fn body(len: usize) -> Bytes {
    (0..len).map(|i| (i as u32).wrapping_mul(0x9e37_79b1).to_be_bytes()[0]).collect()
}

fn large(len: usize) -> Request {
    Request { body: body(len), max_reply: 1 << 20, ..request("") }
}

/// A client that has a token, for it has called before.
fn known(config: Config) -> Pair {
    let mut pair = Pair::new(config);
    let (_, first) = pair.ask("hello");
    let reply = pair.run(&first);
    pair.at_client(&reply);
    pair
}

fn fragment(
    end: &mut End,
    now: unavez::protocol::Now,
    from: std::net::SocketAddr,
    it: &Fragment,
) -> Vec<Packet> {
    let mut datagram = Vec::new();
    it.encode(&mut datagram);
    end.site.handle_datagram(now, from, &datagram);
    end.drain()
}

impl Pair {
    /// All that is on its way arrives, and what comes of it, but for the fragments that are lost. How many
    /// fragments were sent.
    fn flow(&mut self, packets: Vec<Packet>, mut lost: impl FnMut(&Fragment) -> bool) -> usize {
        let (mut packets, mut sent) = (packets, 0);
        loop {
            let fragments =
                [&mut self.client, &mut self.server].map(|it| std::mem::take(&mut it.fragments));
            if packets.is_empty() && fragments.iter().all(Vec::is_empty) {
                return sent;
            }
            for packet in std::mem::take(&mut packets) {
                packets.extend(match packet.kind.is_to_server() {
                    true => self.at_server(&packet),
                    false => self.at_client(&packet),
                });
            }
            let [to_server, to_client] = fragments;
            sent += to_server.len() + to_client.len();
            self.now.running += ms(1);
            self.now.boot += ms(1);
            let (now, client, server) = (self.now, self.client.address, self.server.address);
            for it in to_server.iter().filter(|it| !lost(it)) {
                packets.extend(fragment(&mut self.server, now, client, it));
            }
            for it in to_client.iter().filter(|it| !lost(it)) {
                packets.extend(fragment(&mut self.client, now, server, it));
            }
        }
    }
}

/// R40: a request and a reply of many datagrams, none longer than every path carries, arrive as they are.
#[test]
fn a_large_message_is_cut_and_joined() {
    let mut pair = known(config());
    let (call, first) = pair.ask_with(large(LEN));
    assert!(first.flags.has(Flags::BEGINS) && first.encoded_len() <= DATAGRAM_MAX);
    assert!(pair.client.fragments.iter().all(|it| it.encoded_len() <= DATAGRAM_MAX));
    pair.flow(vec![first], |_| false);
    let taken = pair.take().expect("it is whole");
    assert_eq!(taken.body, body(LEN));
    pair.server.site.send_reply(pair.now, pair.port, taken.call, body(3 * LEN)).unwrap();
    let reply = pair.server.drain();
    pair.flow(reply, |_| false);
    assert_eq!(pair.outcome(call), Some(&Outcome::Reply(body(3 * LEN))));
    for end in [&pair.client, &pair.server] {
        assert_eq!((end.site.entries().building, end.count(Note::Retransmitted)), (0, 0));
    }
}

/// R40: of what is not whole nothing is recorded, and it is not said that the server is at it.
#[test]
fn what_is_not_whole_is_not_seen() {
    let mut pair = known(config());
    let (_, first) = pair.ask_with(large(LEN));
    assert_eq!(pair.at_server(&first), []);
    let entries = pair.server.site.entries();
    assert_eq!((entries.records, entries.building), (0, 1));
    assert_eq!(pair.take(), None);
}

/// R40: what was changed so that each fragment is right, and the whole is not, is joined anew.
#[test]
fn a_wrong_whole_is_not_handed_over() {
    let mut pair = known(config());
    let (_, first) = pair.ask_with(large(3000));
    pair.at_server(&first);
    let fragments = std::mem::take(&mut pair.client.fragments);
    for mut it in fragments {
        let mut changed = it.body.to_vec();
        changed[0] ^= 1;
        it.body = changed.into();
        let (now, from) = (pair.now, pair.client.address);
        fragment(&mut pair.server, now, from, &it);
    }
    assert_eq!(pair.server.count(Note::WrongWhole), 1);
    assert_eq!((pair.take(), pair.server.site.entries().building), (None, 1));
    // The client asks again, hears that another one is built, and sends it anew.
    pair.pass_at_client(secs(1));
    let again: Vec<Packet> = pair.client.sent.iter().map(|it| it.1.clone()).collect();
    pair.flow(vec![again.last().unwrap().clone()], |_| false);
    assert_eq!(pair.take().expect("it is right").body, body(3000));
}

/// R41: three of twenty are lost; three are sent again.
#[test]
fn only_what_is_lost_is_sent_again() {
    let mut pair = known(config());
    let (_, first) = pair.ask_with(large(LEN));
    let all = (LEN - 1068).div_ceil(1172);
    let mut losses = vec![1068 + 2 * 1172, 1068 + 5 * 1172, 1068 + 6 * 1172];
    let sent = pair.flow(vec![first], |it| {
        let found = losses.iter().position(|lost| *lost == it.offset);
        found.map(|at| losses.remove(at)).is_some()
    });
    assert_eq!(sent, all + 3);
    assert_eq!(pair.take().expect("it is whole").body, body(LEN));
    assert_eq!(pair.client.count(Note::Retransmitted), 0);
}

/// R41: a reply is sent as its client asks for it; what it asks for is kept although its time is over
/// (R23).
#[test]
fn a_reply_that_is_fetched_is_kept() {
    let mut pair = known(config());
    let (call, first) =
        pair.ask_with(Request { patience: None, max_reply: 1 << 20, ..request("x") });
    pair.at_server(&first);
    let taken = pair.take().unwrap();
    pair.server.site.send_reply(pair.now, pair.port, taken.call, body(LEN)).unwrap();
    let reply = pair.server.drain();
    // No fragment arrives for a time, but the client goes on asking.
    let mut packets = reply;
    for _ in 0..2 {
        pair.flow(std::mem::take(&mut packets), |_| true);
        let asked = pair.client.sent.len();
        pair.pass(ms(1600));
        packets.extend(pair.client.sent[asked..].iter().map(|it| it.1.clone()));
        assert!(
            packets
                .iter()
                .any(|it| matches!(it.kind, Kind::Fetch { credit, .. } if credit.stalled))
        );
    }
    pair.flow(packets, |_| false);
    assert_eq!(pair.outcome(call), Some(&Outcome::Reply(body(LEN))));
    assert!(pair.client.count(Note::FetchedAgain) > 0);
}

/// R41, R16: a server that is gone is not asked for ever.
#[test]
fn a_reply_that_does_not_come_is_given_up() {
    let mut pair = known(config());
    let (call, first) =
        pair.ask_with(Request { patience: None, max_reply: 1 << 20, ..request("x") });
    pair.at_server(&first);
    let taken = pair.take().unwrap();
    pair.server.site.send_reply(pair.now, pair.port, taken.call, body(LEN)).unwrap();
    for packet in pair.server.drain() {
        pair.at_client(&packet);
    }
    pair.pass_at_client(secs(10));
    assert_eq!(pair.outcome(call), Some(&Outcome::Unknown(Unknown::ServerUnreachable)));
}

/// R42: so much leaves before the server has said that it takes it, and no more; a loss halves it.
#[test]
fn a_sender_keeps_to_its_window() {
    let mut pair = known(config());
    let (_, first) = pair.ask_with(large(40 * LEN));
    let window = pair.client.fragments.len();
    assert!((8..=10).contains(&window), "{window} leave at once (RFC 6928)");
    let credit = pair.at_server(&first);
    assert!(pair.client.drain().is_empty() && pair.client.fragments.len() == window);
    for packet in credit {
        pair.at_client(&packet);
    }
    assert_eq!(pair.client.fragments.len(), window, "the first packet is not in its window");
    // Each round trip doubles it, and a loss halves it.
    let round = |pair: &mut Pair, lost: Option<usize>| {
        let fragments = std::mem::take(&mut pair.client.fragments);
        pair.now.running += ms(10);
        pair.now.boot += ms(10);
        let (now, from) = (pair.now, pair.client.address);
        let mut credits = Vec::new();
        for (i, it) in fragments.iter().enumerate().filter(|(i, _)| Some(*i) != lost) {
            let _ = i;
            credits.extend(fragment(&mut pair.server, now, from, it));
        }
        for credit in credits {
            pair.at_client(&credit);
        }
        pair.client.fragments.len()
    };
    let second = round(&mut pair, None);
    assert!((2 * window - 2..=2 * window).contains(&second), "{second} after {window}");
    let third = round(&mut pair, None);
    assert!((2 * second - 2..=2 * second).contains(&third), "{third} after {second}");
    let fourth = round(&mut pair, Some(0));
    let fifth = round(&mut pair, None);
    let half = third / 2;
    assert!((half - 2..=half + 2).contains(&fifth), "{third}, {fourth}, {fifth}");
}

/// R42: what is small does not wait for what is large.
#[test]
fn a_small_message_passes_large_ones() {
    let mut pair = known(config());
    let (_, first) = pair.ask_with(large(40 * LEN));
    let in_flight = pair.client.fragments.len();
    let (small, packet) = pair.ask("small");
    assert_eq!(pair.client.fragments.len(), in_flight, "its window is full");
    let reply = pair.run(&packet);
    pair.at_client(&reply);
    assert!(pair.outcome(small).is_some());
    pair.at_server(&first);
}

/// R43, R36: a stranger begins with one datagram, and nothing is kept of it until it has shown a token.
#[test]
fn a_stranger_begins_with_a_token() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask_with(large(LEN));
    assert!(pair.client.fragments.is_empty());
    let challenge = pair.answer(&first);
    assert_eq!(challenge.kind.name(), "CHALLENGE");
    let entries = pair.server.site.entries();
    assert_eq!((entries.building, entries.tombstones), (0, 0));
    let again = pair.at_client(&challenge);
    pair.flow(again, |_| false);
    assert_eq!(pair.take().expect("it is whole").body, body(LEN));
}

/// R41: the server says what it has as soon as it has the first packet of a stranger. What follows that is
/// on its way, and not lost.
#[test]
fn what_is_on_its_way_is_not_lost() {
    let mut pair = Pair::new(config());
    let (_, first) = pair.ask_with(large(LEN));
    pair.now.running += ms(30);
    let challenge = pair.answer(&first);
    let [again] = pair.at_client(&challenge).try_into().expect("one packet");
    pair.now.running += ms(30);
    let credit = pair.answer(&again);
    let sent = pair.client.fragments.len();
    assert!(matches!(credit.kind, Kind::Credit { .. }) && sent > 5);
    pair.at_client(&credit);
    let mut from: Vec<_> = pair.client.fragments.iter().map(|it| it.offset).collect();
    let all = from.len();
    from.sort_unstable();
    from.dedup();
    assert_eq!(from.len(), all, "some were sent twice");
}

/// R36: a large reply goes to nobody who has not shown that he is where he says.
#[test]
fn a_large_reply_needs_a_token() {
    let mut pair = Pair::new(config());
    let (call, first) = pair.ask_with(Request { max_reply: 1 << 20, ..request("x") });
    pair.at_server(&first);
    let taken = pair.take().unwrap();
    pair.server.site.send_reply(pair.now, pair.port, taken.call, body(2000)).unwrap();
    let [challenge] = pair.server.drain().try_into().expect("one packet");
    assert_eq!((challenge.kind.name(), pair.server.fragments.len()), ("CHALLENGE", 0));
    let again = pair.at_client(&challenge);
    pair.flow(again, |_| false);
    assert_eq!(pair.outcome(call), Some(&Outcome::Reply(body(2000))));
}

/// R43: what is half built is bounded, all together and by address; who comes too late is asked to wait.
#[test]
fn half_built_messages_are_bounded() {
    for (all, each) in [(50_000, 50_000), (500_000, 50_000)] {
        let config = Config {
            message_max: LEN,
            building_max: all,
            building_per_address_max: each,
            ..config()
        };
        let mut pair = known(config);
        let first: Vec<Packet> = (0..3).map(|_| pair.ask_with(large(LEN)).1).collect();
        let answers = first.iter().flat_map(|it| pair.at_server(it));
        let kinds: Vec<_> = answers.map(|it| it.kind.name()).collect();
        assert_eq!(kinds, ["BUSY"], "to the third of them");
        assert_eq!(pair.server.site.entries().building, 2);
        // Elsewhere there is room, if there is any.
        let elsewhere = ([10, 9, 9, 9], 7373).into();
        pair.server.give(pair.now, elsewhere, &first[2]);
        assert_eq!(pair.server.site.entries().building, 2, "its token is another address's");
    }
}

/// R32: a request that is longer than the server takes is refused, and has not run; the client's limit may be
/// another one.
#[test]
fn a_request_that_is_too_long_is_refused() {
    for (taken, len) in [(LEN, LEN + 1), (1_072, 1_073)] {
        let mut pair = known(config());
        let config = Config { message_max: taken, ..config() };
        pair.server = End::new(config, pair.now, 0x5, 2);
        pair.port = pair.serve("bank");
        let (call, first) = pair.ask_with(large(len));
        let answers = pair.at_server(&first);
        let answers = answers.iter().flat_map(|it| pair.at_client(it)).collect::<Vec<_>>();
        pair.flow(answers, |_| false);
        let why = NotExecuted::RequestTooBig;
        assert_eq!(pair.outcome(call), Some(&Outcome::NotExecuted(why)));
        assert_eq!((pair.take(), pair.server.site.entries().building), (None, 0));
    }
}

/// R3, R33: what was refused never runs, whatever else comes under its number; what waits for it does.
#[test]
fn what_is_too_long_is_refused_for_good() {
    for flags in [Flags::ORDERED, Flags::ORDERED | Flags::IDEMPOTENT] {
        let mut pair = known(Config { message_max: 2 * LEN, ..config() });
        let config = Config { message_max: LEN, ..config() };
        pair.server = End::new(config, pair.now, 0x5, 2);
        pair.port = pair.serve("bank");
        let (_, hello) = pair.ask("hello");
        let reply = pair.run(&hello);
        pair.at_client(&reply);
        let (_, first) = pair.ask_with(Request { flags, ..large(LEN + 1) });
        let (_, second) = pair.ask_with(Request { flags: Flags::ORDERED, ..request("second") });
        assert_eq!(pair.at_server(&second), []);
        assert_eq!(pair.take(), None);
        let refused = Kind::Refused { ran: Ran::No, reason: Reason::RequestTooBig };
        assert_eq!(pair.answer(&first).kind, refused);
        assert_eq!(pair.take().unwrap().body, "second");
        let short = Packet { flags: Flags::NONE, body: body(10), ..first };
        assert_eq!(pair.answer(&short).kind, refused);
        assert_eq!(pair.take(), None);
    }
}

/// R43: so many bytes of replies are joined at a time, and what comes beyond is refused by who asked for it.
#[test]
fn replies_that_come_are_bounded() {
    let config = Config { message_max: LEN, fetching_max: 2 * LEN, ..config() };
    let mut pair = known(config);
    let calls: Vec<_> = (0..3).map(|_| pair.ask_with(large(10))).collect();
    let mut replies = Vec::new();
    for (_, first) in &calls {
        pair.at_server(first);
        let taken = pair.take().unwrap();
        pair.server.site.send_reply(pair.now, pair.port, taken.call, body(LEN)).unwrap();
        replies.extend(pair.server.drain());
    }
    pair.flow(replies, |_| false);
    let ends = calls.iter().map(|(call, _)| pair.outcome(*call));
    let whole = Some(Outcome::Reply(body(LEN)));
    let refused = Some(Outcome::Unknown(Unknown::ReplyTooBig));
    assert!(ends.eq([whole.as_ref(), whole.as_ref(), refused.as_ref()]));
    // What has come takes no room any more.
    let (call, first) = pair.ask_with(large(10));
    pair.at_server(&first);
    let taken = pair.take().unwrap();
    pair.server.site.send_reply(pair.now, pair.port, taken.call, body(LEN)).unwrap();
    let reply = pair.server.drain();
    pair.flow(reply, |_| false);
    assert_eq!(pair.outcome(call), whole.as_ref());
}

/// R43: what nobody goes on with is dropped: when the patience is over, or when nothing has come for long.
#[test]
fn what_is_half_built_expires() {
    for (patience, lasts) in [(Some(secs(3)), secs(4)), (None, secs(40))] {
        let mut pair = known(config());
        let (_, first) = pair.ask_with(Request { patience, ..large(LEN) });
        pair.at_server(&first);
        assert_eq!(pair.server.site.entries().building, 1);
        pair.pass_at_server(lasts);
        assert_eq!(pair.server.site.entries().building, 0);
        assert_eq!(pair.server.count(Note::HalfBuilt), 1);
    }
}

/// R37, R15: it goes when it is called off, and when the floor passes it.
#[test]
fn what_is_half_built_goes_with_its_call() {
    let mut pair = known(config());
    let (call, first) = pair.ask_with(large(LEN));
    pair.at_server(&first);
    pair.client.site.cancel(pair.now, call);
    let abort = pair.client.drain();
    pair.at_server(&abort[0]);
    assert_eq!(pair.server.site.entries().building, 0);
    let (call, first) = pair.ask_with(large(LEN));
    pair.at_server(&first);
    pair.client.site.cancel(pair.now, call);
    pair.client.drain();
    let (_, next) = pair.ask("next");
    pair.at_server(&next);
    assert_eq!(pair.server.site.entries().building, 0);
}
