use super::{Captured, Writer};
use netem::Way;

/// A packet as a reader of the format sees it: interface, nanoseconds, bytes, comment.
pub(crate) type Packet = (u32, u64, Vec<u8>, Option<String>);

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The options of a block, from here to their end.
fn options(mut bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut found = Vec::new();
    loop {
        let (code, len) = (u16_at(bytes, 0), usize::from(u16_at(bytes, 2)));
        if code == 0 {
            assert_eq!((len, bytes.len()), (0, 4), "nothing comes after the end");
            return found;
        }
        found.push((code, bytes[4..4 + len].to_vec()));
        bytes = &bytes[4 + len.next_multiple_of(4)..];
    }
}

/// Reads a file from the format's description: the names of its interfaces, and its packets.
pub(crate) fn read(mut file: &[u8]) -> (Vec<String>, Vec<Packet>) {
    let (mut interfaces, mut packets) = (Vec::new(), Vec::new());
    assert_eq!(u32_at(file, 0), 0x0a0d_0d0a, "it begins with a section");
    while !file.is_empty() {
        let (kind, len) = (u32_at(file, 0), usize::try_from(u32_at(file, 4)).unwrap());
        assert_eq!(len % 4, 0);
        assert_eq!(u32_at(file, len - 4), u32_at(file, 4), "the length stands at both ends");
        let body = &file[8..len - 4];
        match kind {
            0x0a0d_0d0a => {
                assert_eq!((u32_at(body, 0), u16_at(body, 4)), (0x1a2b_3c4d, 1));
                options(&body[16..]);
            }
            1 => {
                assert_eq!(u16_at(body, 0), 1, "Ethernet");
                let options = options(&body[8..]);
                let find = |code| options.iter().find(|(c, _)| *c == code).unwrap().1.clone();
                assert_eq!(find(9), [9], "nanoseconds");
                let [name, words] = [find(2), find(3)].map(|b| String::from_utf8(b).unwrap());
                interfaces.push(format!("{name}: {words}"));
            }
            6 => {
                let at = u64::from(u32_at(body, 4)) << 32 | u64::from(u32_at(body, 8));
                let size = usize::try_from(u32_at(body, 12)).unwrap();
                let options = options(&body[20 + size.next_multiple_of(4)..]);
                let comment = options.into_iter().find(|(code, _)| *code == 1);
                let comment = comment.map(|(_, text)| String::from_utf8(text).unwrap());
                packets.push((u32_at(body, 0), at, body[20..20 + size].to_vec(), comment));
            }
            other => panic!("block {other}"),
        }
        file = &file[len..];
    }
    (interfaces, packets)
}

#[test]
fn what_is_written_is_read_again() {
    let mut file = Vec::new();
    let ways = ["from n0", "to n0"].map(str::to_owned);
    let mut writer = Writer::new(&mut file, "n0-sw0", &ways, 1_700_000_000_000_000_000).unwrap();
    let captured = |at_ns, way, len, comment: Option<&str>| Captured {
        at_ns,
        line: 0,
        way,
        frame: (0..len).collect(),
        comment: comment.map(str::to_owned),
    };
    writer.frame(&captured(1, Way::Up, 61, None)).unwrap();
    writer.frame(&captured(5_000_000_000, Way::Down, 64, Some("dropped: loss"))).unwrap();
    writer.flush().unwrap();
    let (interfaces, packets) = read(&file);
    assert_eq!(interfaces, ["n0-sw0 up: from n0", "n0-sw0 down: to n0"]);
    let second = Some("dropped: loss".to_owned());
    assert_eq!(
        packets,
        [
            (0, 1_700_000_000_000_000_001, (0..61).collect(), None),
            (1, 1_700_000_005_000_000_000, (0..64).collect(), second),
        ]
    );
}
