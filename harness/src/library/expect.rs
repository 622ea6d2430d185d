//! What a test waits for.

use crate::proto::{Awaited, Outcome, Shown, Sighted};
use std::fmt::Write as _;
use std::time::Duration;

/// Durations as one says them: `1.s()`, `250.ms()`.
pub trait Seconds {
    /// So many seconds.
    fn s(self) -> Duration;
    /// So many milliseconds.
    fn ms(self) -> Duration;
}

impl Seconds for u64 {
    fn s(self) -> Duration {
        Duration::from_secs(self)
    }

    fn ms(self) -> Duration {
        Duration::from_millis(self)
    }
}

/// Something to wait for: [`takeover`], [`event`], [`line()`], [`never()`], [`in_order`], [`metric`], [`checkpoint`], [`node`].
///
/// ```no_run
/// use harness::{Backend, Cluster, Seconds, event, in_order, line, metric, never};
///
/// # async fn test() -> Result<(), harness::Error> {
/// let cluster = Cluster::from_file("failover.yaml").backend(Backend::Process).boot().await?;
/// let run = cluster.start().await?;
/// cluster.expect(metric("checkpoints").at_least(2)).await?;
/// cluster.node("n1").kill().await?;
/// let story = [event("suspected").within(1.s()), event("recovering"), event("resumed")];
/// cluster.expect(in_order(story)).await?;
/// // Whether these hold is known when the run is over, or as soon as they do not.
/// cluster.expect(never(line("panicked").on("n0"))).await?;
/// cluster.expect(metric("recovery-time").at_most(2.s())).await?;
/// cluster.expect(metric("sent-ratio").at_most("110%")).await?;
/// assert!(run.verdict().await?.pass);
/// # Ok(())
/// # }
/// ```
///
/// Bounds (`within`) are times of a file: guests without KVM get as much more as all time-outs do. What was seen says
/// how much that is.
#[derive(Clone, Debug)]
pub struct Expectation {
    pub(super) what: Awaited,
    pub(super) words: String,
}

/// A node's rank is taken over.
pub fn takeover(of: &str) -> Takeover {
    Takeover { of: of.to_owned(), by: None, within: None }
}

/// A node reports an event of this kind, as a topology file calls it, for example `suspected`.
pub fn event(kind: &str) -> Sighting {
    Sighting::new(Shown::Event { kind: kind.to_owned(), number: None })
}

/// A line that holds this text is on a console, or printed by a rank.
pub fn line(text: &str) -> Sighting {
    Sighting::new(Shown::Line { text: text.to_owned() })
}

/// It does not show, until the run is over; [`within`](Sighting::within): for so long after the latest thing that was done.
/// With [`times`](Sighting::times), less often is no matter.
#[must_use]
pub fn never(what: Sighting) -> Expectation {
    let words = format!("never {}", what.words());
    let Sighting { shown, on, times, within } = what;
    Expectation { what: Awaited::Never { shown, on, times, within_us: micros(within) }, words }
}

/// One shows after the other; others may come between. All of them after the latest thing that was done, as each would
/// alone. What is to come [several times](Sighting::times) comes so often before the next.
#[must_use]
pub fn in_order(what: impl IntoIterator<Item = Sighting>) -> Expectation {
    let (mut sights, mut all) = (Vec::new(), Vec::new());
    for one in what {
        all.push(one.words());
        let Sighting { shown, on, times, within } = one;
        let sighted = Sighted { shown, on, within_us: micros(within) };
        sights.extend(std::iter::repeat_n(sighted, times.max(1) as usize));
    }
    Expectation { what: Awaited::Order { sights }, words: all.join(", then ") }
}

/// What a run measures, as a topology file calls it, for example `recovery-time`. Of one that can only grow it is known
/// early that it is too much; that it was not, when the run is over.
pub fn metric(name: &str) -> Measure {
    Measure { name: name.to_owned(), at_least: None, at_most: None }
}

/// So many checkpoints are committed in this run, or more.
#[must_use]
pub fn checkpoint(number: u64) -> Expectation {
    Expectation {
        what: Awaited::Checkpoints { at_least: number },
        words: format!("at least {number} checkpoints"),
    }
}

/// Something becomes of a node; also when nothing runs.
pub fn node(name: &str) -> State {
    State { node: name.to_owned(), within: None }
}

/// See [`takeover`].
#[derive(Clone, Debug)]
#[must_use = "it is to be expected of a cluster"]
pub struct Takeover {
    of: String,
    by: Option<String>,
    within: Option<Duration>,
}

impl Takeover {
    /// This node is the one that takes over.
    pub fn by(mut self, node: &str) -> Self {
        self.by = Some(node.to_owned());
        self
    }

    /// At most so long after the death.
    pub const fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }
}

impl From<Takeover> for Expectation {
    fn from(Takeover { of, by, within }: Takeover) -> Self {
        let mut words = format!("{} takes over from {of}", by.as_deref().unwrap_or("a node"));
        add_bound(&mut words, within);
        Self { what: Awaited::Takeover { of, by, within_us: micros(within) }, words }
    }
}

