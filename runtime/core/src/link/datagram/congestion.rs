//! How many frames may be out (after TCP Westwood).
//!
//! The window over the round trip is the rate, and the rate times the shortest round trip is what
//! the path holds with empty queues. So a loss sets the window to that: a queue that overflowed is
//! drained, but a frame lost by chance, with no queue on the way, costs nothing.

use super::rtt::Rtt;
use crate::limits::LINK_WINDOW;

const FIRST: usize = 16;
/// Enough for a loss to be seen by what follows it.
const FLOOR: usize = 4;
/// Up to this part of a window is lost by chance; more is too much for the path.
const BY_CHANCE: usize = 4;

#[derive(Clone, Debug)]
pub(in crate::link) struct Congestion {
    window: usize,
    /// Below this the window doubles in a round trip, above it grows by one frame.
    slow_from: usize,
    /// Frames that arrived toward the next frame of growth.
    arrived: usize,
    /// Transmissions up to this one belong to the last loss: the window before it, and how many
    /// were lost.
    last: u64,
    before: usize,
    lost: usize,
}

impl Default for Congestion {
    fn default() -> Self {
        Self { window: FIRST, slow_from: LINK_WINDOW, arrived: 0, last: 0, before: FIRST, lost: 0 }
    }
}

impl Congestion {
    /// Frames that may be out.
    pub(in crate::link) const fn window(&self) -> usize {
        self.window
    }

    /// Frames arrived while the window was the limit.
    pub(in crate::link) fn on_arrival(&mut self, frames: usize) {
        if self.window < self.slow_from {
            self.window += frames;
        } else {
            self.arrived += frames;
            if self.arrived >= self.window {
                self.arrived = 0;
                self.window += 1;
            }
        }
        self.window = self.window.min(LINK_WINDOW);
    }

    /// A transmission is lost; `latest` is the last one that was made.
    pub(in crate::link) fn on_loss(&mut self, order: u64, latest: u64, rtt: &Rtt) {
        if order > self.last {
            (self.last, self.before, self.lost) = (latest, self.window, 0);
            let (shortest, recent) = rtt.queueing();
            let held = (self.window * shortest).div_ceil(recent);
            if held < self.window {
                self.shrink(held.max(self.window / 2));
            }
        }
        self.lost += 1;
        if self.lost > FLOOR + self.before / BY_CHANCE {
            self.shrink(self.before - self.lost.min(self.before));
        }
    }

    fn shrink(&mut self, window: usize) {
        self.window = self.window.min(window).max(FLOOR);
        self.slow_from = self.window.max(self.before / 2);
        self.arrived = 0;
    }
}
