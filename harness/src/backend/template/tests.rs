use super::*;
use images_control::to_line;

/// A house with templates that were used one after the other, the first longest ago.
fn house(names: &[&str]) -> tempfile::TempDir {
    let house = tempfile::tempdir().unwrap();
    for (n, name) in (0..).zip(names) {
        let dir = house.path().join(name);
        fs::create_dir(&dir).unwrap();
        let lock = File::create(dir.join("lock")).unwrap();
        lock.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(n)).unwrap();
    }
    house
}

fn names(house: &Path) -> Vec<String> {
    let entries = fs::read_dir(house).unwrap().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn the_templates_used_last_stay_and_those_in_use() {
    let house = house(&["a", "b", "c", "d"]);
    let used = File::open(house.path().join("a/lock")).unwrap();
    used.lock_shared().unwrap();
    evict(house.path(), 2);
    assert_eq!(names(house.path()), ["a", "c", "d"]);
    drop(used);
    evict(house.path(), 2);
    assert_eq!(names(house.path()), ["c", "d"]);
}

#[test]
fn a_template_is_published_whole_and_only_once_at_a_time() {
    let house = house(&["old"]);
    let (building, place) = (house.path().join("building"), house.path().join("old"));
    fs::create_dir(&building).unwrap();
    fs::write(state(&building), "new").unwrap();
    publish(&building, &place, "this").unwrap();
    assert_eq!(fs::read_to_string(state(&place)).unwrap(), "new");
    assert_eq!(fs::read_to_string(place.join("made-of")).unwrap(), "this");
    assert_eq!(names(house.path()), ["old"]);

    let alone = super::house(house.path()).unwrap();
    alone.try_lock().unwrap();
    let second = super::house(house.path()).unwrap();
    assert!(second.try_lock().is_err());
    drop(alone);
    second.try_lock().unwrap();
}

#[test]
fn one_bit_of_a_template_that_changed_is_noticed() {
    let house = house(&["t"]);
    let dir = house.path().join("t");
    assert_eq!(seal::damage(&dir).unwrap(), "it has no checksums");
    // More than is read at once.
    let mut memory = vec![7; 3 << 19];
    fs::write(ram(&dir), &memory).unwrap();
    assert!(seal::seal(&dir).is_err(), "half a template is none");
    fs::write(state(&dir), "state").unwrap();
    seal::seal(&dir).unwrap();
    assert_eq!(seal::damage(&dir), None);

    memory[1 << 20] ^= 1;
    fs::write(ram(&dir), &memory).unwrap();
    assert_eq!(seal::damage(&dir).unwrap(), format!("{} is not what it was", ram(&dir).display()));
    memory[1 << 20] ^= 1;
    // Zeros at its end are its memory, too.
    memory.push(0);
    fs::write(ram(&dir), &memory).unwrap();
    assert!(seal::damage(&dir).is_some());
    memory.pop();
    fs::write(ram(&dir), &memory).unwrap();
    assert_eq!(seal::damage(&dir), None);
    fs::write(state(&dir), "State").unwrap();
    assert!(seal::damage(&dir).unwrap().contains("state is not"));
    fs::remove_file(state(&dir)).unwrap();
    assert!(seal::damage(&dir).is_some());
}

#[test]
fn names_follow_from_what_a_template_is_made_of() {
    assert_eq!(name("this"), name("this"));
    assert_ne!(name("this"), name("that"));
    assert_eq!(name("").len(), 16);
}

#[test]
fn a_disk_without_room_is_named() {
    let dir = tempfile::tempdir().unwrap();
    room(dir.path(), 0).unwrap();
    let error = room(dir.path(), u64::MAX / 2).unwrap_err().to_string();
    assert!(error.contains(&dir.path().display().to_string()), "{error}");
    assert!(error.contains("remove something"), "{error}");
}

#[test]
fn a_guest_without_its_processors_timer_makes_no_template() {
    let line =
        |how: &str| format!("dumping\n\nLVTT\t 0x000200ec active-hi edge {how} Fixed  (vec 236)\n");
    has_timer(&line("                periodic    ")).unwrap();
    let error = has_timer(&line(" masked                     ")).unwrap_err().to_string();
    assert!(error.contains("does not trust"), "{error}");
    assert!(has_timer("no such CPU").is_err());
}

#[test]
fn two_copies_get_different_seeds() {
    let (one, other) = (seed().unwrap(), seed().unwrap());
    assert_eq!(one.len(), 2 * SEED);
    assert_ne!(one, other);
}

/// A guest that says a line, with a monitor that is closed already.
fn captured(line: &str) -> String {
    let (control, theirs) = UnixStream::pair().unwrap();
    let (monitor, _) = UnixStream::pair().unwrap();
    (&theirs).write_all(line.as_bytes()).unwrap();
    drop(theirs);
    let dir = tempfile::tempdir().unwrap();
    format!("{:#}", capture(&control, &monitor, 1, &state(dir.path())).unwrap_err())
}

#[test]
fn a_guest_that_makes_no_template_is_told_by_its_first_word() {
    assert_eq!(captured(""), "it ended before it said anything");
    let failed = to_line(&FromNode::Failed { reason: "no card".into() });
    assert_eq!(captured(&failed), "no card");
    let hello = FromNode::Hello { version: VERSION + 1, image: String::new(), uptime_us: 0 };
    assert!(captured(&to_line(&hello)).contains("its first word is"));
    let hello = FromNode::Hello { version: VERSION, image: String::new(), uptime_us: 0 };
    assert_eq!(captured(&to_line(&hello)), "QEMU has ended");
}
