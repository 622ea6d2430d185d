use super::*;

#[test]
fn a_no_holds_for_a_while_on_the_same_host_with_the_same_emulator() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("no-kvm");
    assert_eq!(remembered(&file, "7.2\nboot\n", KEPT), None);
    remember(&file, "7.2\nboot\n", "it said nothing");
    let no = remembered(&file, "7.2\nboot\n", KEPT).unwrap();
    assert!(!no.usable);
    assert_eq!(no.reason, "it said nothing; found out less than 10 minutes ago");
    assert_eq!(remembered(&file, "8.0\nboot\n", KEPT), None, "another emulator");
    assert_eq!(remembered(&file, "7.2\nlater\n", KEPT), None, "the host was started again");
    assert_eq!(remembered(&file, "7.2\nboot\n", Duration::ZERO), None, "too old");
    remember(&file, "7.2\nboot\n", "");
    assert_eq!(remembered(&file, "7.2\nboot\n", KEPT), None, "half written");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    remember(&dir.path().join("none/no-kvm"), "7.2\nboot\n", "nobody minds");
}
