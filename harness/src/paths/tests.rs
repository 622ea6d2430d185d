use super::Places;

#[test]
fn a_long_target_directory_still_gives_a_short_socket_path() {
    let dir = tempfile::tempdir().unwrap();
    let long = dir.path().join("x".repeat(120));
    let places = Places::find(Some(&long)).unwrap();
    let socket = places.socket("failover").unwrap();
    assert!(socket.as_os_str().len() <= super::MAX_SOCKET_PATH, "{}", socket.display());
    std::fs::remove_dir_all(socket.parent().unwrap()).unwrap();
}

#[test]
fn a_name_is_taken_once_and_free_again_after() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::find(Some(dir.path())).unwrap();
    let held = places.take_name("a").unwrap();
    let refused = places.take_name("a").unwrap_err().to_string();
    assert!(refused.contains("cluster a is up already"), "{refused}");
    assert!(places.take_name("b").is_ok());
    drop(held);
    assert!(places.take_name("a").is_ok());
}

#[test]
fn a_socket_that_nobody_listens_on_is_no_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::find(Some(dir.path())).unwrap();
    let stale = places.socket("stale").unwrap();
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let live = places.socket("live").unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(&live).unwrap();
    assert_eq!(places.clusters().unwrap(), ["live"]);
}

#[test]
fn every_run_has_its_own_directory() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::find(Some(dir.path())).unwrap();
    assert_eq!(places.new_run("a").unwrap(), places.runs().join("a-1"));
    assert_eq!(places.new_run("a").unwrap(), places.runs().join("a-2"));
    assert_eq!(places.new_run("b").unwrap(), places.runs().join("b-1"));
}
