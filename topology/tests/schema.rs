//! The published schema is the one that the reader gives, and examples hold by it. The judge here understands the
//! part of JSON Schema that the schema uses, and nothing else: a word that it does not know is an error.

use regex_automata::meta::Regex;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn schema() -> Value {
    serde_json::from_str(&topology::schema()).unwrap()
}

/// With `BLESS=1` in the environment the published schema is written anew.
#[test]
fn the_published_schema_is_that_of_the_reader() {
    let (path, now) = (here("schema.json"), topology::schema());
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &now).unwrap();
    }
    let published = fs::read_to_string(&path).unwrap_or_default();
    assert!(published == now, "write it anew: BLESS=1 cargo test -p topology schema");
}

/// The first thing that does not hold, with the path to it.
fn judge(root: &Value, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let rules = match schema {
        Value::Bool(true) => return Ok(()),
        Value::Object(rules) => rules,
        other => panic!("no schema: {other}"),
    };
    for (rule, wanted) in rules {
        let holds = match rule.as_str() {
            "$ref" => {
                let pointer = wanted.as_str().unwrap().trim_start_matches('#');
                judge(root, root.pointer(pointer).expect(pointer), value, path)?;
                true
            }
            "type" => match wanted {
                Value::Array(all) => all.iter().any(|t| is(value, t.as_str().unwrap())),
                one => is(value, one.as_str().unwrap()),
            },
            "enum" => wanted.as_array().unwrap().contains(value),
            "const" => wanted == value,
            "pattern" => value
                .as_str()
                .is_none_or(|text| Regex::new(wanted.as_str().unwrap()).unwrap().is_match(text)),
            "minimum" => value.as_u64().is_none_or(|n| n >= wanted.as_u64().unwrap()),
            "maximum" => value.as_u64().is_none_or(|n| n <= wanted.as_u64().unwrap()),
            "minLength" => {
                value.as_str().is_none_or(|s| s.len() as u64 >= wanted.as_u64().unwrap())
            }
            "minItems" | "maxItems" | "minProperties" => holds_so_many(rule, wanted, value),
            "uniqueItems" => value
                .as_array()
                .is_none_or(|items| (1..items.len()).all(|n| !items[..n].contains(&items[n]))),
            "required" => value.as_object().is_none_or(|map| {
                wanted.as_array().unwrap().iter().all(|key| map.contains_key(key.as_str().unwrap()))
            }),
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    judge(root, wanted, item, &format!("{path}/{n}"))?;
                }
                true
            }
            "propertyNames" => {
                for key in value.as_object().into_iter().flatten().map(|(key, _)| key) {
                    judge(root, wanted, &Value::from(key.clone()), path)?;
                }
                true
            }
            "properties" | "additionalProperties" => {
                members(root, rules, rule, value, path)?;
                true
            }
            "allOf" => {
                for part in wanted.as_array().unwrap() {
                    judge(root, part, value, path)?;
                }
                true
            }
            "anyOf" | "oneOf" => {
                let hold = |part: &&Value| judge(root, part, value, path).is_ok();
                let count = wanted.as_array().unwrap().iter().filter(hold).count();
                if rule == "oneOf" { count == 1 } else { count > 0 }
            }
            "$schema" | "$defs" | "title" | "description" | "examples" => true,
            unknown => panic!("this judge does not know \"{unknown}\""),
        };
        if !holds {
            return Err(format!("{path}: {value} breaks {rule}: {wanted}"));
        }
    }
    Ok(())
}

fn holds_so_many(rule: &str, wanted: &Value, value: &Value) -> bool {
    let len = value.as_array().map(Vec::len).or(value.as_object().map(serde_json::Map::len));
    let (len, bound) = (len.unwrap_or(1) as u64, wanted.as_u64().unwrap());
    if rule == "maxItems" { len <= bound } else { len >= bound }
}

