//! What a switch says about its own ports: a machine that lost its power takes its port's signal with it,
//! and the switch is the only one to see that at once. Managed switches in rings do the same
//! (IEC 62439-2 *LinkChange*); this is the smallest such frame.
//!
//! The payload of an Ethernet frame to all, of its own EtherType:
//!
//! ```text
//!  0        1      2           8            12
//!  version  kind   card (MAC)  CRC-32 of all before, little endian
//! ```

/// IEEE 802's second number for local experiments; the first one is the nodes' own.
pub const ETHERTYPE: u16 = 0x88B6;
/// Bytes of a notice.
pub const BYTES: usize = 12;

const VERSION: u8 = 1;
const PORT_DOWN: u8 = 1;

/// The notice that the port of a card lost its signal.
#[must_use]
pub fn port_down(card: [u8; 6]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..2].copy_from_slice(&[VERSION, PORT_DOWN]);
    bytes[2..8].copy_from_slice(&card);
    let crc = crc32fast::hash(&bytes[..8]);
    bytes[8..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Whose port went down, if these bytes say so and are whole; padding may follow.
#[must_use]
pub fn parse(payload: &[u8]) -> Option<[u8; 6]> {
    let bytes: &[u8; BYTES] = payload.first_chunk()?;
    let [VERSION, PORT_DOWN, card @ .., _, _, _, _] = *bytes else { return None };
    (*bytes == port_down(card)).then_some(card)
}

#[cfg(test)]
mod tests;
