//! Boards and nodes.

use super::boards::Common;
use super::fields::{Fields, plausible_name, suggestion};
use super::mcapi::Names;
use crate::address::{self, Claims};
use crate::error::{Reader, Span};
use crate::model::{Node, Subnet};
use crate::raw::Yaml;
use crate::units::{self, show_size};
use runtime_core::id::NodeId;
use runtime_core::limits::MAX_NODES;
use runtime_core::node::{Image, Role};
use std::net::Ipv4Addr;

pub(crate) const MACHINE: &[&str] = &["image", "arch", "memory", "cpus", "console"];
pub(crate) const NODE: &[&str] =
    &["board", "role", "image", "arch", "memory", "cpus", "console", "address", "mac", "mcapi"];

/// Least memory in which a Linux guest boots.
const LEAST_LINUX: u64 = 64 << 20;
/// The same with an aarch64 processor, whose kernel is not packed.
const LEAST_LINUX_AARCH64: u64 = 128 << 20;
/// Least memory in which a bare-metal guest boots.
const LEAST_BARE_METAL: u64 = 16 << 20;
const MOST_MEMORY: u64 = 64 << 30;
const MOST_CPUS: u64 = 16;
/// So many nodes get a name to refer to, even when they are too many.
const NAMED: usize = 16 * MAX_NODES;

/// Processor of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arch {
    X86_64,
    Aarch64,
}

/// What a machine boots, whatever its processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Boots {
    Linux,
    BareMetal,
}

/// What a node's machine is, as far as said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    boots: Boots,
    arch: Arch,
    /// If it is said, and where.
    memory: Option<(u64, Span)>,
    cpus: u16,
    console: bool,
}

/// All nodes, with the places of their names.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) boards: Vec<String>,
    /// What the Linux guests of each board share; boards that the file does not name come after these.
    pub(crate) common: Vec<Common>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) spans: Vec<Span>,
    /// Where it is said how much memory each has; those of which it is not have none yet.
    pub(crate) memory: Vec<Option<Span>>,
    pub(crate) subnet: Subnet,
}

impl Cluster {
    /// The nodes with the addresses of their cards.
    pub(crate) fn macs(&self) -> Vec<(&str, [u8; 6])> {
        self.nodes.iter().map(|node| (node.name.as_str(), node.mac)).collect()
    }
}

/// What holds for every node that does not say otherwise.
pub(crate) fn defaults(r: &mut Reader<'_>, yaml: Option<&Yaml>) -> Machine {
    let base =
        Machine { boots: Boots::Linux, arch: Arch::X86_64, memory: None, cpus: 1, console: true };
    match yaml.and_then(|y| Fields::read(r, y, y.span, "defaults", MACHINE, &[])) {
        Some(fields) => machine(r, &fields, base),
        None => base,
    }
}

fn machine(r: &mut Reader<'_>, fields: &Fields<'_>, base: Machine) -> Machine {
    let images = [("linux", Some(Boots::Linux)), ("bare-metal", Some(Boots::BareMetal))];
    let archs = [("x86_64", Some(Arch::X86_64)), ("aarch64", Some(Arch::Aarch64))];
    let boots = fields.get("image").and_then(|y| r.choice(y, "image", &images));
    let boots = boots.unwrap_or(base.boots);
    let arch = fields.get("arch").and_then(|y| r.choice(y, "arch", &archs)).unwrap_or(base.arch);
    let memory = (least_memory(image_of(boots, arch)), MOST_MEMORY);
    Machine {
        boots,
        arch,
        memory: fields
            .get("memory")
            .and_then(|y| Some((r.within(y, "memory", memory, units::size, show_size)?, y.span)))
            .or(base.memory),
        cpus: fields
            .get("cpus")
            .and_then(|y| r.within(y, "cpus", (1, MOST_CPUS), units::integer, |v| v.to_string()))
            .and_then(|v| u16::try_from(v).ok())
            .unwrap_or(base.cpus),
        console: fields
            .get("console")
            .and_then(|y| r.choice(y, "console", &[("log", Some(true)), ("none", Some(false))]))
            .unwrap_or(base.console),
    }
}

/// Bare metal is x86_64, whatever else is said: that is refused.
const fn image_of(boots: Boots, arch: Arch) -> Image {
    match (boots, arch) {
        (Boots::BareMetal, _) => Image::BareMetal,
        (Boots::Linux, Arch::X86_64) => Image::Linux,
        (Boots::Linux, Arch::Aarch64) => Image::LinuxAarch64,
    }
}

pub(crate) const fn least_memory(image: Image) -> u64 {
    match image {
        Image::Linux => LEAST_LINUX,
        Image::LinuxAarch64 => LEAST_LINUX_AARCH64,
        Image::BareMetal => LEAST_BARE_METAL,
    }
}

