//! Where nodes meet: a directory with a file for each, and a board on which comings and goings are counted.
//!
//! Whoever joins, leaves or sweeps holds the board's lock meanwhile. A node's file is locked by its node for life, and
//! by nobody else, so that looking for the lock is looking whether the node lives.
//!
//! In the directory there may be **places**, each a directory of its own for nodes that are not to meet the others. A place
//! comes with its first node and goes with its last, and who comes to any of them sweeps them all.

use crate::lock::{is_locked, try_lock};
use crate::process::{Kept, Process};
use crate::segment::{self, Generation, Header, Mapping, map_header};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::{JoinError, NodeName};
use nix::fcntl::{FallocateFlags, OFlag, fallocate};
use nix::unistd::getuid;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

const BOARD: &str = "board";
/// What names of places begin with.
const PLACE: &str = "at-";
/// The board is locked for some system calls. Who has waited for so long has met a stopped process.
const PATIENCE: Duration = Duration::from_secs(5);

/// Counts comings and goings.
#[derive(Debug)]
#[repr(C, align(4096))]
pub(crate) struct Board {
    /// The last generation.
    last: AtomicU64,
    /// Grows when somebody came or went.
    pub(crate) news: AtomicU32,
}

#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    is_place: bool,
}

/// The right to change the directory.
#[derive(Debug)]
pub(crate) struct Locked {
    pub(crate) board: Mapping<Board>,
    _lock: Kept,
}

impl Locked {
    pub(crate) fn next_generation(&self) -> Generation {
        self.board.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Tells of a change, and lets others change.
    pub(crate) fn post(self) -> Mapping<Board> {
        self.board.news.fetch_add(1, Ordering::Release);
        self.board
    }
}

/// A living node, as its file shows it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) file: File,
    pub(crate) inode: u64,
    pub(crate) header: Mapping<Header>,
}

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.read(true).write(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path)
}

/// `None` instead of "no such file".
pub(crate) fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

impl Directory {
    /// Makes it, if need be.
    pub(crate) fn open(path: &Path) -> Result<Self, JoinError> {
        let this = Self { path: path.to_owned(), is_place: false };
        this.make(DirBuilder::new().recursive(true))?;
        Ok(this)
    }

