//! Recording: which links, and what is said of a frame.

use super::Fabric;
use super::line::End;
use super::pcapng::Captured;
use netem::{Fate, Way};

impl Fabric {
    /// Begins or ends recording a line.
    pub(crate) fn tap(&mut self, line: usize, on: bool) {
        self.lines[line].tapped = on;
    }

    /// What the two ways of a line are, for people.
    pub(crate) fn ways(&self, line: usize) -> [String; 2] {
        let line = &self.lines[line];
        let name = |end: End| match end {
            End::Node => &line.name,
            End::Switch { bridge, .. } => &self.bridges[bridge].name,
        };
        match line.ends {
            [End::Node, _] => [format!("from {}", line.name), format!("to {}", line.name)],
            ends => {
                let [one, other] = ends.map(name);
                [format!("from {one} to {other}"), format!("from {other} to {one}")]
            }
        }
    }

    /// Frames of recorded lines since the last time.
    pub(crate) fn take_captured(&mut self) -> Vec<Captured> {
        core::mem::take(&mut self.captured)
    }

    /// A frame to a node was lost behind its link.
    pub(crate) fn lost(&mut self, now_ns: u64, line: usize, frame: &[u8], reason: &'static str) {
        self.count_drop(line, reason);
        if self.lines[line].tapped {
            let comment = Some(format!("dropped: {reason}"));
            let frame = frame.to_vec();
            self.captured.push(Captured { at_ns: now_ns, line, way: Way::Down, frame, comment });
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
