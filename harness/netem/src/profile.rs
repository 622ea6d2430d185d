//! What one direction of a link does to packets.

use crate::vlan::vlan_of;

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

/// How the delay varies. Times before the packet has left the wire count as that moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// Evenly in `delay ± jitter`.
    #[default]
    Uniform,
    /// Around `delay`, with `jitter` as the standard deviation (a sum of twelve, so within six of them).
    Normal,
    /// After Pareto, with shape 4: mean `delay`, standard deviation `jitter`, never less than 0.71 of it
    /// below the mean, and now and then very much above.
    Pareto,
}

/// Room for packets that wait for the wire, the one being sent included. A packet is always taken when
/// nothing waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// At most so many bytes.
    pub bytes: usize,
    /// At most so many packets.
    pub packets: usize,
}

impl Queue {
    /// Room for everything.
    pub const ENDLESS: Self = Self { bytes: usize::MAX, packets: usize::MAX };
}

/// Which packets a [`DropRule`] is about: those that meet every condition. One tag of a VLAN is
/// looked through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// EtherType, bytes 12 and 13 of the frame; where a tag stands there, its own or the one behind it.
    pub ethertype: Option<u16>,
    /// Hardware address of the sender.
    pub from: Option<[u8; 6]>,
    /// Hardware address of the receiver.
    pub to: Option<[u8; 6]>,
    /// This byte of the frame has this value, tag not counted.
    pub byte: Option<(usize, u8)>,
    /// Only frames with more bytes, header included.
    pub longer_than: Option<usize>,
    /// Only frames with fewer bytes.
    pub shorter_than: Option<usize>,
}

impl Filter {
    /// Is it about this frame of `len` bytes, of which `head` are the first? What stands behind the tag of a VLAN is
    /// looked for there.
    #[must_use]
    pub fn matches(&self, head: &[u8], len: usize) -> bool {
        let field = |at: usize, wanted: &[u8]| head.get(at..at + wanted.len()) == Some(wanted);
        let skip = if vlan_of(head).is_some() { 4 } else { 0 };
        let behind = |at: usize| if at < 12 { at } else { at + skip };
        self.ethertype
            .is_none_or(|e| [12, behind(12)].iter().any(|at| field(*at, &e.to_be_bytes())))
            && self.from.is_none_or(|mac| field(6, &mac))
            && self.to.is_none_or(|mac| field(0, &mac))
            && self.byte.is_none_or(|(at, value)| field(behind(at), &[value]))
            && self.longer_than.is_none_or(|limit| len > limit)
            && self.shorter_than.is_none_or(|limit| len < limit)
    }
}

/// Which of the packets that a filter matches are dropped. They are counted from 1, from the moment that
/// the rule was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// This one alone.
    Nth(u64),
    /// Those whose number this divides. 0: none.
    Every(u64),
}

/// Packets that are dropped on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropRule {
    /// Of these packets,
    pub filter: Filter,
    /// these.
    pub which: Which,
}

/// A link that comes and goes: up for `up_ns`, then down for the rest of `period_ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flap {
    /// Time from one rise to the next.
    pub period_ns: u64,
    /// So much of it the link is up.
    pub up_ns: u64,
    /// Time of a rise.
    pub since_ns: u64,
}

impl Flap {
    /// Is the link down?
    #[must_use]
    pub const fn is_down(&self, now_ns: u64) -> bool {
        match now_ns.saturating_sub(self.since_ns).checked_rem(self.period_ns) {
            Some(into) => into >= self.up_ns,
            None => false,
        }
    }
}

/// Impairments of one direction. The default is a perfect link: no delay, no loss, no limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// Time in flight.
    pub delay_ns: u64,
    /// How far the delay varies, see [`Distribution`]. Packets still arrive in order.
    pub jitter_ns: u64,
    /// How it varies.
    pub distribution: Distribution,
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
    /// Room for what waits for the wire; only with a rate.
    pub queue: Queue,
    /// Packets that are dropped on purpose.
    pub drop: Option<DropRule>,
    /// The link comes and goes.
    pub flap: Option<Flap>,
}

impl Default for Profile {
    fn default() -> Self {
        Self::PERFECT
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
    /// No delay, no loss, no limit.
    pub const PERFECT: Self = Self {
        delay_ns: 0,
        jitter_ns: 0,
        distribution: Distribution::Uniform,
        loss: Loss::None,
        duplicate: 0.0,
        reorder: 0.0,
        corrupt: 0.0,
        rate_bits_per_s: None,
        queue: Queue::ENDLESS,
        drop: None,
        flap: None,
    };

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
