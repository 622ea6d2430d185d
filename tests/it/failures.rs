//! What a cluster must survive, on each kind of node and transport that there is. Linux over TCP has
//! more of it in `process.rs` and `qemu.rs`.

use tests::{Bench, Cluster, Images, LAPLACE, LITMUS, RECURSION};

/// A kind of cluster: so many compute nodes, with as many standbys as a death of each image needs.
type Kind = fn(compute: usize) -> Cluster;

/// Linux, over raw Ethernet.
fn ethernet(compute: usize) -> Cluster {
    Cluster::of(compute, 1).with("transport: ethernet")
}

/// Linux, over raw Ethernet that loses one frame in twenty each way.
fn lossy(compute: usize) -> Cluster {
    ethernet(compute).links("loss: 5%")
}

/// Linux, over raw Ethernet that does all that it can do to a frame.
fn noisy(compute: usize) -> Cluster {
    ethernet(compute).links("loss: 1%, duplicate: 1%, reorder: 1%, corrupt: 1%, mtu: 9000")
}

fn bare_metal(compute: usize) -> Cluster {
    Cluster::of(compute, 1).of_images(Images::BareMetal).links("mtu: 9000")
}

fn mixed(compute: usize) -> Cluster {
    Cluster::of(compute, 2).of_images(Images::Mixed)
}

/// How much of the list: guests that boot slowly go through less of what others go through in full.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    All,
    Brief,
}

/// The last ones of a list, or all.
fn of<T>(list: &[T], length: Length) -> &[T] {
    if length == Length::All { list } else { &list[list.len() - 1..] }
}

fn no_death(bench: &Bench, kind: Kind, length: Length) {
    for run in of(&[LAPLACE, RECURSION, LITMUS], length) {
        bench.test(&kind(3).runs(run).expects_the_right_result()).must_pass();
    }
}

/// One death of a node with a rank; its heir is the standby of its image.
fn dies(bench: &Bench, cluster: Cluster, victim: usize) {
    let takeover = format!("takeover: {{ of: n{victim}, by: {} }}", cluster.heir(victim));
    let outcome = bench.test(&cluster.expects_the_right_result().expects(&takeover));
    outcome.must_pass();
    assert_eq!(outcome.deaths(), 1);
}

fn death_between_checkpoints(bench: &Bench, kind: Kind, length: Length) {
    for victim in of(&[0, 1], length) {
        dies(bench, kind(3).kill(&format!("n{victim}"), "{ checkpoint: 2 }"), *victim);
    }
}

/// The program has its state in a recursion and on the heap.
fn death_in_a_checkpoint(bench: &Bench, kind: Kind, length: Length) {
    for (victim, phase) in of(&[(0, "replicated"), (1, "staged")], length) {
        let at = format!("{{ checkpoint: 3, phase: {phase} }}");
        dies(bench, kind(3).runs(RECURSION).kill_held(&format!("n{victim}"), &at), *victim);
    }
}

fn death_of_the_standby(bench: &Bench, kind: Kind) {
    let standby = kind(3).heir(1);
    let cluster = kind(3).kill(&standby, "{ checkpoint: 2, on: n0 }");
    let cluster = cluster.expects_the_right_result().expects("no-takeover: true");
    bench.test(&cluster).must_pass();
}

fn two_deaths_in_a_row(bench: &Bench, cluster: Cluster, first: usize, second: usize) {
    let cluster = cluster
        .kill_held(&format!("n{first}"), "{ checkpoint: 2 }")
        .kill_held(&format!("n{second}"), "{ event: checkpoint-committed, nth: 4 }")
        .expects_the_right_result()
        .expects(&format!("takeover: {{ of: n{first} }}"))
        .expects(&format!("takeover: {{ of: n{second} }}"));
    let outcome = bench.test(&cluster);
    outcome.must_pass();
    assert_eq!(outcome.deaths(), 2);
}

