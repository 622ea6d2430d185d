//! What makes sense with a program on MCAPI: it has no ranks, no checkpoints and no reference.

use crate::error::{Reader, Span};
use crate::model::{
    Expectation, Fault, Metric, OnExhausted, Outcome, Runtime, Shown, Sight, Strike, Trigger,
};
use crate::read::{At, Cluster, Marks};
use runtime_core::node::{Image, Role};

/// Checks nodes, faults and expectations against a program; `program` is where it is named.
pub(crate) fn check(
    r: &mut Reader<'_>,
    cluster: &Cluster,
    runtime: &Runtime,
    program: Span,
    faults: &[(Fault, Marks)],
    expectations: &[At<Expectation>],
) {
    if runtime.on_exhausted == OnExhausted::DoubleUp {
        let message = "a program has no ranks, so no node can host two of them";
        r.error(program, message, "remove `on-exhausted: double-up`");
    }
    for (node, span) in cluster.nodes.iter().zip(&cluster.spans) {
        if node.role == Role::Standby {
            let message =
                format!("node \"{}\" is a standby, and nobody stands in for a program", node.name);
            r.error(*span, message, "write `role: compute`, or remove the node");
        }
        let (what, help) = match node.image {
            Image::Linux => continue,
            Image::LinuxAarch64 => {
                ("aarch64, and programs are built for x86_64", "write `arch: x86_64` for it")
            }
            Image::BareMetal => {
                ("bare metal, and a program needs Linux", "write `image: linux` for it")
            }
        };
        r.error(*span, format!("node \"{}\" is {what}", node.name), help);
    }
    for (fault, marks) in faults {
        if matches!(fault.strike, Strike::Migrate(_) | Strike::Corrupt(_)) {
            let message =
                format!("a program has no ranks and no copies to {}", fault.strike.word());
            let help = "remove it: a program can be hit by what befalls machines and links";
            r.error(marks.node, message, help);
        }
        let timed = matches!(
            fault.trigger,
            Trigger::Start | Trigger::After(_) | Trigger::Random { .. } | Trigger::Follows { .. }
        );
        if !timed {
            let message = "a program takes no checkpoints and reports no events";
            r.error(marks.trigger, message, "write a time: `at: 2s`");
        }
    }
    let makes_sense = |expectation: &Expectation| match expectation {
        Expectation::Seen { sight, .. } | Expectation::Never(sight) => is_line(sight),
        Expectation::Order(sights) => sights.iter().all(is_line),
        Expectation::State { outcome, .. } => {
            matches!(outcome, Outcome::Dead | Outcome::Exited(_))
        }
        Expectation::Metric { metric, .. } => *metric == Metric::RunTime,
        _ => false,
    };
    for expectation in expectations.iter().filter(|e| !makes_sense(&e.value)) {
        let message =
            "a program on MCAPI has no result, takeover, checkpoint or event to be judged by";
        let help = "remove it, or name a line that is printed: besides, every node's program must end with 0, but for those that a fault kills";
        r.error(expectation.span, message, help);
    }
}

fn is_line(sight: &Sight) -> bool {
    matches!(sight.shown, Shown::Line(_))
}
