//! What was measured, for people.

use crate::plan::Backend;
use crate::result::Checkpoint;
use crate::table::{self, ratio, table};
use images::footprint::Footprint;
use images_control::bench::Way;
use runtime_bench::Report;
use runtime_core::node::Image;
use std::fmt::Write as _;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// Of a second: what `/proc` counts processor time in on x86-64, whatever the kernel's own tick.
pub(super) const TICKS: u64 = 100;

/// Of the paper, table 3; see [`ways`].
pub(super) const PAPER: &str = "the paper's table 3, on other machines (two Xeon E3110 of 3.0 GHz, gigabit Ethernet, Linux 2.6.32, \
     no guests), not to be compared in absolute terms:\n\
     24 B control message: TCP 49.0 us, XMCAPI 83.3 us (1.70 times); page request and 4 KiB page: TCP 173.3 us, \
     XMCAPI 237.2 us (1.37 times)";

/// One way between two guests of an image.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) way: Way,
    pub(super) image: Image,
    pub(super) report: Report,
}

/// Many bare-metal guests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowds {
    pub(super) cluster: usize,
    pub(super) all_hello: Duration,
    pub(super) all_ready: Duration,
    pub(super) idle: usize,
    /// Processor time of the idle ones until they idled.
    pub(super) boot_ticks: u64,
    /// The same while they were watched.
    pub(super) ticks: u64,
    pub(super) watched: Duration,
}

/// A bare-metal image, and what it took when it ran.
#[derive(Clone, Debug)]
pub(super) struct Size {
    /// Which, and what it ran.
    pub(super) what: &'static str,
    pub(super) file: Footprint,
    /// Most memory that a guest ever used, all of its image with it.
    pub(super) peak_kib: u64,
}

/// The same fault, again and again: times of each, as the harness heard of it.
#[derive(Clone, Debug)]
pub(super) struct Outage {
    pub(super) what: &'static str,
    pub(super) backend: Backend,
    /// From the fault until some node suspected the victim.
    pub(super) detected_us: Vec<u64>,
    /// From the fault until all ranks computed again.
    pub(super) resumed_us: Vec<u64>,
}

/// A checkpoint of an example.
#[derive(Clone, Debug)]
pub(super) struct Price {
    pub(super) example: &'static str,
    pub(super) replicas: u8,
    pub(super) checkpoint: Checkpoint,
}

/// A way in words.
pub(super) const fn words(way: Way) -> &'static str {
    match way {
        Way::Sockets => "TCP sockets",
        Way::Tcp => "MCAPI over TCP",
        Way::Ethernet => "MCAPI over Ethernet",
    }
}

fn us(nanos: u64) -> String {
    format!("{}.{}", nanos / 1_000, nanos % 1_000 / 100)
}

/// One table of all faults.
pub(super) fn outages(outages: &[Outage]) -> String {
    let mut lines = table(&[
        "a node with a rank is gone",
        "times",
        "suspected after: min",
        "median",
        "max",
        "computing again: min",
        "median",
        "max",
    ]);
    for Outage { what, backend, detected_us, resumed_us } in outages {
        let mut cells = vec![format!("{what} ({})", backend.name()), resumed_us.len().to_string()];
        for all in [detected_us, resumed_us] {
            let mut all = all.clone();
            all.sort_unstable();
            let of = [all.first(), all.get(all.len() / 2), all.last()];
            cells.extend(of.map(|us| table::time(us.copied())));
        }
        lines.add_row(cells);
    }
    format!(
        "{lines}\nheartbeats of 10 ms; the aims by processes: a death is noticed within 5 ms, silence within 60 ms, and \
         with 32 MiB, two ranks and a standby, all compute again within 100 ms\n"
    )
}

/// One table of all checkpoints.
pub(super) fn prices(prices: &[Price]) -> String {
    let mut lines = table(&[
        "checkpoints, by processes",
        "epoch",
        "changed pages × replicas",
        "bytes of these",
        "sent",
        "protocol",
        "sent / these",
        "longest stop",
        "frozen",
    ]);
    for Price { example, replicas, checkpoint } in prices {
        let Checkpoint { epoch, dirty_bytes, sent_bytes, protocol_bytes, .. } = checkpoint;
        let Checkpoint { blocked_us, frozen_us, .. } = checkpoint;
        let least = dirty_bytes * u64::from(*replicas);
        lines.add_row([
            (*example).to_owned(),
            epoch.to_string(),
            format!("{} × {replicas}", dirty_bytes / runtime_core::limits::PAGE_SIZE as u64),
            table::bytes(least),
            table::bytes(*sent_bytes),
            table::bytes(*protocol_bytes),
            ratio(*sent_bytes, least),
            table::time(Some(*blocked_us)),
            table::time(Some(*frozen_us)),
        ]);
    }
    format!("{lines}\n")
}

