use super::*;
use std::string::String;

fn line(message: &str, calls: &[u64]) -> String {
    let mut text = Text { bytes: [0; LINE], used: 0 };
    text.put_panic(format_args!("{message}"), calls).unwrap();
    String::from_utf8(text.bytes[..text.used].to_vec()).unwrap()
}

#[test]
fn last_words_are_a_line_of_the_control_protocol() {
    let expected =
        "{\"type\":\"panic\",\"message\":\"a \\\"b\\\\\\u000a\u{e4}\",\"backtrace\":[1048576,2]}\n";
    assert_eq!(line("a \"b\\\n\u{e4}", &[0x10_0000, 2]), expected);
    assert!(line("", &[]).ends_with("\"backtrace\":[]}\n"));
}

#[test]
fn a_long_message_is_cut_short_and_the_line_is_whole() {
    let line = line(&"\n".repeat(10_000), &[u64::MAX; DEPTH]);
    assert!(line.len() <= LINE && line.len() > LINE - 64, "{}", line.len());
    assert!(line.ends_with("18446744073709551615]}\n"), "{line}");
}
