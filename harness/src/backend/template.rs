//! Guests that start as copies of one that booted before.
//!
//! A template is a guest that was stopped after its first word: a file with its memory, and one with the rest
//! of its state. A copy maps the memory, writes to pages of its own, goes on from the state, and is told who
//! it is; a guest cannot see that it stood still meanwhile. Templates are kept from run to run, each in a
//! directory whose name follows from all that it is made of, with checksums that are looked at before each use.
//! Where anything fails guests boot.

use super::qmp::Qmp;
use super::spawn::OnExit;
use super::{BOARD_FD, Cables, Site, Started, board_memory, log, qemu, tail};
use crate::plan::NodePlan;
use anyhow::{Context as _, Result, bail, ensure};
use images::qemu::{Memory, TEMPLATE_MAC};
use images_control::{Awake, Card, FromNode, ToNode, VERSION, from_line, to_line};
use nix::sys::statvfs::statvfs;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::oneshot;

mod seal;
#[cfg(test)]
mod tests;

/// Templates beyond this number are removed, those first that were not used for longest.
const KEPT: usize = 6;
/// For what takes milliseconds, or a few seconds in the case of a boot, on a machine that is not overwhelmed.
const PATIENCE: Duration = Duration::from_secs(120);
/// Room that is left on the disk.
const SPARE_BYTES: u64 = 64 << 20;
/// Bytes of randomness for a copy.
const SEED: usize = 64;

/// What makes guests of one image different machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind {
    pub(crate) memory_mib: u32,
    pub(crate) cpus: u32,
    /// It has a second control port, for a seat.
    pub(crate) seat: bool,
    /// What it shares with others; 0 for nothing.
    pub(crate) board_bytes: u64,
}

impl Kind {
    /// That of a node.
    pub(crate) fn of(node: &NodePlan) -> Self {
        let memory_mib = u32::try_from(node.memory_bytes >> 20).unwrap_or(u32::MAX);
        let board_bytes = node.board_memory().map_or(0, |board| board.bytes);
        Self { memory_mib, cpus: node.cpus, seat: node.seat.is_some(), board_bytes }
    }
}

/// A template, kept from being removed.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) kind: Kind,
    dir: PathBuf,
    _in_use: File,
}

impl Template {
    fn ram(&self) -> PathBuf {
        ram(&self.dir)
    }

    /// It is not what it should be: the next run makes another.
    pub(super) fn doubt(&self) {
        // Somebody else may have done so.
        drop(fs::remove_file(made_of(&self.dir)));
    }
}

/// Where a template is made. Of one that failed, or that nobody waits for any more, nothing is left.
struct Building(PathBuf);

impl Drop for Building {
    fn drop(&mut self) {
        // The next that is made begins with this, too.
        drop(remove(&self.0));
    }
}

fn ram(dir: &Path) -> PathBuf {
    dir.join("ram")
}

fn state(dir: &Path) -> PathBuf {
    dir.join("state")
}

fn made_of(dir: &Path) -> PathBuf {
    dir.join("made-of")
}

impl Site {
    /// Sees to it that there is a template of each kind, below `dir`. What fails is told, and leaves the guests
    /// of that kind to boot.
    pub(crate) async fn keep_templates(
        &mut self,
        dir: &Path,
        kinds: &BTreeSet<Kind>,
        tell: &dyn Fn(String),
    ) {
        for kind in kinds {
            match self.template(dir, *kind, tell).await {
                Ok(template) => {
                    if let Some(machine) = &mut self.machine {
                        machine.templates.push(template);
                    }
                }
                Err(e) => tell(format!("no template of Linux guests: they boot ({e:#})")),
            }
        }
    }

    /// A template that is there already, or a new one.
    async fn template(&self, dir: &Path, kind: Kind, tell: &dyn Fn(String)) -> Result<Template> {
        let machine = self.machine.as_ref().context("no machine")?;
        let parts = machine.made_of(kind)?;
        // Nobody else builds or removes one meanwhile.
        let house = house(dir)?;
        if house.try_lock().is_err() {
            tell("another cluster is at the templates: this one waits".to_owned());
        }
        let waits = tokio::task::spawn_blocking(move || house.lock().map(|()| house));
        let alone = waits.await?.context("cannot lock the templates")?;
        let place = dir.join(name(&parts));
        if !is_good(&place, &parts, kind, tell).await? {
            let start = Instant::now();
            tell(format!(
                "a template of Linux guests with {} MiB boots; the next run finds it",
                kind.memory_mib
            ));
            // What somebody left behind who was ended.
            let building = Building(dir.join("building"));
            remove(&building.0)?;
            self.build(machine, kind, &building.0).await?;
            publish(&building.0, &place, &parts)?;
            tell(format!("the template booted in {:.1} s", start.elapsed().as_secs_f64()));
        }
        let in_use = File::options().append(true).create(true).open(place.join("lock"));
        let in_use = in_use.with_context(|| format!("cannot use {}", place.display()))?;
        in_use.lock_shared().context("cannot lock a template")?;
        in_use.set_modified(SystemTime::now()).context("cannot date a template")?;
        evict(dir, KEPT);
        drop(alone);
        Ok(Template { kind, dir: place, _in_use: in_use })
    }

