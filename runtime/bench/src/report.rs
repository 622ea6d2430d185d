//! What was measured.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// How samples spread, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// How many there are.
    pub count: usize,
    /// Least.
    #[serde(rename = "min_ns")]
    pub min: u64,
    /// Half of them are not more.
    #[serde(rename = "median_ns")]
    pub median: u64,
    /// 99 in 100 are not more.
    #[serde(rename = "p99_ns")]
    pub p99: u64,
    /// Most.
    #[serde(rename = "max_ns")]
    pub max: u64,
}

impl Spread {
    /// Of these samples; all zero when there are none.
    #[must_use]
    pub fn of(mut samples: Vec<u64>) -> Self {
        samples.sort_unstable();
        let count = samples.len();
        let Some(last) = count.checked_sub(1) else { return Self::default() };
        // The smallest sample that so many in a hundred do not exceed.
        let at = |percent: usize| samples[(count * percent).div_ceil(100).max(1) - 1];
        Self { count, min: samples[0], median: at(50), p99: at(99), max: samples[last] }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |nanos: u64| format!("{}.{:02}", nanos / 1_000, nanos % 1_000 / 10);
        let (min, median) = (us(self.min), us(self.median));
        let (p99, max) = (us(self.p99), us(self.max));
        write!(f, "min {min}, median {median}, p99 {p99}, max {max} us ({} samples)", self.count)
    }
}

/// A stream from its first packet to the answer to its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Bytes of a packet.
    pub packet: usize,
    /// Bytes in all.
    pub bytes: u64,
    /// Time.
    #[serde(rename = "ns")]
    pub nanos: u64,
}

impl Stream {
    /// Hundredths of MiB in a second.
    #[must_use]
    pub fn centi_mib_per_second(&self) -> u64 {
        let centi = u128::from(self.bytes) * 100_000_000_000 / (1 << 20);
        u64::try_from(centi / u128::from(self.nanos.max(1))).unwrap_or(u64::MAX)
    }
}

/// Everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Short round trips.
    pub round_trip: Spread,
    /// Page fetches.
    pub fetch: Spread,
    /// Streams, one for each size of packet.
    pub streams: Vec<Stream>,
    /// Frames that the asking node sent again.
    pub retransmitted: u64,
}

impl Report {
    /// One JSON object, in one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Numbers, lists and structs: encoding cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What [`Report::to_json`] made.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "round trip  {}", self.round_trip)?;
        writeln!(f, "page fetch  {}", self.fetch)?;
        for stream in &self.streams {
            let speed = stream.centi_mib_per_second();
            let (kib, mib) = (stream.packet >> 10, stream.bytes >> 20);
            writeln!(
                f,
                "stream      {}.{:02} MiB/s ({mib} MiB in packets of {kib} KiB)",
                speed / 100,
                speed % 100
            )?;
        }
        write!(f, "sent again  {} frames", self.retransmitted)
    }
}
