//! How late frames are that a link held back. A machine with other things to do lets the switch's thread wait, and
//! times of links are then not those of the file: whoever trusts them must be told.

/// Less is within what the scheduler of an idle machine does, and nobody is told.
pub(super) const TOLERATED_NS: u64 = 1_000_000;

/// Frames that a link held back, of one way or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Late {
    /// All.
    pub(super) held: u64,
    /// Those later than is tolerated.
    pub(super) frames: u64,
    /// By how much the latest was.
    pub(super) worst_ns: u64,
}

impl Late {
    /// A frame leaves so long after its time.
    pub(super) fn count(&mut self, late_ns: u64) {
        self.held += 1;
        self.frames += u64::from(late_ns > TOLERATED_NS);
        self.worst_ns = self.worst_ns.max(late_ns);
    }

    /// Of both ways.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            held: self.held + other.held,
            frames: self.frames + other.frames,
            worst_ns: self.worst_ns.max(other.worst_ns),
        }
    }
}

/// Punctual frames that outweigh a late one: one late frame in 17 is borne, four one after the other are not.
const OUTWEIGH: u32 = 16;
const SCARCE: u32 = 4 * OUTWEIGH;

/// Of how late a frame was there is news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct News {
    pub(super) line: usize,
    pub(super) late_ns: u64,
    /// It is not the only one: the switch must get a processor before others. Said once.
    pub(super) scarce: bool,
}

/// Says how late frames are: not of each, but when it is twice as bad as what was told before.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    told_ns: u64,
    weight: u32,
    scarce: bool,
    /// The worst that nobody was told of.
    untold: Option<News>,
}

impl Alarm {
    /// A frame of a line leaves so long after its time.
    pub(super) fn heed(&mut self, line: usize, late_ns: u64) {
        if late_ns <= TOLERATED_NS {
            self.weight = self.weight.saturating_sub(1);
            return;
        }
        self.weight = (self.weight + OUTWEIGH).min(SCARCE);
        let scarce = self.weight == SCARCE && !self.scarce;
        self.scarce |= scarce;
        if scarce || late_ns >= self.told_ns.saturating_mul(2) {
            self.told_ns = self.told_ns.max(late_ns);
            let scarce = scarce || self.untold.is_some_and(|news| news.scarce);
            self.untold = Some(News { line, late_ns, scarce });
        }
    }

    /// What is to be told now.
    pub(super) const fn take(&mut self) -> Option<News> {
        self.untold.take()
    }
}

/// What is left to be done about frames that are late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing: it was one of many.
    None,
    /// The switch runs before other programs from now on.
    Taken,
    /// There is no right to do that.
    Refused,
    /// No more than that, which has been done before.
    Less,
}

/// How late a frame of a link was, for the story of a run.
pub(super) fn words(late_ns: u64, remedy: Remedy) -> String {
    let late = crate::table::time(Some(late_ns / 1_000));
    let then = match remedy {
        Remedy::None => "",
        Remedy::Taken => "; from now on the switch runs before them",
        Remedy::Refused => "; allow the switch to run before them with `ulimit -r 1`",
        Remedy::Less => ", though the switch runs before them; start less at once",
    };
    format!("its link is late: a frame left {late} after its time, as other programs ran{then}")
}
