//! Runs in which anything may happen: drawn from a seed.

use super::{Fault, Media, Scenario, When};
use crate::rng::Rng;
use runtime_core::id::{NodeId, Rank};
use runtime_core::node::Binding;

impl Scenario {
    /// Any size up to 5+2, any medium and number of copies, up to two deaths, and up to three other faults.
    #[must_use]
    pub fn soak(seed: u64) -> Self {
        let rng = &mut Rng::new(seed ^ 0x736f_616b);
        let (compute, standby) = (2 + rng.small(4), 1 + rng.small(2));
        let nodes = compute + standby;
        let steps = u64::from(nodes).pow(2) * 100;
        let mut scenario = Self::new(seed, compute, standby);
        scenario.soak = true;
        scenario.binding = if rng.chance(50) { Binding::Mcapi } else { Binding::Sockets };
        scenario.medium = [Media::Stream, Media::Datagram, Media::Mixed][rng.index(3)];
        scenario.death_is_seen = rng.chance(50);
        scenario.replicas = rng.chance(50).then(|| 1 + rng.byte() % 3);
        for i in 0..rng.below(3) {
            let after = i > 0 && rng.chance(70);
            let when = if after {
                When::AfterRecovery(rng.below(2_000))
            } else {
                When::Step(rng.below(steps))
            };
            scenario.crashes.push((NodeId(rng.small(nodes)), when));
        }
        for _ in 0..rng.below(4) {
            let fault = any_fault(rng, nodes, compute);
            scenario.faults.push((rng.below(steps), fault));
        }
        scenario.faults.sort_by_key(|(step, _)| *step);
        scenario
    }
}

fn any_fault(rng: &mut Rng, nodes: u16, ranks: u16) -> Fault {
    let one = rng.small(nodes);
    let other = NodeId((one + 1 + rng.small(nodes - 1)) % nodes);
    let one = NodeId(one);
    // Shorter and longer than a silent node is trusted.
    let ms = 1 + rng.below(400);
    match rng.below(7) {
        0 | 1 => Fault::Pause(one, ms),
        2 => Fault::OneWay(one, other, ms),
        3 => Fault::Cut(one, other, ms),
        4 => Fault::Flap(one, other, 1 + rng.byte() % 5, ms / 4 + 1),
        5 => Fault::Split(NodeId(1 + rng.small(nodes - 1)), ms),
        _ => Fault::Damage(one, Rank(rng.small(ranks))),
    }
}
