//! `understudy bench`: what carries the runtime's messages, measured between pairs of guests in one run,
//! and what many bare-metal guests cost. It prints, and judges no time.

mod footprint;
mod guests;
mod links;
mod mcapi;
mod outages;
mod soak;
mod starts;
mod summary;

use crate::backend::Site;
use crate::backend::qemu::Machine;
use crate::backend::spawn::Spawner;
use crate::failure::Failure;
use crate::paths::Places;
use crate::plan::{Backend, Plan, Setting};
use crate::progress::Progress;
use crate::proto::EXIT_OK;
use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use guests::{Guests, hello, topology};
use images_control::bench::Bench;
use images_control::{FromNode, ToNode};
use runtime_core::node::Image;
use std::sync::Arc;
use std::time::{Duration, Instant};
use summary::{Crowds, Row};

/// Bare-metal guests that boot into one cluster.
const CLUSTER: usize = 16;
/// Bare-metal guests that idle.
const IDLE: usize = 32;
/// For how long they are watched, after they had as long to settle as the first number says.
const SETTLE: Duration = Duration::from_secs(1);
const WATCH: Duration = Duration::from_secs(5);

/// Bytes of a packet: a page goes in one frame.
const MTU: u16 = 9_000;

/// What to measure.
#[derive(Clone, Debug, Args)]
pub(crate) struct BenchArgs {
    /// Round trips, and pages fetched, over each way.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: u32,
    /// Bytes of each stream, for example 32MiB.
    #[arg(long, default_value = "32MiB", value_parser = size)]
    stream: u64,
    /// Leave the rest out.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// How long a soak lasts.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    minutes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// MCAPI over shared memory between two processes, beside other ways.
    Mcapi,
    /// A pair of Linux guests and a pair of bare-metal guests: messages.
    Pairs,
    /// Many bare-metal guests: booting and idling.
    Crowds,
    /// Bare-metal images: what is loaded, and how much memory they take at most.
    Footprint,
    /// Links, without guests: delay, jitter, loss and rate, asked and measured; throughput under delay.
    Links,
    /// How soon clusters are there: Linux guests that boot or are copies, and many bare-metal guests.
    Starts,
    /// Whole clusters: how soon the others notice that a node is gone, and compute again; what checkpoints cost.
    Outages,
    /// Only if asked for: a cluster of processes under full load, in which nobody may be taken for dead.
    Soak,
}

/// A number of bytes, with or without KiB, MiB or GiB.
fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let split = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (number, shift) = split.unwrap_or((text, 0));
    let number: Option<u64> = number.trim().parse().ok();
    number
        .and_then(|n| n.checked_mul(1 << shift))
        .filter(|bytes| (1..=1 << 40).contains(bytes))
        .ok_or_else(|| format!("`{text}` is no size: write 4096, 512KiB or 32MiB, up to 1024GiB"))
}

