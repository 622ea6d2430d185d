//! What a run left behind.

use crate::bench::Said;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// A run, as its files tell it.
#[derive(Debug)]
pub struct Outcome {
    /// What the verb said.
    pub said: Said,
    /// Where its logs are.
    pub dir: PathBuf,
    /// `result.json`; nothing when there was no verdict.
    pub result: Value,
    /// `events.jsonl`.
    pub events: Vec<Value>,
}

impl Outcome {
    /// Reads the files that `said` names.
    #[must_use]
    pub fn read(said: Said) -> Self {
        let dir = said.text.lines().rev().find_map(|l| l.strip_prefix("logs in "));
        let Some(dir) = dir.map(PathBuf::from) else { panic!("no logs are named in\n{said}") };
        let result = fs::read_to_string(dir.join("result.json")).unwrap_or_default();
        let events = fs::read_to_string(dir.join("events.jsonl")).unwrap_or_default();
        let parse = |line: &str| match serde_json::from_str(line) {
            Ok(value) => value,
            Err(e) => panic!("{e} in an event of {}: {line}", dir.display()),
        };
        Self {
            result: serde_json::from_str(&result).unwrap_or_default(),
            events: events.lines().map(parse).collect(),
            dir,
            said,
        }
    }

    /// Fails the test unless the verdict is PASS, with exit code 0.
    #[track_caller]
    pub fn must_pass(&self) -> &Self {
        let pass = self.said.exit == 0 && self.result["pass"] == true;
        assert!(pass, "no PASS:\n{}", self.said);
        self
    }

    /// Fails the test unless the verdict is FAIL, with exit code 1 and these words in a check that
    /// does not hold.
    #[track_caller]
    pub fn must_fail(&self, words: &[&str]) -> &Self {
        assert_eq!(self.said.exit, 1, "{}", self.said);
        assert_eq!(self.result["pass"], false, "{}", self.said);
        let seen = |check: &Value| check["seen"].as_str().unwrap_or_default().to_owned();
        let broken: Vec<String> =
            self.list("checks").filter(|c| c["holds"] == false).map(seen).collect();
        let named = broken.iter().any(|b| words.iter().any(|w| b.contains(w)));
        assert!(named, "none of {words:?} in {broken:?}:\n{}", self.said);
        self
    }

    /// The one result that all reporting ranks agree on.
    #[track_caller]
    #[must_use]
    pub fn hash(&self) -> String {
        let hashes: BTreeSet<_> = self.list("results").map(|r| r["sha256"].to_string()).collect();
        assert_eq!(hashes.len(), 1, "ranks disagree, or none reported:\n{}", self.said);
        hashes.into_iter().collect()
    }

    /// The death of a node.
    #[track_caller]
    #[must_use]
    pub fn death(&self, node: &str) -> &Value {
        match self.list("deaths").find(|d| d["node"] == node) {
            Some(death) => death,
            None => panic!("{node} did not die:\n{}", self.said),
        }
    }

    /// How many nodes died.
    #[must_use]
    pub fn deaths(&self) -> usize {
        self.list("deaths").count()
    }

    /// Kinds of a node's events, in their order.
    #[must_use]
    pub fn kinds(&self, node: &str) -> Vec<&str> {
        let of_node = self.events.iter().filter(|e| e["node"] == node);
        of_node.filter_map(|e| e["message"]["event"]["kind"].as_str()).collect()
    }

    fn list(&self, key: &str) -> impl Iterator<Item = &Value> {
        self.result[key].as_array().into_iter().flatten()
    }
}
