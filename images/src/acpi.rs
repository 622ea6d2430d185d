//! The tables by which an emulated Linux guest finds its devices, in place of those that QEMU makes for `microvm`.
//!
//! QEMU's say that the hardware is "reduced", and then Linux touches no timer but that of its processor. It measures
//! how fast that one runs while it boots; held up meanwhile, it measures nonsense, and at the worst (100 ms between
//! the start of the measurement and its first look, `calibrate_APIC_clock`) it finds the timer too slow, gives it up,
//! and has none: the guest stands still at the first thing that it waits for. With these tables it also takes the
//! PIT that `microvm` has, checks the measurement against it, and stays with the PIT where they disagree.
//!
//! The guest is told by `acpi_rsdp` where they are. Numbers of sections are those of the ACPI specification, 6.4.

/// Where the tables are in the guest's memory: free, and below the first megabyte, which Linux leaves alone.
pub(crate) const BASE: u32 = 0x6_0000;

/// Most processors of a guest. Linux is told by `nr_cpus` how many there are.
const CPUS: u8 = 16;
/// What QEMU's `microvm` has, and where (`include/hw/i386/microvm.h`).
const DEVICES: u8 = 24;
const DEVICE_BASE: u32 = 0xfeb0_0000;
const DEVICE_BYTES: u32 = 512;
const LOCAL_APIC: u32 = 0xfee0_0000;
const IO_APICS: [(u8, u32, u32); 2] = [(0, 0xfec0_0000, 0), (1, 0xfec1_0000, 24)];
/// The registers that end the machine.
const SLEEP_CONTROL: u32 = 0xfea0_0200;
const RESET: u32 = SLEEP_CONTROL + 2;
const RESET_VALUE: u8 = 0x42;
/// Power off: sleep type 5, and go.
const SLEEP_NOW: u8 = 5 << 2 | 1 << 5;
/// Registers that must be named and that nobody has: ports where nothing answers, an interrupt that never comes.
const EVENT_PORT: u32 = 0x600;
const CONTROL_PORT: u32 = 0x604;
const EVENT_IRQ: u16 = 10;

/// All of them; to be put at [`BASE`].
pub(crate) fn tables() -> Vec<u8> {
    // The root pointer comes first.
    let mut all = vec![0; 64];
    let dsdt = put(&mut all, &table(*b"DSDT", 2, &devices()));
    let fadt = put(&mut all, &table(*b"FACP", 5, &fixed(dsdt)));
    let madt = put(&mut all, &table(*b"APIC", 1, &interrupts()));
    let list = [u64::from(fadt).to_le_bytes(), u64::from(madt).to_le_bytes()].concat();
    let xsdt = put(&mut all, &table(*b"XSDT", 1, &list));
    // 5.2.5.3: two sums, over what revision 0 had and over all.
    let mut root = *b"RSD PTR \0UNDRST\x02\0\0\0\0\x24\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    root[24..32].copy_from_slice(&u64::from(xsdt).to_le_bytes());
    root[8] = sum_to_zero(&root[..20]);
    root[32] = sum_to_zero(&root);
    all[..root.len()].copy_from_slice(&root);
    all
}

/// Appends a table; returns its address.
fn put(all: &mut Vec<u8>, table: &[u8]) -> u32 {
    all.resize(all.len().next_multiple_of(16), 0);
    // A few KiB.
    let offset = u32::try_from(all.len()).unwrap_or(u32::MAX);
    all.extend(table);
    BASE + offset
}

/// 5.2.6: a body under its header.
fn table(signature: [u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(36 + body.len()).unwrap_or(u32::MAX);
    let mut table = signature.to_vec();
    table.extend(length.to_le_bytes());
    table.extend([revision, 0]);
    table.extend(b"UNDRSTMICROVM \x01\0\0\0UNDR\x01\0\0\0");
    table.extend(body);
    table[9] = sum_to_zero(&table);
    table
}

fn sum_to_zero(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_sub(*byte))
}

/// 5.2.9, without its header: the fixed hardware, of which there is next to none. What matters is that the flag
/// "hardware-reduced" is not set.
fn fixed(dsdt: u32) -> Vec<u8> {
    let mut body = vec![0; 232];
    let mut set = |at: usize, bytes: &[u8]| body[at - 36..][..bytes.len()].copy_from_slice(bytes);
    set(40, &dsdt.to_le_bytes());
    set(46, &EVENT_IRQ.to_le_bytes());
    set(56, &EVENT_PORT.to_le_bytes());
    set(64, &CONTROL_PORT.to_le_bytes());
    set(88, &[4, 2]);
    // Caches are coherent; no fixed buttons and no fixed clock; there is a reset register.
    set(112, &0x471_u32.to_le_bytes());
    set(116, &address(0, 8, 1, RESET));
    set(128, &[RESET_VALUE]);
    set(140, &u64::from(dsdt).to_le_bytes());
    set(148, &address(1, 32, 2, EVENT_PORT));
    set(172, &address(1, 16, 2, CONTROL_PORT));
    body
}