    /// As often as others take it away, if it is a place.
    fn make(&self, builder: &mut DirBuilder) -> Result<(), JoinError> {
        let meta = loop {
            let made = builder.mode(0o700).create(&self.path);
            let meta = if_there(fs::symlink_metadata(&self.path));
            match (made, meta.map_err(self.failed("cannot look at it"))?) {
                (Err(e), _) if !self.is_place || e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(self.failed("cannot make the directory")(e));
                }
                (_, Some(meta)) => break meta,
                (_, None) if self.is_place => {}
                (_, None) => {
                    let gone = io::Error::from(io::ErrorKind::NotFound);
                    return Err(self.failed("cannot make the directory")(gone));
                }
            }
        };
        if !meta.is_dir() || meta.uid() != getuid().as_raw() || meta.mode() & 0o022 != 0 {
            return Err(JoinError::Exposed(self.path.clone()));
        }
        Ok(())
    }

    /// A place in it.
    pub(crate) fn place(&self, name: &str) -> Result<Self, JoinError> {
        let place = Self { path: self.path.join(format!("{PLACE}{name}")), is_place: true };
        place.make(&mut DirBuilder::new())?;
        Ok(place)
    }

    /// Removes what the dead left in places, and places where nobody is. One that cannot be looked into is left to those who
    /// come to it.
    pub(crate) fn sweep_places(&self, this: &Process) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let is_place = entry.file_name().to_str().is_some_and(|name| name.starts_with(PLACE));
            if is_place && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let place = Self { path: entry.path(), is_place: true };
                if let Err(error) = place.sweep_place(this) {
                    tracing::debug!(place = %place.path.display(), %error, "cannot sweep");
                }
            }
        }
        Ok(())
    }

    /// Who is in the middle of coming or going sweeps by itself.
    fn sweep_place(&self, this: &Process) -> io::Result<()> {
        match if_there(fs::symlink_metadata(self.path.join(BOARD)))? {
            Some(board) if board.is_file() && board.len() == size_of::<Board>() as u64 => {}
            // No node has one that looks so.
            Some(_) => return Ok(()),
            // If there is something else, it stays.
            None => return fs::remove_dir(&self.path),
        }
        let Some(locked) = self.try_lock()? else { return Ok(()) };
        if self.sweep(&locked, this)? {
            locked.board.news.fetch_add(1, Ordering::Release);
        }
        self.remove_if_empty(&locked)
    }

    pub(crate) fn failed(&self, what: &'static str) -> impl Fn(io::Error) -> JoinError {
        move |source| JoinError::System { what, path: self.path.clone(), source }
    }

    pub(crate) fn file_of(&self, name: NodeName) -> PathBuf {
        self.path.join(name.to_string())
    }

    /// Waits for the board's lock.
    pub(crate) fn lock(&self) -> Result<Locked, JoinError> {
        let patience = Instant::now() + PATIENCE;
        loop {
            match if_there(self.try_lock()).map_err(self.failed("cannot lock the board"))? {
                Some(Some(locked)) => return Ok(locked),
                Some(None) => {}
                // The last node that left has taken all away.
                None => self.make(&mut DirBuilder::new())?,
            }
            if Instant::now() > patience {
                return Err(JoinError::Busy(self.path.join(BOARD)));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn try_lock(&self) -> io::Result<Option<Locked>> {
        let path = self.path.join(BOARD);
        let file = Kept::new(open(&path, OpenOptions::new().create(true))?)?;
        if !try_lock(file.file())? {
            return Ok(None);
        }
        // The last node to leave takes the board away: is this still the one?
        let inode = if_there(fs::metadata(&path))?.map(|m| m.ino());
        if inode != Some(file.file().metadata()?.ino()) {
            return Ok(None);
        }
        let len = size_of::<Board>() as i64;
        fallocate(file.file(), FallocateFlags::empty(), 0, len)?;
        // SAFETY: a board is made of atomics; each value is one.
        let board: Mapping<Board> = unsafe { Mapping::map(file.file(), 0) }?;
        if board.last.load(Ordering::Relaxed) == 0 {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let now = now.map_err(io::Error::other)?.as_micros();
            // Not where an earlier board began: half of the numbers are enough for 292,000 years.
            board.last.store(u64::try_from(now).map_err(io::Error::other)?, Ordering::Relaxed);
        }
        Ok(Some(Locked { board, _lock: file }))
    }

    /// Names with files.
    pub(crate) fn names(&self) -> io::Result<Vec<NodeName>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let file = entry?.file_name();
            let parts = file.to_str().and_then(|f| f.split_once('-'));
            let number = |text: &str| text.parse::<u32>().ok();
            if let Some((Some(domain), Some(node))) = parts.map(|(d, n)| (number(d), number(n))) {
                names.push(NodeName { domain, node });
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The inode of a node's file.
    pub(crate) fn inode(&self, name: NodeName) -> io::Result<Option<u64>> {
        Ok(if_there(fs::symlink_metadata(self.file_of(name)))?.map(|m| m.ino()))
    }

    /// A living node.
    pub(crate) fn find(&self, name: NodeName, this: &Process) -> io::Result<Option<Found>> {
        let Some(file) = if_there(open(&self.file_of(name), &mut OpenOptions::new()))? else {
            return Ok(None);
        };
        let meta = file.metadata()?;
        if meta.len() < segment::LEN || !is_locked(&file)? {
            return Ok(None);
        }
        let header = map_header(&file)?;
        if !header.is_complete() || header.owner().has_ended(this) {
            return Ok(None);
        }
        Ok(Some(Found { file, inode: meta.ino(), header }))
    }

    /// Whether the file at this path is a node's still, and its owner lives. Allocates nothing.
    pub(crate) fn is_kept(
        path: &Path,
        inode: u64,
        owner: &Process,
        this: &Process,
    ) -> io::Result<bool> {
        let Some(file) = if_there(open(path, &mut OpenOptions::new()))? else { return Ok(false) };
        let meta = file.metadata()?;
        let same = meta.ino() == inode && meta.len() >= segment::LEN;
        Ok(same && is_locked(&file)? && !owner.has_ended(this))
    }

    /// Whether a file belongs to somebody who lives. The board is locked: nobody is in the middle of joining.
    fn is_held(&self, name: NodeName, this: &Process) -> io::Result<bool> {
        let Some(file) = if_there(open(&self.file_of(name), &mut OpenOptions::new()))? else {
            return Ok(false);
        };
        if !is_locked(&file)? {
            return Ok(false);
        }
        if file.metadata()?.len() < segment::LEN {
            return Ok(true);
        }
        // A fork that the owner did not know of may hold the lock of a dead one. Who is of another version lives.
        let header = map_header(&file)?;
        Ok(!header.is_complete() || !header.owner().has_ended(this))
    }

    /// Removes what the dead left. Says whether there was anything.
    pub(crate) fn sweep(&self, _: &Locked, this: &Process) -> io::Result<bool> {
        let mut swept = false;
        for name in self.names()? {
            if !self.is_held(name, this)? {
                tracing::debug!(%name, "swept what a dead node left");
                if_there(fs::remove_file(self.file_of(name)))?;
                swept = true;
            }
        }
        Ok(swept)
    }

    /// Makes a node's file; `None` if there is one. The board is locked and swept.
    pub(crate) fn create(
        &self,
        _: &Locked,
        name: NodeName,
    ) -> io::Result<Option<(Kept, Mapping<Header>)>> {
        let file = match open(&self.file_of(name), OpenOptions::new().create_new(true)) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            other => Kept::new(other?)?,
        };
        if !try_lock(file.file())? {
            return Err(io::Error::other("somebody locks a file that is not theirs"));
        }
        fallocate(file.file(), FallocateFlags::empty(), 0, size_of::<Header>() as i64)?;
        file.file().set_len(segment::LEN)?;
        let header = map_header(file.file())?;
        Ok(Some((file, header)))
    }

    /// Removes a node's own file, and all else if nobody else is there.
    pub(crate) fn remove(&self, locked: &Locked, name: NodeName, own: &Kept) -> io::Result<()> {
        if self.inode(name)? == Some(own.file().metadata()?.ino()) {
            fs::remove_file(self.file_of(name))?;
        }
        locked.board.news.fetch_add(1, Ordering::Release);
        self.remove_if_empty(locked)
    }

    /// The board, and a place if there is nothing else in it.
    fn remove_if_empty(&self, _: &Locked) -> io::Result<()> {
        if self.names()?.is_empty() {
            if_there(fs::remove_file(self.path.join(BOARD)))?;
            if self.is_place {
                // Somebody came, or has something there.
                let _kept = fs::remove_dir(&self.path);
            }
        }
        Ok(())
    }
}
