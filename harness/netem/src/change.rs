//! A change of some impairments.

use crate::profile::{Distribution, DropRule, Flap, Loss, Profile, Queue};

/// New values for some fields of a [`Profile`]; `None` keeps what there is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Change {
    /// See [`Profile::delay_ns`].
    pub delay_ns: Option<u64>,
    /// See [`Profile::jitter_ns`].
    pub jitter_ns: Option<u64>,
    /// See [`Profile::distribution`].
    pub distribution: Option<Distribution>,
    /// See [`Profile::loss`].
    pub loss: Option<Loss>,
    /// See [`Profile::duplicate`].
    pub duplicate: Option<f64>,
    /// See [`Profile::reorder`].
    pub reorder: Option<f64>,
    /// See [`Profile::corrupt`].
    pub corrupt: Option<f64>,
    /// See [`Profile::rate_bits_per_s`]; `Some(None)` lifts the limit.
    pub rate_bits_per_s: Option<Option<u64>>,
    /// See [`Profile::queue`].
    pub queue: Option<Queue>,
    /// See [`Profile::drop`]; `Some(None)` ends it.
    pub drop: Option<Option<DropRule>>,
    /// See [`Profile::flap`]; `Some(None)` ends it.
    pub flap: Option<Option<Flap>>,
}

impl Change {
    /// Does it change nothing?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The profile with the new values. A new flap begins with a rise at `now_ns`.
    #[must_use]
    pub fn of(&self, old: Profile, now_ns: u64) -> Profile {
        Profile {
            delay_ns: self.delay_ns.unwrap_or(old.delay_ns),
            jitter_ns: self.jitter_ns.unwrap_or(old.jitter_ns),
            distribution: self.distribution.unwrap_or(old.distribution),
            loss: self.loss.unwrap_or(old.loss),
            duplicate: self.duplicate.unwrap_or(old.duplicate),
            reorder: self.reorder.unwrap_or(old.reorder),
            corrupt: self.corrupt.unwrap_or(old.corrupt),
            rate_bits_per_s: self.rate_bits_per_s.unwrap_or(old.rate_bits_per_s),
            queue: self.queue.unwrap_or(old.queue),
            drop: self.drop.unwrap_or(old.drop),
            flap: match self.flap {
                Some(flap) => flap.map(|flap| Flap { since_ns: now_ns, ..flap }),
                None => old.flap,
            },
        }
    }
}

#[cfg(test)]
mod tests;
