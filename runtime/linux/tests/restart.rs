//! A rank that was copied at a checkpoint continues in another process, which never ran it.

use runtime_core::id::{PageNo, Rank};
use runtime_core::limits::PAGE_SIZE;
use runtime_core::mem::PageMem;
use runtime_core::node::Call;
use runtime_driver::context::{Program, Request, Start};
use runtime_driver::layout::Sizes;
use runtime_driver::rank;
use runtime_linux::sim_host::Host;
use runtime_linux::{ALLOCATOR, RankAllocator};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::process::Command;

#[global_allocator]
static GLOBAL: RankAllocator = ALLOCATOR;

const IMAGE: &str = "UNDERSTUDY_TEST_IMAGE";
const SIZES: Sizes = Sizes { stack_bytes: 256 * 1024, heap_bytes: 8 << 20, shared_pages: 16 };

/// State of all kinds: locals twelve calls deep, a list, a map of strings, boxes, a closure, floats.
fn deep(level: u32, kept: &mut BTreeMap<String, Vec<f64>>, last: &dyn Fn(u64) -> u64) -> f64 {
    let local = f64::from(level).sqrt();
    let boxed: Box<dyn Fn(f64) -> f64> = Box::new(move |x| x * local + 0.1);
    kept.entry(format!("level {level:02}")).or_default().extend([local, 1.0 / 3.0]);
    let below = if level == 0 {
        last(rank::call(Call::Checkpoint).unwrap_or(0)) as f64
    } else {
        deep(level - 1, kept, last)
    };
    boxed(below)
}

fn work(start: &Start<'_>) {
    let mut kept = BTreeMap::new();
    let factor: u64 = start.args.len() as u64;
    let result = deep(12, &mut kept, &|epoch| epoch * factor);
    kept.insert("after".to_string(), vec![result]);
    let bits: Vec<u8> = kept.values().flatten().flat_map(|x| x.to_le_bytes()).collect();
    rank::report(&bits, &format!("{} {:?}", start.args, kept.keys().collect::<Vec<_>>()));
}

fn host() -> Host {
    Host::new(SIZES).unwrap()
}

fn save(host: &mut Host, path: &str) {
    let mut file = File::create(path).unwrap();
    file.write_all(&host.memory().context().to_le_bytes()).unwrap();
    let mut page = [0; PAGE_SIZE];
    for number in host.memory().private_in_use().into_iter().flatten() {
        host.memory().read(PageNo(number), &mut page);
        file.write_all(&number.to_le_bytes()).unwrap();
        file.write_all(&page).unwrap();
    }
}

/// Continues the rank of the image and prints what it reports; run by the test below in a process of
/// its own. Nothing to do otherwise.
#[test]
fn continue_an_image() {
    let Ok(path) = std::env::var(IMAGE) else { return };
    let mut bytes = Vec::new();
    File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    let (context, pages) = bytes.split_at(8);
    let mut host = host();
    for page in pages.chunks_exact(4 + PAGE_SIZE) {
        let number = u32::from_le_bytes(page[..4].try_into().unwrap());
        host.memory().write(PageNo(number), page[4..].try_into().unwrap());
    }
    host.memory().set_context(u64::from_le_bytes(context.try_into().unwrap()));
    host.adopt(Rank(0)).unwrap();
    println!("continued: {:?}", host.resume(Ok(7)).unwrap());
    assert_eq!(host.resume(Ok(0)).unwrap(), Request::Call(Call::Exit));
}

#[test]
fn a_rank_continues_in_another_process() {
    if std::env::var(IMAGE).is_ok() {
        return;
    }
    let path = std::env::temp_dir().join(format!("understudy-restart-{}", std::process::id()));
    let path = path.to_str().unwrap().to_string();
    let mut host = host();
    let run = Program::new(
        |work: fn(&Start<'_>), start| work(start),
        work as fn(&Start<'_>),
        "n=3".into(),
    );
    host.start(&run, Rank(0), 1).unwrap();
    assert_eq!(host.resume(Ok(0)).unwrap(), Request::Call(Call::Checkpoint));
    save(&mut host, &path);
    let here = format!("continued: {:?}", host.resume(Ok(7)).unwrap());
    for _ in 0..3 {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "continue_an_image", "--nocapture", "--test-threads=1"])
            .env(IMAGE, &path)
            .output()
            .unwrap();
        let there = String::from_utf8_lossy(&output.stdout).to_string();
        let errors = String::from_utf8_lossy(&output.stderr).to_string();
        assert!(output.status.success() && there.contains(&here), "{there}\n{errors}\n{here}");
    }
    std::fs::remove_file(&path).unwrap();
}