    /// Boots a guest up to its first word, and keeps what it is then.
    async fn build(&self, machine: &qemu::Machine, kind: Kind, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        room(dir, u64::from(kind.memory_mib) << 20)?;
        let console = self.console("template");
        drop(fs::remove_file(&console));
        log(&console)?;
        let command = machine.template_command(kind, &console, Memory::Kept(ram(dir)))?;
        let cables = Cables::new(kind.seat)?;
        let (on_exit, end) = exit();
        let mut more = Vec::new();
        if kind.board_bytes > 0 {
            more.push((board_memory("template", kind.board_bytes)?, BOARD_FD));
        }
        let process = self.start_qemu("template", command, cables.theirs, more, on_exit).await?;
        let (control, monitor, state) = (cables.control, cables.monitor, state(dir));
        let captured =
            tokio::task::spawn_blocking(move || capture(&control, &monitor, kind.cpus, &state));
        let captured = captured.await.context("the template's keeper failed")?;
        process.kill();
        let status = end.await.unwrap_or_default();
        captured.with_context(|| {
            let words = [tail(&console, 3), tail(&self.qemu_log("template"), 2)].concat();
            format!("the template's machine: {status}; its last words: {}", words.join(" / "))
        })?;
        // Only now does nobody write to its memory any more.
        let dir = dir.to_owned();
        tokio::task::spawn_blocking(move || seal::seal(&dir)).await?
    }

    /// Starts a node as a copy.
    pub(super) async fn start_copy(
        &self,
        machine: &qemu::Machine,
        template: &Template,
        node: &NodePlan,
    ) -> Result<(Started, oneshot::Receiver<String>)> {
        let nic = node.nic.as_ref().context("a guest needs a NIC")?;
        let awake = ToNode::Awake(Awake {
            cards: vec![Card { was: TEMPLATE_MAC.into(), mac: nic.mac.clone() }],
            seed: seed()?,
            unix_us: unix_us(),
        });
        let console = self.console_of(node)?;
        let command = machine.command(node, &console, Memory::Copied(template.ram()))?;
        let state = state(&template.dir);
        let state =
            File::open(&state).with_context(|| format!("cannot open {}", state.display()))?;
        let cables = Cables::new(template.kind.seat)?;
        let (on_exit, end) = exit();
        let mut more = vec![(state.into(), qemu::STATE_FD)];
        more.extend(self.board(node)?);
        let start = self.start_qemu(&node.name, command, cables.theirs, more, on_exit);
        let process = start.await?;
        let control = cables.control.try_clone().context("cannot share a socket")?;
        let monitor = cables.monitor.try_clone().context("cannot share a socket")?;
        let resumed = tokio::task::spawn_blocking(move || resume(&control, &monitor, &awake)).await;
        if let Err(e) = resumed.context("the copy's keeper failed").and_then(|r| r) {
            process.kill();
            let status = end.await.unwrap_or_default();
            let words = tail(&self.qemu_log(&node.name), 2).join(" / ");
            return Err(e.context(format!("its machine: {status}; {words}")));
        }
        self.seat_console(node)?;
        let Cables { control, monitor, net, seat, .. } = cables;
        let (net, monitor) = (Some(net), Some(monitor));
        let started = Started { process, control, net, seat, remark: None, _monitor: monitor };
        Ok((started, end))
    }
}

/// Is there a template, made of this, and as it was when it was made? What is wrong with one is told.
async fn is_good(place: &Path, parts: &str, kind: Kind, tell: &dyn Fn(String)) -> Result<bool> {
    if fs::read_to_string(made_of(place)).ok().as_deref() != Some(parts) {
        return Ok(false);
    }
    let dir = place.to_owned();
    let damage = tokio::task::spawn_blocking(move || seal::damage(&dir)).await?;
    if let Some(damage) = &damage {
        let mib = kind.memory_mib;
        tell(format!(
            "the template of Linux guests with {mib} MiB is damaged, and made anew: {damage}"
        ));
    }
    Ok(damage.is_none())
}

/// Tells of the end of a process that may still be replaced by another.
fn exit() -> (OnExit, oneshot::Receiver<String>) {
    let (ended, end) = oneshot::channel();
    (Box::new(move |status| drop(ended.send(status))), end)
}

