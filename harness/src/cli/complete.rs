//! Shell completion: the program itself says what may come next, so that names of what is up complete.

use super::Cli;
use crate::client::Connection;
use crate::failure::Failure;
use crate::paths::Places;
use crate::proto::{EXIT_OK, EXIT_TESTBED, Request, Status};
use clap::{CommandFactory as _, ValueEnum};
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, CompletionCandidate};
use std::ffi::OsStr;
use std::time::Duration;

/// Set when a shell asks.
const VARIABLE: &str = "UNDERSTUDY_COMPLETE";
/// Longer than this nobody waits for a name.
const PATIENCE: Duration = Duration::from_millis(500);

/// Shells that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    /// `source <(understudy completion bash)`
    Bash,
    /// `source <(understudy completion zsh)`
    Zsh,
    /// `understudy completion fish | source`
    Fish,
}

/// Answers a shell, and ends, if it is one that asks.
pub(super) fn answer() {
    CompleteEnv::with_factory(Cli::command).var(VARIABLE).complete();
}

/// Prints what makes a shell ask.
pub(super) fn print(shell: Shell) -> Result<u8, Failure> {
    let name = match shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
    };
    let shells = Shells::builtins();
    let unknown = || Failure { exit: EXIT_TESTBED, reason: format!("no completion for {name}") };
    let completer = shells.completer(name).ok_or_else(unknown)?;
    let program = std::env::current_exe()?.display().to_string();
    let mut out = std::io::stdout();
    completer.write_registration(VARIABLE, "understudy", "understudy", &program, &mut out)?;
    Ok(EXIT_OK)
}

fn all(names: impl Iterator<Item = String>, typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    names.filter(|name| name.starts_with(&*typed)).map(CompletionCandidate::new).collect()
}

/// Clusters that are up.
pub(super) fn clusters(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = Places::find(target_dir().as_deref()).and_then(|places| places.clusters());
    all(names.unwrap_or_default().into_iter(), typed)
}

/// Nodes of clusters that are up.
pub(super) fn nodes(typed: &OsStr) -> Vec<CompletionCandidate> {
    all(states().iter().flat_map(|s| &s.nodes).map(|node| node.name.clone()), typed)
}

/// Links and cables of clusters that are up, by the names of their nodes and their own.
pub(super) fn links(typed: &OsStr) -> Vec<CompletionCandidate> {
    let states = states();
    let ports = states.iter().flat_map(|s| &s.ports);
    let names = ports.flat_map(|p| {
        let own = (!p.cable).then(|| format!("{}-{}", p.node, p.switch));
        std::iter::once(p.node.clone()).chain(own)
    });
    // A cable has two ports.
    let names: std::collections::BTreeSet<String> = names.collect();
    all(names.into_iter(), typed)
}

/// What can be changed of a link.
pub(super) fn keys(typed: &OsStr) -> Vec<CompletionCandidate> {
    all(topology::LINK_KEYS.iter().map(|key| format!("{key}=")), typed)
}

fn target_dir() -> Option<std::path::PathBuf> {
    std::env::var_os("UNDERSTUDY_TARGET_DIR").map(Into::into)
}

/// How all clusters are that answer at once. A shell has no use for an error.
fn states() -> Vec<Status> {
    let Ok(places) = Places::find(target_dir().as_deref()) else { return Vec::new() };
    let state = |name: &String| -> Result<Status, Failure> {
        let mut connection = Connection::attach(&places, name)?;
        connection.hurry(PATIENCE)?;
        connection.ask(&Request::Status)?.status()
    };
    places.clusters().unwrap_or_default().iter().filter_map(|name| state(name).ok()).collect()
}
