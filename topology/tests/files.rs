//! Whole files: every example loads, every bad file is refused in exactly the words beside it, and
//! nothing that resembles a topology makes the reader panic.

use std::fs;
use std::path::{Path, PathBuf};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|p| p.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// With `BLESS=1` in the environment the expected texts are written anew; look at the difference.
#[test]
fn every_bad_file_is_refused_in_the_words_beside_it() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for path in files("tests/bad") {
        let text = fs::read_to_string(&path).unwrap();
        let got = match topology::parse(&name(&path), &text) {
            Ok(_) => "accepted\n".to_string(),
            Err(errors) => format!("{errors}\n"),
        };
        let beside = path.with_extension("txt");
        if bless {
            fs::write(&beside, &got).unwrap();
        } else if got != fs::read_to_string(&beside).unwrap_or_default() {
            wrong.push(format!("--- {}\n{got}", name(&path)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_example_loads_and_describes_itself() {
    for path in files("examples") {
        let topology = topology::load(&path).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(format!("{}.yaml", topology.name), name(&path));
        let program = topology.run.as_ref().is_some_and(|run| run.program.is_some());
        let says = if program { "MCAPI nodes: " } else { "survives any " };
        assert!(topology.describe().contains(says), "{}", topology.describe());
    }
}

/// A small generator of numbers; which one does not matter, only that it always gives the same.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }
}

#[test]
fn every_truncation_of_an_example_is_read_or_refused() {
    for path in files("examples") {
        let text = fs::read_to_string(&path).unwrap();
        for end in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
            if let Err(errors) = topology::parse("cut.yaml", &text[..end]) {
                assert!(!errors.to_string().is_empty());
            }
        }
    }
}

#[test]
fn damaged_files_never_panic() {
    let sources: Vec<Vec<u8>> = files("examples")
        .into_iter()
        .chain(files("tests/bad"))
        .map(|p| fs::read(p).unwrap())
        .collect();
    let spice = "{}[]:,-#&*!|>'\"%@`\n\t 0189azé\u{feff}~<<".as_bytes();
    let mut numbers = Numbers(1);
    for round in 0..1500 {
        let mut bytes = sources[round % sources.len()].clone();
        for _ in 0..=numbers.below(4) {
            let at = numbers.below(bytes.len());
            let other = spice[numbers.below(spice.len())];
            match numbers.below(4) {
                0 => bytes.insert(at, other),
                1 if !bytes.is_empty() => drop(bytes.remove(at)),
                2 if !bytes.is_empty() => bytes[at] = other,
                _ => {
                    let from = numbers.below(bytes.len());
                    let piece = bytes[from..(from + numbers.below(40)).min(bytes.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Err(errors) = topology::parse("damaged.yaml", &text) {
            assert!(!errors.to_string().is_empty());
        }
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut numbers = Numbers(2);
    for _ in 0..2000 {
        let bytes: Vec<u8> =
            (0..numbers.below(200)).map(|_| u8::try_from(numbers.below(256)).unwrap()).collect();
        let _ = topology::parse("random.yaml", &String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn what_is_no_text_file_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.yaml");
    let refused = |path: &Path| topology::load(path).unwrap_err().to_string();
    assert!(refused(folder.path()).contains(": is a directory\nhelp: "));
    assert!(refused(&path).contains(": no such file\nhelp: "));
    fs::write(&path, b"name: x\nrun: \xff\n").unwrap();
    assert!(refused(&path).contains("t.yaml: is not UTF-8 text (line 2)\nhelp: "));
    fs::write(&path, vec![b'a'; 10 << 20]).unwrap();
    assert!(refused(&path).contains("is too large: 10485760 bytes, at most 1048576 are allowed"));
    fs::write(&path, vec![b' '; 1 << 20]).unwrap();
    assert!(refused(&path).contains("the file is empty"));
    assert!(refused(Path::new("/dev/null")).contains("is not a regular file"));
}

#[test]
fn a_file_full_of_errors_shows_the_first_and_counts_the_rest() {
    let lines: String = (0..10_000).map(|i| format!("nonsense-{i}: 1\n")).collect();
    let shown = topology::parse("many.yaml", &lines).unwrap_err().to_string();
    assert!(shown.ends_with("many.yaml: 10002 errors, the first 50 are shown"), "{shown}");
}
