//! What one direction of a link does to packets.

/// Which packets are lost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each with this probability, independently.
    Random(f64),
    /// In bursts: a channel that is good or bad, and moves between the two before each packet.
    GilbertElliott {
        /// Probability to go from good to bad.
        to_bad: f64,
        /// Probability to go from bad to good.
        to_good: f64,
        /// Loss while good.
        loss_good: f64,
        /// Loss while bad.
        loss_bad: f64,
    },
}

/// Impairments of one direction. The default is a perfect link: no delay, no loss, no limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// Time in flight.
    pub delay_ns: u64,
    /// Added to the delay, evenly in `0 ..= jitter_ns`. Packets still leave in order.
    pub jitter_ns: u64,
    /// Which packets are lost.
    pub loss: Loss,
    /// Probability that a packet arrives twice.
    pub duplicate: f64,
    /// Probability that a packet skips the delay and overtakes those in flight. Does nothing
    /// without delay or jitter.
    pub reorder: f64,
    /// Probability that one bit of a packet is flipped.
    pub corrupt: f64,
    /// Bits on the wire per second; `None`: no limit.
    pub rate_bits_per_s: Option<u64>,
    /// Bytes that wait for the wire, the one being sent included, before packets are dropped. A
    /// packet is always taken when nothing waits.
    pub queue_bytes: usize,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            delay_ns: 0,
            jitter_ns: 0,
            loss: Loss::None,
            duplicate: 0.0,
            reorder: 0.0,
            corrupt: 0.0,
            rate_bits_per_s: None,
            queue_bytes: usize::MAX,
        }
    }
}

/// A profile that cannot be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InvalidProfile {
    /// This field is a probability, but not in 0 to 1.
    Probability(&'static str, f64),
    /// A rate of zero: cut the link instead.
    NoRate,
}

impl core::fmt::Display for InvalidProfile {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Probability(field, value) => {
                write!(f, "{field} is {value}, but a probability lies between 0 and 1")
            }
            Self::NoRate => write!(f, "rate is 0: cut the link instead"),
        }
    }
}

impl core::error::Error for InvalidProfile {}

impl Profile {
    /// Says what is wrong with the profile. A [`crate::Direction`] takes any: a probability under 0
    /// (or not a number) never happens, over 1 always; a rate of 0 counts as 1.
    pub fn check(&self) -> Result<(), InvalidProfile> {
        let one = |field, p: f64| {
            let valid = (0.0..=1.0).contains(&p);
            if valid { Ok(()) } else { Err(InvalidProfile::Probability(field, p)) }
        };
        one("duplicate", self.duplicate)?;
        one("reorder", self.reorder)?;
        one("corrupt", self.corrupt)?;
        match self.loss {
            Loss::None => {}
            Loss::Random(p) => one("loss", p)?,
            Loss::GilbertElliott { to_bad, to_good, loss_good, loss_bad } => {
                one("loss to-bad", to_bad)?;
                one("loss to-good", to_good)?;
                one("loss in good", loss_good)?;
                one("loss in bad", loss_bad)?;
            }
        }
        if self.rate_bits_per_s == Some(0) { Err(InvalidProfile::NoRate) } else { Ok(()) }
    }

    /// Flips one bit of a packet, as [`crate::Delivery::corrupt`] says; any number does, for it is
    /// taken modulo the packet's bits. An empty packet stays as it is.
    pub fn corrupt_bytes(bit: u64, bytes: &mut [u8]) {
        let bits = bytes.len() as u64 * 8;
        if let Some(bit) = bit.checked_rem(bits)
            && let Ok(at) = usize::try_from(bit / 8)
        {
            bytes[at] ^= 1 << (bit % 8);
        }
    }
}

#[cfg(test)]
mod tests;
