//! How long the others do without a node: from the fault until somebody suspects it, and until all ranks compute
//! again; and what checkpoints cost. Whole clusters, as `understudy test` runs them.

use super::summary::{self, Outage, Price};
use crate::client::{Connection, How, Launch};
use crate::failure::Failure;
use crate::paths::Places;
use crate::plan::Backend;
use crate::progress::Progress;
use crate::proto::EXIT_TESTBED;
use crate::result::RunResult;
use runtime_core::checkpoint::Redundancy;
use std::path::{Path, PathBuf};

/// What happens to `n1`, where, and how often.
#[derive(Clone, Copy, Debug)]
struct Case {
    what: &'static str,
    backend: Backend,
    image: &'static str,
    transport: &'static str,
    strike: &'static str,
    size: Size,
    times: u32,
}

/// What is computed on.
#[derive(Clone, Copy, Debug)]
struct Size {
    compute: usize,
    memory: &'static str,
    shared: &'static str,
    heap: &'static str,
    grid: u32,
    iterations: u32,
}

const SMALL: Size =
    Size { compute: 3, memory: "384MiB", shared: "8MiB", heap: "8MiB", grid: 256, iterations: 300 };
/// The second checkpoint is late enough for the nodes to know each other's rhythm.
const LATE: Size = Size { iterations: 2_000, ..SMALL };
/// Two grids of 1448 × 1448 numbers of 8 bytes: 32 MiB that change between checkpoints. In the end rank 0 has one of
/// them in its heap.
const LARGE: Size =
    Size { compute: 2, memory: "1GiB", shared: "64MiB", heap: "64MiB", grid: 1448, iterations: 60 };

const DEATH: Case = Case {
    what: "process death",
    backend: Backend::Process,
    image: "linux",
    transport: "tcp",
    strike: "kill",
    size: SMALL,
    times: 6,
};
const CASES: [Case; 5] = [
    DEATH,
    Case {
        what: "guest death",
        backend: Backend::Qemu,
        image: "bare-metal",
        transport: "ethernet",
        times: 5,
        ..DEATH
    },
    Case { what: "hang (SIGSTOP)", transport: "ethernet", strike: "pause", size: LATE, ..DEATH },
    Case { what: "cut link", transport: "ethernet", strike: "cut", size: LATE, ..DEATH },
    Case { what: "process death, 32 MiB", size: LARGE, times: 5, ..DEATH },
];

/// Their checkpoints are looked at one by one.
const EXAMPLES: [(&str, &str); 3] = [
    ("failover", include_str!("../../../topology/examples/failover.yaml")),
    ("deep", include_str!("../../../topology/examples/deep.yaml")),
    ("paper", include_str!("../../../topology/examples/paper.yaml")),
];

impl Case {
    /// The cluster, as a file.
    fn yaml(&self) -> String {
        let Self { image, transport, strike, size, .. } = self;
        let Size { compute, memory, shared, heap, grid, iterations } = size;
        let every = iterations / 6;
        let nodes: String =
            (0..*compute).map(|n| format!("  n{n}: {{ role: compute }}\n")).collect();
        format!(
            "name: outage\ndefaults: {{ image: {image}, memory: {memory} }}\nnodes:\n{nodes}  \
             n{compute}: {{ role: standby }}\n\
             runtime: {{ transport: {transport}, heartbeat: 10ms, suspect-after: 10, shared-memory: {shared}, heap: {heap} }}\n\
             run: {{ workload: laplace, args: {{ size: {grid}, iterations: {iterations}, checkpoint-every: {every} }} }}\n\
             faults: [{{ at: {{ checkpoint: 2 }}, {strike}: n1 }}]\n\
             expect: [{{ takeover: {{ of: n1 }} }}]\n"
        )
    }
}

/// Measures all, and says it in tables.
pub(super) fn main(places: &Places, progress: &Progress) -> Result<String, Failure> {
    let dir = places.new_run("outages")?;
    let mut outages = Vec::new();
    for case in &CASES {
        let file = write(&dir, "outage.yaml", &case.yaml())?;
        let (what, backend) = (case.what, case.backend);
        let (detected_us, resumed_us) = (Vec::new(), Vec::new());
        let mut outage = Outage { what, backend, detected_us, resumed_us };
        for n in 1..=case.times {
            progress.step(
                0,
                0,
                &format!("{} on {}: {n} of {}", case.what, case.backend.name(), case.times),
            );
            let result = pass(places, &file, case.backend)?;
            let death = result.deaths.first();
            outage.detected_us.extend(death.and_then(|d| d.detected_us));
            outage.resumed_us.extend(death.and_then(|d| d.resumed_us));
        }
        outages.push(outage);
    }
    let mut prices = Vec::new();
    for (name, text) in EXAMPLES {
        progress.step(0, 0, &format!("checkpoints of {name}, by processes"));
        let file = write(&dir, &format!("{name}.yaml"), text)?;
        let topology = topology::parse(name, text).map_err(|e| Failure::usage(e.to_string()))?;
        let Redundancy::Copies(replicas) = topology.runtime.redundancy else { continue };
        let result = pass(places, &file, Backend::Process)?;
        let price = |checkpoint| Price { example: name, replicas, checkpoint };
        prices.extend(result.checkpoints.into_iter().map(price));
    }
    Ok(summary::outages(&outages) + &summary::prices(&prices))
}

pub(super) fn write(dir: &Path, name: &str, text: &str) -> Result<PathBuf, Failure> {
    let file = dir.join(name);
    std::fs::write(&file, text)?;
    Ok(file)
}

/// One run; what does not pass measures nothing.
fn pass(places: &Places, file: &Path, backend: Backend) -> Result<Box<RunResult>, Failure> {
    let mut logs = None;
    let launch =
        Launch { own_name: true, quiet: true, ..Launch::new(file, How { backend, cold: false }) };
    let result = Connection::once(places, &launch, &mut logs, || {});
    let logs = logs.unwrap_or_default();
    let result = result?;
    if !result.pass {
        let reason = format!("a run that is measured fails: logs in {logs}");
        return Err(Failure { exit: EXIT_TESTBED, reason });
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_can_be_run() {
        for case in &CASES {
            let parsed = topology::parse(case.what, &case.yaml()).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(crate::plan::unsupported(&parsed, case.backend), Vec::<String>::new());
        }
        for (name, text) in EXAMPLES {
            let parsed = topology::parse(name, text).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(crate::plan::unsupported(&parsed, Backend::Process), Vec::<String>::new());
        }
    }
}
