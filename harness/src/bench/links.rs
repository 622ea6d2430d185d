//! What links are asked to do against what they do: frames between two sockets of this process, through the
//! switch's own thread. No guest takes part, so that nothing but the switch is measured.

use crate::plan::{Backend, Plan, Setting};
use crate::progress::Progress;
use crate::switch::{Fabric, wire::Wire};
use crate::table::table;
use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use runtime_linux::priority::ahead_of_others;
use std::fmt::Write as _;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Bytes of a frame where its size does not matter, and where it does.
const SMALL: usize = 64;
const LARGE: usize = 1500;
/// Frames on their way where nothing else bounds them: fewer than wait for a guest in the switch.
const WINDOW: u64 = 1_500;
/// A frame that is not there after this is lost.
const LATE: Duration = Duration::from_millis(400);

/// Delays that are asked for: microseconds, frames, and microseconds between them.
const DELAYS: [(u64, u64, u64); 8] = [
    (0, 2_000, 300),
    (50, 2_000, 300),
    (200, 2_000, 500),
    (1_000, 1_500, 1_000),
    (5_000, 600, 2_000),
    (10_000, 400, 2_500),
    (50_000, 200, 5_000),
    (200_000, 100, 10_000),
];

/// A frame that arrived: its number, how long it took, and when it came.
#[derive(Clone, Copy, Debug)]
struct Arrived {
    number: u64,
    took_ns: u64,
    at_ns: u64,
}

/// Two guests, of which one sends and the other hears.
struct Lane {
    wire: Wire,
    sender: UnixDatagram,
    receiver: UnixDatagram,
    start: Instant,
}

impl Lane {
    /// The sender's link does this, in the words of the file; the other one is perfect.
    fn new(link: &str) -> Result<Self> {
        let text = format!(
            "name: links\nseed: 1\nnodes: {{ a: {{ role: compute }}, b: {{ role: compute }} }}\n\
             switches: {{ sw0: {{}} }}\nruntime: {{ transport: ethernet }}\n\
             links: [{{ between: [a, sw0]{}{link} }}, {{ between: [b, sw0] }}]\n",
            if link.is_empty() { "" } else { ", " }
        );
        let topology = topology::parse("links", &text)?;
        let setting = Setting { backend: Backend::Qemu, factor: 1, loopback: None, program: None };
        let wire = Wire::new(Fabric::new(&Plan::new(&topology, &setting)), |_| {})?;
        let mut guests = Vec::new();
        for port in 0..2 {
            let (guest, ours) = UnixDatagram::pair().context("cannot make a socket pair")?;
            wire.plug(port, ours);
            guests.push(guest);
        }
        let [sender, receiver] = guests.try_into().ok().context("two guests")?;
        receiver.set_read_timeout(Some(LATE))?;
        Ok(Self { wire, sender, receiver, start: Instant::now() })
    }

    /// How late the switch was at most with a frame that it held back. The rest of what frames took longer is the
    /// way into the switch and to a guest that has to wake up.
    fn worst_late_us(&self) -> Result<u64> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let ports = runtime.block_on(self.wire.status());
        Ok(ports.iter().map(|port| port.worst_late_us).max().unwrap_or(0))
    }

    /// Sends so many frames of a size, `pause` apart and at most `window` of them on their way; what arrived, in
    /// the order of arrival.
    fn send(&self, frames: u64, size: usize, pause: Duration, window: u64) -> Result<Vec<Arrived>> {
        let (sender, start) = (self.sender.try_clone()?, self.start);
        let highest = Arc::new(AtomicU64::new(0));
        let seen = highest.clone();
        let sending = thread::spawn(move || -> std::io::Result<()> {
            if pause.is_zero() {
                run_first();
            }
            let mut next = Instant::now();
            for number in 1..=frames {
                while number - seen.load(Ordering::Acquire) > window {
                    thread::yield_now();
                }
                if !pause.is_zero() {
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                    next += pause;
                }
                sender.send(&frame(number, nanos(start.elapsed()), size))?;
            }
            Ok(())
        });
        let mut arrived = Vec::new();
        let mut bytes = vec![0; 2 * LARGE];
        loop {
            let len = match self.receiver.recv(&mut bytes) {
                Ok(len) => len,
                Err(_) if sending.is_finished() => break,
                Err(_) => continue,
            };
            let at_ns = nanos(self.start.elapsed());
            let (number, sent_ns) = stamp(&bytes[..len]).context("a frame without a stamp")?;
            arrived.push(Arrived { number, took_ns: at_ns.saturating_sub(sent_ns), at_ns });
            highest.fetch_max(number, Ordering::Release);
            if number == frames {
                break;
            }
        }
        match sending.join() {
            Ok(sent) => sent.context("a guest cannot send")?,
            Err(_) => anyhow::bail!("the sending thread is gone"),
        }
        ensure!(!arrived.is_empty(), "no frame arrived at all");
        Ok(arrived)
    }
}

