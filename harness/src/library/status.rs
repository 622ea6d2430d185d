//! How a cluster is.

use crate::proto;
use std::time::Duration;

/// How a cluster is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// One word: `booting`, `up`, `running`, `stopping`.
    pub phase: String,
    /// Each node, in the order of the file.
    pub nodes: Vec<NodeStatus>,
    /// Each port of each switch; none where no frames pass the harness's switch.
    pub ports: Vec<PortStatus>,
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// `compute` or `standby`.
    pub role: String,
    /// `linux` or `bare-metal`.
    pub image: String,
    /// One or two words: `ready`, `dead`, `paused`, `cut off`, `rejoining` and so on.
    pub state: String,
    /// From start to first words.
    pub boot: Option<Duration>,
    /// The ranks it hosts.
    pub ranks: Vec<u16>,
    /// Its process on this machine.
    pub pid: Option<u32>,
}

/// Counters of a port of a switch. *In*: from what is behind it; *out*: to it. A cable has a port at each end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PortStatus {
    /// The node behind it, or the cable.
    pub node: String,
    /// The switch it belongs to.
    pub switch: String,
    /// What is behind it is a cable to another switch.
    pub cable: bool,
    /// Is the other end there?
    pub open: bool,
    /// What the link does to frames, for people; nothing of a perfect one.
    pub link: String,
    /// Frames in.
    pub in_frames: u64,
    /// Bytes in.
    pub in_bytes: u64,
    /// Frames out.
    pub out_frames: u64,
    /// Bytes out.
    pub out_bytes: u64,
    /// Frames that the link held back: of a delay, or of a rate.
    pub held_frames: u64,
    /// Those of them that left over a millisecond after their time, as the machine had other things to do.
    pub late_frames: u64,
    /// By how much the latest of them was, also where none is over a millisecond late.
    pub worst_late: Duration,
    /// Dropped frames by reason, without the reasons that did not occur.
    pub drops: Vec<(String, u64)>,
}

impl From<proto::Status> for Status {
    fn from(status: proto::Status) -> Self {
        let nodes = status.nodes.into_iter().map(|n| NodeStatus {
            name: n.name,
            role: n.role,
            image: n.image,
            state: n.state,
            boot: n.boot_us.map(Duration::from_micros),
            ranks: n.ranks,
            pid: n.pid,
        });
        let ports = status.ports.into_iter().map(|p| PortStatus {
            node: p.node,
            switch: p.switch,
            cable: p.cable,
            open: p.open,
            link: p.link,
            in_frames: p.in_frames,
            in_bytes: p.in_bytes,
            out_frames: p.out_frames,
            out_bytes: p.out_bytes,
            held_frames: p.held_frames,
            late_frames: p.late_frames,
            worst_late: Duration::from_micros(p.worst_late_us),
            drops: p.drops,
        });
        Self { phase: status.phase, nodes: nodes.collect(), ports: ports.collect() }
    }
}
