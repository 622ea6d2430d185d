//! Settings of the runtime.

use super::fields::Fields;
use crate::error::{Reader, Span};
use crate::model::{OnExhausted, Runtime, Transport};
use crate::raw::{Shape, Yaml};
use crate::units::{self, Parsed, bad, show_duration, show_size};
use runtime_core::checkpoint::{Parity, Redundancy};
use runtime_core::limits::{
    MAX_GROUP, MAX_LOSSES, MAX_PRIVATE_PAGES, MAX_REPLICAS, MAX_SHARED_PAGES, PAGE_SIZE,
};
use runtime_core::node::{Binding, Policy, Quorum};
use std::time::Duration;

pub(crate) const RUNTIME: &[&str] = &[
    "binding",
    "transport",
    "heartbeat",
    "suspect-after",
    "join-timeout",
    "mcapi-port",
    "quorum",
    "shared-memory",
    "heap",
    "stack",
    "checkpoint",
    "on-exhausted",
];
const HEARTBEAT: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(60));
const JOIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));
const SUSPECT: (u64, u64) = (2, 10_000);
const LEAST_EVERY: Duration = Duration::from_millis(1);
/// A second to some years.
const MTBF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(100_000_000));
const PAGE: u64 = PAGE_SIZE as u64;
const MOST_SHARED: u64 = MAX_SHARED_PAGES as u64 * PAGE;
const MOST_PRIVATE: u64 = MAX_PRIVATE_PAGES as u64 * PAGE;
/// Least stack and heap: below it not even the runtime's own frames and records fit.
const LEAST_STACK: u64 = 16 * PAGE;
const LEAST_HEAP: u64 = 64 * PAGE;
/// First port of MCAPI nodes where the file says none.
const MCAPI_PORT: u16 = 7300;
const MIB: u64 = 1 << 20;

fn base(nodes: usize) -> Runtime {
    Runtime {
        binding: Binding::Mcapi,
        transport: Transport::Tcp,
        heartbeat: Duration::from_millis(100),
        suspect_after: 10,
        join_timeout: Duration::from_secs(60),
        quorum: Quorum::Majority,
        shared_bytes: 64 * MIB,
        heap_bytes: 16 * MIB,
        stack_bytes: MIB,
        checkpoint: Policy::Program,
        redundancy: Redundancy::Copies(u8::from(nodes > 1)),
        on_exhausted: OnExhausted::Stop,
        mcapi_port: MCAPI_PORT,
    }
}

/// What is spoken over links.
pub(super) fn transport(r: &mut Reader<'_>, yaml: &Yaml) -> Option<Transport> {
    if matches!(&yaml.shape, Shape::Text(text) if text == "shm") {
        let message = "shared memory is of a board: no switch has any";
        let help = "write `boards: { a: { shared-memory: 4MiB } }` and `board: a` for its nodes: there programs on MCAPI use it, and tcp or ethernet to other boards; or link two of them: `- { between: [n0, n1], transport: shm }`";
        r.error(yaml.span, message, help);
        return None;
    }
    let words = [("tcp", Some(Transport::Tcp)), ("ethernet", Some(Transport::Ethernet))];
    r.choice(yaml, "transport", &words)
}

/// Settings, and where those stand that the nodes and links must be fit for.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) runtime: Runtime,
    pub(crate) binding: Span,
    pub(crate) on_exhausted: Span,
}

/// The settings, with what the file leaves out filled in.
pub(crate) fn runtime(r: &mut Reader<'_>, yaml: Option<&Yaml>, nodes: usize) -> Settings {
    let none = Span::default();
    let nothing = || Settings { runtime: base(nodes), binding: none, on_exhausted: none };
    let Some(yaml) = yaml else { return nothing() };
    let Some(fields) = Fields::read(r, yaml, yaml.span, "runtime", RUNTIME, &[]) else {
        return nothing();
    };
    let span = |key| fields.get(key).map_or(yaml.span, |y| y.span);
    let (binding, on_exhausted) = (span("binding"), span("on-exhausted"));
    Settings { runtime: settings(r, &fields, yaml.span, nodes), binding, on_exhausted }
}

