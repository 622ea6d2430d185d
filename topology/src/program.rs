//! What makes sense with a program on MCAPI: it has no ranks, no checkpoints and no reference.

use crate::error::{Reader, Span};
use crate::model::{Expectation, Fault, OnExhausted, Runtime, Strike, Trigger};
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
        if node.image == Image::BareMetal {
            let message =
                format!("node \"{}\" is bare metal, and a program needs Linux", node.name);
            r.error(*span, message, "write `image: linux` for it");
        }
    }
    for (fault, marks) in faults {
        if matches!(fault.strike, Strike::Migrate(_) | Strike::Corrupt(_)) {
            let message =
                format!("a program has no ranks and no copies to {}", fault.strike.word());
            r.error(
                marks.node,
                message,
                "a program can be hit by kill, reboot, pause, resume, cut and heal",
            );
        }
        if !matches!(fault.trigger, Trigger::Start | Trigger::After(_)) {
            let message = "a program takes no checkpoints and reports no events";
            r.error(marks.trigger, message, "write a time: `at: 2s`");
        }
    }
    for expectation in expectations {
        let message = "a program on MCAPI has no result, takeover or checkpoint to be judged by";
        let help =
            "remove it: every node's program must end with 0, but for those that a fault kills";
        r.error(expectation.span, message, help);
    }
}
