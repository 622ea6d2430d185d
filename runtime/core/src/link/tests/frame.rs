use crate::id::{Generation, NodeId};
use crate::limits::{MAX_FRAME, MAX_MESSAGE};
use crate::link::frame::{Body, Data, Frame, FrameError, Hello, Proto};
use crate::node::{Image, Medium};
use alloc::vec;
use alloc::vec::Vec;

const FROM: Generation = Generation(0x0403_0201);
const TO: Generation = Generation(0x0807_0605);

fn frame(body: Body<'_>) -> Frame<'_> {
    Frame { from: FROM, to: TO, ack: 2, selective: 5, body }
}

fn data(payload: &[u8]) -> Data<'_> {
    Data { seq: 0x99, proto: Proto::Sdsm, first: true, last: false, payload }
}

fn hello() -> Hello {
    let hash = core::array::from_fn(|i| u8::try_from(i).unwrap());
    Hello {
        known: true,
        node: NodeId(3),
        medium: Medium::Datagram,
        kind: Image::BareMetal,
        mtu: 1500,
        hash,
    }
}

#[test]
fn protocol_numbers_are_pinned() {
    assert_eq!(Proto::Membership as u8, 1);
    assert_eq!(Proto::Mcapi as u8, 2);
    assert_eq!(Proto::Sdsm as u8, 3);
    assert_eq!(Proto::Recovery as u8, 4);
}

#[test]
fn data_on_a_stream_has_these_bytes() {
    let bytes = frame(Body::Data(data(b"page"))).emit(Medium::Stream);
    let expected: [&[u8]; 10] = [
        &[0xd5, 3, 2, 0x43],
        &[1, 2, 3, 4],
        &[5, 6, 7, 8],
        &[56, 0, 0, 0],
        &[0, 0, 0, 0],
        &[0x99, 0, 0, 0, 0, 0, 0, 0],
        &[2, 0, 0, 0, 0, 0, 0, 0],
        &[5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        b"page",
        b"",
    ];
    assert_eq!(bytes, expected.concat());
}

#[test]
fn a_hello_has_these_bytes_on_either_medium() {
    let bytes = frame(Body::Hello(hello())).emit(Medium::Stream);
    assert_eq!(bytes, frame(Body::Hello(hello())).emit(Medium::Datagram));
    assert_eq!(bytes[..4], [0xd5, 3, 1, 1]);
    assert_eq!(bytes[12..16], [92, 0, 0, 0]);
    assert_eq!(bytes[52..60], [3, 0, 2, 2, 0xdc, 5, 0, 0]);
    assert_eq!(bytes[60..], hello().hash);
    let mut zeroed = bytes.clone();
    zeroed[16..20].fill(0);
    assert_eq!(bytes[16..20], crc32fast::hash(&zeroed).to_le_bytes());
}

#[test]
fn every_kind_comes_back_as_it_went() {
    let longest = vec![9; MAX_MESSAGE];
    let bodies = [
        Body::Hello(hello()),
        Body::Data(data(b"")),
        Body::Data(Data { last: true, ..data(&longest) }),
        Body::Ack(None),
        Body::Ack(Some(0x0102_0304_0506_0708)),
    ];
    for medium in [Medium::Stream, Medium::Datagram] {
        for body in bodies {
            let bytes = frame(body).emit(medium);
            assert!(bytes.len() <= MAX_FRAME);
            assert_eq!(Frame::parse(&bytes, medium), Ok(frame(body)));
        }
    }
}

#[test]
fn padding_of_a_datagram_is_ignored_but_a_stream_has_none() {
    let mut bytes = frame(Body::Ack(None)).emit(Medium::Datagram);
    bytes.resize(60, 0);
    assert_eq!(Frame::parse(&bytes, Medium::Datagram), Ok(frame(Body::Ack(None))));
    let mut bytes = frame(Body::Ack(None)).emit(Medium::Stream);
    bytes.push(0);
    assert_eq!(Frame::parse(&bytes, Medium::Stream), Err(FrameError::Malformed));
}

#[test]
fn each_flipped_bit_of_a_datagram_is_damage() {
    let bytes = frame(Body::Data(data(b"page"))).emit(Medium::Datagram);
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Frame::parse(&damaged, Medium::Datagram), Err(FrameError::Damaged), "bit {bit}");
    }
}

#[test]
fn bytes_off_the_format_are_malformed() {
    let whole = frame(Body::Data(data(b"page"))).emit(Medium::Stream);
    let changed = |at: usize, to: u8| {
        let mut bytes = whole.clone();
        bytes[at] = to;
        bytes
    };
    let cases: [Vec<u8>; 8] = [
        Vec::new(),
        whole[..20].to_vec(),
        whole[..whole.len() - 1].to_vec(),
        changed(0, 0),
        changed(1, 4),    // version of a frame that is no Hello
        changed(2, 4),    // kind
        changed(3, 0x45), // protocol
        changed(14, 1),   // length
    ];
    for (case, bytes) in cases.iter().enumerate() {
        assert_eq!(Frame::parse(bytes, Medium::Stream), Err(FrameError::Malformed), "case {case}");
    }
}

#[test]
fn a_hello_of_another_version_is_told_apart_from_a_damaged_one() {
    let mut bytes = frame(Body::Hello(hello())).emit(Medium::Datagram);
    bytes[1] = 4;
    assert_eq!(Frame::parse(&bytes, Medium::Datagram), Err(FrameError::Damaged));
    bytes[16..20].fill(0);
    let crc = crc32fast::hash(&bytes);
    bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(Frame::parse(&bytes, Medium::Datagram), Err(FrameError::Version(4)));
}
