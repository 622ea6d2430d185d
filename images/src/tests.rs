use super::*;

/// A bzImage with this version and payload, good for nothing but parsing.
pub(crate) fn bzimage(version: &str, payload: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 1024];
    image[0x1f1] = 1;
    image[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
    image[0x300..][..version.len()].copy_from_slice(version.as_bytes());
    image[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
    image.extend_from_slice(payload);
    image
}

/// A 64-bit ELF file for x86_64: header, program headers of the given types, nothing else.
fn elf(kind: u16, segments: &[u32]) -> Vec<u8> {
    elf_for(62, kind, segments)
}

fn elf_for(machine: u16, kind: u16, segments: &[u32]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend_from_slice(&kind.to_le_bytes());
    file.extend_from_slice(&machine.to_le_bytes());
    file.extend_from_slice(&1_u32.to_le_bytes());
    file.extend_from_slice(&0_u64.to_le_bytes()); // entry
    file.extend_from_slice(&64_u64.to_le_bytes()); // program headers
    file.extend_from_slice(&0_u64.to_le_bytes()); // section headers
    file.extend_from_slice(&0_u32.to_le_bytes());
    for half in [64, 56, u16::try_from(segments.len()).unwrap(), 64, 0, 0] {
        file.extend_from_slice(&half.to_le_bytes());
    }
    for segment in segments {
        file.extend_from_slice(&segment.to_le_bytes());
        file.resize(file.len() + 52, 0);
    }
    file
}

fn options(dir: &Path) -> Options {
    let node = dir.join("node");
    fs::write(&node, elf(2, &[1])).unwrap();
    let image = dir.join("bzImage");
    fs::write(&image, bzimage("9.9-test", b"")).unwrap();
    let modules = dir.join("modules");
    fs::create_dir_all(modules.join("kernel/net")).unwrap();
    let put = |name: &str, depends: &str| {
        let path = modules.join("kernel").join(name);
        fs::write(path, modules::tests::module(depends)).unwrap();
    };
    put("virtio_mmio.ko", "virtio,virtio_ring");
    put("virtio_console.ko", "virtio");
    put("net/virtio-net.ko", "virtio,failover");
    put("net/failover.ko", "");
    put("virtio_ring.ko", "");
    put("virtio.ko", "virtio_ring");
    Options {
        arch: Arch::X86_64,
        node,
        program: None,
        out: dir.join("out"),
        cache: dir.join("cache"),
        kernel: kernel::Override { image: Some(image), modules: Some(modules) },
    }
}

#[test]
fn two_builds_give_the_same_bytes() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = build(&options(one.path())).unwrap();
    let second = build(&options(two.path())).unwrap();
    assert_eq!(first.manifest, second.manifest);
    for (a, b) in [
        (&first.initramfs, &second.initramfs),
        (&first.kernel, &second.kernel),
        (&first.manifest_path, &second.manifest_path),
    ] {
        assert_eq!(fs::read(a).unwrap(), fs::read(b).unwrap());
    }
    let names: Vec<_> = first.manifest.modules.iter().map(|m| m.name.as_str()).collect();
    let order =
        ["virtio_ring", "virtio", "virtio_mmio", "virtio_console", "failover", "virtio_net"];
    assert_eq!(names, order);
    assert_eq!(Part::of(&fs::read(&first.initramfs).unwrap()), first.manifest.initramfs);
    assert!(!first.manifest.unpacked);
}

#[test]
fn another_node_program_is_another_image() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    let first = build(&options).unwrap().manifest;
    fs::write(&options.node, elf(2, &[1, 1])).unwrap();
    let second = build(&options).unwrap().manifest;
    assert_ne!(first.node, second.node);
    assert_ne!(first.initramfs, second.initramfs);
    assert_eq!(first.kernel, second.kernel);
}

#[test]
fn a_node_program_that_cannot_be_pid_1_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    for (bytes, remedy) in [
        (b"#!/bin/sh\n".to_vec(), "no 64-bit ELF"),
        (elf(2, &[1, 3]), "+crt-static"),
        (elf(3, &[1]), "relocation-model=static"),
        (elf_for(183, 2, &[1]), "no program for x86_64"),
    ] {
        fs::write(&options.node, bytes).unwrap();
        let error = build(&options).unwrap_err().to_string();
        assert!(error.contains(remedy), "{error}");
    }
    fs::remove_file(&options.node).unwrap();
    let error = build(&options).unwrap_err().to_string();
    assert!(error.starts_with("cannot read ") && error.contains("node"), "{error}");
}

#[test]
fn an_aarch64_image_takes_its_kernel_from_the_cache_and_only_programs_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options { arch: Arch::Aarch64, ..options(dir.path()) };
    let error = build(&options).unwrap_err().to_string();
    assert!(error.contains("no program for aarch64"), "{error}");
    fs::write(&options.node, elf_for(183, 2, &[1])).unwrap();
    let error = build(&options).unwrap_err().to_string();
    assert!(error.contains("make node-aarch64"), "{error}");

    let root = options.cache.join("aarch64/root");
    let modules = options.kernel.modules.take().unwrap();
    fs::create_dir_all(root.join("lib/modules")).unwrap();
    fs::create_dir_all(root.join("boot")).unwrap();
    fs::rename(modules, root.join("lib/modules/6.1.0-arm")).unwrap();
    fs::write(root.join("boot/vmlinuz-6.1.0-arm"), b"as it came").unwrap();
    let built = build(&options).unwrap();
    assert_eq!(fs::read(built.kernel).unwrap(), b"as it came");
    assert_eq!(built.manifest.kernel_version, "6.1.0-arm");
}

#[test]
fn an_output_directory_that_cannot_be_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.out = options.node.join("out");
    let error = build(&options).unwrap_err().to_string();
    assert!(error.starts_with("cannot write "), "{error}");
}

#[test]
fn results_can_be_read_by_others() {
    let dir = tempfile::tempdir().unwrap();
    let built = build(&options(dir.path())).unwrap();
    let mode = fs::metadata(built.initramfs).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}
