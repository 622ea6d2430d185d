//! Frames on a raw network: destination and source address, EtherType, then one frame of the link,
//! which knows its own length, for a network card fills short frames up with padding.

use core::fmt;
use core::str::FromStr;

/// EtherType of the link's frames: the first one that IEEE 802 leaves to local experiments.
pub const ETHER_TYPE: u16 = 0x88b5;
/// Bytes before the link's frame.
pub const HEADER_BYTES: usize = 14;

/// Hardware address of a network card.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a hardware address: write six bytes as in 52:54:00:12:34:56")]
pub struct BadMac;

impl FromStr for Mac {
    type Err = BadMac;

    fn from_str(text: &str) -> Result<Self, BadMac> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().ok_or(BadMac)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(BadMac);
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| BadMac)?;
        }
        if parts.next().is_some() { Err(BadMac) } else { Ok(Self(bytes)) }
    }
}

/// The bytes before a frame.
#[must_use]
pub fn header(to: Mac, from: Mac) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..6].copy_from_slice(&to.0);
    bytes[6..12].copy_from_slice(&from.0);
    bytes[12..].copy_from_slice(&ETHER_TYPE.to_be_bytes());
    bytes
}

/// Why a frame is not for the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOurs {
    /// Shorter than a header, or of another protocol.
    #[error("of another protocol")]
    Protocol,
    /// For another card: a switch that has not learnt it yet floods frames.
    #[error("for another card")]
    Address,
}

/// The sender of a frame for `me`, and what it carries.
///
/// # Errors
/// When it is not for this card's link.
pub fn parse(me: Mac, frame: &[u8]) -> Result<(Mac, &[u8]), NotOurs> {
    let (header, payload) = frame.split_first_chunk::<HEADER_BYTES>().ok_or(NotOurs::Protocol)?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *header;
    if u16::from_be_bytes([t0, t1]) != ETHER_TYPE {
        return Err(NotOurs::Protocol);
    }
    if Mac([d0, d1, d2, d3, d4, d5]) != me {
        return Err(NotOurs::Address);
    }
    Ok((Mac([s0, s1, s2, s3, s4, s5]), payload))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    const A: Mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    const B: Mac = Mac([0x52, 0x54, 0, 0xab, 0xcd, 0xef]);

    #[test]
    fn a_frame_has_these_bytes_and_comes_back() {
        let mut frame = Vec::from(header(A, B));
        assert_eq!(frame, *b"\x52\x54\x00\x12\x34\x56\x52\x54\x00\xab\xcd\xef\x88\xb5");
        frame.extend(b"link");
        assert_eq!(parse(A, &frame), Ok((B, &b"link"[..])));
        assert_eq!(parse(B, &frame), Err(NotOurs::Address));
        frame[13] = 0xb6;
        assert_eq!(parse(A, &frame), Err(NotOurs::Protocol));
        assert_eq!(parse(A, &frame[..13]), Err(NotOurs::Protocol));
    }

    #[test]
    fn addresses_are_read_as_they_are_written() {
        assert_eq!(A.to_string().parse(), Ok(A));
        assert_eq!("52:54:00:AB:cd:ef".parse(), Ok(B));
        for bad in [
            "",
            "52:54:00:12:34",
            "52:54:00:12:34:56:78",
            "52:54:0:12:34:56",
            "5z:54:00:12:34:56",
            "+5:54:00:12:34:56",
        ] {
            assert_eq!(bad.parse::<Mac>(), Err(BadMac), "{bad}");
        }
    }
}
