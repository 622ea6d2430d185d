use super::*;
use membership::{Bounds, Cluster};

#[test]
fn tmp() {
    for (d, s, tr, t) in
        [(1, 1, 0, 0), (1, 1, 0, 1), (1, 1, 1, 1), (1, 2, 0, 0), (0, 2, 0, 1), (0, 2, 0, 2)]
    {
        let b = Bounds { deaths: d, suspicions: s, trusts: tr, ticks: t };
        let began = std::time::Instant::now();
        match explore(Cluster::new(2, 1, b), 1) {
            Ok(e) => println!("{b:?}: {e:?} {:?}", began.elapsed()),
            Err(w) => println!("{b:?}: {w}"),
        }
    }
}