/// Waits for the guest's first word, stops it, and writes down its state; its memory is in a file already.
fn capture(control: &UnixStream, monitor: &UnixStream, cpus: u32, state: &Path) -> Result<()> {
    control.set_read_timeout(Some(PATIENCE)).context("cannot use a socket")?;
    let mut line = String::new();
    let read = BufReader::new(control).read_line(&mut line);
    ensure!(read.context("it said nothing")? > 0, "it ended before it said anything");
    match from_line::<FromNode>(&line) {
        Ok(FromNode::Hello { version: VERSION, .. }) => {}
        Ok(FromNode::Failed { reason }) => bail!("{reason}"),
        _ => bail!("its first word is {}", line.trim_end()),
    }
    let mut qmp = Qmp::greet(monitor, PATIENCE)?;
    ignore_shared(&mut qmp)?;
    qmp.execute("stop", json!({}))?;
    for cpu in 0..cpus {
        let show = json!({ "command-line": format!("info lapic {cpu}") });
        let shown = qmp.execute("human-monitor-command", show)?;
        has_timer(shown.as_str().unwrap_or_default())?;
    }
    let (mut ours, theirs) = UnixStream::pair().context("cannot make a socket pair")?;
    ours.set_read_timeout(Some(PATIENCE)).context("cannot use a socket")?;
    qmp.give("state", theirs.into())?;
    qmp.execute("migrate", json!({ "uri": "fd:state" }))?;
    let mut bytes = Vec::new();
    ours.read_to_end(&mut bytes).context("cannot read its state")?;
    qmp.migrated()?;
    fs::write(state, bytes).with_context(|| format!("cannot write {}", state.display()))
}

/// Linux measures the timer of each processor when it boots, and does without when it was held up meanwhile. Then it
/// has the machine's old one, which wakes it 40 times a second, or none where that is not to be had, and stands still.
fn has_timer(lapic: &str) -> Result<()> {
    let timer = lapic.lines().find(|line| line.starts_with("LVTT\t"));
    let timer = timer.context("QEMU shows no timer of its processor")?;
    ensure!(
        !timer.contains("masked"),
        "it was held up so much that it does not trust its processor's timer, without which copies wake too often, or never"
    );
    Ok(())
}

/// Has a copy go on from the state that it inherited, as somebody else.
fn resume(control: &UnixStream, monitor: &UnixStream, awake: &ToNode) -> Result<()> {
    let mut qmp = Qmp::greet(monitor, PATIENCE)?;
    ignore_shared(&mut qmp)?;
    qmp.execute("migrate-incoming", json!({ "uri": format!("fd:{}", qemu::STATE_FD) }))?;
    qmp.migrated()?;
    qmp.execute("cont", json!({}))?;
    let mut control = control;
    control.write_all(to_line(awake).as_bytes()).context("its control port is closed")
}

/// What is in a file is not part of the state; and QEMU is to tell when the state has moved.
fn ignore_shared(qmp: &mut Qmp) -> Result<()> {
    let on = |name: &str| json!({ "capability": name, "state": true });
    let both = [on("x-ignore-shared"), on("events")];
    qmp.execute("migrate-set-capabilities", json!({ "capabilities": both })).map(drop)
}

/// The name of a template's directory; what it is made of stands inside too.
fn name(parts: &str) -> String {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// What whoever builds or removes templates locks.
fn house(dir: &Path) -> Result<File> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let path = dir.join("lock");
    let file = File::options().create(true).append(true).open(&path);
    file.with_context(|| format!("cannot open {}", path.display()))
}

/// QEMU would be killed in the middle when the disk is full.
fn room(dir: &Path, bytes: u64) -> Result<()> {
    let disk = statvfs(dir).with_context(|| format!("cannot look at {}", dir.display()))?;
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    ensure!(
        free >= bytes + SPARE_BYTES,
        "{} has {} MiB left, {} are needed: remove something",
        dir.display(),
        free >> 20,
        (bytes + SPARE_BYTES) >> 20
    );
    Ok(())
}

/// Moves a finished template to its place in one step.
fn publish(building: &Path, place: &Path, parts: &str) -> Result<()> {
    let write = fs::write(made_of(building), parts);
    write.with_context(|| format!("cannot write below {}", building.display()))?;
    remove(place)?;
    fs::rename(building, place).with_context(|| format!("cannot rename to {}", place.display()))
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Removes all templates but the newest, and those that somebody uses. The house is locked.
fn evict(dir: &Path, keep: usize) {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let used = |path: &Path| fs::metadata(path.join("lock")).and_then(|lock| lock.modified()).ok();
    let mut templates: Vec<_> = entries.filter_map(|path| Some((used(&path)?, path))).collect();
    templates.sort();
    templates.reverse();
    for (_, path) in templates.into_iter().skip(keep) {
        let unused = File::open(path.join("lock")).is_ok_and(|lock| lock.try_lock().is_ok());
        if unused {
            // What cannot be removed now is looked at again by the next run.
            drop(fs::remove_dir_all(&path));
        }
    }
}

/// Randomness, in hexadecimal.
fn seed() -> Result<String> {
    let mut bytes = [0; SEED];
    let mut source = File::open("/dev/urandom").context("cannot open /dev/urandom")?;
    source.read_exact(&mut bytes).context("cannot read /dev/urandom")?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