/// 5.2.3.2: a register in memory (0) or among the ports (1), so many bits wide, to be used in pieces of this size.
fn address(space: u8, bits: u8, piece: u8, address: u32) -> [u8; 12] {
    let mut bytes = [space, bits, 0, piece, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes[4..8].copy_from_slice(&address.to_le_bytes());
    bytes
}

/// 5.2.12, without its header: processors and interrupt controllers. QEMU's PIT is at the third pin.
fn interrupts() -> Vec<u8> {
    let mut body = LOCAL_APIC.to_le_bytes().to_vec();
    body.extend(1_u32.to_le_bytes());
    for cpu in 0..CPUS {
        body.extend([0, 8, cpu, cpu, 1, 0, 0, 0]);
    }
    for (id, address, first) in IO_APICS {
        body.extend([1, 12, id, 0]);
        body.extend(address.to_le_bytes());
        body.extend(first.to_le_bytes());
    }
    body.extend([2, 10, 0, 0, 2, 0, 0, 0, 0, 0]);
    body.extend([4, 6, 0xff, 0, 0, 1]);
    body
}

/// 20.2: the devices, and how to power off, in AML. `_PTS` is run right before Linux would power off by registers
/// that this machine does not have.
fn devices() -> Vec<u8> {
    let mut bus = b"\\_SB_".to_vec();
    (0..DEVICES).for_each(|slot| bus.extend(device(slot)));
    let mut aml = [&[0x10][..], &sized(&bus)].concat();
    // Name (_S5, Package () { 5, 0, 0, 0 })
    aml.extend([b"\x08_S5_\x12".as_slice(), &sized(&[4, 0x0a, 5, 0, 0, 0])].concat());
    // OperationRegion (SLPR, SystemMemory, …, 1); Field (SLPR, ByteAcc, NoLock, Preserve) { SLPC, 8 }
    aml.extend(b"\x5b\x80SLPR\x00\x0c");
    aml.extend(SLEEP_CONTROL.to_le_bytes());
    aml.extend(b"\x01\x5b\x81");
    aml.extend(sized(b"SLPR\x01SLPC\x08"));
    // Method (_PTS, 1) { If (Arg0 == 5) { SLPC = … } }
    let store = [&[0x93, 0x68, 0x0a, 5, 0x70, 0x0a, SLEEP_NOW][..], b"SLPC"].concat();
    aml.push(0x14);
    aml.extend(sized(&[b"_PTS\x01\xa0".as_slice(), &sized(&store)].concat()));
    aml
}

/// Device (VRnn): a place for a virtio device. Linux looks whether there is one.
fn device(slot: u8) -> Vec<u8> {
    let (base, irq) = (DEVICE_BASE + u32::from(slot) * DEVICE_BYTES, 24 + u32::from(slot));
    // 6.4.3.4 and 6.4.3.6: its registers, and its interrupt, by level, high.
    let mut resources = vec![0x86, 9, 0, 1];
    resources.extend(base.to_le_bytes());
    resources.extend(DEVICE_BYTES.to_le_bytes());
    resources.extend([0x89, 6, 0, 1, 1]);
    resources.extend(irq.to_le_bytes());
    resources.extend([0x79, 0]);
    // A few bytes.
    let length = u8::try_from(resources.len()).unwrap_or(u8::MAX);
    let buffer = [&[0x0a, length][..], &resources].concat();
    let mut body = vec![b'V', b'R', b'0' + slot / 10, b'0' + slot % 10];
    body.extend(b"\x08_HID\x0dLNRO0005\0\x08_UID\x0a");
    body.push(slot);
    body.extend(b"\x08_CCA\x01\x08_CRS\x11");
    body.extend(sized(&buffer));
    [&[0x5b, 0x82][..], &sized(&body)].concat()
}

/// 20.2.4: bytes behind their length, which counts itself.
fn sized(bytes: &[u8]) -> Vec<u8> {
    let mut out = match bytes.len() {
        // Six bits; or four, and one byte more.
        n if n + 1 < 64 => vec![low(n + 1)],
        n => vec![0x40 | low(n + 2) & 0xf, low((n + 2) >> 4)],
    };
    out.extend(bytes);
    out
}

fn low(n: usize) -> u8 {
    n.to_le_bytes()[0]
}

#[cfg(test)]
mod tests;
