use super::started_by;

/// A line of `/proc/…/stat` up to the start time, as the kernel writes it.
fn stat(name: &str, state: &str, threads: u32) -> Vec<u8> {
    format!("77 ({name}) {state} 1 77 77 0 -1 4194560 9 0 0 0 1 0 0 0 20 0 {threads} 0 123456 0 0")
        .into_bytes()
}

#[test]
fn a_process_is_there_as_long_as_it_has_threads() {
    assert_eq!(started_by(&stat("node", "S", 3)), Some(123_456));
    assert_eq!(started_by(&stat("a) Z 1 (b", "R", 1)), Some(123_456), "a name may be anything");
    assert_eq!(started_by(&stat("node", "Z", 1)), None, "its parent has not asked for it");
    assert_eq!(started_by(&stat("node", "Z", 2)), Some(123_456), "`main` ended by pthread_exit");
    assert_eq!(started_by(&stat("node", "X", 1)), None);
    assert_eq!(started_by(b"77 (node)"), None);
    assert_eq!(started_by(b"77 (node) S 1 77"), None);
}
