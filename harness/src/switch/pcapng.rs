//! A capture file (pcapng, draft-ietf-opsawg-pcapng): one link with its two ways as two interfaces, times in
//! nanoseconds, and what befell a frame as its comment.

use netem::Way;
use std::io::{self, Write};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
const MAGIC: u32 = 0x1a2b_3c4d;
const ETHERNET: u16 = 1;

const COMMENT: u16 = 1;
const HARDWARE: u16 = 2;
const APPLICATION: u16 = 4;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_RESOLUTION: u16 = 9;
const FLAGS: u16 = 2;

/// A frame as it entered one way of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Captured {
    /// When, on the fabric's clock.
    pub(crate) at_ns: u64,
    /// Of which line.
    pub(crate) line: usize,
    pub(crate) way: Way,
    pub(crate) frame: Vec<u8>,
    /// What befell it: why it was dropped, or what was done to it.
    pub(crate) comment: Option<String>,
}

/// Writes one link's frames.
#[derive(Debug)]
pub(crate) struct Writer<W> {
    out: W,
    /// Nanoseconds of the epoch at time 0 of the fabric.
    epoch_ns: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a file: `link` is a name, `ways` say what goes up and down it, `epoch_ns` is when the fabric's clock stood
    /// at zero.
    pub(crate) fn new(out: W, link: &str, ways: &[String; 2], epoch_ns: u64) -> io::Result<Self> {
        let mut writer = Self { out, epoch_ns };
        let mut section = Vec::new();
        section.extend(MAGIC.to_le_bytes());
        section.extend(1u16.to_le_bytes());
        section.extend(0u16.to_le_bytes());
        // The section's length is not known.
        section.extend(u64::MAX.to_le_bytes());
        option(&mut section, HARDWARE, format!("link {link}").as_bytes());
        let program = concat!("understudy ", env!("CARGO_PKG_VERSION"));
        option(&mut section, APPLICATION, program.as_bytes());
        option(&mut section, 0, &[]);
        writer.block(SECTION, &section)?;
        for (way, text) in ["up", "down"].into_iter().zip(ways) {
            let mut interface = Vec::new();
            interface.extend(ETHERNET.to_le_bytes());
            interface.extend([0; 6]);
            option(&mut interface, IF_NAME, format!("{link} {way}").as_bytes());
            option(&mut interface, IF_DESCRIPTION, text.as_bytes());
            option(&mut interface, IF_RESOLUTION, &[9]);
            option(&mut interface, 0, &[]);
            writer.block(INTERFACE, &interface)?;
        }
        writer.out.flush()?;
        Ok(writer)
    }

    /// Adds a frame.
    pub(crate) fn frame(&mut self, captured: &Captured) -> io::Result<()> {
        let Captured { at_ns, way, frame, comment, .. } = captured;
        let at = self.epoch_ns.saturating_add(*at_ns);
        let (high, low) = (at >> 32, at & 0xffff_ffff);
        let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        // Inbound and outbound, as the switch sees it.
        let (interface, direction) = match way {
            Way::Up => (0u32, 1u32),
            Way::Down => (1, 2),
        };
        let mut body = Vec::with_capacity(frame.len() + 96);
        body.extend(interface.to_le_bytes());
        body.extend(u32::try_from(high).unwrap_or(u32::MAX).to_le_bytes());
        body.extend(u32::try_from(low).unwrap_or(u32::MAX).to_le_bytes());
        body.extend(len.to_le_bytes());
        body.extend(len.to_le_bytes());
        padded(&mut body, frame);
        option(&mut body, FLAGS, &direction.to_le_bytes());
        if let Some(comment) = comment {
            option(&mut body, COMMENT, comment.as_bytes());
        }
        option(&mut body, 0, &[]);
        self.block(PACKET, &body)
    }

    /// Hands everything to the file.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn block(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let len = u32::try_from(body.len() + 12).unwrap_or(u32::MAX).to_le_bytes();
        self.out.write_all(&kind.to_le_bytes())?;
        self.out.write_all(&len)?;
        self.out.write_all(body)?;
        self.out.write_all(&len)
    }
}

/// An option; code 0 ends them.
fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    padded(body, value);
}

/// Bytes, and zeros up to a multiple of four.
fn padded(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend_from_slice(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
}

#[cfg(test)]
pub(super) mod tests;
