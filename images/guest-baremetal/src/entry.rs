//! From QEMU's hands into Rust: 32-bit protected mode without paging, `ebx` = address of the PVH start
//! information, to 64-bit mode with the first 4 GiB mapped to themselves.

use core::arch::global_asm;
use core::panic::PanicInfo;
use runtime_baremetal::fatal;
use runtime_baremetal::image::Image;

global_asm!(
    r#"
    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 4, 18              // name, description: 4 bytes each; XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long boot_entry

    .section .text.boot, "ax", @progbits
    .code32
    .global boot_entry
boot_entry:
    cli
    cld
    mov edi, offset image_bss_start
    mov ecx, offset image_end
    sub ecx, edi
    shr ecx, 2
    xor eax, eax
    rep stosd
    mov esi, offset image_values
    mov edi, offset image_data_start
    mov ecx, offset image_data_end
    sub ecx, edi
    shr ecx, 2
    rep movsd

    // 2048 pages of 2 MiB, in four page directories one after the other.
    mov edi, offset BOOT_TABLES + 0x2000
    mov eax, 0x83               // present, writable, large
    xor ecx, ecx
2:  mov [edi + ecx * 8], eax
    add eax, 0x200000
    inc ecx
    cmp ecx, 2048
    jne 2b
    mov edi, offset BOOT_TABLES
    lea eax, [edi + 0x1003]
    mov [edi], eax
    lea eax, [edi + 0x2003]
    mov [edi + 0x1000], eax
    add eax, 0x1000
    mov [edi + 0x1008], eax
    add eax, 0x1000
    mov [edi + 0x1010], eax
    add eax, 0x1000
    mov [edi + 0x1018], eax
    mov cr3, edi

    mov eax, 0x620              // PAE, and SSE with its exceptions
    mov cr4, eax
    mov ecx, 0xc0000080         // EFER: long mode, no-execute
    rdmsr
    or eax, 0x900
    wrmsr
    mov eax, 0x80010033         // paging, write protection, native x87 errors, x87 there, protected
    mov cr0, eax
    lgdt [boot_gdt_pointer]
    mov esp, offset image_host_stack_end
    push 8
    mov eax, offset boot_long
    push eax
    retf

    .code64
boot_long:
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    fninit
    mov edi, ebx
    xor ebp, ebp
    call {start}
    ud2

    .section .rodata.boot, "a", @progbits
    .balign 8
boot_gdt:
    .quad 0, 0x00af9b000000ffff
boot_gdt_pointer:
    .word 15
    .long boot_gdt

    .section .bss.boot, "aw", @nobits
    .balign 4096
    .global BOOT_TABLES
BOOT_TABLES:
    .skip 0x6000
    .text
    "#,
    start = sym start,
);

// SAFETY: symbols of the linker script, of which only the addresses are taken.
unsafe extern "C" {
    static image_start: u8;
    static image_text_end: u8;
    static image_rodata_end: u8;
    static image_fatal_stack: u8;
    static image_fatal_stack_end: u8;
    static image_trap_stack: u8;
    static image_trap_stack_end: u8;
    static image_host_stack: u8;
    static image_host_stack_end: u8;
    static image_end: u8;
}

extern "C" fn start(info: usize) -> ! {
    let image = Image {
        start: (&raw const image_start).addr(),
        text_end: (&raw const image_text_end).addr(),
        rodata_end: (&raw const image_rodata_end).addr(),
        fatal_stack: (&raw const image_fatal_stack).addr()
            ..(&raw const image_fatal_stack_end).addr(),
        trap_stack: (&raw const image_trap_stack).addr()..(&raw const image_trap_stack_end).addr(),
        host_stack: (&raw const image_host_stack).addr()..(&raw const image_host_stack_end).addr(),
        end: (&raw const image_end).addr(),
    };
    crate::node::run(info, image)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    fatal::panicked(info)
}