/// See [`event`] and [`line()`]. What was shown before the latest thing that was done to the cluster (a verb, or a call
/// of this library such as [`Node::kill`](crate::Node::kill)) does not count; if nothing was done, the run's start.
#[derive(Clone, Debug)]
#[must_use = "it is to be expected of a cluster"]
pub struct Sighting {
    shown: Shown,
    on: Option<String>,
    times: u32,
    within: Option<Duration>,
}

impl Sighting {
    const fn new(shown: Shown) -> Self {
        Self { shown, on: None, times: 1, within: None }
    }

    /// On this node.
    pub fn on(mut self, node: &str) -> Self {
        self.on = Some(node.to_owned());
        self
    }

    /// With this number: of a checkpoint's events, the epoch. A line has none.
    pub fn number(mut self, wanted: u64) -> Self {
        if let Shown::Event { number, .. } = &mut self.shown {
            *number = Some(wanted);
        }
        self
    }

    /// So many times, or more.
    pub const fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// At most so long after the latest thing that was done.
    pub const fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }
}

impl Sighting {
    fn words(&self) -> String {
        let Self { shown, on, times, within } = self;
        let mut words = match shown {
            Shown::Event { kind, number: None } => kind.clone(),
            Shown::Event { kind, number: Some(number) } => format!("{kind} {number}"),
            Shown::Line { text } => format!("a line with \"{text}\""),
        };
        // Writing to a string cannot fail.
        let _ = on.iter().try_for_each(|on| write!(words, " on {on}"));
        if *times > 1 {
            let _ = write!(words, ", {times} times");
        }
        add_bound(&mut words, *within);
        words
    }
}

impl From<Sighting> for Expectation {
    fn from(sighting: Sighting) -> Self {
        let words = sighting.words();
        let Sighting { shown, on, times, within } = sighting;
        Self { what: Awaited::Seen { shown, on, times, within_us: micros(within) }, words }
    }
}

/// A bound of something that is measured, with its unit as in a file: `"110%"`, `"4MiB"`, `"2s"`. A number alone is one of
/// checkpoints.
#[derive(Clone, Debug)]
pub struct Amount(String);

impl From<Duration> for Amount {
    fn from(time: Duration) -> Self {
        let nanos = time.as_nanos();
        let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
        let unit = units.into_iter().find(|(unit, _)| nanos.is_multiple_of(*unit));
        let (unit, name) = unit.unwrap_or((1, "ns"));
        Self(format!("{}{name}", nanos / unit))
    }
}

impl From<u64> for Amount {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl From<&str> for Amount {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// See [`metric`].
#[derive(Clone, Debug)]
#[must_use = "it is to be expected of a cluster"]
pub struct Measure {
    name: String,
    at_least: Option<Amount>,
    at_most: Option<Amount>,
}

impl Measure {
    /// Not less.
    pub fn at_least(mut self, amount: impl Into<Amount>) -> Self {
        self.at_least = Some(amount.into());
        self
    }

    /// Not more.
    pub fn at_most(mut self, amount: impl Into<Amount>) -> Self {
        self.at_most = Some(amount.into());
        self
    }
}

impl From<Measure> for Expectation {
    fn from(Measure { name: metric, at_least, at_most }: Measure) -> Self {
        let bound = |word: &str, amount: &Option<Amount>| {
            amount.as_ref().map(|Amount(text)| format!("{word} {text}"))
        };
        let bounds = [bound("at least", &at_least), bound("at most", &at_most)];
        let bounds: Vec<String> = bounds.into_iter().flatten().collect();
        let words = format!("{metric} {}", bounds.join(" and "));
        let [at_least, at_most] = [at_least, at_most].map(|amount| amount.map(|Amount(text)| text));
        Self { what: Awaited::Metric { metric, at_least, at_most }, words }
    }
}

/// See [`node`].
#[derive(Clone, Debug)]
#[must_use = "it is to be expected of a cluster"]
pub struct State {
    node: String,
    within: Option<Duration>,
}

impl State {
    /// At most so long from now on. Without it, and while nothing runs, it must be so already.
    pub const fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// It is gone.
    #[must_use]
    pub fn is_dead(self) -> Expectation {
        self.becomes(Outcome::Dead, "dead")
    }

    /// It is gone, and its process or its QEMU ended with this code.
    #[must_use]
    pub fn has_exited(self, code: i32) -> Expectation {
        self.becomes(Outcome::Exited { code }, &format!("dead, ended with code {code}"))
    }

    /// It hosts this rank.
    #[must_use]
    pub fn hosts(self, rank: u16) -> Expectation {
        self.becomes(Outcome::Rank { rank }, &format!("rank {rank}"))
    }

    /// It is a member and hosts no rank.
    #[must_use]
    pub fn is_standby(self) -> Expectation {
        self.becomes(Outcome::Standby, "a standby")
    }

    fn becomes(self, outcome: Outcome, what: &str) -> Expectation {
        let Self { node, within } = self;
        let mut words = format!("{node} is {what}");
        add_bound(&mut words, within);
        Expectation { what: Awaited::State { node, outcome, within_us: micros(within) }, words }
    }
}

fn add_bound(words: &mut String, within: Option<Duration>) {
    let _ = within.iter().try_for_each(|within| write!(words, " within {within:?}"));
}

fn micros(time: Option<Duration>) -> Option<u64> {
    time.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}
