use super::*;

fn spec() -> GuestSpec {
    GuestSpec {
        name: "n0".into(),
        boot: Boot::Linux {
            arch: Arch::X86_64,
            kernel: "/images/kernel".into(),
            initramfs: "/images/initramfs.cpio".into(),
            acpi: "/images/a,cpi".into(),
        },
        memory_mib: 96,
        memory: Memory::Own,
        board: None,
        cpus: 1,
        accel: Accel::Tcg,
        tsc_khz: 2_445_430,
        control: 10,
        seat: None,
        qmp: 11,
        console: Console::File("/runs/a,b/n0.log".into()),
        nics: vec![NicSpec { mac: "52:54:00:00:00:01".into(), fd: 12 }],
    }
}

#[test]
fn the_command_line_of_an_emulated_guest() {
    let expected = "\
setpriv --pdeathsig KILL -- qemu-system-x86_64
-name n0 -nodefaults -no-user-config
-no-reboot -display none
-machine microvm -global virtio-mmio.force-legacy=off
-accel tcg -cpu qemu64,+rdrand -smp 1 -m 96M
-kernel /images/kernel -initrd /images/initramfs.cpio
-append console=ttyS0 quiet panic=-1 ipv6.disable=1 pci=off
 mitigations=off nokaslr random.trust_cpu=on rcupdate.rcu_expedited=1
 cryptomgr.notests initcall_blacklist=init_kprobe_trace,load_system_certificate_list,crypto_kdf108_init,crypto_algapi_init,pci_arch_init,cmos_init
 tsc_early_khz=2445430 tsc=reliable no_timer_check acpi_rsdp=0x60000 nr_cpus=1
-device loader,file=/images/a,,cpi,addr=0x60000,force-raw=on
-chardev file,id=console,path=/runs/a,,b/n0.log -serial chardev:console
-chardev socket,id=qmp,fd=11 -mon chardev=qmp,mode=control
-device virtio-serial-device -chardev socket,id=control,fd=10
-device virtserialport,chardev=control,name=understudy.control
-netdev dgram,id=net0,local.type=fd,local.str=12
-device virtio-net-device,netdev=net0,mac=52:54:00:00:00:01,rx_queue_size=1024";
    assert_eq!(command_line(&spec()).join(" "), expected.replace("\n ", " ").replace('\n', " "));
}

#[test]
fn an_aarch64_guest_has_the_same_devices_on_another_machine() {
    let expected = "\
setpriv --pdeathsig KILL -- qemu-system-aarch64
-name n0 -nodefaults -no-user-config
-no-reboot -display none
-machine virt,gic-version=3,acpi=off -global virtio-mmio.force-legacy=off
-accel tcg -cpu cortex-a57 -smp 1 -m 96M
-kernel /arm/kernel -initrd /arm/initramfs.cpio
-append console=ttyAMA0 quiet panic=-1 ipv6.disable=1 mitigations=off nokaslr
 random.trust_bootloader=on rcupdate.rcu_expedited=1 cryptomgr.notests
 initcall_blacklist=load_system_certificate_list,crypto_kdf108_init,crypto_algapi_init";
    let boot = Boot::Linux {
        arch: Arch::Aarch64,
        kernel: "/arm/kernel".into(),
        initramfs: "/arm/initramfs.cpio".into(),
        acpi: "/images/acpi".into(),
    };
    let arm = command_line(&GuestSpec { boot, ..spec() }).join(" ");
    let x86 = command_line(&spec()).join(" ");
    let devices = &x86[x86.find(" -chardev").unwrap()..];
    let expected = expected.replace("\n ", " ").replace('\n', " ");
    assert_eq!(arm, expected + devices);
}

