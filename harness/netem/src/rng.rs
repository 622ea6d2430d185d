//! Randomness by name: a draw is a hash of what it is for, so draws do not depend on each other.

/// What a draw decides. The numbers are part of the seed's meaning: do not reorder.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(crate) enum Draw {
    Loss = 1,
    Transition = 2,
    Corrupt = 3,
    CorruptBit = 4,
    Duplicate = 5,
    Jitter = 6,
    Reorder = 7,
    Other = 8,
}

/// A draw for something that is no frame: evenly in `0 ..= bound`, the same for the same seed and index.
#[must_use]
pub const fn draw(seed: u64, index: u64, bound: u64) -> u64 {
    Rng::new(seed).up_to(Draw::Other, index, bound)
}

/// All draws of one direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rng {
    key: u64,
}

/// The finalizer of splitmix64: a bijection that spreads every bit.
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A seed of its own for each name and number.
pub(crate) const fn name_key(seed: u64, name: &str, number: u64) -> u64 {
    let mut key = mix(seed.wrapping_add(number.wrapping_mul(GOLDEN)));
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        key = mix(key.wrapping_add(GOLDEN) ^ bytes[at] as u64);
        at += 1;
    }
    key
}

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { key: mix(seed.wrapping_add(GOLDEN)) }
    }

    /// 64 bits for packet (or copy) `index`.
    pub(crate) const fn bits(self, draw: Draw, index: u64) -> u64 {
        let purpose = mix(self.key ^ (draw as u64).wrapping_mul(GOLDEN));
        mix(purpose.wrapping_add(mix(index.wrapping_add(GOLDEN))))
    }

    /// Evenly in `0.0 .. 1.0`.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64")]
    pub(crate) const fn unit(self, draw: Draw, index: u64) -> f64 {
        (self.bits(draw, index) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with probability `p`: never for 0, always for 1.
    pub(crate) fn chance(self, draw: Draw, index: u64, p: f64) -> bool {
        self.unit(draw, index) < p
    }

    /// Evenly in `0 ..= bound`, as even as a multiplication makes it.
    pub(crate) const fn up_to(self, draw: Draw, index: u64, bound: u64) -> u64 {
        ((self.bits(draw, index) as u128 * (bound as u128 + 1)) >> 64) as u64
    }

    /// With mean 0 and standard deviation 1, in units of 2^-32: twelve even numbers, less their mean. The
    /// same on every machine, which a logarithm is not.
    pub(crate) const fn normal(self, draw: Draw, index: u64) -> i64 {
        let mut bits = self.bits(draw, index);
        let mut sum = -(6 << 32);
        let mut n = 0;
        while n < 6 {
            sum += (bits & 0xffff_ffff).cast_signed() + (bits >> 32).cast_signed();
            bits = mix(bits.wrapping_add(GOLDEN));
            n += 1;
        }
        sum
    }

    /// After Pareto with shape 4, scaled to mean 0 and standard deviation 1. Square roots are exact, so
    /// this too is the same on every machine.
    pub(crate) fn pareto(self, draw: Draw, index: u64) -> f64 {
        const MEAN: f64 = 4.0 / 3.0;
        // The square root of 2/9.
        const DEVIATION: f64 = 0.471_404_520_791_031_7;
        let even = 1.0 - self.unit(draw, index);
        (1.0 / even.sqrt().sqrt() - MEAN) / DEVIATION
    }
}

#[cfg(test)]
mod tests {
    use super::draw;

    #[test]
    fn a_draw_is_the_same_for_the_same_seed_and_stays_in_its_bound() {
        let of = |seed| (0..200).map(|n| draw(seed, n, 9)).collect::<Vec<_>>();
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        assert!((0..=9).all(|value| of(7).contains(&value)) && of(7).iter().all(|v| *v <= 9));
    }
}
