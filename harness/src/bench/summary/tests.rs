use super::*;
use runtime_bench::{Spread, Stream};

fn row(way: Way, image: Image, median: u64) -> Row {
    let spread =
        |median| Spread { count: 9, min: median / 2, median, p99: 2 * median, max: 9_000_000 };
    let stream = |packet| Stream { packet, bytes: 3 << 20, nanos: 2_000_000_000 };
    let report = Report {
        round_trip: spread(median),
        fetch: spread(2 * median),
        streams: vec![stream(4_096), stream(32_768)],
        retransmitted: 7,
    };
    Row { way, image, report }
}

#[test]
fn every_way_has_its_line_and_the_ratios_are_of_medians() {
    let text = ways(&[
        row(Way::Sockets, Image::Linux, 100_000),
        row(Way::Tcp, Image::Linux, 150_000),
        row(Way::Ethernet, Image::Linux, 60_000),
        row(Way::Ethernet, Image::BareMetal, 15_440),
    ]);
    let line = |words: &str| text.lines().find(|l| l.contains(words)).unwrap().to_owned();
    let cells = |words: &str| {
        line(words).split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    let metal = cells("MCAPI over Ethernet (bare metal)");
    let expected = "7.7 15.4 30.8 0.15 30.8 1.5 MiB/s 1.5 MiB/s 7";
    assert!(metal.contains(expected), "{metal}");
    assert!(cells("TCP sockets (Linux)").contains(" 100.0 200.0 1.00 200.0 "), "{text}");
    assert!(line("Ethernet / TCP").contains("= 0.40 "), "{text}");
    assert!(line("bare metal / Linux").contains("= 0.26 "), "{text}");
    assert!(text.contains("83.3 us"), "the paper's own figures stand beside: {text}");
}

#[test]
fn what_was_not_measured_is_a_dash() {
    let text = ways(&[row(Way::Ethernet, Image::BareMetal, 15_000)]);
    assert!(text.contains("Ethernet / TCP = – "), "{text}");
    assert!(text.contains("bare metal / Linux = – "), "{text}");
}

#[test]
fn crowds_are_told_in_seconds_and_in_percent_of_one_processor() {
    let text = crowds(&Crowds {
        cluster: 16,
        all_hello: Duration::from_millis(1_250),
        all_ready: Duration::from_millis(2_500),
        idle: 32,
        boot_ticks: 305,
        ticks: 61,
        watched: Duration::from_secs(5),
    });
    assert!(
        text.contains(
            "16 bare-metal guests: all say hello after 1.25 s, all are ready after 2.50 s"
        ),
        "{text}"
    );
    assert!(text.contains("32 idle bare-metal guests: 12.2 % of one processor"), "{text}");
    assert!(text.contains("booting took 3.05 s"), "{text}");
}

#[test]
fn an_image_has_the_sizes_of_its_file_and_the_peak_of_its_guests() {
    let modules = [("wire", 1), ("link", 20), ("mcapi", 300), ("sdsm", 4_000)].into();
    let file = Footprint { text: 50_001, rodata: 6_002, data: 703, bss: 80_004, modules };
    let small = Size { what: "small", file: file.clone(), peak_kib: 2_044 };
    let large = Size { what: "large", file: Footprint { text: 90_001, ..file }, peak_kib: 3_055 };
    let text = sizes(&[large, small], 1_500);
    let cells = |words: &str| {
        let line = text.lines().find(|l| l.contains(words)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert!(cells("small").contains("50001 6002 703 80004 56706 321 2044 KiB"), "{text}");
    assert!(cells("large").contains("90001 6002 703 80004 96706 321 3055 KiB"), "{text}");
    assert!(text.contains("an MTU of 1500"), "{text}");
}

#[test]
fn outages_have_their_median_and_extremes_whatever_their_order() {
    let (detected_us, resumed_us) = (vec![3_000, 1_000, 2_500], vec![90_000]);
    let outage = Outage { what: "hang", backend: Backend::Process, detected_us, resumed_us };
    let text = outages(&[outage]);
    let row = text.lines().find(|line| line.contains("hang (process)")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().filter(|word| *word != "ms").collect();
    assert_eq!(cells[3..10], ["1", "1.0", "2.5", "3.0", "90.0", "90.0", "90.0"], "{row}");
}

#[test]
fn a_checkpoint_is_compared_with_its_pages_times_its_replicas() {
    let checkpoint = Checkpoint {
        epoch: 4,
        dirty_bytes: 10 * 4096,
        sent_bytes: 21 * 4096,
        protocol_bytes: 4096,
        ..Checkpoint::default()
    };
    let text = prices(&[Price { example: "deep", replicas: 2, checkpoint }]);
    let row = text.lines().find(|line| line.contains("deep")).unwrap();
    for cell in ["10 × 2", "80.0 KiB", "84.0 KiB", "4.0 KiB", "1.05"] {
        assert!(row.contains(cell), "no {cell} in {row}");
    }
}