/// A broadcast with its number and the time at which it was sent.
fn frame(number: u64, at_ns: u64, size: usize) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    frame.extend(number.to_le_bytes());
    frame.extend(at_ns.to_le_bytes());
    frame.resize(size, 0);
    frame
}

fn stamp(frame: &[u8]) -> Option<(u64, u64)> {
    let word = |at: usize| Some(u64::from_le_bytes(frame.get(at..at + 8)?.try_into().ok()?));
    Some((word(14)?, word(22)?))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Senders and receivers that are always busy would else wait for a processor, and the switch be blamed.
fn run_first() {
    if let Err(e) = ahead_of_others() {
        tracing::warn!(
            "no right to run before other programs: on a busy machine, all looks worse: {e}"
        );
    }
}

/// Measures everything; the tables.
pub(super) fn main(progress: &Progress) -> Result<String> {
    let mut text = String::new();
    for (what, measure, busy) in [
        ("delay", delays as fn() -> Result<String>, false),
        ("jitter", jitter, false),
        ("loss", loss, true),
        ("rate", rate, true),
        ("throughput under delay", throughput, true),
        ("idling", idling, false),
    ] {
        progress.step(0, 0, &format!("links: {what} is measured"));
        // A thread of its own, for nothing else is to run first.
        let measuring = thread::spawn(move || {
            if busy {
                run_first();
            }
            measure()
        });
        text +=
            &measuring.join().unwrap_or_else(|_| anyhow::bail!("the measuring thread is gone"))?;
    }
    Ok(text)
}

fn delays() -> Result<String> {
    let mut rows =
        table(&["delay asked", "median", "p99", "worst", "error of the median", "switch, worst"]);
    for (asked, frames, pause) in DELAYS {
        let lane = Lane::new(&format!("delay: {asked}us"))?;
        let arrived = lane.send(frames, SMALL, Duration::from_micros(pause), WINDOW)?;
        let mut took: Vec<u64> = arrived.iter().map(|a| a.took_ns).collect();
        took.sort_unstable();
        let median = micros(quantile(&took, 50));
        let asked = float(asked);
        rows.add_row([
            us(asked),
            us(median),
            us(micros(quantile(&took, 99))),
            us(micros(quantile(&took, 100))),
            format!("{:+.1} us", median - asked),
            us(float(lane.worst_late_us()?)),
        ]);
    }
    Ok(format!("{rows}\n"))
}

fn jitter() -> Result<String> {
    let mut rows = table(&["jitter asked, around 5 ms", "mean", "deviation asked", "measured"]);
    for (words, share) in [("uniform", 3f64.sqrt().recip()), ("normal", 1.0), ("pareto", 1.0)] {
        let lane = Lane::new(&format!("delay: 5ms, jitter: 500us, distribution: {words}"))?;
        let arrived = lane.send(600, SMALL, Duration::from_millis(4), WINDOW)?;
        let took: Vec<f64> = arrived.iter().map(|a| micros(a.took_ns)).collect();
        let (mean, deviation) = moments(&took);
        rows.add_row([format!("500 us {words}"), us(mean), us(500.0 * share), us(deviation)]);
    }
    Ok(format!("{rows}\n"))
}

fn loss() -> Result<String> {
    let mut rows = table(&["loss asked", "measured", "mean burst asked", "measured"]);
    for (words, asked, burst) in [
        ("1%", 0.01, 1.0 / 0.99),
        ("10%", 0.1, 1.0 / 0.9),
        ("{ to-bad: 1%, to-good: 20% }", 0.01 / 0.21, 5.0),
    ] {
        let frames = 50_000;
        let lane = Lane::new(&format!("loss: {words}"))?;
        let arrived = lane.send(frames, SMALL, Duration::ZERO, WINDOW)?;
        let (lost, bursts) = gaps(&arrived, frames);
        let mean = if bursts == 0 { 0.0 } else { float(lost) / float(bursts) };
        rows.add_row([
            format!("{:.2}%", asked * 100.0),
            format!("{:.2}%", float(lost) * 100.0 / float(frames)),
            format!("{burst:.2}"),
            format!("{mean:.2}"),
        ]);
    }
    Ok(format!("{rows}\n"))
}

fn rate() -> Result<String> {
    let mut rows = table(&["rate asked", "measured", "error"]);
    for (words, asked, frames) in
        [("10Mbit", 10e6, 1_000), ("100Mbit", 100e6, 6_000), ("1Gbit", 1e9, 40_000)]
    {
        let lane = Lane::new(&format!("rate: {words}"))?;
        // Always something waits, and never too much.
        let arrived = lane.send(frames, LARGE, Duration::ZERO, 500)?;
        let measured = bits_per_s(&arrived);
        rows.add_row([
            words.to_owned(),
            format!("{:.2} Mbit/s", measured / 1e6),
            format!("{:+.2}%", (measured / asked - 1.0) * 100.0),
        ]);
    }
    Ok(format!("{rows}\n"))
}

/// A link without and with delay by turns: the machine is not equally busy all the time.
fn throughput() -> Result<String> {
    const ROUNDS: usize = 5;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let lane = Lane::new("")?;
        without.push(bits_per_s(&lane.send(60_000, LARGE, Duration::ZERO, WINDOW)?));
        let lane = Lane::new("delay: 10ms")?;
        // Whoever wants to fill a longer road has more on it.
        let on_the_road =
            without.iter().copied().fold(0.0, f64::max) * 0.01 / float(LARGE as u64 * 8);
        let window = WINDOW + whole(on_the_road);
        with.push(bits_per_s(&lane.send(60_000, LARGE, Duration::ZERO, window)?));
    }
    let middle = |rates: &mut Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[ROUNDS / 2]
    };
    let (without, with) = (middle(&mut without), middle(&mut with));
    let mut rows = table(&["throughput, median of 5", "Mbit/s", "of it"]);
    rows.add_row(["no delay".to_owned(), format!("{:.0}", without / 1e6), "100%".to_owned()]);
    let share = with * 100.0 / without;
    rows.add_row(["10 ms delay".to_owned(), format!("{:.0}", with / 1e6), format!("{share:.0}%")]);
    Ok(format!("{rows}\n"))
}

