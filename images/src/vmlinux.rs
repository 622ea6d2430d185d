//! Takes the kernel proper out of a bzImage.
//!
//! A bzImage unpacks itself at every boot, which costs an emulated guest about half a second. The
//! host does it once; QEMU enters the result through the kernel's PVH note.
//! See the kernel's `Documentation/arch/x86/boot.rst`.

use object::Endianness;
use object::read::elf::{ElfFile64, ProgramHeader};

#[cfg(test)]
mod tests;

/// Type of the ELF note with the PVH entry point (`XEN_ELFNOTE_PHYS32_ENTRY`).
const PVH_ENTRY: u32 = 18;
/// First bytes of LZ4 in the form that kernels use: blocks, each behind its length.
const LZ4_LEGACY: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
/// Size of an unpacked block of that form.
const LZ4_BLOCK: usize = 8 << 20;

/// The fields of a bzImage that matter here.
#[derive(Debug)]
pub(crate) struct BzImage<'a> {
    bytes: &'a [u8],
}

impl<'a> BzImage<'a> {
    /// A checked view, or `None` when it is no bzImage.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        let magic = bytes.get(0x202..0x206)? == b"HdrS" && bytes.get(0x1fe..0x200)? == [0x55, 0xaa];
        magic.then_some(Self { bytes })
    }

    /// What `uname -r` would say.
    pub(crate) fn version(&self) -> Option<&'a str> {
        let at = usize::from(u16::from_le_bytes(self.bytes.get(0x20e..0x210)?.try_into().ok()?));
        let text = self.bytes.get(at + 0x200..)?;
        let text = &text[..text.iter().position(|b| *b == 0 || *b == b' ')?];
        str::from_utf8(text).ok().filter(|t| !t.is_empty())
    }

    /// The packed kernel.
    fn payload(&self) -> Option<&'a [u8]> {
        let sectors = match self.bytes.get(0x1f1)? {
            0 => 4,
            n => usize::from(*n),
        };
        let start = (sectors + 1) * 512 + self.long(0x248)?;
        self.bytes.get(start..start.checked_add(self.long(0x24c)?)?)
    }

    fn long(&self, at: usize) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.bytes.get(at..at + 4)?.try_into().ok()?)).ok()
    }
}

/// The kernel proper, when it can be booted as it is: packed with LZ4 and with a PVH entry.
/// Otherwise `None`; the bzImage itself boots too, only slower.
pub(crate) fn unpack(image: &[u8]) -> Option<Vec<u8>> {
    let payload = BzImage::new(image)?.payload()?;
    // Behind the packed bytes stands the unpacked size.
    let (packed, size) = payload.split_last_chunk::<4>()?;
    let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
    let kernel = unpack_lz4(packed)?;
    (kernel.len() == size && has_pvh_entry(&kernel)).then_some(kernel)
}

fn unpack_lz4(packed: &[u8]) -> Option<Vec<u8>> {
    let mut rest = packed.strip_prefix(&LZ4_LEGACY)?;
    let mut out = Vec::new();
    let mut block = vec![0; LZ4_BLOCK];
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (packed, tail) = tail.split_at_checked(length)?;
        let n = lz4_flex::block::decompress_into(packed, &mut block).ok()?;
        out.extend_from_slice(&block[..n]);
        rest = tail;
    }
    rest.is_empty().then_some(out)
}

fn has_pvh_entry(kernel: &[u8]) -> bool {
    let Ok(file) = ElfFile64::<Endianness>::parse(kernel) else { return false };
    let endian = file.endian();
    file.elf_program_headers().iter().any(|segment| {
        let Ok(Some(mut notes)) = segment.notes(endian, kernel) else { return false };
        std::iter::from_fn(|| notes.next().ok().flatten())
            .any(|note| note.name() == b"Xen" && note.n_type(endian) == PVH_ENTRY)
    })
}
