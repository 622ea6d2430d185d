use super::{Malformed, Reader, Writer};
use alloc::string::ToString;

#[test]
fn fields_are_little_endian_and_come_back_in_order() {
    let mut w = Writer::with_capacity(32);
    assert!(w.is_empty());
    w.u8(0x01).u16(0x0302).u32(0x0706_0504).u64(0x0f0e_0d0c_0b0a_0908).bytes(b"ab").bytes(b"cde");
    assert_eq!(w.len(), 20);
    let bytes = w.into_vec();
    assert_eq!(bytes, b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0fabcde");

    let mut r = Reader::new(&bytes);
    assert_eq!(r.u8("a"), Ok(0x01));
    assert_eq!(r.u16("b"), Ok(0x0302));
    assert_eq!(r.u32("c"), Ok(0x0706_0504));
    assert_eq!(r.u64("d"), Ok(0x0f0e_0d0c_0b0a_0908));
    assert_eq!(r.bytes(2, "e"), Ok(&b"ab"[..]));
    assert_eq!(r.end("tail"), Err(Malformed { what: "tail", at: 17 }));
    assert_eq!(r.rest(), b"cde");
    assert_eq!(r.end("tail"), Ok(()));
    assert_eq!(r.rest(), b"");
}

#[test]
fn a_short_field_is_named_with_its_place_and_nothing_is_consumed() {
    let mut r = Reader::new(&[1, 2, 3]);
    assert_eq!(r.u8("kind"), Ok(1));
    let error = r.u32("length").unwrap_err();
    assert_eq!(error, Malformed { what: "length", at: 1 });
    assert_eq!(error.to_string(), "malformed length at byte 1");
    assert_eq!(r.bytes(usize::MAX, "body"), Err(Malformed { what: "body", at: 1 }));
    assert_eq!(r.remaining(), 2);
    assert_eq!(r.u16("rest"), Ok(0x0302));
    assert_eq!(r.u8("more"), Err(Malformed { what: "more", at: 3 }));
}
