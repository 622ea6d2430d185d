//! Boards, and what their guests share.

use super::fields::{Fields, plausible_name};
use crate::error::{Reader, Span};
use crate::model::{Node, board_bytes, board_ways};
use crate::raw::Yaml;
use crate::read::{Cluster, shared};
use crate::units::{self, show_size};
use runtime_core::id::NodeId;
use runtime_core::node::Image;

/// Keys of a board.
pub(crate) const BOARD: &[&str] = &["shared-memory", "transport"];
/// What guests of one board may share: a device of QEMU has it, in a power of two.
const MEMORY: (u64, u64) = (1 << 16, 1 << 30);

/// What the guests of a board have in common.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Common {
    /// Bytes of memory, or 0, and where that is said.
    pub(crate) bytes: u64,
    memory: Span,
    /// MCAPI nodes of different guests talk through it, unless the file says that they use their links.
    pub(crate) carries: bool,
    /// Where the file says that they do.
    asked: Option<Span>,
}

/// The names of the boards, with what each has for its guests.
pub(crate) fn boards(r: &mut Reader<'_>, yaml: Option<&Yaml>) -> Vec<(String, Common)> {
    let Some(yaml) = yaml else { return Vec::new() };
    let entries = r.entries(yaml, "boards", "write for example `boards: { a: {}, b: {} }`");
    let mut names = Vec::new();
    for (name, span, value) in entries.unwrap_or_default() {
        plausible_name(r, span, name);
        let place = format!("board \"{name}\"");
        let fields = Fields::read(r, value, span, &place, BOARD, &[]);
        let common = fields.map(|fields| common(r, &fields, name)).unwrap_or_default();
        names.push((name.to_string(), common));
    }
    names
}

fn common(r: &mut Reader<'_>, fields: &Fields<'_>, name: &str) -> Common {
    let memory = fields.get("shared-memory");
    let bytes = memory.and_then(|yaml| size(r, yaml));
    let words = [("shm", Some(true)), ("links", Some(false))];
    let transport = fields.get("transport");
    let carries = transport.and_then(|yaml| r.choice(yaml, "transport", &words));
    let asked = transport.filter(|_| carries == Some(true)).map(|yaml| yaml.span);
    if let (Some(span), None) = (asked, memory) {
        let message = format!("board \"{name}\" has no memory that its guests share");
        r.error(span, message, "add `shared-memory: 4MiB` before it, or remove it");
    }
    let carries = carries.unwrap_or(true) && bytes.is_some();
    let memory = memory.map(|yaml| yaml.span).unwrap_or_default();
    Common { bytes: bytes.unwrap_or(0), memory, carries, asked }
}

fn size(r: &mut Reader<'_>, yaml: &Yaml) -> Option<u64> {
    let bytes = r.within(yaml, "shared-memory", MEMORY, units::size, show_size)?;
    if !bytes.is_power_of_two() {
        let (less, more) = (bytes.next_power_of_two() / 2, bytes.next_power_of_two());
        let help = format!("write {} or {}", show_size(less), show_size(more));
        r.error(yaml.span, "shared-memory of a board is a power of two", help);
        return None;
    }
    Some(bytes)
}

/// Whether memory that is to carry MCAPI can: between several guests, with room for all their nodes. `program`: there is one
/// on MCAPI; otherwise only what is asked for by name is looked at.
pub(crate) fn carriers(
    r: &mut Reader<'_>,
    cluster: &Cluster,
    linked: &[([NodeId; 2], Span)],
    program: bool,
) {
    for (board, (name, common)) in cluster.boards.iter().zip(&cluster.common).enumerate() {
        let unasked = !common.carries || common.asked.is_none() && !program;
        let linked = shared::is_linked(cluster, linked, board);
        if unasked && !linked {
            continue;
        }
        let on = |node: &&Node| usize::from(node.board) == board && node.image == Image::Linux;
        let guests = cluster.nodes.iter().filter(on).count();
        if let (Some(span), 0 | 1) = (common.asked, guests) {
            let message =
                format!("board \"{name}\" has no two x86_64 Linux guests to share its memory");
            let help =
                format!("write `board: {name}` for each node that is to use it, or remove it");
            r.error(span, message, help);
        }
        let ways = board_ways(&cluster.nodes, board).len();
        let needs = board_bytes(ways);
        if common.bytes < needs {
            let has = show_size(common.bytes);
            let message = format!(
                "shared-memory: {has} is too small for MCAPI between the guests of board \"{name}\": {ways} ways from node to node need {needs} bytes"
            );
            let size = show_size(needs.next_power_of_two());
            let help = match linked {
                true => format!("write {size}, or remove its links of `transport: shm`"),
                false => format!("write {size}, or `transport: links` for the board"),
            };
            r.error(common.memory, message, help);
        }
    }
}
