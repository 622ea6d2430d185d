use super::backtrace;
use std::path::PathBuf;

#[inline(never)]
fn landmark(n: u32) -> u32 {
    std::hint::black_box(n).wrapping_mul(0x9e37_79b9)
}
/// The line of its only statement.
const LINE: u32 = line!() - 3;

/// Where something of this very test program stands in its file.
fn in_file(address: usize) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let first = maps.lines().find(|line| line.split_whitespace().nth(2) == Some("00000000"));
    let base = first.and_then(|line| line.split('-').next()).unwrap();
    u64::try_from(address - usize::from_str_radix(base, 16).unwrap()).unwrap()
}

fn own() -> PathBuf {
    std::env::current_exe().unwrap()
}

#[test]
fn an_address_becomes_a_function_a_file_and_a_line() {
    assert_ne!(landmark(1), 0);
    // As if the function's first byte were a call.
    let address = in_file(landmark as *const () as usize) + 1;
    let frames = backtrace(&own(), &[address]);
    // What the compiler inlined stands before the function that it went into.
    let (name, place) = frames.last().unwrap().split_once(" at ").unwrap();
    assert!(name.ends_with("backend::symbols::tests::landmark"), "{name}");
    let (file, line) = place.rsplit_once(':').unwrap();
    assert!(file.ends_with("harness/src/backend/symbols/tests.rs"), "{file}");
    assert!((LINE - 1..=LINE + 1).contains(&line.parse().unwrap()), "{line}, not {LINE}");
    assert_eq!(backtrace(&own(), &[address, address]), [frames.clone(), frames].concat());
}

#[test]
fn an_address_outside_of_the_program_stays_an_address() {
    assert_eq!(backtrace(&own(), &[0x7fff_0000_1234, 0]), ["0x7fff00001234", "0x0"]);
}

#[test]
fn a_file_that_is_no_program_is_named() {
    for file in ["/nowhere/node", "/proc/self/maps"] {
        let frames = backtrace(file.as_ref(), &[0x1000]);
        assert_eq!(frames[0], "0x1000");
        assert!(frames[1].contains("without names") && frames[1].contains(file), "{frames:?}");
    }
}
