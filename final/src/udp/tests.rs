//! A socket and what sleeps on it, and batches that leave and come, with and without the kernel's help.

use bytes::Bytes;
use rustix::net::sockopt::{ip_mtu_discover, ipv6_mtu_discover};

use super::*;
use crate::protocol::{ClientId, Flags, Grant, Kind, Packet, ServerId, SiteId};

/// R40, as the kernel has it.
#[test]
fn no_datagram_is_cut() {
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    assert_eq!(ip_mtu_discover(&socket.udp), Ok(Ipv4PathMtuDiscovery::PROBE));
    // Where the machine has IPv6.
    if let Ok(socket) = Socket::bind("[::1]:0".parse().unwrap()) {
        assert_eq!(ipv6_mtu_discover(&socket.udp), Ok(Ipv6PathMtuDiscovery::PROBE));
    }
}

/// Blocks in the receive only while datagrams come one after the other, and never too coarsely.
#[test]
fn a_receive_blocks_for_whole_powers_of_two() {
    let ms = Duration::from_millis;
    let blocked = [None, Some(ms(5000)), Some(ms(128)), Some(ms(127)), Some(ms(31)), Some(ms(16))];
    assert_eq!(blocked.map(blocked_for), [128, 128, 128, 64, 16, 16].map(|it| Some(ms(it))));
    assert_eq!([ms(15), ms(1), ms(0)].map(|it| blocked_for(Some(it))), [None; 3]);
}

/// A thread in a receive is woken before it wakes by itself, and what woke it is no datagram to
/// anybody. (On a machine that stands still for so long it may not be, so there are more tries.)
#[test]
fn a_blocked_thread_is_woken() {
    for long in [false, true] {
        let woken = (0..20).any(|_| {
            let (socket, bell) = busy("127.0.0.1:0", true);
            socket.long.store(long, Relaxed);
            std::thread::scope(|scope| {
                scope.spawn(|| socket.sleep(&bell, None));
                while !is_blocked(&socket) && socket.busy.load(Relaxed) {
                    std::thread::yield_now();
                }
                socket.wake(&bell);
            });
            assert_eq!(socket.receive(&mut Incoming::new()), Found::Nothing);
            socket.busy.load(Relaxed)
        });
        assert!(woken);
    }
}

/// Nothing comes, and the one that would wake it would be lost: the next sleep is on the bell.
#[test]
fn a_blocked_thread_wakes_by_itself() {
    let (socket, bell) = busy("127.0.0.1:0", true);
    socket.sleep(&bell, None);
    assert!(!socket.busy.load(Relaxed));
    bell.ring();
    socket.sleep(&bell, None);
}

/// What came to the thread that slept is read first, the rest after it; an empty datagram of a
/// stranger is one, too.
#[test]
fn what_came_in_sleep_is_read_in_order() {
    for long in [false, true] {
        let (socket, bell) = busy("0.0.0.0:0", true);
        socket.long.store(long, Relaxed);
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = (Ipv4Addr::LOCALHOST, socket.udp.local_addr().unwrap().port());
        for datagram in ["", "first", "second"] {
            stranger.send_to(datagram.as_bytes(), to).unwrap();
        }
        socket.sleep(&bell, None);
        let came = all(&socket);
        let expected = ["", "first", "second"].map(|it| it.as_bytes().to_vec());
        assert!(came.iter().all(|(from, _)| *from == stranger.local_addr().unwrap()));
        assert!(came.iter().map(|(_, datagram)| datagram).eq(&expected), "{came:?}");
    }
}

/// Packets of many lengths for two hosts, also such that the kernel cuts and joins: each host gets its
/// datagrams whole and in order, none with more in it than may be, whatever it reads them by.
#[test]
fn what_leaves_comes() {
    let lengths = (0..40).flat_map(|number| [(64, number), (900, number), (64, 40 + number)]);
    let lengths: Vec<_> = lengths.collect();
    what_leaves_comes_at(&lengths, 1200);
    let equal: Vec<_> = (0..200).map(|number| (64, number)).collect();
    what_leaves_comes_at(&equal, 1200);
    let slices: Vec<_> = (0..300).map(|number| (1096, number)).collect();
    what_leaves_comes_at(&slices, 1200);
    let large: Vec<_> = (0..12).map(|number| ([20_000, 64, 7000][number % 3], number)).collect();
    what_leaves_comes_at(&large, 65_507);
    let largest: Vec<_> = (0..4).map(|number| (65_507 - 104, number)).collect();
    what_leaves_comes_at(&largest, 65_507);
}

fn what_leaves_comes_at(lengths: &[(usize, usize)], longest: usize) {
    for (here, there, long) in [(true, true, true), (true, false, false), (false, true, true)] {
        let (socket, _) = busy("127.0.0.1:0", here);
        let hosts = [(), ()].map(|()| busy("127.0.0.1:0", there).0);
        let mut outgoing = Outgoing::default();
        let mut expected = [Vec::new(), Vec::new()];
        for (len, number) in lengths {
            let packet = packet(*len, *number);
            let host = number % 2;
            let to = hosts[host].udp.local_addr().unwrap();
            // It leaves when it is enough, as the network has it.
            if outgoing.is_full(to) {
                socket.send_all(&outgoing, |_, _, _| panic!("nothing is refused"));
                outgoing.clear();
            }
            outgoing.push(to, longest, &packet);
            packet.encode(&mut expected[host]);
        }
        socket.send_all(&outgoing, |_, _, _| panic!("nothing is refused"));
        for (host, expected) in hosts.iter().zip(expected) {
            host.long.store(long, Relaxed);
            let came = all(host);
            assert!(came.iter().all(|(_, datagram)| datagram.len() <= longest));
            assert!(came.iter().flat_map(|(_, datagram)| datagram).eq(&expected), "{longest}");
        }
    }
}

