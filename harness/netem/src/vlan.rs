//! VLAN tags of IEEE 802.1Q: four bytes behind the addresses, the EtherType 0x8100 and the number of the VLAN.

use std::borrow::Cow;

/// Number of a VLAN: 1 to 4094.
pub type Vlan = u16;

/// Where a port is that nobody puts into another VLAN.
pub const DEFAULT_VLAN: Vlan = 1;
/// The highest number of a VLAN.
pub const MAX_VLAN: Vlan = 4094;
/// EtherType of a tag.
const TAG: [u8; 2] = [0x81, 0x00];
/// Where a tag begins, and where it ends.
const AT: usize = 12;
const END: usize = 16;

/// The number in the outermost tag of a frame, if it has one: 0 says a priority and no VLAN.
#[must_use]
pub fn vlan_of(frame: &[u8]) -> Option<Vlan> {
    let [high, low] = *frame.get(AT + 2..END)?.first_chunk()?;
    (frame.get(AT..AT + 2)? == TAG).then(|| u16::from_be_bytes([high, low]) & 0x0fff)
}

/// The frame with one more tag outside of those that it has.
#[must_use]
pub fn tagged(frame: &[u8], vlan: Vlan) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(AT.min(frame.len()));
    [addresses, &TAG, &vlan.to_be_bytes(), rest].concat()
}

/// The frame without its outermost tag.
#[must_use]
pub fn untagged(frame: &[u8]) -> Cow<'_, [u8]> {
    match vlan_of(frame) {
        Some(_) => Cow::Owned([&frame[..AT], &frame[END..]].concat()),
        None => Cow::Borrowed(frame),
    }
}