fn two_deaths_of_one_image(bench: &Bench, images: Images) {
    let cluster = Cluster::of(3, 2).of_images(images).with("transport: ethernet");
    two_deaths_in_a_row(bench, cluster, 0, 1);
}

/// Of a Linux node and a bare-metal one, in either order.
fn two_deaths_of_both_images(bench: &Bench, length: Length) {
    for (first, second) in of(&[(0, 1), (1, 0)], length) {
        two_deaths_in_a_row(bench, mixed(4), *first, *second);
    }
}

/// The list, for one kind of cluster on one backend.
macro_rules! survives {
    ($name:ident, $bench:expr, $length:ident, $kind:expr, $two:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn nobody_dies() {
                no_death(&$bench, $kind, Length::$length);
            }

            #[test]
            fn a_node_dies_between_two_checkpoints() {
                death_between_checkpoints(&$bench, $kind, Length::$length);
            }

            #[test]
            fn a_node_dies_in_a_checkpoint() {
                death_in_a_checkpoint(&$bench, $kind, Length::$length);
            }

            #[test]
            fn the_standby_dies_and_nobody_minds() {
                death_of_the_standby(&$bench, $kind);
            }

            #[test]
            fn two_nodes_die_one_after_the_other() {
                $two(&$bench);
            }
        }
    };
}

fn two_linux(bench: &Bench) {
    two_deaths_of_one_image(bench, Images::Linux);
}

fn two_bare_metal(bench: &Bench) {
    two_deaths_of_one_image(bench, Images::BareMetal);
}

survives!(simulated_ethernet, Bench::sim(), All, ethernet, two_linux);
survives!(simulated_noise, Bench::sim(), All, noisy, two_linux);
survives!(simulated_mixed, Bench::sim(), All, mixed, |b| {
    two_deaths_of_both_images(b, Length::All);
});
survives!(processes_ethernet, Bench::process(), All, ethernet, two_linux);
survives!(processes_lossy, Bench::process(), All, lossy, two_linux);
survives!(processes_noisy, Bench::process(), All, noisy, two_linux);
survives!(processes_mixed, Bench::process(), All, mixed, |b| {
    two_deaths_of_both_images(b, Length::All);
});
survives!(guests_bare_metal, Bench::qemu(), All, bare_metal, two_bare_metal);

// Linux guests boot slowly; what they go through here is the rest of what processes go through above.
mod guests {
    use super::*;

    #[test]
    fn linux_over_a_lossy_network_survives_two_deaths() {
        two_deaths_in_a_row(
            &Bench::qemu(),
            Cluster::of(3, 2).with("transport: ethernet").links("loss: 5%"),
            0,
            1,
        );
    }

    #[test]
    fn a_node_of_a_mixed_cluster_dies_in_a_checkpoint() {
        death_in_a_checkpoint(&Bench::qemu(), mixed, Length::Brief);
    }

    #[test]
    fn the_standby_of_a_mixed_cluster_dies_and_nobody_minds() {
        death_of_the_standby(&Bench::qemu(), mixed);
    }
}

#[test]
fn a_death_with_a_standby_of_the_other_image_alone_is_a_plain_refusal() {
    // Nothing is promised, so the file is valid; the run says why it ends.
    let bench = Bench::process();
    let cluster = Cluster::of(3, 1).of_images(Images::Mixed).kill("n1", "{ checkpoint: 2 }");
    bench.test(&cluster).must_fail(&["no standby"]);
}

#[test]
fn the_same_program_gives_the_same_bits_over_every_transport() {
    let bench = Bench::process();
    let kinds: [Kind; 4] = [|n| Cluster::of(n, 1), ethernet, lossy, mixed];
    let hash = |kind: Kind| {
        bench.test(&kind(3).runs(RECURSION).expects_the_right_result()).must_pass().hash()
    };
    let hashes = kinds.map(hash);
    assert!(hashes.iter().all(|h| *h == hashes[0]), "{hashes:?}");
}