/// Known members by their own schema, others by that for others.
fn members(
    root: &Value,
    rules: &serde_json::Map<String, Value>,
    rule: &str,
    value: &Value,
    path: &str,
) -> Result<(), String> {
    let known = rules.get("properties").and_then(Value::as_object);
    for (key, member) in value.as_object().into_iter().flatten() {
        let schema = match (known.and_then(|known| known.get(key)), rule) {
            (Some(schema), "properties") => schema,
            (None, "additionalProperties") if rules[rule] == Value::Bool(false) => {
                return Err(format!("{path}: unknown key {key}"));
            }
            (None, "additionalProperties") => &rules[rule],
            _ => continue,
        };
        judge(root, schema, member, &format!("{path}/{key}"))?;
    }
    Ok(())
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("no type {other}"),
    }
}

fn judged(text: &str) -> Result<(), String> {
    let value: Value = serde_yaml::from_str(text).map_err(|e| e.to_string())?;
    judge(&schema(), &schema(), &value, "")
}

#[test]
fn every_example_holds_by_the_schema() {
    for entry in fs::read_dir(here("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "yaml") {
            let text = fs::read_to_string(&path).unwrap();
            judged(&text).unwrap_or_else(|why| panic!("{}{why}", path.display()));
        }
    }
}

#[test]
fn everything_that_a_fault_and_an_expectation_can_say_holds_by_the_schema() {
    let text = "name: all
seed: 3
boards: { a: {}, b: }
nodes: { n0: { role: compute, board: a, memory: 512MiB, cpus: 1, mac: '52:54:00:00:00:01' }, n1: { role: standby } }
run: { workload: laplace, args: { size: 64, iterations: true } }
faults:
  - { name: one, at: start, pause: [n0, n1], for: 200ms }
  - { at: { after: one, delay: 1s }, cut: { from: { board: a } }, for: 1.5s, every: 2s, times: 3 }
  - { at: { random: [1s, 2s] }, slow: { node: n0, to: 25% } }
  - { at: { checkpoint: 2, phase: staged, on: n0 }, corrupt: { node: n1, rank: 0 } }
  - { at: { iteration: 20 }, crash: n0, hold: true }
  - { at: 2s, fill: { node: n0, leave: 8MiB } }
expect:
  - { seen: { event: suspected, on: n0, times: 2, within: 2s, after: one } }
  - { order: [{ event: resumed, epoch: 2 }, { line: ready }] }
  - { state: { n0: dead, n1: rank 0 } }
  - { metric: { recovery-time: { at-most: 2s }, checkpoints: { at-least: 2 } } }
";
    topology::parse("all.yaml", text).unwrap_or_else(|e| panic!("{e}"));
    judged(text).unwrap();
}

/// What an editor can see without knowing names and consequences.
#[test]
fn mistakes_of_form_break_the_schema() {
    let head = "name: t\nnodes: { n0: { role: compute } }\n";
    for (wrong, what) in [
        ("sed: 1", "unknown key sed"),
        ("runtime: { heartbeat: 100 }", "/runtime/heartbeat"),
        ("runtime: { heartbeat: 100sec }", "/runtime/heartbeat"),
        ("faults: [{ kill: n0 }]", "breaks required"),
        ("faults: [{ at: soon, kill: n0 }]", "/faults/0/at"),
        ("faults: [{ at: { checkpoint: 1, barrier: 2 }, kill: n0 }]", "/faults/0/at"),
        ("faults: [{ at: 1s, kill: [] }]", "/faults/0/kill"),
        ("expect: [{}]", "minProperties"),
        ("expect: [{ seen: { event: suspectd } }]", "/expect/0/seen"),
        ("expect: [{ state: { n0: ded } }]", "/expect/0/state/n0"),
        ("expect: [{ metric: { speed: { at-most: 1 } } }]", "unknown key speed"),
        ("switches: { sw0: { ports: 3 } }", "unknown key ports"),
    ] {
        let why = judged(&format!("{head}{wrong}\n")).unwrap_err();
        assert!(why.contains(what), "{wrong}: {why}");
    }
    assert_eq!(judged(head), Ok(()));
}
