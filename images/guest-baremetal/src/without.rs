//! The image without the shared memory: links and MCAPI, which two such nodes measure.

use runtime_baremetal::clock;
use runtime_baremetal::driver::{DriverError, Outside, Setup, run_machine};
use runtime_baremetal::serial::say;
use runtime_bench::{Bench, Plan};
use runtime_core::mem::PageMem;
use runtime_core::node::{Input, Output, Timer};
use runtime_core::time::Instant;
use runtime_driver::conductor::{Ending, Machine};

/// As the conductor drives it.
struct Measure(Bench);

impl Machine for Measure {
    fn handle(&mut self, now: Instant, input: Input<'_>, _memory: &mut dyn PageMem) {
        self.0.handle(now, &input);
    }

    fn poll(&mut self) -> Option<Output> {
        self.0.poll()
    }

    fn deadline(&self) -> Option<(Instant, Timer)> {
        self.0.deadline()
    }
}

/// In place of [`runtime_baremetal::driver::run`]. The result goes to the console.
pub(crate) fn drive<O: Outside>(setup: Setup, outside: &mut O) -> Result<Ending, DriverError> {
    let machine = Measure(Bench::new(&setup.config, Plan::default(), clock::now()));
    let ending = run_machine(machine, setup, outside)?;
    if let Ending::Halted { reason } = &ending {
        say(format_args!("measured: {reason}"));
    }
    Ok(ending)
}
