//! A line: the link of a node to its switch, or a cable between two switches.

use super::LinkAction;
use super::late::Late;
use crate::plan::Plan;
use crate::proto::PortStatus;
use netem::{Direction, Profile, Way};
use std::collections::BTreeMap;

/// What a line ends at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Node,
    Switch { bridge: usize, port: usize },
}

/// Frames and their bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    frames: u64,
    bytes: u64,
}

impl Count {
    pub(super) const fn count(&mut self, frame: &[u8]) {
        self.frames += 1;
        self.bytes += frame.len() as u64;
    }
}

/// One way of a line.
#[derive(Debug)]
pub(super) struct OneWay {
    pub(super) direction: Direction,
    /// As the file has it.
    file: Profile,
    pub(super) entered: Count,
    pub(super) arrived: Count,
    pub(super) late: Late,
    drops: BTreeMap<&'static str, u64>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Line {
    /// Of the node, or of the cable.
    pub(super) name: String,
    /// *Up* leads from the first to the second, and *down* back.
    pub(super) ends: [End; 2],
    pub(super) ways: [OneWay; 2],
    /// Its frames are recorded.
    pub(super) tapped: bool,
    /// Address of the node's card.
    pub(super) card: Option<[u8; 6]>,
    gone: bool,
}

/// Place of a way in [`Line::ways`].
pub(super) const fn index(way: Way) -> usize {
    match way {
        Way::Up => 0,
        Way::Down => 1,
    }
}

impl Line {
    pub(super) fn new(plan: &Plan, line: usize, ends: [End; 2], profiles: [Profile; 2]) -> Self {
        let link = plan.line_name(line);
        let name = match ends[0] {
            End::Node => plan.nodes[line].name.clone(),
            End::Switch { .. } => link.clone(),
        };
        let way = |way| {
            let file = profiles[index(way)];
            OneWay {
                direction: Direction::of_link(file, plan.seed, &link, way),
                file,
                entered: Count::default(),
                arrived: Count::default(),
                late: Late::default(),
                drops: BTreeMap::new(),
            }
        };
        let ways = [Way::Up, Way::Down].map(way);
        Self { name, ends, ways, tapped: false, card: None, gone: false }
    }

    /// Where a way leads.
    pub(super) const fn far_end(&self, way: Way) -> End {
        match way {
            Way::Up => self.ends[1],
            Way::Down => self.ends[0],
        }
    }

    /// The node is not there any more, or again. Says whether it was.
    pub(super) const fn set_gone(&mut self, gone: bool) -> bool {
        self.ways[index(Way::Down)].direction.set_down(gone);
        !core::mem::replace(&mut self.gone, gone)
    }

    pub(super) fn act(&mut self, now_ns: u64, action: &LinkAction) {
        match action {
            LinkAction::Cut { up, down } => {
                let cut = self.ways.iter_mut().zip([up, down]).filter(|(_, cut)| **cut);
                cut.for_each(|(way, _)| way.direction.cut());
            }
            LinkAction::Change(changes) => {
                for (way, change) in self.ways.iter_mut().zip(changes.iter()) {
                    way.direction.set_profile(change.of(*way.direction.profile(), now_ns));
                }
            }
            LinkAction::Heal => {
                for way in &mut self.ways {
                    way.direction.heal();
                    way.direction.set_profile(way.file);
                }
            }
        }
    }

    /// Does it carry frames both ways?
    pub(super) fn is_whole(&self) -> bool {
        self.ways.iter().all(|way| !way.direction.is_cut())
    }

    pub(super) fn count_drop(&mut self, way: Way, reason: &'static str) {
        *self.ways[index(way)].drops.entry(reason).or_default() += 1;
    }

    /// Of a node's link one entry; of a cable one for each end, as its switch sees it. `switches`: what it ends at.
    pub(super) fn status(&self, switches: [String; 2]) -> Vec<PortStatus> {
        let [up, down] = &self.ways;
        let [first, second] = switches;
        let cable = self.ends[0] != End::Node;
        let link = self.words([&first, &second]);
        let port = |switch: String, inward: Count, outward: Count, ways: Vec<&OneWay>| {
            let mut sum: BTreeMap<&str, u64> = BTreeMap::new();
            for (reason, n) in ways.iter().flat_map(|way| &way.drops) {
                *sum.entry(reason).or_default() += n;
            }
            let late = ways.iter().fold(Late::default(), |late, way| late.and(way.late));
            PortStatus {
                node: self.name.clone(),
                switch,
                cable,
                open: cable,
                link: link.clone(),
                pcap: None,
                in_frames: inward.frames,
                in_bytes: inward.bytes,
                out_frames: outward.frames,
                out_bytes: outward.bytes,
                late_frames: late.frames,
                worst_late_us: late.worst_ns / 1_000,
                held_frames: late.held,
                drops: sum.into_iter().map(|(reason, n)| (reason.to_owned(), n)).collect(),
            }
        };
        if cable {
            // What a switch sends and is lost, its own port counts.
            let here = port(first, down.arrived, up.entered, vec![up]);
            vec![here, port(second, up.arrived, down.entered, vec![down])]
        } else {
            vec![port(second, up.entered, down.arrived, vec![up, down])]
        }
    }

    /// What the line does to frames, in words; none if it is perfect.
    fn words(&self, switches: [&str; 2]) -> String {
        let [up, down] = self.ways.each_ref().map(|way| &way.direction);
        let node = self.ends[0] == End::Node;
        let cut = match (up.is_cut(), down.is_cut()) {
            (false, false) => String::new(),
            (true, true) => "cut".to_owned(),
            (true, false) if node => "cut from the node".to_owned(),
            (false, true) if node => "cut to the node".to_owned(),
            (true, false) => format!("cut to {}", switches[1]),
            (false, true) => format!("cut to {}", switches[0]),
        };
        let others = match node {
            true => topology::profile_words(up.profile(), down.profile()),
            false => topology::cable_words(up.profile(), down.profile(), switches),
        };
        let both = [cut, others].into_iter().filter(|words| !words.is_empty());
        both.collect::<Vec<_>>().join("; ")
    }
}
