use super::*;
use alloc::string::ToString as _;

const A: Mac = Mac([0x52, 0x54, 0, 0, 0xab, 1]);
const B: Mac = Mac([0x52, 0x54, 0, 0, 0, 2]);

#[test]
fn a_header_is_to_from_and_type_in_network_order() {
    let mut bytes = [0; HEADER_BYTES];
    Header { to: A, from: B }.emit(&mut bytes);
    assert_eq!(bytes, *b"\x52\x54\x00\x00\xab\x01\x52\x54\x00\x00\x00\x02\x88\xb5");
}

#[test]
fn what_was_written_is_read_with_all_that_follows() {
    let mut bytes = [0; HEADER_BYTES + 3];
    bytes[HEADER_BYTES..].copy_from_slice(b"xyz");
    let header = Header { to: B, from: A };
    header.emit(bytes.first_chunk_mut().unwrap());
    assert_eq!(Header::parse(&bytes), Ok((header, b"xyz".as_slice())));
    assert_eq!(Header::parse(&bytes[..HEADER_BYTES]), Ok((header, [].as_slice())));
}

#[test]
fn what_is_short_or_of_another_type_is_refused() {
    let mut bytes = [0; HEADER_BYTES];
    Header { to: A, from: B }.emit(&mut bytes);
    for length in 0..HEADER_BYTES {
        assert_eq!(Header::parse(&bytes[..length]), Err(BadHeader::Short));
    }
    bytes[12..].copy_from_slice(&[0x08, 0x00]);
    assert_eq!(Header::parse(&bytes), Err(BadHeader::Type(0x0800)));
}

#[test]
fn a_mac_is_read_in_either_case_and_written_in_one() {
    assert_eq!("52:54:00:00:AB:01".parse(), Ok(A));
    assert_eq!(A.to_string().parse(), Ok(A));
    assert_eq!(A.to_string(), "52:54:00:00:ab:01");
    for bad in ["", "52:54:00:00:00", "52:54:00:00:00:01:", "52:54:00:00:00:1", "52:54:00:00:00:+1"]
    {
        assert_eq!(bad.parse::<Mac>(), Err(BadMac), "{bad}");
    }
}

#[test]
fn groups_and_nobody_are_no_single_card() {
    assert!(A.is_unicast());
    assert!(!Mac([0; 6]).is_unicast());
    assert!(!Mac([0xff; 6]).is_unicast());
    assert!(!Mac([0x33, 0x33, 0, 0, 0, 1]).is_unicast());
}
