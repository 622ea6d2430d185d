//! The 14 bytes before a frame of the link on raw Ethernet: to, from, and what it is. What follows
//! knows its own length, so that padding does no harm.

use core::fmt;
use core::str::FromStr;

#[cfg(test)]
mod tests;

pub use runtime_core::link::ETHERTYPE;
/// Bytes before the payload.
pub const HEADER_BYTES: usize = 14;

/// Address of a network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Can it be the address of one card? Otherwise it is of a group, or nobody's.
    #[must_use]
    pub const fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && !matches!(self.0, [0, 0, 0, 0, 0, 0])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A text that is no address of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a MAC is six bytes in hexadecimal with colons between: 52:54:00:00:00:01")]
pub struct BadMac;

impl FromStr for Mac {
    type Err = BadMac;
    fn from_str(text: &str) -> Result<Self, BadMac> {
        let mut parts = text.split(':');
        let mut bytes = [0; 6];
        for byte in &mut bytes {
            let part = parts.next().ok_or(BadMac)?;
            // `from_str_radix` alone would take a sign.
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(BadMac);
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| BadMac)?;
        }
        if parts.next().is_some() { Err(BadMac) } else { Ok(Self(bytes)) }
    }
}

/// Who sends to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The card that it is for.
    pub to: Mac,
    /// The card that it comes from.
    pub from: Mac,
}

/// Bytes that are no frame of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    /// The header is not whole.
    #[error("shorter than a header")]
    Short,
    /// It is something else.
    #[error("EtherType {0:#06x}")]
    Type(u16),
}

impl Header {
    /// Writes the header, as it goes before the payload.
    pub fn emit(self, into: &mut [u8; HEADER_BYTES]) {
        into[..6].copy_from_slice(&self.to.0);
        into[6..12].copy_from_slice(&self.from.0);
        into[12..].copy_from_slice(&ETHERTYPE.to_be_bytes());
    }

    /// The header, and what follows it.
    ///
    /// # Errors
    /// When it is too short or of another type.
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), BadHeader> {
        let (header, payload) =
            bytes.split_first_chunk::<HEADER_BYTES>().ok_or(BadHeader::Short)?;
        let [to @ .., _, _, _, _, _, _, high, low] = *header;
        let [_, _, _, _, _, _, from @ .., _, _] = *header;
        let kind = u16::from_be_bytes([high, low]);
        if kind != ETHERTYPE {
            return Err(BadHeader::Type(kind));
        }
        Ok((Self { to: Mac(to), from: Mac(from) }, payload))
    }
}
