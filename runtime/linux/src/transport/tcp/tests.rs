use super::super::{Network, Transport};
use super::*;
use runtime_core::limits::MAX_FRAME;
use std::io::{Read, Write};

fn pair() -> (Transport, Transport, SocketAddr) {
    let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (a, b) = (listen(), listen());
    let addresses =
        vec![(NodeId(0), a.local_addr().unwrap()), (NodeId(1), b.local_addr().unwrap())];
    let node = |n, l| {
        Transport::new(NodeId(n), Generation(1), Network::tcp(l, addresses.clone())).unwrap()
    };
    (node(0, a), node(1, b), addresses[0].1)
}

/// Runs both sides until `done` says so; each happening is given to it with its frame.
fn drive(
    a: &mut Transport,
    b: &mut Transport,
    mut done: impl FnMut(usize, Happening, &[u8]) -> bool,
) {
    let mut frame = Vec::new();
    loop {
        for (side, transport) in [&mut *a, &mut *b].into_iter().enumerate() {
            transport.wait(&[], Some(Duration::from_millis(1))).unwrap();
            while let Some(happening) = transport.next(&mut frame) {
                if done(side, happening, &frame) {
                    return;
                }
            }
        }
    }
}

fn up(a: &mut Transport, b: &mut Transport) {
    let mut ups = 0;
    drive(a, b, |_, happening, _| {
        ups += usize::from(matches!(happening, Happening::Up(_)));
        ups == 2
    });
}

#[test]
fn frames_of_all_sizes_arrive_in_order_both_ways() {
    let (mut a, mut b, _) = pair();
    a.send(NodeId(1), vec![1]); // lost: not connected
    up(&mut a, &mut b);
    let size = |i: usize| [0, 1, 13, 4096, MAX_FRAME][i % 5];
    let byte = |i: usize| u8::try_from(i).unwrap();
    for i in 0..200 {
        a.send(NodeId(1), vec![byte(i); size(i)]);
        b.send(NodeId(0), vec![byte(i); size(i + 1)]);
    }
    let mut got = [0, 0];
    drive(&mut a, &mut b, |side, happening, frame| {
        assert_eq!(happening, Happening::Frame(NodeId(u16::from(side == 0))));
        assert_eq!(frame, vec![byte(got[side]); size(got[side] + usize::from(side == 0))]);
        got[side] += 1;
        got == [200, 200]
    });
}

#[test]
fn a_broken_connection_is_told_and_dialled_again() {
    let (mut a, mut b, _) = pair();
    up(&mut a, &mut b);
    b.send(NodeId(0), b"last words".to_vec());
    b.tcp.as_mut().unwrap().peers[0].lose(NodeId(1));
    let mut seen = Vec::new();
    drive(&mut a, &mut b, |side, happening, _| {
        seen.push((side, happening));
        seen.len() == 4
    });
    assert_eq!(seen[0], (0, Happening::Frame(NodeId(1))));
    assert_eq!(
        seen.iter().filter(|(side, _)| *side == 0).nth(1).unwrap().1,
        Happening::Down(NodeId(1))
    );
    assert!(seen.contains(&(1, Happening::Up(NodeId(0)))));
}

#[test]
fn a_connection_in_place_of_one_that_seemed_to_work_is_no_death() {
    let (mut a, mut b, _) = pair();
    up(&mut a, &mut b);
    // It stays open at the other end, as after a cut that only one side felt.
    let silent = b.tcp.as_mut().unwrap().peers[0].connection.take();
    b.tcp.as_mut().unwrap().peers[0].lose(NodeId(1));
    let mut seen = Vec::new();
    drive(&mut a, &mut b, |side, happening, _| {
        seen.push((side, happening));
        seen.len() == 2
    });
    b.send(NodeId(0), b"new".to_vec());
    drive(&mut a, &mut b, |side, happening, frame| {
        seen.push((side, happening));
        frame == b"new"
    });
    drop(silent);
    seen.retain(|(side, _)| *side == 0);
    assert_eq!(seen, [(0, Happening::Up(NodeId(1))), (0, Happening::Frame(NodeId(1)))]);
}

#[test]
fn a_connection_that_is_broken_on_purpose_is_made_anew_but_for_no_older_process() {
    let (mut a, mut b, address) = pair();
    up(&mut a, &mut b);
    a.disconnect(NodeId(1));
    drive(&mut a, &mut b, |side, happening, _| {
        (side, happening) == (1, Happening::Down(NodeId(0)))
    });
    drive(&mut a, &mut b, |side, happening, _| (side, happening) == (0, Happening::Up(NodeId(1))));
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"USDY\x01\0\x01\0\0\0\0\0").unwrap();
    let reader = std::thread::spawn(move || stream.read(&mut [0; 1]).unwrap_or(0));
    while !reader.is_finished() {
        a.wait(&[], Some(Duration::from_millis(1))).unwrap();
        assert_eq!(a.next(&mut Vec::new()), None);
    }
    assert_eq!(reader.join().unwrap(), 0);
}

#[test]
fn rubbish_closes_the_connection_and_nothing_else() {
    let (mut a, mut b, address) = pair();
    up(&mut a, &mut b);
    let hello = b"USDY\x01\0\x01\0\x02\0\0\0".as_slice();
    let wrong = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"USDY\x01\0\x09\0\x01\0\0\0".to_vec(),
        b"USDY\x02\0\x01\0\x01\0\0\0".to_vec(),
        [hello, &u32::MAX.to_le_bytes()].concat(),
    ];
    for bytes in wrong {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&bytes).unwrap();
        let reader = std::thread::spawn(move || {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
        });
        while !reader.is_finished() {
            a.wait(&[], Some(Duration::from_millis(1))).unwrap();
            while a.next(&mut Vec::new()).is_some() {}
        }
        reader.join().unwrap();
    }
}

#[test]
fn other_descriptors_wake_it() {
    let (mut a, _, _) = pair();
    let (reader, writer) = nix::unistd::pipe().unwrap();
    assert!(!a.wait(&[reader.as_fd()], Some(Duration::ZERO)).unwrap().is(0));
    nix::unistd::write(&writer, b"x").unwrap();
    assert!(a.wait(&[reader.as_fd()], None).unwrap().is(0));
}

#[test]
fn what_a_peer_said_before_it_closed_is_heard_though_nothing_can_be_written_any_more() {
    let (mut a, mut b, _) = pair();
    up(&mut a, &mut b);
    for i in 0..3 {
        b.send(NodeId(0), vec![i; 20_000]);
    }
    b.disconnect(NodeId(0));
    // Of these the first finds the peer gone, and the next ones fail.
    for _ in 0..10 {
        a.send(NodeId(1), vec![9; 10]);
    }
    let (mut frames, mut frame) = (Vec::new(), Vec::new());
    loop {
        a.wait(&[], Some(Duration::from_millis(1))).unwrap();
        while let Some(happening) = a.next(&mut frame) {
            if happening == Happening::Down(NodeId(1)) {
                assert_eq!(frames, [0, 1, 2]);
                return;
            }
            assert_eq!((happening, frame.len()), (Happening::Frame(NodeId(1)), 20_000));
            frames.push(frame[0]);
        }
    }
}
