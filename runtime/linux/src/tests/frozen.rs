//! Copy on write: what a rank writes on after a checkpoint does not change what is saved of it.

use super::*;
use runtime_core::sdsm::Frozen;
use runtime_driver::context::Answer;

const PAGES: usize = 100;

/// Fills a block of its heap, and again after the checkpoint, and once more.
fn sweeps(_: &Start<'_>) {
    let mut block = vec![1_u8; PAGES * PAGE_SIZE];
    let local = [rank::call(Call::Checkpoint).unwrap(); 8];
    block.fill(2);
    rank::print("filled");
    block.fill(3);
    let grown = vec![4_u8; PAGES * PAGE_SIZE];
    report(&format!("{} {}", block[PAGES], u64::from(grown[7]) + local[3]));
}

/// Runs the rank until it wants something else than a page of its heap; how many of these it wanted.
fn until_next(host: &mut Host, frozen: &mut Frozen, answer: Answer) -> (Request, usize) {
    let (mut request, mut faults) = (host.resume(answer).unwrap(), 0);
    while let Request::Fault { page, access: Access::Write } = request
        && page.is_private()
    {
        faults += 1;
        frozen.write_private(page, host.memory());
        request = host.resume(Ok(0)).unwrap();
    }
    (request, faults)
}

#[test]
fn what_is_frozen_stays_as_it_was_while_the_rank_writes() {
    let mut host = started(sweeps);
    assert_eq!(host.resume(Ok(0)).unwrap(), Request::Call(Call::Checkpoint));
    let image = copy(host.memory());
    let mut frozen = Frozen::new(Vec::new(), host.memory());
    let (request, faults) = until_next(&mut host, &mut frozen, Ok(1));
    assert_eq!(request, Request::Print("filled".into()));
    // One for each run of pages, and some for the heap's own records.
    assert!((PAGES / 16..PAGES / 8).contains(&faults), "{faults} faults");
    assert!((PAGES as u64..).contains(&frozen.copied()), "{} copies", frozen.copied());
    // Half of it is taken now, and the rest after the rank has written on.
    let half = image.1.len() / 2;
    let mut taken: Vec<_> = (0..half).map(|_| frozen.take(host.memory()).unwrap()).collect();
    let (request, more) = until_next(&mut host, &mut frozen, Ok(0));
    assert_eq!(request, reported("3 5"));
    // Only of the run that is taken in part, and the first of the heap's own records.
    assert!(more <= 2, "{more} faults");
    taken.extend(core::iter::from_fn(|| frozen.take(host.memory())));
    let numbers = |page: &(u32, Box<[u8; PAGE_SIZE]>)| page.0;
    assert!(taken.iter().map(|(page, _)| page.0).eq(image.1.iter().map(numbers)));
    let same = taken.iter().zip(&image.1).all(|((_, now), (_, then))| now == then);
    assert!(same, "a page was not as it was at the checkpoint");
}

#[test]
fn a_heap_that_was_thawed_or_reset_is_written_without_faults() {
    for reset in [false, true] {
        let mut host = started(sweeps);
        assert_eq!(host.resume(Ok(0)).unwrap(), Request::Call(Call::Checkpoint));
        let image = copy(host.memory());
        let mut frozen = Frozen::new(Vec::new(), host.memory());
        if reset {
            put_back(host.memory(), &image);
        } else {
            while frozen.take(host.memory()).is_some() {}
        }
        let (request, faults) = until_next(&mut host, &mut frozen, Ok(1));
        assert_eq!((request, faults), (Request::Print("filled".into()), 0));
        assert_eq!(frozen.copied(), 0);
    }
}
