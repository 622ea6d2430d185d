//! How much memory each node may need at most, and whether it has so much.

use crate::error::{Reader, Span};
use crate::model::{Node, OnExhausted, Runtime, Topology};
use crate::read::{Cluster, least_memory};
use crate::survival::{layout, members};
use crate::units::show_size;
use runtime_core::checkpoint::survival::{Kept, Survival};
use runtime_core::limits::PAGE_SIZE;

const MIB: u64 = 1 << 20;
/// What a node has that does not say, if that is enough.
const COMMON: u64 = 96 * MIB;
/// In steps of so much otherwise.
const STEP: u64 = 16 * MIB;

/// While a guest boots, it has its archive with a program, what is unpacked of it, and as much again that is not free
/// yet (as tried: with a program of 12 MiB it boots in 112 MiB and not in 96).
const PROGRAM_TIMES: u64 = 3;

/// A seat, while it hosts nothing: its program's own data, and its links to all others.
const SEAT: u64 = 8 * MIB;

/// Most that a node may need, in bytes.
#[derive(Clone, Copy, Debug)]
struct Need {
    /// The least with which its image boots.
    image: u64,
    /// A rank: the shared segment, as much again for twins of the pages it writes, heap and stack. With a
    /// seat there may be two.
    rank: u64,
    /// The second node program, if there is one.
    seat: u64,
    /// Epochs of its own rank and of others, pages lent to their homes, and frames on their way.
    copies: u64,
}

impl Need {
    fn of(node: &Node, runtime: &Runtime, copies: u64) -> Self {
        let (ranks, seat) = match runtime.on_exhausted {
            OnExhausted::Stop => (1, 0),
            OnExhausted::DoubleUp => (2, SEAT),
        };
        let rank = 2 * runtime.shared_bytes + runtime.heap_bytes + runtime.stack_bytes;
        Self { image: least_memory(node.image), rank: ranks * rank, seat, copies }
    }

    const fn all(self) -> u64 {
        (self.image + self.rank + self.seat + self.copies).next_multiple_of(STEP)
    }
}

/// Epochs, and what it takes to make them and to bring them to where they are kept.
fn copies(runtime: &Runtime, kept: Kept, nodes: usize) -> u64 {
    let pages = |bytes: u64| u32::try_from(bytes / PAGE_SIZE as u64).unwrap_or(u32::MAX);
    let shared = pages(runtime.shared_bytes);
    let private = pages(runtime.heap_bytes + runtime.stack_bytes);
    kept.bytes(shared, private, runtime.redundancy)
        + kept.passing_bytes(shared, runtime.redundancy, nodes.saturating_sub(1))
}

/// Most bytes that epochs take on each machine: what its node keeps, and its seat, and what is on its way.
fn copies_of_each(runtime: &Runtime, survival: &Survival, nodes: usize) -> Vec<u64> {
    let mut of_machine = vec![0; nodes];
    // Seats come after all nodes, in the same order.
    for (at, kept) in survival.kept.iter().enumerate() {
        of_machine[at % nodes] += copies(runtime, *kept, survival.kept.len());
    }
    of_machine
}