fn settings(r: &mut Reader<'_>, fields: &Fields<'_>, section: Span, nodes: usize) -> Runtime {
    let mut runtime = base(nodes);
    let bindings = [("mcapi", Some(Binding::Mcapi)), ("sockets", Some(Binding::Sockets))];
    set(
        &mut runtime.binding,
        fields.get("binding").and_then(|y| r.choice(y, "binding", &bindings)),
    );
    set(&mut runtime.transport, fields.get("transport").and_then(|y| transport(r, y)));
    let quorums = [("majority", Some(Quorum::Majority)), ("fail-stop", Some(Quorum::FailStop))];
    set(&mut runtime.quorum, fields.get("quorum").and_then(|y| r.choice(y, "quorum", &quorums)));
    let ways = [("stop", Some(OnExhausted::Stop)), ("double-up", Some(OnExhausted::DoubleUp))];
    let way = fields.get("on-exhausted").and_then(|y| r.choice(y, "on-exhausted", &ways));
    set(&mut runtime.on_exhausted, way);
    for (key, range, slot) in [
        ("heartbeat", HEARTBEAT, &mut runtime.heartbeat),
        ("join-timeout", JOIN, &mut runtime.join_timeout),
    ] {
        let yaml = fields.get(key);
        set(slot, yaml.and_then(|y| r.within(y, key, range, units::duration, show_duration)));
    }
    let suspect = fields
        .get("suspect-after")
        .and_then(|y| r.within(y, "suspect-after", SUSPECT, units::integer, |v| v.to_string()));
    set(&mut runtime.suspect_after, suspect.and_then(|v| u32::try_from(v).ok()));
    let port = fields
        .get("mcapi-port")
        .and_then(|y| r.within(y, "mcapi-port", (1024, 64_000), units::integer, |v| v.to_string()));
    set(&mut runtime.mcapi_port, port.and_then(|v| u16::try_from(v).ok()));
    for (key, range, slot) in [
        ("shared-memory", (PAGE, MOST_SHARED), &mut runtime.shared_bytes),
        ("heap", (LEAST_HEAP, MOST_PRIVATE), &mut runtime.heap_bytes),
        ("stack", (LEAST_STACK, MOST_PRIVATE), &mut runtime.stack_bytes),
    ] {
        let yaml = fields.get(key);
        set(slot, yaml.and_then(|y| r.within(y, key, range, whole_pages, show_size)));
    }
    if runtime.heap_bytes + runtime.stack_bytes > MOST_PRIVATE {
        let key = fields.entry("heap").or(fields.entry("stack"));
        let message = format!(
            "heap and stack are {} together",
            show_size(runtime.heap_bytes + runtime.stack_bytes)
        );
        let help = format!("both together may have {}: make one smaller", show_size(MOST_PRIVATE));
        r.error(key.map_or(section, |(span, _)| span), message, help);
    }
    if let Some(yaml) = fields.get("checkpoint") {
        checkpoint(r, yaml, &mut runtime, nodes);
    }
    runtime
}

fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

fn whole_pages(text: &str) -> Parsed<u64> {
    let bytes = units::size(text)?;
    if bytes.is_multiple_of(PAGE) {
        return Ok(bytes);
    }
    let up = show_size(bytes.next_multiple_of(PAGE));
    bad(
        format!("{text} is not a whole number of pages"),
        format!("a page has {PAGE} bytes: write `{up}`"),
    )
}

pub(crate) const CHECKPOINT: &[&str] = &["every", "mtbf", "replicas", "redundancy", "parity"];

fn checkpoint(r: &mut Reader<'_>, yaml: &Yaml, runtime: &mut Runtime, nodes: usize) {
    let Some(fields) = Fields::read(r, yaml, yaml.span, "checkpoint", CHECKPOINT, &[]) else {
        return;
    };
    policy(r, &fields, runtime);
    let kinds = [("copies", Some(false)), ("parity", Some(true))];
    let kind = fields.get("redundancy").and_then(|y| r.choice(y, "redundancy", &kinds));
    let is_parity = kind == Some(true);
    let other = if is_parity { "replicas" } else { "parity" };
    if let Some((key, _)) = fields.entry(other)
        && kind.is_some() == fields.get("redundancy").is_some()
    {
        let (is, goes) = if is_parity { ("parity", "copies") } else { ("copies", "parity") };
        let message = format!("{other} is given, but redundancy is {is}");
        r.error(key, message, format!("remove it, or write `redundancy: {goes}`"));
    }
    if is_parity {
        runtime.redundancy = Redundancy::Parity(parity(r, fields.get("parity"), nodes));
    } else if let Some(yaml) = fields.get("replicas") {
        set(&mut runtime.redundancy, replicas(r, yaml, nodes).map(Redundancy::Copies));
    }
}

