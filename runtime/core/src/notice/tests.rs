use super::*;

const CARD: [u8; 6] = [0x52, 0x54, 0, 0, 0, 7];

#[test]
fn a_notice_is_read_with_padding_after_it() {
    let mut padded = [0; 46];
    padded[..BYTES].copy_from_slice(&port_down(CARD));
    assert_eq!(parse(&padded), Some(CARD));
}

#[test]
fn nothing_else_is_taken_for_one() {
    let good = port_down(CARD);
    assert_eq!(parse(&good[..BYTES - 1]), None);
    for at in 0..BYTES * 8 {
        let mut bad = good;
        bad[at / 8] ^= 1 << (at % 8);
        assert_eq!(parse(&bad), None, "bit {at}");
    }
}
