//! The last words of a node that cannot go on.

use crate::{power, serial};
use core::fmt;

/// Says why, and ends the machine after a fault.
pub fn end_with(message: fmt::Arguments<'_>) -> ! {
    serial::say(message);
    power::end(true)
}
