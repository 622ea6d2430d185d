//! The daemon's control socket, and nothing of it when the daemon is gone.

use anyhow::{Context as _, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use tokio::net::UnixListener;

/// Where verbs connect; nothing is left of it. Whoever has the name has it, too.
#[derive(Debug)]
pub(super) struct Socket(PathBuf);

impl Socket {
    /// Nobody listens there yet.
    pub(super) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Listens for verbs, of this user only. Nobody else has the name: what is there belongs to a dead daemon.
    pub(super) fn listen(&self) -> Result<UnixListener> {
        let Self(path) = self;
        self.remove();
        let listener = UnixListener::bind(path)
            .with_context(|| format!("cannot listen on {}", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    }

    /// No verb comes any more.
    pub(super) fn remove(&self) {
        // It may be gone already.
        drop(fs::remove_file(&self.0));
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.remove();
    }
}
