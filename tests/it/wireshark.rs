//! The dissector's numbers are those of the runtime.

use std::collections::BTreeMap;
use tests::workspace;

fn read(path: &str) -> String {
    std::fs::read_to_string(workspace().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// `NAME` as the dissector writes it.
fn name(word: &str) -> String {
    word.to_lowercase().replace('_', "-")
}

/// `const NAME: u8 = 1;` of a source file, of names with this beginning, without it.
fn constants(path: &str, prefix: &str) -> BTreeMap<u64, String> {
    let text = read(path);
    let constant = |line: &str| {
        let rest = line.trim().trim_start_matches("pub ").strip_prefix("const ")?;
        let (word, value) = rest.split_once(": u8 = ")?;
        let value = value.strip_suffix(';')?.parse().ok()?;
        Some((value, name(word.strip_prefix(prefix)?)))
    };
    text.lines().filter_map(constant).collect()
}

/// `NAME = { [1] = "word", … }` of the dissector.
fn table(lua: &str, which: &str) -> BTreeMap<u64, String> {
    let start = lua.find(&format!("local {which} = {{")).unwrap_or_else(|| panic!("no {which}"));
    let body = &lua[start..start + lua[start..].find('}').unwrap()];
    let entry = |entry: &str| {
        let (number, rest) = entry.split_once("] = \"")?;
        Some((number.parse().ok()?, rest.split_once('"')?.0.to_owned()))
    };
    body.split('[').filter_map(entry).collect()
}

/// A number of the dissector.
fn number(lua: &str, which: &str) -> String {
    let line = lua.lines().find_map(|l| l.strip_prefix(&format!("local {which} = ")));
    line.unwrap_or_else(|| panic!("no {which}")).to_lowercase()
}

#[test]
fn the_dissector_knows_every_kind_of_frame_by_its_number() {
    let lua = read("harness/wireshark/understudy.lua");
    let link = "runtime/core/src/link/frame.rs";
    assert_eq!(table(&lua, "KINDS"), constants(link, "KIND_"));
    let membership = constants("runtime/core/src/membership/message.rs", "");
    assert_eq!(table(&lua, "MEMBERSHIP"), membership);
    let mcapi = constants("runtime/core/src/mcapi/frame.rs", "");
    assert!(mcapi.len() > 15, "{mcapi:?}");
    assert_eq!(table(&lua, "MCAPI"), mcapi);
    // Of the shared memory, the numbers stand where a message is read.
    let text = read("runtime/core/src/sdsm/message.rs");
    let read_as = |line: &str| {
        let (number, rest) = line.trim().split_once(" => ")?;
        let rest = rest.trim_start_matches("{ ").strip_prefix("Self::")?;
        let word: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
        Some((number.parse().ok()?, word.to_lowercase()))
    };
    let mut sdsm: BTreeMap<u64, String> = text.lines().filter_map(read_as).collect();
    // The arms that take several lines.
    for (number, word) in table(&lua, "SDSM") {
        let arm = text.split(&format!("            {number} => ")).nth(1).expect("an arm");
        let named = arm.split("Self::").nth(1).unwrap().to_lowercase();
        assert!(named.starts_with(&word), "{number} is {named:.20}, not {word}");
        sdsm.insert(number, word);
    }
    assert_eq!(table(&lua, "SDSM"), sdsm);
}

#[test]
fn the_dissector_knows_where_the_frames_begin() {
    let lua = read("harness/wireshark/understudy.lua");
    let value = |path: &str, what: &str| {
        let text = read(path);
        let found = text.lines().find_map(|line| line.split_once(&format!("{what} = ")));
        found.unwrap_or_else(|| panic!("no {what}")).1.trim_end_matches(';').to_lowercase()
    };
    let link = "runtime/core/src/link/frame.rs";
    assert_eq!(number(&lua, "ETHERTYPE"), value(link, "const ETHERTYPE: u16"));
    assert_eq!(number(&lua, "MAGIC"), value(link, "const MAGIC: u8"));
    assert_eq!(number(&lua, "HEADER"), value(link, "const HEADER: usize"));
    let notice = value("runtime/core/src/notice.rs", "const ETHERTYPE: u16");
    assert_eq!(number(&lua, "NOTICE_ETHERTYPE"), notice);
    let protocols = read(link);
    for (number, word) in table(&lua, "PROTOCOLS") {
        let variant = format!("{}{} = {number},", word[..1].to_uppercase(), &word[1..]);
        assert!(protocols.contains(&variant), "{variant}");
    }
}
