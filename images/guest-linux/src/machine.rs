//! PID 1 of a Linux guest: what a machine needs before it can be a node, and how it ends.
//!
//! There is no shell, no udev, and no other process but the seat, if the machine has one: a second node, with
//! a control port of its own, on the same card. Whichever of the two ends, the machine does. An orderly end powers the machine off; an end
//! after a fault resets it, and QEMU, told not to reboot, ends with QMP's `SHUTDOWN` event:
//! `guest-shutdown` for the first, `guest-reset` for the second (and for a kernel panic).

use crate::control_port::ControlPort;
use anyhow::{Context, Result, bail};
use images_control::{Nic, PORT_NAME, SEAT_PORT_NAME};
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::reboot::{RebootMode, reboot};
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

mod board;
mod identity;
mod memory;
mod net;

pub(crate) use board::Board;
pub(crate) use identity::{awake, introduce};
pub(crate) use memory::fill;

/// How long a device may take to show up once its driver is loaded. Generous: under emulation on
/// a busy host a guest may stand still for seconds.
const DEVICE_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes the machine usable and opens the control port.
///
/// # Errors
/// Says which step failed; the guest cannot be a node then.
pub(crate) fn bring_up() -> Result<ControlPort> {
    mount_all()?;
    load_modules("/modules.list")?;
    // Page-wise protection splits mappings, and arenas are reserved far beyond memory.
    set("/proc/sys/vm/max_map_count", "1048576")?;
    set("/proc/sys/vm/overcommit_memory", "1")?;
    net::set_up("lo").context("cannot bring up lo")?;
    // Where MCAPI nodes of this machine meet.
    fs::create_dir_all("/dev/shm").context("cannot create /dev/shm")?;
    ControlPort::from_virtio(open_port(PORT_NAME)?)
}

/// Starts the machine's seat. The network must be up: the seat uses what is there.
///
/// # Errors
/// When there is no second process to be had.
pub(crate) fn start_seat() -> Result<()> {
    let mut seat = Command::new("/proc/self/exe");
    let mut seat = seat.arg("seat").spawn().context("cannot start the seat")?;
    let watch = move || {
        // A seat says itself why it ends, on its own port, if it still can.
        let orderly = match seat.wait() {
            Ok(status) => {
                eprintln!("understudy: the seat has ended ({status}), and this machine with it");
                status.success()
            }
            Err(e) => {
                eprintln!("understudy: the seat cannot be watched: {e}");
                false
            }
        };
        if orderly { power_off() } else { reset() }
    };
    let watcher = std::thread::Builder::new().name("seat".into());
    watcher.spawn(watch).context("cannot watch the seat")?;
    Ok(())
}

/// Opens the control port of a seat, in the process that is one.
///
/// # Errors
/// When there is no such port.
pub(crate) fn seat_port() -> Result<ControlPort> {
    ControlPort::from_virtio(open_port(SEAT_PORT_NAME)?)
}

/// Name of the interface of a network card that is up already.
///
/// # Errors
/// When there is no such card.
pub(crate) fn interface(nic: &Nic) -> Result<String> {
    net::find(&nic.mac).with_context(|| format!("cannot find network card {}", nic.mac))
}

/// Brings up the network card that the harness described; returns the name of its interface.
///
/// # Errors
/// When there is no such card, or it refuses; says which step.
pub(crate) fn configure_nic(nic: &Nic) -> Result<String> {
    net::configure(nic).with_context(|| format!("cannot bring up network card {}", nic.mac))
}

/// Ends the machine in an orderly way.
pub(crate) fn power_off() -> ! {
    end(RebootMode::RB_POWER_OFF)
}

/// Ends the machine after a fault, so that the harness can tell.
pub(crate) fn reset() -> ! {
    end(RebootMode::RB_AUTOBOOT)
}

/// Has the kernel panic, as it would at a fault of its own.
pub(crate) fn crash() -> ! {
    if let Err(e) = fs::write("/proc/sysrq-trigger", "c") {
        // Without that key, leaving PID 1 makes the kernel panic too.
        eprintln!("the kernel takes no order to crash: {e}");
    }
    std::process::exit(1)
}

fn end(mode: RebootMode) -> ! {
    let Err(e) = reboot(mode);
    // Refused (no such privilege, or not PID 1 of the machine): leaving PID 1 makes the kernel
    // panic, which resets the machine too.
    eprintln!("cannot end the machine: {e}");
    std::process::exit(1)
}

fn mount_all() -> Result<()> {
    for (kind, path) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        fs::create_dir_all(path).with_context(|| format!("cannot create {path}"))?;
        mount(Some(kind), path, Some(kind), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("cannot mount {path}"))?;
    }
    Ok(())
}

/// Loads the modules that the image lists, one path a line, in that order.
fn load_modules(list: &str) -> Result<()> {
    let list = fs::read_to_string(list).with_context(|| format!("cannot read {list}"))?;
    for path in list.lines() {
        let file = File::open(path).with_context(|| format!("cannot open module {path}"))?;
        match nix::kmod::finit_module(&file, c"", nix::kmod::ModuleInitFlags::empty()) {
            // In there already: built in, or loaded by the kernel itself.
            Ok(()) | Err(nix::Error::EEXIST) => {}
            Err(e) => return Err(e).with_context(|| format!("cannot load module {path}")),
        }
    }
    Ok(())
}

fn set(path: &str, value: &str) -> Result<()> {
    fs::write(path, value).with_context(|| format!("cannot set {path} to {value}"))
}

/// Waits for the port by its name, which the host sends after the port itself, and for the host's
/// side of it to be open: until then a read would say end of stream.
fn open_port(name: &str) -> Result<File> {
    let start = Instant::now();
    let mut port: Option<File> = None;
    loop {
        if port.is_none() {
            port = match find_port(name) {
                Some(path) => OpenOptions::new().read(true).write(true).open(path).ok(),
                None => None,
            };
        }
        if port.as_ref().is_some_and(host_is_there) {
            break;
        }
        if start.elapsed() > DEVICE_TIMEOUT {
            let what = if port.is_some() { "the host never opened it" } else { "no such port" };
            bail!("no control port \"{name}\" ({what}): is virtserialport in QEMU's command?");
        }
        sleep(Duration::from_millis(1));
    }
    port.context("no control port")
}

fn find_port(name: &str) -> Option<PathBuf> {
    let ports = fs::read_dir("/sys/class/virtio-ports").ok()?;
    ports.flatten().find_map(|port| {
        let found = fs::read_to_string(port.path().join("name")).ok()?;
        (found.trim_end() == name).then(|| PathBuf::from("/dev").join(port.file_name()))
    })
}

fn host_is_there(port: &File) -> bool {
    let mut fds = [PollFd::new(port.as_fd(), PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO).is_ok()
        && fds[0].revents().is_some_and(|r| !r.contains(PollFlags::POLLHUP))
}