/// Nothing is sent: what does the switch cost?
fn idling() -> Result<String> {
    let lane = Lane::new("delay: 10ms")?;
    lane.send(10, SMALL, Duration::from_millis(1), WINDOW)?;
    let used = || -> Result<i64> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        Ok((usage.user_time() + usage.system_time()).num_microseconds())
    };
    let (before, watched) = (used()?, Duration::from_secs(2));
    thread::sleep(watched);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "a switch that idles: {} us of processor time in {} s",
        used()? - before,
        watched.as_secs()
    );
    Ok(text)
}

/// Bits that arrived in a second, from the first frame to the last.
fn bits_per_s(arrived: &[Arrived]) -> f64 {
    let (Some(first), Some(last)) = (arrived.first(), arrived.last()) else { return 0.0 };
    let bits = (arrived.len() as u64 - 1) * LARGE as u64 * 8;
    float(bits) * 1e9 / float((last.at_ns - first.at_ns).max(1))
}

/// How many of so many frames did not arrive, and in how many bursts.
fn gaps(arrived: &[Arrived], frames: u64) -> (u64, u64) {
    let mut there: Vec<u64> = arrived.iter().map(|a| a.number).collect();
    there.sort_unstable();
    there.push(frames + 1);
    let (mut lost, mut bursts, mut before) = (0, 0, 0);
    for number in there {
        let missing = number.saturating_sub(before + 1);
        lost += missing;
        bursts += u64::from(missing > 0);
        before = number;
    }
    (lost, bursts)
}

/// Of sorted values, the one below which so many percent lie.
fn quantile(sorted: &[u64], percent: usize) -> u64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

/// Mean and standard deviation.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = float(values.len() as u64);
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

fn micros(ns: u64) -> f64 {
    float(ns) / 1e3
}

fn us(us: f64) -> String {
    format!("{us:.1} us")
}

#[expect(clippy::cast_precision_loss, reason = "what is measured here is far below 2^53")]
const fn float(value: u64) -> f64 {
    value as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of frames on a road"
)]
const fn whole(value: f64) -> u64 {
    value as u64
}
