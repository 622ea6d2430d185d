//! Recording: which links, and what is said of a frame.

use super::Fabric;
use super::pcapng::Captured;
use netem::{Fate, Way};

impl Fabric {
    /// Begins or ends recording a link.
    pub(crate) fn tap(&mut self, port: usize, on: bool) {
        self.ports[port].tapped = on;
    }

    /// The node behind a port.
    pub(crate) fn node(&self, port: usize) -> &str {
        &self.ports[port].node
    }

    /// Frames of recorded links since the last time.
    pub(crate) fn take_captured(&mut self) -> Vec<Captured> {
        core::mem::take(&mut self.captured)
    }

    /// A frame to a node was lost behind its link.
    pub(crate) fn lost(&mut self, now_ns: u64, port: usize, frame: &[u8], reason: &'static str) {
        self.count_drop(port, reason);
        if self.ports[port].tapped {
            let comment = Some(format!("dropped: {reason}"));
            let frame = frame.to_vec();
            self.captured.push(Captured { at_ns: now_ns, port, way: Way::Down, frame, comment });
        }
    }
}

/// What befell a frame, if it is worth a word: the number is what its fate hangs on.
pub(super) fn comment(index: u64, now_ns: u64, fate: &Fate) -> Option<String> {
    let mut words = Vec::new();
    match fate.deliveries.as_slice() {
        [_, second] => {
            words.push(format!("duplicated: again after {}", after(now_ns, second.at_ns)));
        }
        [_] if fate.dropped.is_some() => words.push("a second copy was dropped".to_owned()),
        _ => {}
    }
    if let Some(first) = fate.deliveries.first() {
        words.extend(first.corrupt.map(|_| "corrupted: one bit is flipped".to_owned()));
        if first.at_ns > now_ns {
            words.push(format!("delayed by {}", after(now_ns, first.at_ns)));
        }
    }
    words.extend(fate.dropped.map(|reason| format!("dropped: {}", reason.words())));
    (!words.is_empty()).then(|| format!("frame {index}: {}", words.join("; ")))
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn after(now_ns: u64, at_ns: u64) -> String {
    format!("{:.3} ms", at_ns.saturating_sub(now_ns) as f64 / 1e6)
}
