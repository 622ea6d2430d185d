//! What a node is told before it is one, and how it is made from that.

use anyhow::{Error, Result};
use images_control::{Awake, Configure};
use runtime_driver::layout::Layout;
use runtime_linux::driver::Setup;
use runtime_linux::transport::Network;

/// What the reader of the port hands over before there is a driver.
pub(crate) enum First {
    Configure(Box<Configure>),
    /// Run the program; only where there is one.
    Run(u32),
    /// This machine is a copy, and now its own.
    Awake(Box<Awake>),
    /// From now on messages go to this one.
    End(String),
}

/// A driver's setup, from what the harness says and the network that was found.
pub(crate) fn setup(configure: &Configure, network: Network, image: [u8; 32]) -> Result<Setup> {
    let config = guest::config(configure, image).map_err(Error::msg)?;
    let layout = Layout::node(guest::sizes(configure, &config))?;
    let holds = guest::holds(configure);
    Ok(Setup { config, network, layout, holds, kind_of: guest::kind })
}
