use super::*;

#[test]
fn quantities_with_units_are_exact() {
    assert_eq!(size("96MiB"), Ok(96 << 20));
    assert_eq!(size("1.5 GiB"), Ok(3 << 29));
    assert_eq!(nanoseconds("50us"), Ok(50_000));
    assert_eq!(duration("2min"), Ok(Duration::from_secs(120)));
    assert_eq!(rate("1Gbit"), Ok(1_000_000_000));
    assert_eq!(fraction("0.1%"), Ok(0.001));
    assert_eq!(fraction("100 %"), Ok(1.0));
}

#[test]
fn a_missing_unit_is_named_with_the_remedy() {
    let error = size("96").unwrap_err();
    assert_eq!(error.message, "\"96\" has no unit");
    assert_eq!(error.help, "write `96MiB`, or another of B, KiB, MiB, GiB");
    assert_eq!(fraction("0.1").unwrap_err().help, "write `0.1%`");
}

#[test]
fn a_unit_of_another_kind_or_spelling_is_refused() {
    for (text, remedy) in [("1GB", "`1GiB`"), ("5m", "`5MiB`"), ("3mib", "`3MiB`")] {
        assert!(size(text).unwrap_err().help.contains(remedy), "{text}");
    }
    for (text, remedy) in [("2sec", "`2s`"), ("5m", "`5min`"), ("7MS", "`7ms`")] {
        assert!(nanoseconds(text).unwrap_err().help.contains(remedy), "{text}");
    }
    assert!(rate("10mbps").unwrap_err().help.contains("`10Mbit`"));
    for bytes in ["10MB", "10MB/s"] {
        let help = rate(bytes).unwrap_err().help;
        assert!(help.contains("eight times as many `Mbit`"), "{help}");
    }
}

#[test]
fn nonsense_is_refused() {
    for text in [
        "",
        ".",
        "1.",
        ".5s",
        "-1s",
        "1e3s",
        "0.5ns",
        "1..2s",
        "99999999999999999999s",
        "30000000000min",
        "é",
    ] {
        assert!(nanoseconds(text).is_err(), "{text}");
    }
    for text in ["101%", "-1%", "%", "nan%", "inf%", "0,1%"] {
        assert!(fraction(text).is_err(), "{text}");
    }
    for text in ["", "-1", "+1", "1.0", "0x10", "1_000", "99999999999999999999"] {
        assert!(integer(text).is_err(), "{text}");
    }
}

#[test]
fn shown_in_the_largest_whole_unit() {
    assert_eq!(show_size(64 << 20), "64MiB");
    assert_eq!(show_size((1 << 20) + 1024), "1025KiB");
    assert_eq!(show_size(0), "0B");
    assert_eq!(show_duration(Duration::from_millis(1500)), "1500ms");
    assert_eq!(show_duration(Duration::from_secs(60)), "1min");
}