/// Measures and prints.
pub(crate) fn main(places: &Places, args: &BenchArgs) -> Result<u8, Failure> {
    if args.only == Some(Part::Soak) {
        return soak::main(places, args.minutes, &Progress::new());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start threads")?;
    // Clusters have daemons of their own, which end with the connection to them.
    if args.only.is_none_or(|only| only == Part::Outages) {
        let text = outages::main(places, &Progress::new())?;
        print!("{text}");
    }
    if args.only.is_none_or(|only| only == Part::Links) {
        print!("{}", links::main(&Progress::new())?);
    }
    if args.only.is_none_or(|only| only == Part::Mcapi) {
        Progress::new().step(0, 0, "two processes measure MCAPI over shared memory");
        print!("{}", mcapi::main(places)?);
    }
    // Guests hang on a thread of this process: however it ends, they end.
    if !matches!(args.only, Some(Part::Outages | Part::Links | Part::Mcapi)) {
        runtime.block_on(run(places, args))?;
    }
    Ok(EXIT_OK)
}

/// What all guests share.
struct Hall {
    site: Arc<Site>,
    factor: u32,
    progress: Progress,
}

async fn run(places: &Places, args: &BenchArgs) -> Result<()> {
    let progress = Progress::new();
    progress.step(0, 0, "the guests' images are built, and the accelerator probed");
    let wanted = |part: Part| args.only.is_none_or(|only| only == part);
    let mut images = vec![Image::BareMetal];
    if wanted(Part::Pairs) || wanted(Part::Starts) {
        images.push(Image::Linux);
    }
    let node_program = places.node_program()?;
    let machine = {
        let (places, program) = (places.clone(), node_program.clone());
        tokio::task::spawn_blocking(move || Machine::prepare(&places, &program, None, &images))
            .await??
    };
    progress.line(&machine.words);
    let (run_dir, factor) = (places.new_run("bench")?, machine.factor);
    let site = Site::new(Spawner::new()?, run_dir, node_program, Some(machine));
    let hall = Hall { site: Arc::new(site), factor, progress };
    let mut text = String::new();
    if wanted(Part::Footprint) {
        text += &summary::sizes(&hall.sizes(places).await?, footprint::MTU);
    }
    if wanted(Part::Pairs) {
        let mut rows = hall.pair(Image::Linux, args).await?;
        rows.extend(hall.pair(Image::BareMetal, args).await?);
        text += &summary::ways(&rows);
    }
    if wanted(Part::Starts) {
        text += &hall.starts().await?;
    }
    if wanted(Part::Crowds) {
        text += &summary::crowds(&hall.crowds().await?);
    }
    let logs = hall.site.run_dir.display().to_string();
    drop(hall);
    print!("{text}");
    println!("logs in {logs}");
    Ok(())
}

impl Hall {
    fn plan(&self, name: &str, image: Image, nodes: usize, mtu: u16) -> Result<Plan> {
        let text = topology(name, image, nodes, mtu);
        let topology = topology::parse(name, &text)?;
        let setting =
            Setting { backend: Backend::Qemu, factor: self.factor, loopback: None, program: None };
        Ok(Plan::new(&topology, &setting))
    }

    /// Everything that a pair of guests can measure.
    async fn pair(&self, image: Image, args: &BenchArgs) -> Result<Vec<Row>> {
        let ways = Bench::ways(image).to_vec();
        let bench = Bench { rounds: args.rounds, stream_bytes: args.stream, ways };
        let plan = self.plan("pair", image, 2, MTU)?;
        let name = crate::plan::image_name(image);
        self.progress.step(0, 0, &format!("two {name} guests boot"));
        let mut guests = Guests::boot(&self.site, plan).await?;
        let rows = self.measure(&mut guests, image, &bench).await?;
        guests.end().await?;
        Ok(rows)
    }

    /// Has two guests that boot measure this.
    async fn measure(&self, guests: &mut Guests, image: Image, bench: &Bench) -> Result<Vec<Row>> {
        let (name, ways) = (crate::plan::image_name(image), bench.ways.len());
        guests.gather(hello).await?;
        for (node, mut configure) in guests.configures() {
            configure.bench = Some(bench.clone());
            guests.send(node, &ToNode::Configure(configure));
        }
        self.progress.step(0, 0, &format!("two {name} guests measure"));
        let (mut rows, mut told) = (Vec::new(), [0; 2]);
        let all = guests.gather(|node, message| {
            if let FromNode::Measured { way, report } = message {
                told[node] += 1;
                if let Some(report) = report {
                    self.progress.step(0, 0, &format!("{name}: {} is done", summary::words(way)));
                    rows.push(Row { way, image, report });
                }
            }
            (told[node] == ways).then_some(())
        });
        all.await?;
        ensure!(rows.len() == ways, "{} of {ways} ways were reported", rows.len());
        Ok(rows)
    }

    async fn crowds(&self) -> Result<Crowds> {
        let start = self.start("many", &self.site, Image::BareMetal, CLUSTER);
        let (all_hello, all_ready) = start.await?;
        self.progress.step(0, 0, &format!("{IDLE} bare-metal guests idle"));
        let plan = self.plan("idle", Image::BareMetal, IDLE, MTU)?;
        let mut guests = Guests::boot(&self.site, plan).await?;
        guests.gather(hello).await?;
        tokio::time::sleep(SETTLE).await;
        let (before, start) = (guests.cpu_ticks()?, Instant::now());
        tokio::time::sleep(WATCH).await;
        let (ticks, watched) = (guests.cpu_ticks()?.saturating_sub(before), start.elapsed());
        guests.end().await?;
        let (cluster, idle) = (CLUSTER, IDLE);
        Ok(Crowds { cluster, all_hello, all_ready, idle, boot_ticks: before, ticks, watched })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_or_refused() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("512KiB"), Ok(512 << 10));
        assert_eq!(size("32MiB"), Ok(32 << 20));
        for bad in ["", "MiB", "0", "-1", "5MB", "99999999999GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn topologies_of_every_size_are_right() {
        for (image, nodes) in [(Image::Linux, 2), (Image::BareMetal, 2), (Image::BareMetal, 32)] {
            let text = topology("pair", image, nodes, MTU);
            let parsed = topology::parse("pair", &text).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(parsed.nodes.len(), nodes);
            assert!(parsed.nodes.iter().all(|node| node.image == image));
        }
    }
}
