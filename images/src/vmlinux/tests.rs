use super::*;
use crate::tests::bzimage;

/// Smallest ELF file with one `PT_NOTE` that holds the PVH note.
fn kernel(note_type: u32) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(64, 0);
    file[16..18].copy_from_slice(&2_u16.to_le_bytes());
    file[18..20].copy_from_slice(&62_u16.to_le_bytes());
    file[32] = 64; // program headers
    file[54] = 56;
    file[56] = 1;
    let note = [4, 4, note_type, u32::from_le_bytes(*b"Xen\0"), 0x100_0000];
    let size = 4 * note.len() as u64;
    file.extend_from_slice(&4_u32.to_le_bytes()); // PT_NOTE
    file.extend_from_slice(&4_u32.to_le_bytes());
    for long in [120, 0, 0, size, size, 4] {
        file.extend_from_slice(&u64::to_le_bytes(long));
    }
    file.extend(note.iter().flat_map(|n| n.to_le_bytes()));
    file
}

fn packed(kernel: &[u8]) -> Vec<u8> {
    let mut out = LZ4_LEGACY.to_vec();
    for block in kernel.chunks(100) {
        let block = lz4_flex::block::compress(block);
        out.extend_from_slice(&u32::try_from(block.len()).unwrap().to_le_bytes());
        out.extend_from_slice(&block);
    }
    out.extend_from_slice(&u32::try_from(kernel.len()).unwrap().to_le_bytes());
    out
}

#[test]
fn a_kernel_with_a_pvh_entry_is_unpacked() {
    let kernel = kernel(PVH_ENTRY);
    assert_eq!(unpack(&bzimage("9.9", &packed(&kernel))), Some(kernel));
}

#[test]
fn a_kernel_without_one_stays_packed() {
    assert_eq!(unpack(&bzimage("9.9", &packed(&kernel(1)))), None);
}

#[test]
fn other_packings_and_damage_stay_packed_and_never_panic() {
    assert_eq!(unpack(b""), None);
    assert_eq!(unpack(&bzimage("9.9", b"\x1f\x8b gzip")), None);
    let whole = bzimage("9.9", &packed(&kernel(PVH_ENTRY)));
    for length in 0..whole.len() {
        assert_eq!(unpack(&whole[..length]), None);
    }
    for at in 0x1f1..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        let _ = unpack(&damaged);
    }
}

#[test]
fn the_version_ends_at_the_first_blank() {
    let image = bzimage("6.1.0-56-cloud-amd64 (debian-kernel) #1 SMP", b"");
    assert_eq!(BzImage::new(&image).unwrap().version(), Some("6.1.0-56-cloud-amd64"));
    assert_eq!(BzImage::new(&bzimage("", b"")).unwrap().version(), None);
}
