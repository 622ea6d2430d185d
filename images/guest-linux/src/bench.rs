//! Measuring between two Linux nodes: each way in its turn, on sockets and links of its own.

use crate::control_port::Sender;
use crate::network::network;
use anyhow::{Context, Error, Result};
use images_control::bench::{Bench, Way};
use images_control::{Configure, FromNode};
use runtime_core::time::Instant;
use runtime_linux::driver::{Driver, now};

mod sockets;

/// Measures, and tells the harness after each way.
///
/// # Errors
/// When a way cannot be gone; says which.
pub(crate) fn run(
    configure: &Configure,
    bench: &Bench,
    interface: Option<&str>,
    image: [u8; 32],
    sender: &Sender,
) -> Result<()> {
    for (turn, way) in bench.ways.iter().enumerate() {
        let configure = configure.on(*way, turn);
        let told = match way {
            Way::Sockets => sockets::measure(&configure, &bench.plan())
                .map(|report| FromNode::Measured { way: *way, report }),
            Way::Tcp | Way::Ethernet => conduct(&configure, bench, *way, interface, image),
        };
        let told = told.with_context(|| format!("measuring over {way:?}"))?;
        sender.send(&told).context("cannot speak to the harness")?;
    }
    Ok(())
}

fn conduct(
    configure: &Configure,
    bench: &Bench,
    way: Way,
    interface: Option<&str>,
    image: [u8; 32],
) -> Result<FromNode> {
    let network = network(configure, interface)?;
    let setup = crate::setup::setup(configure, network, image)?;
    let begin: Instant = now();
    let machine = guest::bench::Machine::new(&setup.config, bench, begin).map_err(Error::msg)?;
    // A driver that nobody commands ends; the reader of the control port ends this one.
    let (driver, _commander) = Driver::with_machine(machine, setup)?;
    guest::bench::measured(way, driver.run(&mut |_| {})?).map_err(Error::msg)
}