#[test]
fn a_bare_metal_guest_has_a_smaller_machine_and_no_kernel() {
    let expected = "\
-name n0 -nodefaults -no-user-config
-no-reboot -display none
-machine microvm,acpi=off,pit=off,pic=off,rtc=off -global virtio-mmio.force-legacy=off
-accel tcg -cpu qemu64,+rdrand -smp 1 -m 96M
-kernel /metal/node -append tsc_khz=2445430
-device isa-debug-exit,iobase=0xf4,iosize=0x04
-chardev file,id=console,path=/runs/a,,b/n0.log -serial chardev:console
-chardev socket,id=qmp,fd=11 -mon chardev=qmp,mode=control
-device virtio-serial-device -chardev socket,id=control,fd=10
-device virtserialport,chardev=control,name=understudy.control
-netdev dgram,id=net0,local.type=fd,local.str=12
-device virtio-net-device,netdev=net0,mac=52:54:00:00:00:01,rx_queue_size=1024";
    let metal = GuestSpec {
        boot: Boot::BareMetal { program: "/metal/node".into(), options: String::new() },
        ..spec()
    };
    assert_eq!(qemu_args(&metal).join(" "), expected.replace('\n', " "));
    let kvm = qemu_args(&GuestSpec { accel: Accel::Kvm, ..metal }).join(" ");
    assert!(kvm.contains("-append tsc_khz=2445430 "), "its clock has nothing else: {kvm}");
}

#[test]
fn a_template_keeps_its_memory_in_a_file_and_copies_begin_from_it() {
    let of = |memory| qemu_args(&GuestSpec { memory, ..spec() }).join(" ");
    let kept = of(Memory::Kept("/cache/a,b/ram".into()));
    let object = "-object memory-backend-file,id=memory,size=96M,mem-path=/cache/a,,b/ram,share=";
    assert!(kept.contains("-machine microvm,memory-backend=memory "), "{kept}");
    assert!(kept.contains(&format!("{object}on ")), "{kept}");
    assert!(kept.contains("-kernel /images/kernel "), "{kept}");
    let copied = of(Memory::Copied("/cache/a,b/ram".into()));
    assert!(copied.contains(&format!("{object}off -incoming defer ")), "{copied}");
    assert!(!copied.contains("-kernel"), "{copied}");
}

#[test]
fn a_board_with_memory_needs_pci() {
    let board = Some(Board { fd: 13, bytes: 1 << 24 });
    let args = qemu_args(&GuestSpec { board, ..spec() }).join(" ");
    assert!(args.contains("-machine microvm,pcie=on "), "{args}");
    assert!(!args.contains("pci=off"), "{args}");
    let object =
        "-object memory-backend-file,id=board,size=16777216,mem-path=/proc/self/fd/13,share=on";
    assert!(args.contains(&format!("{object} -device ivshmem-plain,memdev=board,")), "{args}");
}

#[test]
fn under_kvm_the_processor_is_the_hosts_and_keeps_its_own_time() {
    let args = qemu_args(&GuestSpec { accel: Accel::Kvm, ..spec() }).join(" ");
    assert!(args.contains("-accel kvm -cpu host "), "{args}");
    assert!(!args.contains("tsc"), "{args}");
}

#[test]
fn cards_and_consoles_keep_their_descriptors() {
    let mut spec = spec();
    spec.console = Console::Socket(20);
    spec.nics.push(NicSpec { mac: "52:54:00:00:00:02".into(), fd: 21 });
    let args = qemu_args(&spec).join(" ");
    assert!(args.contains("-chardev socket,id=console,fd=20 "), "{args}");
    assert!(args.contains("-netdev dgram,id=net1,local.type=fd,local.str=21 "), "{args}");
}

#[test]
fn a_guest_with_a_seat_has_a_second_control_port() {
    let args = qemu_args(&GuestSpec { seat: Some(13), ..spec() }).join(" ");
    let port =
        "-chardev socket,id=seat,fd=13 -device virtserialport,chardev=seat,name=understudy.seat";
    assert!(args.contains(port), "{args}");
}

#[test]
fn the_counters_frequency_comes_from_bogomips() {
    let cpu = "cpu MHz\t\t: 1200.000\nflags\t\t: fpu constant_tsc sse2\nbogomips\t: 4890.86\n";
    assert_eq!(tsc_khz(cpu), Some(2_445_430));
    assert_eq!(tsc_khz("flags : fpu\nbogomips\t: 4890.86\n"), None, "no constant counter");
    assert_eq!(tsc_khz("flags : constant_tsc\nbogomips : fast\n"), None);
    assert_eq!(tsc_khz("Features : fp asimd\nBogoMIPS : 50.00\n"), None, "no x86");
    assert_eq!(tsc_khz(""), None);
}
