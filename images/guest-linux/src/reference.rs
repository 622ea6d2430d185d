//! What a workload's result must be.

use anyhow::{Context, Error, Result, anyhow};
use runtime::sequential;
use runtime_driver::layout::Sizes;

/// Room for every workload's largest arguments.
const SIZES: Sizes =
    Sizes { stack_bytes: 64 << 20, heap_bytes: 512 << 20, shared_pages: (1 << 30) / 4096 };

/// Prints the result's length and hash as a line of JSON.
pub(crate) fn run(name: &str, pairs: &[&str]) -> Result<()> {
    let split = |pair: &&str| {
        let (key, value) = pair.split_once('=').context("arguments are written key=value")?;
        Ok((key.to_owned(), value.to_owned()))
    };
    let args = pairs.iter().map(split).collect::<Result<_>>()?;
    let (workload, args) = guest::workload(name, args).map_err(Error::msg)?;
    let bytes = match workload.reference {
        Some(reference) => reference(&args),
        None => sequential::run(workload.program, &args, SIZES).map_err(|e| anyhow!("{e}"))?.bytes,
    };
    println!("{}", serde_json::json!({ "bytes": bytes.len(), "sha256": guest::sha256(&bytes) }));
    Ok(())
}
