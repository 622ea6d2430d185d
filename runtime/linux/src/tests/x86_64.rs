//! What lives in registers across a fault, on x86_64.

use super::{registers_live_across_a_fault, reported, run_lone, started};
use core::arch::asm;
use core::sync::atomic::Ordering::SeqCst;
use runtime_core::node::Distribution;
use runtime_driver::context::Start;
use runtime_driver::rank::{Array, report};

/// Changed bits of registers; then both words of the red zone, which pushes of the signal or the
/// trampoline would have overwritten.
const EXPECTED: &str = "0 777 888";

/// Loads every register with a known value, touches a shared page, and counts what changed.
fn registers_over_a_fault(_: &Start<'_>) {
    let a = Array::<u64>::alloc(512, Distribution::Block).unwrap();
    let target = a.read(0..1).as_ptr();
    let (changed, zone, flags): (u64, u64, u64);
    // SAFETY: saves rbx and rbp itself, which the compiler does not give away, and restores them.
    unsafe {
        asm!(
            "push rbx", "push rbp",
            "mov rdi, {target}",
            "mov rax, 101", "mov rbx, 102", "mov rcx, 103", "mov rdx, 104", "mov rsi, 105",
            "mov rbp, 106", "mov r8, 108", "mov r9, 109", "mov r10, 110", "mov r11, 111",
            "mov r12, 112", "mov r13, 113", "mov r14, 114",
            // The red zone, the flags and vector registers are live too.
            "mov qword ptr [rsp - 8], 777", "mov qword ptr [rsp - 128], 888",
            "movq xmm0, r8", "movq xmm15, r9",
            "std", "stc",
            "mov r15, [rdi]",
            "cld",
            "setc r15b", "movzx r15, r15b", "xor r15, 1",
            "sub rax, 101", "or r15, rax", "sub rbx, 102", "or r15, rbx", "sub rcx, 103", "or r15, rcx",
            "sub rdx, 104", "or r15, rdx", "sub rsi, 105", "or r15, rsi", "sub rbp, 106", "or r15, rbp",
            "sub r8, 108", "or r15, r8", "sub r9, 109", "or r15, r9", "sub r10, 110", "or r15, r10",
            "sub r11, 111", "or r15, r11", "sub r12, 112", "or r15, r12", "sub r13, 113", "or r15, r13",
            "sub r14, 114", "or r15, r14",
            "movq rax, xmm0", "sub rax, 108", "or r15, rax",
            "movq rax, xmm15", "sub rax, 109", "or r15, rax",
            "mov rcx, [rsp - 8]", "mov rdx, [rsp - 128]",
            "pop rbp", "pop rbx",
            target = in(reg) target,
            out("rax") _, out("rcx") zone, out("rdx") flags, out("rsi") _, out("rdi") _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _, out("r13") _,
            out("r14") _, out("r15") changed, out("xmm0") _, out("xmm15") _,
        );
    }
    report(&[], &format!("{changed} {zone} {flags}"));
}

#[test]
fn registers_flags_and_red_zone_live_across_a_fault() {
    registers_live_across_a_fault(registers_over_a_fault, EXPECTED);
}

#[target_feature(enable = "avx")]
fn wide(a: &Array<u64>) -> [u64; 8] {
    use core::arch::x86_64::{_mm256_set1_epi64x, _mm256_storeu_si256};
    let (mut low, mut high) = ([0_u64; 4], [0_u64; 4]);
    let (x, y) = (_mm256_set1_epi64x(0x1111), _mm256_set1_epi64x(0x2222));
    let (mut x, mut y) = (x, y);
    // SAFETY: touches one readable word while the two registers are live, as asm operands.
    unsafe {
        asm!("mov {t}, [{p}]", t = out(reg) _, p = in(reg) a.read(0..1).as_ptr(), inout("ymm3") x, inout("ymm12") y);
        _mm256_storeu_si256(low.as_mut_ptr().cast(), x);
        _mm256_storeu_si256(high.as_mut_ptr().cast(), y);
    }
    let mut all = [0; 8];
    all[..4].copy_from_slice(&low);
    all[4..].copy_from_slice(&high);
    all
}

#[test]
fn wide_registers_live_across_a_fault_and_old_processors_do_without() {
    if std::arch::is_x86_feature_detected!("avx") {
        let mut host = started(|_| {
            let a = Array::<u64>::alloc(512, Distribution::Block).unwrap();
            // SAFETY: the test asked for AVX.
            let words = unsafe { wide(&a) };
            report(&[], &format!("{words:x?}"));
        });
        let (requests, faults) = run_lone(&mut host);
        assert_eq!(requests, [reported("[1111, 1111, 1111, 1111, 2222, 2222, 2222, 2222]")]);
        assert_eq!(faults.len(), 1);
    } else {
        println!("this processor has no AVX: only the narrow registers are shown");
    }
    // As on a processor without xsave. In this test, for no other one has wide registers to lose.
    let bytes = crate::arch::XSAVE_BYTES.swap(0, SeqCst);
    registers_live_across_a_fault(registers_over_a_fault, EXPECTED);
    crate::arch::XSAVE_BYTES.store(bytes, SeqCst);
}
