use crate::sequential::run;
use crate::{Args, Distribution, Rank};
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

#[global_allocator]
static ALLOCATOR: runtime_linux::RankAllocator = runtime_linux::ALLOCATOR;

fn args(pairs: &[(&str, &str)]) -> Args {
    Args::new(pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()).unwrap()
}

fn stencil(rank: &mut Rank, args: &Args) {
    let n = args.number("size", 0).unwrap();
    let mut u = rank.alloc::<f64>(n, Distribution::Block).unwrap();
    let mut v = rank.alloc::<f64>(n, Distribution::Cyclic(1)).unwrap();
    u.set(rank, 0, 1.0);
    let mut history = BTreeMap::new();
    for step in 0..10 {
        let (from, to) = (u.read(rank, 0..n), v.write(rank, 1..n - 1));
        for i in 1..n - 1 {
            to[i - 1] = 0.5 * (from[i - 1] + from[i + 1]);
        }
        rank.barrier();
        u.write(rank, 1..n - 1).copy_from_slice(v.read(rank, 1..n - 1));
        let epoch = rank.checkpoint();
        history.insert(step.to_string(), epoch);
    }
    rank.lock(3);
    rank.unlock(3);
    rank.print(format_args!("{} of {}", rank.rank(), rank.ranks()));
    let first: Vec<u8> = u.read(rank, 0..4).iter().flat_map(|x| x.to_le_bytes()).collect();
    rank.report(&first, format_args!("{history:?}"));
}

#[test]
fn a_program_runs_alone() {
    let report = run(stencil, &args(&[("size", "5000")]), Default::default()).unwrap();
    let mut u = [[0.0_f64; 16]; 2];
    (u[0][0], u[1][0]) = (1.0, 1.0);
    for step in 0..10 {
        for i in 1..15 {
            u[(step + 1) % 2][i] = 0.5 * (u[step % 2][i - 1] + u[step % 2][i + 1]);
        }
    }
    let expected: Vec<u8> = u[0][..4].iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(report.bytes, expected);
    assert_eq!(report.printed, ["0 of 1"]);
    assert!(report.text.starts_with(r#"{"0": 1, "1": 2"#), "{}", report.text);
}

#[test]
fn many_run_at_the_same_time() {
    extern crate std;
    let threads: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(|| {
                run(stencil, &args(&[("size", "64")]), Default::default()).unwrap()
            })
        })
        .collect();
    let reports: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    assert!(reports.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn arguments_go_through_text_and_back() {
    let args = args(&[("size", "512"), ("name", "a=b c"), ("empty", "")]);
    assert_eq!(Args::parse(&args.to_text()).unwrap(), args);
    assert_eq!(args.number("size", 1), Ok(512));
    assert_eq!(args.number("none", 1), Ok(1));
    assert!(args.number::<u8>("size", 1).unwrap_err().to_string().contains("512"));
    assert!(Args::parse("size").is_err() && Args::parse("=1").is_err());
    for (name, value) in [("", "1"), ("a=b", "1"), ("a\nb", "1"), ("a", "1\n2")] {
        assert!(Args::new(BTreeMap::from([(name.to_string(), value.to_string())])).is_err());
    }
}
