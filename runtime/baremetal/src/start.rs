//! What QEMU tells at the start: the memory, and a command line (PVH, `hvm_start_info`).

use crate::drill::Drill;
use core::ops::Range;

const MAGIC: u32 = 0x336e_c578;
/// Type of usable memory in the map.
const RAM: u32 = 1;
/// Most devices that are taken note of.
const MAX_DEVICES: usize = 32;
/// Longest command line.
pub const MAX_LINE: usize = 4096;

/// The start information, as it lies in memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Info {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    module_list: u64,
    command_line: u64,
    rsdp: u64,
    memory_map: u64,
    memory_entries: u32,
    reserved: u32,
}

/// A piece of the machine's memory, as it lies in memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    address: u64,
    bytes: u64,
    kind: u32,
    reserved: u32,
}

impl Piece {
    /// Is some of the memory in this range?
    #[must_use]
    pub fn is_memory_in(&self, range: Range<usize>) -> bool {
        let end = self.address.saturating_add(self.bytes);
        self.kind == RAM && self.address < range.end as u64 && end > range.start as u64
    }
}

/// Why a machine cannot be started on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// No start information.
    #[error("no PVH start information: boot this image with QEMU's -kernel")]
    Magic,
    /// An old kind of it.
    #[error(
        "PVH start information of version {0}, without a map of the memory: use QEMU 4 or newer"
    )]
    Version(u32),
    /// The map has no memory where the image is.
    #[error("the machine's map has no memory at {0:#x}, where the image lies")]
    Memory(usize),
    /// A word of the command line that is none.
    #[error("command line: bad {0}")]
    Option(&'static str),
    /// More devices than there are slots.
    #[error("command line: more than {MAX_DEVICES} virtio devices")]
    Devices,
}

/// Where a device's registers are, and which line it pulls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Address of its registers.
    pub address: usize,
    /// Number of its interrupt, counted over all controllers.
    pub line: u32,
}

/// What the command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Frequency of the time stamp counter.
    pub tsc_khz: Option<u64>,
    /// A fault to end with.
    pub drill: Option<Drill>,
    devices: [Device; MAX_DEVICES],
    count: usize,
}

impl Options {
    /// The devices, empty slots among them.
    #[must_use]
    pub fn devices(&self) -> &[Device] {
        &self.devices[..self.count]
    }

    /// Reads a command line. Words that nobody here knows are somebody else's.
    ///
    /// # Errors
    /// When a known word has a bad value.
    pub fn parse(line: &str) -> Result<Self, StartError> {
        let mut options = Self::default();
        for word in line.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("tsc_khz", value)) => {
                    let khz = value.parse().ok().filter(|khz| (1..1 << 32).contains(khz));
                    options.tsc_khz = Some(khz.ok_or(StartError::Option("tsc_khz"))?);
                }
                Some(("drill", name)) => {
                    options.drill = Some(Drill::find(name).ok_or(StartError::Option("drill"))?);
                }
                Some(("virtio_mmio.device", value)) => {
                    let device = device(value).ok_or(StartError::Option("virtio_mmio.device"))?;
                    *options.devices.get_mut(options.count).ok_or(StartError::Devices)? = device;
                    options.count += 1;
                }
                _ => {}
            }
        }
        Ok(options)
    }
}

/// `512@0xfeb00e00:12`, as Linux has it: size, address, interrupt.
fn device(text: &str) -> Option<Device> {
    let (_, rest) = text.split_once('@')?;
    let (address, line) = rest.split_once(':')?;
    let digits = address.strip_prefix("0x")?;
    let address = usize::from_str_radix(digits, 16).ok().filter(|a| a.is_multiple_of(4))?;
    Some(Device { address, line: line.parse().ok()? })
}

/// The memory from the end of the image to the end of the piece that it lies in.
///
/// # Errors
/// When there is none.
pub fn free_memory(map: &[Piece], image: &Range<usize>) -> Result<Range<usize>, StartError> {
    let holds = |piece: &&Piece| {
        let end = piece.address.saturating_add(piece.bytes);
        piece.kind == RAM && piece.address <= image.start as u64 && end >= image.end as u64
    };
    let piece = map.iter().find(holds).ok_or(StartError::Memory(image.start))?;
    let end = usize::try_from(piece.address.saturating_add(piece.bytes)).unwrap_or(usize::MAX);
    Ok(image.end..end)
}

/// Reads the start information at an address.
///
/// # Errors
/// When it is none.
///
/// # Safety
/// The address is the one that the machine started with, and nothing was written over what QEMU put into memory.
pub unsafe fn read(at: usize) -> Result<(&'static [Piece], &'static [u8]), StartError> {
    let pointer = core::ptr::with_exposed_provenance::<u8>;
    // SAFETY: as the caller promises; any bytes are an `Info`.
    let info = unsafe { pointer(at).cast::<Info>().read_unaligned() };
    if info.magic != MAGIC {
        return Err(StartError::Magic);
    }
    if info.version == 0 {
        return Err(StartError::Version(info.version));
    }
    let word = |address: u64| usize::try_from(address).unwrap_or(0);
    // SAFETY: QEMU put a map of this length there, aligned to words.
    let map = unsafe {
        let pieces = pointer(word(info.memory_map)).cast();
        core::slice::from_raw_parts(pieces, info.memory_entries as usize)
    };
    let line = pointer(word(info.command_line));
    let mut bytes = 0;
    // SAFETY: a string that ends with a zero, or the first part of one that is too long; none at 0.
    let line = unsafe {
        while !line.is_null() && bytes < MAX_LINE && line.add(bytes).read() != 0 {
            bytes += 1;
        }
        if bytes == 0 { &[][..] } else { core::slice::from_raw_parts(line, bytes) }
    };
    Ok((map, line))
}

#[cfg(test)]
mod tests;