/// The first sleep after a pause does not ask the kernel of what length the datagrams are that it joined:
/// then they are one run of packets.
#[test]
fn what_is_read_in_haste_is_a_run_of_packets() {
    let (socket, bell) = busy("127.0.0.1:0", true);
    let (sender, _) = busy("127.0.0.1:0", true);
    let (mut outgoing, mut expected) = (Outgoing::default(), Vec::new());
    for number in 0..60 {
        let packet = packet(64, number);
        outgoing.push(socket.udp.local_addr().unwrap(), 1200, &packet);
        packet.encode(&mut expected);
    }
    sender.send_all(&outgoing, |_, _, _| panic!("nothing is refused"));
    socket.sleep(&bell, None);
    let came: Vec<u8> = all(&socket).into_iter().flat_map(|(_, datagram)| datagram).collect();
    assert_eq!(came, expected);
    assert_eq!(crate::protocol::packets(&came).filter(Result::is_ok).count(), 60);
}

/// What the kernel will not send is given back, and what comes after it leaves.
#[test]
fn what_is_refused_is_given_back() {
    for offload in [true, false] {
        let (socket, _) = busy("127.0.0.1:0", offload);
        let good = socket.udp.local_addr().unwrap();
        // Nobody may send to all.
        let bad = "255.255.255.255:9".parse().unwrap();
        let mut outgoing = Outgoing::default();
        for number in 0..40 {
            outgoing.push(if number % 2 == 0 { bad } else { good }, 1200, &packet(64, number));
        }
        let mut refused = Vec::new();
        socket.send_all(&outgoing, |_, datagram, by_peer| {
            assert!(!by_peer);
            refused.extend_from_slice(datagram);
        });
        let numbers = |bytes: &[u8]| -> Vec<u64> {
            crate::protocol::packets(bytes).map(|packet| packet.unwrap().seq - 1).collect()
        };
        assert_eq!(numbers(&refused), (0..40).step_by(2).collect::<Vec<_>>());
        let came: Vec<u8> = all(&socket).into_iter().flat_map(|(_, datagram)| datagram).collect();
        assert_eq!(numbers(&came), (1..40).step_by(2).collect::<Vec<_>>());
    }
}

/// So many calls' packets leave by one system call: one message of datagrams of one length.
#[test]
fn datagrams_of_one_length_are_one_message() {
    let to = "127.0.0.1:9".parse().unwrap();
    let mut outgoing = Outgoing::default();
    let each = packet(64, 0).encoded_len();
    for number in 0..100 {
        outgoing.push(to, 1200, &packet(64, number));
    }
    let count = |outgoing: &Outgoing, cuts| {
        let (mut next, mut counts) = (Cursor::default(), Vec::new());
        while let Some(batch) = outgoing.plan(next, cuts) {
            counts.push(batch.messages().1);
            next = outgoing.after(&batch, batch.messages().1);
        }
        counts
    };
    // Seven go into each, and two are left.
    assert_eq!((1200 / each, 100_usize.div_ceil(7)), (7, 15));
    assert_eq!((count(&outgoing, true), count(&outgoing, false)), (vec![1], vec![15]));
    // One that is longer begins another message, and so does what comes behind one that is shorter.
    outgoing.push(to, 1200, &packet(1000, 100));
    outgoing.push(to, 1200, &packet(64, 101));
    outgoing.push(to, 1200, &packet(1000, 102));
    assert_eq!(count(&outgoing, true), [3]);
}

fn packet(len: usize, number: usize) -> Packet {
    let kind = Kind::Reply { service_time: 0, grant: Grant::default() };
    let client = ClientId { site: SiteId(1), ..ClientId::default() };
    let (flags, server, seq) = (Flags::NONE, ServerId::default(), number as u64 + 1);
    Packet {
        flags,
        attempt: 0,
        client,
        server,
        seq,
        kind,
        body: Bytes::from(vec![number as u8; len]),
    }
}

/// All that has come.
fn all(socket: &Socket) -> Vec<(SocketAddr, Vec<u8>)> {
    let (mut incoming, mut came) = (Incoming::new(), Vec::new());
    while socket.receive(&mut incoming) == Found::Some {
        while let Some((from, datagram)) = incoming.next() {
            came.push((from, datagram.to_vec()));
        }
    }
    came
}

fn busy(listen: &str, offload: bool) -> (Socket, Bell) {
    let socket = Socket::bind_with(listen.parse().unwrap(), offload).unwrap();
    socket.busy.store(true, Relaxed);
    (socket, Bell::new().unwrap())
}

/// It holds the inbox while it is in the receive.
fn is_blocked(socket: &Socket) -> bool {
    socket.inbox.try_lock().is_err()
}