/// Groups of how many ranks, with how many pieces.
fn parity(r: &mut Reader<'_>, yaml: Option<&Yaml>, nodes: usize) -> Parity {
    let mut parity = Parity { group: 4, losses: 1 };
    let fields = yaml.and_then(|y| Fields::read(r, y, y.span, "parity", &["group", "losses"], &[]));
    let Some(fields) = fields else { return parity };
    let most = MAX_LOSSES.min(nodes.saturating_sub(1)).max(1);
    for (key, range, slot) in [
        ("group", (2, u64::from(MAX_GROUP)), &mut parity.group),
        ("losses", (1, u64::try_from(most).unwrap_or(1)), &mut parity.losses),
    ] {
        let yaml = fields.get(key);
        let read = yaml.and_then(|y| r.within(y, key, range, units::integer, |v| v.to_string()));
        set(slot, read.and_then(|v| u16::try_from(v).ok()));
    }
    parity
}

fn replicas(r: &mut Reader<'_>, yaml: &Yaml, nodes: usize) -> Option<u8> {
    let wanted = r.parse(yaml, "replicas", units::integer)?;
    let others = nodes.saturating_sub(1);
    let most = MAX_REPLICAS.min(others);
    let fits = usize::try_from(wanted).ok().filter(|w| *w <= most);
    if fits.is_none() && most == others {
        let others =
            if others == 1 { "1 other node".into() } else { format!("{others} other nodes") };
        let message = format!("replicas: {wanted} copies of each epoch do not fit on {others}");
        r.error(yaml.span, message, format!("write at most `replicas: {most}`, or add nodes"));
    } else if fits.is_none() {
        let message = format!("replicas: {wanted} copies of each epoch are too many");
        r.error(yaml.span, message, format!("write at most `replicas: {most}`"));
    }
    fits.and_then(|w| u8::try_from(w).ok())
}

/// When checkpoints are taken besides those that the program asks for.
fn policy(r: &mut Reader<'_>, fields: &Fields<'_>, runtime: &mut Runtime) {
    let every = fields.get("every").and_then(|y| r.parse(y, "every", every));
    let mtbf = fields.get("mtbf");
    let mtbf = mtbf
        .and_then(|y| Some((y.span, r.within(y, "mtbf", MTBF, units::duration, show_duration)?)));
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    match (every, mtbf) {
        (Some(Every::Auto), Some((_, mtbf))) => runtime.checkpoint = Policy::AutoUs(micros(mtbf)),
        (Some(Every::Auto), None) => {
            if let (Some(yaml), None) = (fields.get("every"), fields.get("mtbf")) {
                let help = "say how often a node fails: `checkpoint: { every: auto, mtbf: 60min }`";
                r.error(yaml.span, "every: auto needs the mean time between failures", help);
            }
        }
        (every, mtbf) => {
            match every {
                Some(Every::Time(time)) => runtime.checkpoint = Policy::EveryUs(micros(time)),
                Some(Every::Barriers(count)) => runtime.checkpoint = Policy::Barriers(count),
                Some(Every::Auto) | None => {}
            }
            if let Some((span, _)) = mtbf {
                let help = "write `every: auto` with it, or remove it";
                r.error(span, "mtbf is only used with `every: auto`", help);
            }
        }
    }
}

enum Every {
    Barriers(u32),
    Time(Duration),
    Auto,
}

/// `50 barriers`, `5s` or `auto`.
fn every(text: &str) -> Parsed<Every> {
    let mut words = text.split_whitespace();
    let number = words.next().unwrap_or_default();
    let unit = words.next();
    let count = units::integer(number).ok().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    match (count, unit, words.next()) {
        _ if text == "auto" => Ok(Every::Auto),
        (Some(count), Some("barriers" | "barrier"), None) => Ok(Every::Barriers(count)),
        (Some(count), None, None) => bad(
            format!("\"{text}\" has no unit"),
            format!("write `every: {count} barriers` or `every: {count}s`"),
        ),
        _ => match units::duration(text) {
            Ok(time) if time >= LEAST_EVERY => Ok(Every::Time(time)),
            Ok(_) => bad(format!("{text} is too small"), "write at least 1ms"),
            Err(_) => bad(
                format!("\"{text}\" is neither a number of barriers nor a duration"),
                "write for example `every: 50 barriers`, `every: 5s` or `every: auto`, or leave it out when the program asks itself",
            ),
        },
    }
}
