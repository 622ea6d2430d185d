//! What lives in registers across a fault, on aarch64.

use super::registers_live_across_a_fault;
use core::arch::asm;
use runtime_core::node::Distribution;
use runtime_driver::context::Start;
use runtime_driver::rank::{Array, report};

/// Loads every register with a known value, touches a shared page, and collects what changed.
fn registers_over_a_fault(_: &Start<'_>) {
    let a = Array::<u64>::alloc(512, Distribution::Block).unwrap();
    let target = a.read(0..1).as_ptr();
    let changed: u64;
    // SAFETY: saves x18, x19 and x29 itself, which the compiler does not give away, and restores them, and FPCR.
    unsafe {
        asm!(
            "mov x30, x1",
            "stp x19, x29, [sp, #-16]!",
            "str x18, [sp, #-16]!",
            // Rounds to zero.
            "mov x0, #0xc00000",
            "msr fpcr, x0",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,29",
            "mov x\\n, #100 + \\n",
            ".endr",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "dup v\\n\\().2d, x9",
            "mov v\\n\\().d[1], x10",
            ".endr",
            "cmp x0, x0",
            // The page is all zeroes.
            "ldr x28, [x30]",
            "cset x30, ne",
            "orr x28, x28, x30",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,29",
            "sub x\\n, x\\n, #100 + \\n",
            "orr x28, x28, x\\n",
            ".endr",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "mov x0, v\\n\\().d[0]",
            "mov x1, v\\n\\().d[1]",
            "sub x0, x0, #109",
            "sub x1, x1, #110",
            "orr x28, x28, x0",
            "orr x28, x28, x1",
            ".endr",
            "mrs x0, fpcr",
            "eor x0, x0, #0xc00000",
            "orr x28, x28, x0",
            "msr fpcr, xzr",
            "ldr x18, [sp], #16",
            "ldp x19, x29, [sp], #16",
            inout("x1") target => _,
            out("x0") _, out("x2") _, out("x3") _, out("x4") _, out("x5") _, out("x6") _,
            out("x7") _, out("x8") _, out("x9") _, out("x10") _, out("x11") _, out("x12") _, out("x13") _,
            out("x14") _, out("x15") _, out("x16") _, out("x17") _, out("x20") _, out("x21") _,
            out("x22") _, out("x23") _, out("x24") _, out("x25") _, out("x26") _, out("x27") _,
            out("x28") changed, out("x30") _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _,
            out("v7") _, out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _,
            out("v14") _, out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _,
            out("v20") _, out("v21") _, out("v22") _, out("v23") _, out("v24") _, out("v25") _,
            out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _, out("v31") _,
        );
    }
    report(&[], &format!("{changed}"));
}

#[test]
fn registers_flags_and_vectors_live_across_a_fault() {
    registers_live_across_a_fault(registers_over_a_fault, "0");
}
