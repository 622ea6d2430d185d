use super::*;

#[test]
fn golden_bytes_of_one_file() {
    let mut archive = Archive::default();
    archive.file("a", b"hello");
    let bytes = archive.finish();
    let expected = concat!(
        "070701",
        "00000001",
        "000081a4",
        "00000000",
        "00000000",
        "00000001",
        "00000000",
        "00000005",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000002",
        "00000000",
        "a\0",
        "hello\0\0\0",
        "070701",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000001",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "0000000b",
        "00000000",
        "TRAILER!!!\0",
        "\0\0\0",
    );
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
}

#[test]
fn parents_come_by_themselves_and_first() {
    let mut archive = Archive::default();
    archive.program("z", b"");
    archive.device("a/b/console", 5, 1);
    archive.directory("a");
    let bytes = String::from_utf8(archive.finish()).unwrap();
    let place = |name: &str| bytes.find(&format!("{name}\0")).unwrap();
    assert!(place("0000a") < place("0000a/b"));
    assert!(place("0000a/b") < place("0000a/b/console"));
    assert!(place("0000a/b/console") < place("0000z"));
    assert!(bytes.contains("0000000500000001"), "device number");
}

#[test]
fn order_of_adding_does_not_show() {
    let mut one = Archive::default();
    one.file("x", b"1");
    one.file("y", b"2");
    let mut two = Archive::default();
    two.file("y", b"2");
    two.file("x", b"1");
    assert_eq!(one.finish(), two.finish());
}
