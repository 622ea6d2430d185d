use super::*;

/// A function that the table has no row for, and that nobody removes.
#[inline(never)]
fn here() -> Vec<u8> {
    std::fs::read(std::env::current_exe().unwrap()).unwrap()
}

#[test]
fn a_real_program_is_measured() {
    let program = here();
    let found = measure(&program).unwrap();
    assert!(found.text > 0 && found.rodata > 0 && found.data > 0 && found.bss > 0);
    // Some code has no symbol, none has two.
    let named: u64 = found.modules.values().sum();
    assert!(named <= found.text && named > found.text / 2, "{named} of {}", found.text);
    assert!(found.loaded() < program.len() as u64);
    // This very crate is in no row, and serde is in one.
    assert!(found.modules[OTHER] > 0 && found.modules[RUST] > 0);
    assert!(found.modules["control protocol"] > 0);
    let table = found.to_string();
    assert!(table.contains(&format!("\n  text: other           {:>9}\n", found.modules[OTHER])));
}

#[test]
fn code_belongs_to_whom_its_name_says() {
    let rows = [
        ("runtime_core::link::Link::tick", "link"),
        ("<runtime_core::mcapi::Status as core::fmt::Debug>::fmt", "mcapi"),
        ("<alloc::vec::Vec<runtime_core::sdsm::runs::Run>>::push", "sdsm"),
        ("core::ptr::drop_in_place::<runtime_core::node::Node>", "node"),
        (
            "<core::marker::PhantomData<T> as serde_core::de::DeserializeSeed>::deserialize",
            "control protocol",
        ),
        ("runtime_core::linker::none", "rest of the core"),
        ("runtime::rank::enter", "workloads"),
        ("core::fmt::write", RUST),
        ("memcpy", OTHER),
    ];
    for (name, row) in rows {
        assert_eq!(module(name), row, "{name}");
    }
}

#[test]
fn the_communication_is_three_rows() {
    let modules = BTreeMap::from([("wire", 1), ("link", 20), ("mcapi", 300), ("sdsm", 4000)]);
    let found = Footprint { modules, ..Footprint::default() };
    assert_eq!(found.communication(), 321);
}

#[test]
fn what_is_no_program_is_refused() {
    assert!(matches!(measure(b"#!/bin/sh\n"), Err(Unmeasured::Format(_))));
}

#[test]
fn a_guest_says_in_the_end_how_much_memory_it_used() {
    let console = "understudy: node n0 listens at 52:54:00:00:00:01, image 00\r\n\
        memory: 812 KiB at most\r\nmemory: 13652 KiB at most\r\n";
    assert_eq!(peak_kib(console), Some(13_652));
    for silent in ["", "memory: KiB at most", "memory: 7 KiB", "out of memory: 7 KiB at most"] {
        assert_eq!(peak_kib(silent), None, "{silent}");
    }
}