/// What a node writes and what it gets from `defaults` must make a machine that can be.
fn possible(r: &mut Reader<'_>, fields: &Fields<'_>, machine: &Machine, name: &str, span: Span) {
    let metal = machine.boots == Boots::BareMetal;
    if metal && machine.arch == Arch::Aarch64 {
        let span = fields.get("arch").or_else(|| fields.get("image")).map_or(span, |y| y.span);
        let message = format!("node \"{name}\" is bare metal, which runs on x86_64 only");
        r.error(span, message, "write `arch: x86_64` for it, or `image: linux`");
    }
    if metal && machine.cpus > 1 {
        let span = fields.get("cpus").map_or(span, |y| y.span);
        let cpus = machine.cpus;
        let message =
            format!("node \"{name}\" is bare metal and runs on one processor, not on {cpus}");
        r.error(span, message, "write `cpus: 1` for it, or `image: linux`");
    }
    let least = least_memory(image_of(machine.boots, machine.arch));
    // A size of its own was compared when it was read.
    if let Some((has, _)) = machine.memory
        && has < least
        && fields.get("memory").is_none()
    {
        let has = show_size(has);
        let message =
            format!("node \"{name}\" has {has} of memory, which is too small for its image");
        r.error(span, message, format!("write `memory: {}` or more for it", show_size(least)));
    }
}

/// The nodes, with addresses for those that have none.
pub(crate) fn nodes(
    r: &mut Reader<'_>,
    top: &Fields<'_>,
    defaults: &Machine,
    boards: Vec<(String, Common)>,
) -> Cluster {
    let example = "add for example `nodes: { n0: { role: compute }, n1: { role: standby } }`";
    let section = top.required(r, "nodes", example);
    let readable = section.and_then(|y| r.entries(y, "nodes", example));
    let is_map = readable.is_some();
    let entries = readable.unwrap_or_default();
    if let (Some((key, _)), true) = (top.entry("nodes"), entries.len() > MAX_NODES) {
        let message = format!("{} nodes are too many", entries.len());
        r.error(key, message, format!("at most {MAX_NODES} nodes form a cluster: remove some"));
    }
    let (boards, common) = boards.into_iter().unzip();
    let mut cluster = Cluster {
        boards,
        common,
        nodes: Vec::new(),
        spans: Vec::new(),
        memory: Vec::new(),
        subnet: address::default_subnet(),
    };
    let mut claims = Claims::default();
    let mut names = Names::default();
    for (name, span, value) in entries.into_iter().take(NAMED) {
        plausible_name(r, span, name);
        node(r, (name, span, value), defaults, &mut cluster, &mut claims, &mut names);
    }
    let compute = cluster.nodes.iter().any(|n| n.role == Role::Compute);
    if let (false, true, Some((key, _))) = (compute, is_map, top.entry("nodes")) {
        r.error(key, "no node computes", "give at least one node `role: compute`");
    }
    cluster.subnet = claims.settle(r, &mut cluster.nodes);
    names.settle(&mut cluster.nodes);
    cluster
}

fn node(
    r: &mut Reader<'_>,
    (name, span, value): (&str, Span, &Yaml),
    defaults: &Machine,
    cluster: &mut Cluster,
    claims: &mut Claims,
    names: &mut Names,
) {
    let place = format!("node \"{name}\"");
    let fields = Fields::read(r, value, span, &place, NODE, &[]);
    let index = cluster.nodes.len();
    let roles = [("compute", Some(Role::Compute)), ("standby", Some(Role::Standby))];
    let mut role = None;
    let mut machine_of = *defaults;
    let mut board = None;
    if let Some(fields) = &fields {
        role = fields
            .required(r, "role", "add `role: compute` or `role: standby`")
            .and_then(|y| r.choice(y, "role", &roles));
        machine_of = machine(r, fields, *defaults);
        possible(r, fields, &machine_of, name, span);
        board = fields.get("board").map(|y| board_index(r, y, &cluster.boards));
        if let Some(y) = fields.get("mac")
            && let Some(mac) = r.parse(y, "mac", address::mac)
        {
            claims.mac(r, index, name, y.span, mac);
        }
        if let Some(y) = fields.get("address")
            && let Some(ip) = r.parse(y, "address", address::ipv4)
        {
            claims.address(r, index, name, y.span, ip);
        }
        if let Some(y) = fields.get("mcapi") {
            names.read(r, index, y);
        }
    }
    let board = board.unwrap_or_else(|| own_board(name, &mut cluster.boards));
    let id = NodeId(u16::try_from(index).unwrap_or(u16::MAX));
    cluster.spans.push(span);
    cluster.memory.push(machine_of.memory.map(|(_, span)| span));
    cluster.nodes.push(Node {
        id,
        name: name.to_string(),
        role: role.unwrap_or(Role::Compute),
        board: u16::try_from(board).unwrap_or(u16::MAX),
        memory_bytes: machine_of.memory.map_or(0, |(bytes, _)| bytes),
        cpus: machine_of.cpus,
        console: machine_of.console,
        image: image_of(machine_of.boots, machine_of.arch),
        mac: [0; 6],
        address: Ipv4Addr::UNSPECIFIED,
        mcapi: Vec::new(),
    });
}

fn board_index(r: &mut Reader<'_>, yaml: &Yaml, boards: &[String]) -> usize {
    let Some((span, name)) = r.text(yaml, "board") else { return 0 };
    boards.iter().position(|b| b == name).unwrap_or_else(|| {
        let help = suggestion(name, boards.iter().map(String::as_str)).unwrap_or_else(|| {
            format!("add `boards: {{ {name}: {{}} }}`, or use one that is there")
        });
        r.error(span, format!("unknown board \"{name}\""), help);
        0
    })
}

/// A node that names no board is alone on one that bears its name, or a longer one if that is taken.
fn own_board(node: &str, boards: &mut Vec<String>) -> usize {
    let mut name = node.to_string();
    while boards.contains(&name) {
        name.push_str("-own");
    }
    boards.push(name);
    boards.len() - 1
}