/// One table of all ways.
pub(super) fn ways(rows: &[Row]) -> String {
    let median = |way: Way, image: Image| {
        let row = rows.iter().find(|row| row.way == way && row.image == image);
        row.map(|row| row.report.round_trip.median)
    };
    let of = |part: Option<u64>, whole: Option<u64>| {
        part.zip(whole).map_or_else(|| "–".to_owned(), |(part, whole)| ratio(part, whole))
    };
    let sockets = median(Way::Sockets, Image::Linux);
    let mut lines = table(&[
        "us between two guests",
        "24 B there and back: min",
        "median",
        "p99",
        "/ sockets",
        "4 KiB page",
        "4 KiB stream",
        "32 KiB stream",
        "sent again",
    ]);
    for Row { way, image, report } in rows {
        let image = if *image == Image::Linux { "Linux" } else { "bare metal" };
        let round = report.round_trip;
        let mut cells = vec![format!("{} ({image})", words(*way))];
        cells.extend([round.min, round.median, round.p99].map(us));
        cells.push(of(Some(round.median), sockets));
        cells.push(us(report.fetch.median));
        for n in 0..2 {
            cells.push(report.streams.get(n).map_or_else(
                || "–".to_owned(),
                |stream| {
                    let speed = stream.centi_mib_per_second();
                    format!("{}.{} MiB/s", speed / 100, speed % 100 / 10)
                },
            ));
        }
        cells.push(report.retransmitted.to_string());
        lines.add_row(cells);
    }
    let tcp = median(Way::Tcp, Image::Linux);
    let linux = median(Way::Ethernet, Image::Linux);
    let metal = median(Way::Ethernet, Image::BareMetal);
    // Writing to a string cannot fail.
    let mut text = format!("{lines}\n");
    let _ = writeln!(
        text,
        "round trip, MCAPI on Linux: Ethernet / TCP = {} (aim 0.50)",
        of(linux, tcp)
    );
    let _ = writeln!(
        text,
        "round trip, MCAPI over Ethernet: bare metal / Linux = {} (aim 0.50)",
        of(metal, linux)
    );
    let _ = writeln!(text, "{PAPER}");
    text
}

/// One table of all images.
pub(super) fn sizes(sizes: &[Size], mtu: u16) -> String {
    let header = ["bytes", "text", "rodata", "data", "bss", "loaded", "link + MCAPI", "peak RAM"];
    let mut lines = table(&header);
    for Size { what, file, peak_kib } in sizes {
        let bytes =
            [file.text, file.rodata, file.data, file.bss, file.loaded(), file.communication()];
        let cells = bytes.iter().map(u64::to_string).chain([format!("{peak_kib} KiB")]);
        lines.add_row([(*what).to_owned()].into_iter().chain(cells));
    }
    format!(
        "bare-metal images (aims: text of link and MCAPI under 40 KiB, 200 KiB loaded); peak RAM as the guests say, \
         at an MTU of {mtu}:\n{lines}\n"
    )
}

/// What many guests cost.
pub(super) fn crowds(crowds: &Crowds) -> String {
    let Crowds { cluster, all_hello, all_ready, idle, boot_ticks, ticks, watched } = crowds;
    let ms = u64::try_from(watched.as_millis()).unwrap_or(u64::MAX);
    // Tenths of a percent of one processor.
    let tenths = (ticks * 1_000_000 / TICKS).checked_div(ms).unwrap_or_default();
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{cluster} bare-metal guests: all say hello after {:.2} s, all are ready after {:.2} s",
        all_hello.as_secs_f64(),
        all_ready.as_secs_f64()
    );
    let _ = writeln!(
        text,
        "{idle} idle bare-metal guests: {}.{} % of one processor together, over {:.1} s (aim 15 %); \
         booting took {}.{:02} s of it",
        tenths / 10,
        tenths % 10,
        watched.as_secs_f64(),
        boot_ticks / TICKS,
        boot_ticks % TICKS * 100 / TICKS
    );
    text
}
