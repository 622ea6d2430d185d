//! The name of a status (4.8), and what the reference implementation has beyond the specification.

use crate::pointer::{Out, Room};
use crate::registry;
use mcapi::Status;
use std::io::Write as _;
use std::sync::atomic::{AtomicI32, Ordering};

static DEBUG: AtomicI32 = AtomicI32::new(0);

/// Returns `message`, or NULL when nothing can be written there.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_display_status(status: u32, message: Room, size: usize) -> Room {
    let name = Status::from_number(status).map_or("MCAPI_STATUS_UNKNOWN", Status::name);
    let Some(room) = size.checked_sub(1) else { return Room::NULL };
    let mut text = name.as_bytes()[..name.len().min(room)].to_vec();
    text.push(0);
    if message.fill(size, &text) == 0 { Room::NULL } else { message }
}

/// With a level above 0, `mcapi_display_state` says more.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_set_debug_level(level: i32) {
    DEBUG.store(level, Ordering::Relaxed);
}

/// Prints the nodes of this process to standard error.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_display_state(_of: Out<u8>) {
    let mut to = std::io::stderr();
    for node in registry::all() {
        let _said = writeln!(to, "mcapi: node {}", node.name);
        if DEBUG.load(Ordering::Relaxed) > 0 {
            let _said = writeln!(to, "mcapi:   {:?}", node.node.core(|core| core.counters()));
        }
    }
}
