//! The node.

use runtime_baremetal::image::Image;
use runtime_baremetal::{clock, machine, power, serial};

/// Brings the machine up.
pub(crate) fn run(info: usize, image: Image) -> ! {
    // SAFETY: these are the machine's start information and this very image.
    let options = match unsafe { machine::bring_up(info, image) } {
        Ok(options) => options,
        Err(error) => {
            serial::say(format_args!("this machine cannot be a node: {error}"));
            power::end(true)
        }
    };
    for device in options.devices() {
        serial::say(format_args!("{device:x?}"));
    }
    serial::say(format_args!("up at {:?}", clock::now()));
    power::end(false)
}
