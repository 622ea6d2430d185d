//! Functions that the compiler takes for granted.
//!
//! Copies go by words of eight bytes, for an emulated processor runs string instructions element by
//! element, and vector moves as two accesses each.

use core::arch::naked_asm;

/// Copies forwards.
///
/// # Safety
/// As C's `memcpy`; areas that overlap must have `to` below `from`.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(_to: *mut u8, _from: *const u8, _bytes: usize) -> *mut u8 {
    naked_asm!(
        "mov rax, rdi",
        "sub rdx, 32",
        "jb 3f",
        "2:",
        "mov r8, [rsi]",
        "mov r9, [rsi + 8]",
        "mov r10, [rsi + 16]",
        "mov r11, [rsi + 24]",
        "mov [rdi], r8",
        "mov [rdi + 8], r9",
        "mov [rdi + 16], r10",
        "mov [rdi + 24], r11",
        "add rsi, 32",
        "add rdi, 32",
        "sub rdx, 32",
        "jae 2b",
        "3:",
        "add rdx, 24",
        "js 5f",
        "4:",
        "mov r8, [rsi]",
        "mov [rdi], r8",
        "add rsi, 8",
        "add rdi, 8",
        "sub rdx, 8",
        "jns 4b",
        "5:",
        "add rdx, 8",
        "jz 7f",
        "6:",
        "mov cl, [rsi]",
        "mov [rdi], cl",
        "inc rsi",
        "inc rdi",
        "dec rdx",
        "jnz 6b",
        "7:",
        "ret",
    )
}

/// Copies between areas that may overlap.
///
/// # Safety
/// As C's `memmove`.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(_to: *mut u8, _from: *const u8, _bytes: usize) -> *mut u8 {
    naked_asm!(
        // Forwards unless `to` lies within `from .. from + bytes`.
        "mov rax, rdi",
        "sub rax, rsi",
        "cmp rax, rdx",
        "jae {memcpy}",
        "mov rax, rdi",
        "2:",
        "cmp rdx, 8",
        "jb 3f",
        "mov r8, [rsi + rdx - 8]",
        "mov [rdi + rdx - 8], r8",
        "sub rdx, 8",
        "jmp 2b",
        "3:",
        "test rdx, rdx",
        "jz 5f",
        "4:",
        "mov cl, [rsi + rdx - 1]",
        "mov [rdi + rdx - 1], cl",
        "dec rdx",
        "jnz 4b",
        "5:",
        "ret",
        memcpy = sym memcpy,
    )
}

/// Fills.
///
/// # Safety
/// As C's `memset`.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(_to: *mut u8, _byte: i32, _bytes: usize) -> *mut u8 {
    naked_asm!(
        "mov rax, rdi",
        "movzx esi, sil",
        "mov r8, 0x0101010101010101",
        "imul rsi, r8",
        "sub rdx, 32",
        "jb 3f",
        "2:",
        "mov [rdi], rsi",
        "mov [rdi + 8], rsi",
        "mov [rdi + 16], rsi",
        "mov [rdi + 24], rsi",
        "add rdi, 32",
        "sub rdx, 32",
        "jae 2b",
        "3:",
        "add rdx, 32",
        "jz 5f",
        "4:",
        "mov [rdi], sil",
        "inc rdi",
        "dec rdx",
        "jnz 4b",
        "5:",
        "ret",
    )
}

/// Compares.
///
/// # Safety
/// As C's `memcmp`.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(_a: *const u8, _b: *const u8, _bytes: usize) -> i32 {
    naked_asm!(
        "2:",
        "cmp rdx, 8",
        "jb 3f",
        "mov r8, [rdi]",
        "cmp r8, [rsi]",
        "jne 3f",
        "add rdi, 8",
        "add rsi, 8",
        "sub rdx, 8",
        "jmp 2b",
        // Here the rest is short, or differs within its first eight bytes.
        "3:",
        "test rdx, rdx",
        "jz 5f",
        "4:",
        "movzx eax, byte ptr [rdi]",
        "movzx ecx, byte ptr [rsi]",
        "sub eax, ecx",
        "jnz 6f",
        "inc rdi",
        "inc rsi",
        "dec rdx",
        "jnz 4b",
        "5:",
        "xor eax, eax",
        "6:",
        "ret",
    )
}

/// Compares for equality.
///
/// # Safety
/// As `memcmp`.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(_a: *const u8, _b: *const u8, _bytes: usize) -> i32 {
    naked_asm!("jmp {memcmp}", memcmp = sym memcmp)
}

/// Named by the precompiled standard crates, and never called: a panic ends the machine.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// As above.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    runtime_baremetal::power::end(true)
}
