use super::*;

/// A table's bytes, by its address.
fn at(all: &[u8], address: u64) -> &[u8] {
    let from = usize::try_from(address).unwrap() - BASE as usize;
    let length = u32::from_le_bytes(all[from + 4..from + 8].try_into().unwrap());
    &all[from..from + length as usize]
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

#[test]
fn the_root_leads_to_tables_whose_sums_are_right() {
    let all = tables();
    assert_eq!(&all[..8], b"RSD PTR ");
    assert_eq!([sum_to_zero(&all[..20]), sum_to_zero(&all[..36])], [0, 0]);
    let list = at(&all, word(&all, 24));
    let (fadt, madt) = (at(&all, word(list, 36)), at(&all, word(list, 44)));
    let dsdt = at(&all, word(fadt, 140));
    let found = [list, fadt, madt, dsdt];
    assert_eq!(found.map(|t| &t[..4]), [b"XSDT", b"FACP", b"APIC", b"DSDT"]);
    assert_eq!(found.map(sum_to_zero), [0; 4]);
    assert_eq!(fadt.len(), 268, "revision 5 has this size");
}

#[test]
fn the_hardware_is_not_reduced_for_then_linux_takes_no_pit() {
    let all = tables();
    let fadt = at(&all, word(at(&all, word(&all, 24)), 36));
    let flags = u32::from_le_bytes(fadt[112..116].try_into().unwrap());
    assert_eq!(flags >> 20 & 1, 0);
}

#[test]
fn lengths_of_aml_count_themselves() {
    assert_eq!(sized(&[7; 62])[0], 63);
    assert_eq!(sized(&[7; 63])[..2], [0x41, 4], "65: 1 and 4 sixteens");
    assert_eq!(sized(&[7; 2000]).len(), 2002);
    assert_eq!(sized(&[7; 2000])[..2], [0x42, 125], "2002: 2 and 125 sixteens");
}
