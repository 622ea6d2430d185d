//! Quantities with units, to text and back. A number without its unit is an error, never a guess.

use std::time::Duration;

/// Why a text is not what it should be, and what to write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) message: String,
    pub(crate) help: String,
}

/// Shorthand for the result of every parser of a single value.
pub(crate) type Parsed<T> = Result<T, Bad>;

pub(crate) fn bad<T>(message: impl Into<String>, help: impl Into<String>) -> Parsed<T> {
    Err(Bad { message: message.into(), help: help.into() })
}

/// Names of units, and how many base units each is.
pub(crate) type Units = &'static [(&'static str, u64)];

pub(crate) const SIZES: Units = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
pub(crate) const DURATIONS: Units = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
pub(crate) const RATES: Units =
    &[("bit", 1), ("kbit", 1_000), ("Mbit", 1_000_000), ("Gbit", 1_000_000_000)];

/// A size in bytes.
pub(crate) fn size(text: &str) -> Parsed<u64> {
    quantity(text, "a size", SIZES, "MiB")
}

/// A duration in nanoseconds.
pub(crate) fn nanoseconds(text: &str) -> Parsed<u64> {
    quantity(text, "a duration", DURATIONS, "ms")
}

/// A duration.
pub(crate) fn duration(text: &str) -> Parsed<Duration> {
    nanoseconds(text).map(Duration::from_nanos)
}

/// A rate in bits per second.
pub(crate) fn rate(text: &str) -> Parsed<u64> {
    quantity(text, "a rate", RATES, "Mbit")
}

/// A percentage, as a fraction from 0 to 1.
pub(crate) fn fraction(text: &str) -> Parsed<f64> {
    let Some(number) = text.strip_suffix('%').map(str::trim_end) else {
        return match digits(text) {
            Some(_) => bad(format!("\"{text}\" has no percent sign"), format!("write `{text}%`")),
            None => bad(format!("\"{text}\" is not a percentage"), "write for example `0.1%`"),
        };
    };
    match digits(number).and_then(|_| number.parse::<f64>().ok()) {
        Some(percent) if percent <= 100.0 => Ok(percent / 100.0),
        Some(_) => bad(format!("\"{text}\" is over 100%"), "write a percentage from 0% to 100%"),
        None => bad(format!("\"{text}\" is not a percentage"), "write for example `0.1%`"),
    }
}

/// A percentage that may be over 100%, in millionths.
pub(crate) fn millionths(text: &str) -> Parsed<u64> {
    let example = "write a percentage, for example `110%`";
    let Some(number) = text.strip_suffix('%').map(str::trim_end) else {
        return match digits(text) {
            Some(_) => bad(format!("\"{text}\" has no percent sign"), example),
            None => bad(format!("\"{text}\" is not a percentage"), example),
        };
    };
    let value = digits(number).and_then(|(value, places)| {
        let scaled = value.checked_mul(10_000)?.checked_div(10u128.pow(places))?;
        u64::try_from(scaled).ok()
    });
    value.map_or_else(|| bad(format!("\"{text}\" is not a percentage"), example), Ok)
}

/// A whole number.
pub(crate) fn integer(text: &str) -> Parsed<u64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(value) if plain => Ok(value),
        Err(_) if plain => {
            bad(format!("{text} is too large"), format!("at most {} is understood", u64::MAX))
        }
        _ => bad(format!("\"{text}\" is not a whole number"), "write digits only, for example `3`"),
    }
}

/// Yes or no.
pub(crate) fn truth(text: &str) -> Parsed<bool> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => bad(format!("\"{text}\" is neither true nor false"), "write `true` or `false`"),
    }
}

/// Digits with at most one point: the value without the point, and the places after it.
fn digits(text: &str) -> Option<(u128, u32)> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let ok = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || (text.contains('.') && part.is_empty()) || !ok(whole) || !ok(part) {
        return None;
    }
    if whole.len() + part.len() > 19 {
        return None;
    }
    Some((format!("{whole}{part}").parse().ok()?, u32::try_from(part.len()).ok()?))
}

fn quantity(text: &str, what: &str, units: Units, usual: &str) -> Parsed<u64> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..at], text[at..].trim_start());
    let known: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    let example = format!(
        "write {what} as a number and a unit ({}), for example `10{usual}`",
        known.join(", ")
    );
    let Some((value, places)) = digits(number) else {
        return bad(format!("\"{text}\" is not {what}"), example);
    };
    if unit.is_empty() {
        return bad(
            format!("\"{text}\" has no unit"),
            format!("write `{number}{usual}`, or another of {}", known.join(", ")),
        );
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        let help = match meant(unit, &known) {
            Some(name) if name.ends_with("bit") && unit.trim_end_matches("/s").ends_with('B') => {
                format!(
                    "{what} counts bits: write eight times as many `{name}`; the units are {}",
                    known.join(", ")
                )
            }
            Some(name) => format!("write `{number}{name}`; the units are {}", known.join(", ")),
            None => example,
        };
        return bad(format!("\"{unit}\" in \"{text}\" is not a unit of {what}"), help);
    };
    // At most 19 digits and a factor below 2^36: no overflow in 128 bits.
    let (scaled, divisor) = (value * u128::from(*factor), 10u128.pow(places));
    if scaled % divisor != 0 {
        let smallest = known.first().copied().unwrap_or_default();
        return bad(
            format!("\"{text}\" is not a whole number of {smallest}"),
            "use a smaller unit",
        );
    }
    match u64::try_from(scaled / divisor) {
        Ok(value) => Ok(value),
        Err(_) => bad(format!("\"{text}\" is too large"), example),
    }
}

/// The unit that somebody meant who wrote `M`, `MB`, `mb`, `sec` or `gbps`.
fn meant(unit: &str, known: &[&'static str]) -> Option<&'static str> {
    let lower = unit.to_ascii_lowercase();
    let find = |name: &str| known.iter().copied().find(|k| *k == name);
    known.iter().copied().find(|k| k.to_ascii_lowercase() == lower).or_else(|| {
        match lower.as_str() {
            "k" | "kb" | "kb/s" | "ki" | "kbps" | "kbit/s" => find("KiB").or(find("kbit")),
            "m" | "mb" | "mb/s" | "mi" | "mbps" | "mbit/s" => {
                find("MiB").or(find("Mbit")).or(find("min"))
            }
            "g" | "gb" | "gb/s" | "gi" | "gbps" | "gbit/s" => find("GiB").or(find("Gbit")),
            "bps" | "bit/s" | "bits" => find("bit"),
            "sec" | "second" | "seconds" => find("s"),
            "msec" => find("ms"),
            "usec" | "µs" | "μs" => find("us"),
            "minute" | "minutes" => find("min"),
            _ => None,
        }
    })
}

/// In the largest unit that keeps it whole.
fn show(value: u64, units: Units) -> String {
    let best =
        units.iter().rev().find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor));
    let (unit, factor) = best.or(units.first()).copied().unwrap_or(("", 1));
    format!("{}{unit}", value / factor)
}

pub(crate) fn show_size(bytes: u64) -> String {
    show(bytes, SIZES)
}

pub(crate) fn show_rate(bits_per_s: u64) -> String {
    show(bits_per_s, RATES)
}

pub(crate) fn show_duration(duration: Duration) -> String {
    show(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), DURATIONS)
}

#[cfg(test)]
mod tests;
