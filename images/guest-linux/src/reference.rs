//! What a workload's result must be.

use anyhow::{Context, Result, anyhow};
use images_workloads::{Workload, find};
use runtime::{Args, sequential};
use runtime_driver::layout::Sizes;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Room for every workload's largest arguments.
const SIZES: Sizes =
    Sizes { stack_bytes: 64 << 20, heap_bytes: 512 << 20, shared_pages: (1 << 30) / 4096 };

/// The workload of this name, with arguments that it accepts.
pub(crate) fn workload(
    name: &str,
    args: BTreeMap<String, String>,
) -> Result<(&'static Workload, Args)> {
    let names = || images_workloads::ALL.iter().map(|w| w.name).collect::<Vec<_>>().join(", ");
    let found =
        find(name).ok_or_else(|| anyhow!("run.workload: no `{name}`; there are {}", names()))?;
    let args = Args::new(args).map_err(|e| anyhow!("run.args: {e}"))?;
    found.accept(&args).map_err(|e| anyhow!("run.args: {e}"))?;
    Ok((found, args))
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Prints the result's length and hash as a line of JSON.
pub(crate) fn run(name: &str, pairs: &[&str]) -> Result<()> {
    let split = |pair: &&str| {
        let (key, value) = pair.split_once('=').context("arguments are written key=value")?;
        Ok((key.to_owned(), value.to_owned()))
    };
    let args = pairs.iter().map(split).collect::<Result<_>>()?;
    let (workload, args) = workload(name, args)?;
    let bytes = match workload.reference {
        Some(reference) => reference(&args),
        None => sequential::run(workload.program, &args, SIZES).map_err(|e| anyhow!("{e}"))?.bytes,
    };
    println!("{}", serde_json::json!({ "bytes": bytes.len(), "sha256": sha256(&bytes) }));
    Ok(())
}
