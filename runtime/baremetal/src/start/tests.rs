use super::*;

#[test]
fn a_command_line_names_devices_and_the_clock() {
    let line = "tsc_khz=2445000 quiet virtio_mmio.device=512@0xfeb00c00:11 \
                virtio_mmio.device=512@0xfeb00e00:12\n";
    let options = Options::parse(line).unwrap();
    assert_eq!(options.tsc_khz, Some(2_445_000));
    let expected =
        [Device { address: 0xfeb0_0c00, line: 11 }, Device { address: 0xfeb0_0e00, line: 12 }];
    assert_eq!(options.devices(), expected);
    assert_eq!(Options::parse(""), Ok(Options::default()));
}

#[test]
fn bad_words_are_refused() {
    for word in ["tsc_khz=", "tsc_khz=0", "tsc_khz=fast", "tsc_khz=4294967296"] {
        assert_eq!(Options::parse(word), Err(StartError::Option("tsc_khz")), "{word}");
    }
    assert_eq!(Options::parse("drill=fire"), Err(StartError::Option("drill")));
    assert_eq!(Options::parse("drill=stack").map(|options| options.drill), Ok(Some(Drill::Stack)));
    for value in ["", "512", "512@0xfeb00e00", "512@feb00e00:12", "512@0xfeb00e01:12", "512@0x0:x"]
    {
        let word = alloc::format!("virtio_mmio.device={value}");
        assert_eq!(Options::parse(&word), Err(StartError::Option("virtio_mmio.device")), "{word}");
    }
    let many = "virtio_mmio.device=512@0xfeb00e00:12 ".repeat(33);
    assert_eq!(Options::parse(&many), Err(StartError::Devices));
}

#[test]
fn free_memory_begins_after_the_image() {
    let piece = |address, bytes, kind| Piece { address, bytes, kind, reserved: 0 };
    let map =
        [piece(0, 0x9_f000, 1), piece(0x10_0000, 0x3f0_0000, 1), piece(0x400_0000, 0x1000, 2)];
    let image = 0x10_0000..0x15_0000;
    assert_eq!(free_memory(&map, &image), Ok(0x15_0000..0x400_0000));
    assert_eq!(free_memory(&map[..1], &image), Err(StartError::Memory(0x10_0000)));
    assert_eq!(free_memory(&map, &(0x3ff_0000..0x400_0001)), Err(StartError::Memory(0x3ff_0000)));
}
