//! Retransmission timeout from measured round trips (RFC 6298), backed off after Karn.

use crate::time::Duration;

/// Before anything is measured.
const INITIAL: u64 = 100_000_000;
/// More than a peer holds an acknowledgement back, with room for its scheduler.
const MIN: u64 = 4_000_000;
const MAX: u64 = 1_000_000_000;

const _: () = assert!(super::datagram::ACK_DELAY.0 * 2 <= MIN, "a held ack is no loss");

#[derive(Debug, Default)]
pub(super) struct Rtt {
    /// Smoothed round trip and its variation.
    measured: Option<(u64, u64)>,
    backoff: u32,
}

impl Rtt {
    /// A round trip of a frame that was sent once. Only this ends a back-off (Karn): an
    /// acknowledgement of a frame sent twice does not say which of the two it is for.
    pub(super) fn sample(&mut self, trip: Duration) {
        let trip = trip.0;
        self.measured = Some(match self.measured {
            None => (trip, trip / 2),
            Some((smoothed, variation)) => (
                smoothed - smoothed / 8 + trip / 8,
                variation - variation / 4 + smoothed.abs_diff(trip) / 4,
            ),
        });
        self.backoff = 0;
    }

    /// The timeout passed.
    pub(super) fn back_off(&mut self) {
        self.backoff = (self.backoff + 1).min(16);
    }

    pub(super) fn timeout(&self) -> Duration {
        let base = match self.measured {
            None => INITIAL,
            Some((smoothed, variation)) => smoothed.saturating_add(variation.saturating_mul(4)),
        };
        Duration(base.clamp(MIN, MAX)).times(1 << self.backoff).min(Duration(MAX))
    }
}