/// Gives memory to nodes that do not say how much they have; the others must have enough. With a program there are no
/// ranks and no epochs: whoever starts it knows its size, see [`Topology::short_of_memory`].
pub(crate) fn settle(r: &mut Reader<'_>, cluster: &mut Cluster, runtime: &Runtime, program: bool) {
    let survival = layout(&members(&cluster.nodes, runtime), runtime).survival();
    let copies = copies_of_each(runtime, &survival, cluster.nodes.len());
    // What `defaults` says holds for many nodes: one error, about the first that needs most.
    let mut short: Vec<(Span, usize, Need)> = Vec::new();
    for (at, node) in cluster.nodes.iter_mut().enumerate() {
        let need = Need::of(node, runtime, copies[at]);
        match cluster.memory.get(at).copied().flatten() {
            None => node.memory_bytes = need.all().max(COMMON),
            // Too small for its image: that is said already.
            Some(_) if node.memory_bytes < need.image || node.memory_bytes >= need.all() => {}
            Some(_) if program => {}
            Some(span) => match short.iter_mut().find(|(other, ..)| *other == span) {
                Some(entry) if entry.2.all() < need.all() => *entry = (span, at, need),
                Some(_) => {}
                None => short.push((span, at, need)),
            },
        }
    }
    for (span, at, need) in short {
        let node = &cluster.nodes[at];
        let message = format!(
            "node \"{}\" has {} of memory and may need {}: {} for its image, {} for {}, {} for epochs",
            node.name,
            show_size(node.memory_bytes),
            show_size(need.all()),
            show_size(need.image),
            in_mib(need.rank + need.seat),
            if need.seat > 0 { "two ranks" } else { "a rank" },
            in_mib(need.copies),
        );
        let help = format!(
            "write `memory: {}`, leave it out, or give `shared-memory`, `heap` and `stack` of runtime less",
            show_size(need.all())
        );
        r.error(span, message, help);
    }
}

impl Topology {
    /// The guests that cannot boot with a program of so many bytes in them: a sentence for each, with the remedy.
    #[must_use]
    pub fn short_of_memory(&self, program_bytes: u64) -> Vec<String> {
        let short = |node: &Node| {
            let need = least_memory(node.image) + PROGRAM_TIMES * program_bytes;
            let need = need.next_multiple_of(STEP);
            (node.memory_bytes < need).then(|| {
                format!(
                    "node \"{}\" has {} of memory and needs {} to boot with a program of {}: \
                     write `memory: {}`, leave it out, or strip the program",
                    node.name,
                    show_size(node.memory_bytes),
                    show_size(need),
                    in_mib(program_bytes),
                    show_size(need)
                )
            })
        };
        self.nodes.iter().filter_map(short).collect()
    }

    /// Most bytes that epochs take in the memory of each node, with pages lent and frames on their way, in the order of
    /// the nodes.
    #[must_use]
    pub fn kept_bytes(&self, survival: &Survival) -> Vec<u64> {
        copies_of_each(&self.runtime, survival, self.nodes.len())
    }

    /// Most bytes that each node may need in all, in the order of the nodes: its program, its rank, and epochs.
    #[must_use]
    pub fn needed_bytes(&self, survival: &Survival) -> Vec<u64> {
        let kept = self.kept_bytes(survival);
        let need = |(node, kept): (&Node, u64)| Need::of(node, &self.runtime, kept).all();
        self.nodes.iter().zip(kept).map(need).collect()
    }

    /// What surviving costs: `keeping epochs costs at most 70MiB on n0 and n1, 92MiB on n2; in all a node needs at
    /// most 192MiB`.
    pub(crate) fn memory_words(&self, survival: &Survival) -> String {
        let bytes = self.kept_bytes(survival);
        let mut sizes = bytes.clone();
        sizes.sort_unstable();
        sizes.dedup();
        let on = |size: &u64| {
            let nodes = self.nodes.iter().zip(&bytes).filter(|(_, bytes)| *bytes == size);
            let nodes: Vec<_> = nodes.map(|(node, _)| node.id).collect();
            let each = nodes.len() == self.nodes.len();
            let nodes = if each { "each node".into() } else { self.names(&nodes, "and") };
            format!("{} on {nodes}", in_mib(*size))
        };
        let words: Vec<String> = sizes.iter().map(on).collect();
        let deaths = match survival.kept_after {
            n if n < survival.in_a_row => format!(", in up to {n} deaths"),
            _ => String::new(),
        };
        let all = self.needed_bytes(survival).into_iter().max().unwrap_or_default();
        let costs = words.join(", ");
        format!(
            "keeping epochs costs at most {costs}{deaths}; in all a node needs at most {}",
            in_mib(all)
        )
    }
}

/// Rounded up.
fn in_mib(bytes: u64) -> String {
    format!("{}MiB", bytes.div_ceil(MIB))
}
