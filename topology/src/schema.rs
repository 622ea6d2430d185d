//! The JSON schema of topology files, for editors. Keys, units and words come from the reader itself; what only the
//! reader can judge (names that exist, ranges, consequences) is `understudy validate`'s.

use crate::model::{Metric, Phase};
use crate::read::{
    Direction, boards, expect, faults, impairments, link_faults, links, names, nodes, run,
    settings, triggers, workloads,
};
use crate::units;
use runtime_core::link::KINDS;
use serde_json::{Map, Value, json};

/// The schema, as text that ends with a line feed: JSON Schema, draft 2020-12.
#[must_use]
pub fn schema() -> String {
    let top = object(crate::read::SECTIONS, &["name", "nodes"], |key| match key {
        "name" => name("Name of the cluster."),
        "seed" => number("Seed of everything random: fault times, and what links do to frames.", 0),
        "defaults" => described(
            reference("machine"),
            "What holds for every node that does not say otherwise.",
        ),
        "boards" => named(reference("board"), "Fault domains: the nodes of one fail together."),
        "nodes" => named(reference("node"), "The nodes, by name."),
        "switches" => named(reference("switch"), "The switches, by name."),
        "links" => list(
            reference("link"),
            "Cables from nodes to switches, and between switches. Left out: a perfect one for each node.",
        ),
        "runtime" => described(reference("runtime"), "Settings that all nodes share."),
        "run" => described(reference("run"), "The program."),
        "faults" => list(reference("fault"), "What breaks, and when."),
        "expect" => list(reference("expectation"), "What must hold in the end."),
        _ => Value::Bool(true),
    });
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Understudy topology",
        "description": "A cluster, what runs on it, what breaks, and what must come of it.",
        "$defs": {
            "name": { "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$" },
            "duration": quantity(units::DURATIONS, "10ms"),
            "size": quantity(units::SIZES, "96MiB"),
            "rate": quantity(units::RATES, "100Mbit"),
            "percentage": { "type": "string", "pattern": "^[0-9]+([.][0-9]+)? *%$", "examples": ["0.1%"] },
            "machine": machine(nodes::MACHINE, &[]),
            "board": board(),
            "node": machine(nodes::NODE, &["role"]),
            "switch": switch(),
            "link": link(),
            "runtime": runtime(),
            "checkpoint": checkpoint(),
            "run": run(),
            "targets": targets(),
            "fault": fault(),
            "trigger": trigger(),
            "expectation": expectation(),
            "sight": sight(&expect::SIGHT),
        },
    });
    if let (Value::Object(all), Value::Object(top)) = (&mut schema, top) {
        all.extend(top);
    }
    format!("{schema:#}\n")
}

/// A mapping with these keys; one that `property` does not know may be anything.
fn object(keys: &[&str], required: &[&str], property: impl Fn(&str) -> Value) -> Value {
    let properties: Map<String, Value> =
        keys.iter().map(|key| ((*key).to_owned(), property(key))).collect();
    let mut object = json!({
        "type": "object", "additionalProperties": false, "properties": properties,
    });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

/// The same where nothing at all may stand for an empty mapping.
fn optional(keys: &[&str], property: impl Fn(&str) -> Value) -> Value {
    let mut object = object(keys, &[], property);
    object["type"] = json!(["object", "null"]);
    object
}

fn described(mut schema: Value, words: &str) -> Value {
    schema["description"] = json!(words);
    schema
}

fn reference(to: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{to}") })
}

fn name(words: &str) -> Value {
    described(reference("name"), words)
}

/// Things by name.
fn named(item: Value, words: &str) -> Value {
    json!({
        "type": ["object", "null"], "description": words,
        "propertyNames": reference("name"), "additionalProperties": item,
    })
}

fn list(item: Value, words: &str) -> Value {
    json!({ "type": ["array", "null"], "description": words, "items": item })
}

fn number(words: &str, least: u64) -> Value {
    json!({ "type": "integer", "description": words, "minimum": least })
}

fn word(words: &str, choices: &[&str]) -> Value {
    json!({ "description": words, "enum": choices })
}

fn truth(words: &str) -> Value {
    json!({ "type": "boolean", "description": words })
}

fn quantity(units: units::Units, example: &str) -> Value {
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    let pattern = format!("^[0-9]+([.][0-9]+)? *({})$", names.join("|"));
    json!({ "type": "string", "pattern": pattern, "examples": [example] })
}

fn board() -> Value {
    optional(boards::BOARD, |key| match key {
        "shared-memory" => described(
            reference("size"),
            "Memory that its x86_64 Linux guests share: a power of two, from 64KiB to 1GiB.",
        ),
        "transport" => word(
            "How MCAPI nodes of different guests of it talk: through that memory, or as links say. Left out: through it.",
            &["shm", "links"],
        ),
        _ => Value::Bool(true),
    })
}

fn machine(keys: &[&str], required: &[&str]) -> Value {
    let mut machine = object(keys, required, |key| match key {
        "board" => name("The board that it is on. Left out: one of its own."),
        "role" => word("What it does at first.", &["compute", "standby"]),
        "image" => word("What it boots.", &["linux", "bare-metal"]),
        "arch" => word("Its processor; bare metal is x86_64.", &["x86_64", "aarch64"]),
        "memory" => {
            described(reference("size"), "Memory of the machine. Left out: as much as it may need.")
        }
        "cpus" => number("Processors of the machine.", 1),
        "console" => word(
            "Is what it writes on its console kept in a file of the run? Left out: log.",
            &["log", "none"],
        ),
        "mcapi" => json!({
            "type": ["array", "null"], "description": "MCAPI nodes that live on it. If no node says so: its number from 1.",
            "items": { "anyOf": [
                { "type": "integer", "minimum": 0 },
                object(&["domain", "node"], &["node"], |_| number("Its number.", 0)),
            ] },
        }),
        "address" => {
            json!({ "type": "string", "description": "Fixed IPv4 address; with /24 or the like, of the whole network too." })
        }
        "mac" => {
            json!({ "type": "string", "description": "Fixed hardware address of its card.", "pattern": "^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$" })
        }
        _ => Value::Bool(true),
    });
    if required.is_empty() {
        machine["type"] = json!(["object", "null"]);
    }
    machine
}

fn switch() -> Value {
    optional(links::SWITCH, |key| match key {
        "port-notices" => truth("Does it tell all ports when one loses its signal?"),
        "ring-recovery" => described(
            reference("duration"),
            "So long after a cable of a ring is cut, or whole again, the switches have agreed on which cables carry. Left out: 200ms.",
        ),
        _ => Value::Bool(true),
    })
}

fn link() -> Value {
    let keys = [links::LINK, impairments::KEYS].concat();
    object(&keys, &["between"], |key| match key {
        "between" => {
            json!({ "type": "array", "items": reference("name"), "minItems": 2, "maxItems": 2, "description": "A node and a switch, two switches, or two guests of one board." })
        }
        "name" => {
            name("Of a cable between switches: its name. Left out: those of its ends, `sw0-sw1`.")
        }
        "vlan" => {
            vlan("Of a node's link: the VLAN that the node is in, without knowing it. Left out: 1.")
        }
        "vlans" => json!({
            "type": "array", "items": vlan("Number of a VLAN."), "minItems": 1, "maxItems": 64, "uniqueItems": true,
            "description": "Of a cable between switches: the VLANs that pass, tagged. Left out: all.",
        }),
        "transport" => word(
            "What its node speaks over it. Between two guests of one board: its memory, for programs on MCAPI.",
            &["tcp", "ethernet", "shm"],
        ),
        "mtu" => number("Largest packet in bytes.", 1),
        other => impairment(other),
    })
}

fn vlan(words: &str) -> Value {
    json!({ "type": "integer", "description": words, "minimum": 1, "maximum": netem::MAX_VLAN })
}

/// What a link does to frames.
fn impairment(key: &str) -> Value {
    // A value, or one for each direction.
    let directed = |value: Value, words: &str| {
        let split = object(&impairments::DIRECTIONS, &[], |_| value.clone());
        json!({ "description": words, "anyOf": [value, split] })
    };
    let bursts =
        || object(&impairments::BURSTS, &["to-bad", "to-good"], |_| reference("percentage"));
    match key {
        "delay" => directed(
            reference("duration"),
            "How long a frame travels; `{ a-to-b: …, b-to-a: … }` for each direction.",
        ),
        "jitter" => directed(reference("duration"), "How far the delay varies, either way."),
        "distribution" => directed(
            json!({ "enum": ["uniform", "normal", "pareto"] }),
            "How it varies; of the last two, the jitter is the standard deviation.",
        ),
        "loss" => directed(
            json!({ "anyOf": [reference("percentage"), bursts()] }),
            "Part of the frames that is lost, or how it is lost in bursts (Gilbert, Elliott).",
        ),
        "duplicate" => directed(reference("percentage"), "Part of the frames that arrives twice."),
        "reorder" => directed(reference("percentage"), "Part of the frames that overtakes others."),
        "corrupt" => directed(reference("percentage"), "Part of the frames that is damaged."),
        "rate" => directed(or_none(reference("rate")), "Bits per second."),
        "queue" => directed(
            json!({ "anyOf": [reference("size"), { "type": "string", "pattern": "^[0-9]+ *packets?$" }] }),
            "What may wait for the wire, in bytes or packets.",
        ),
        "drop" => directed(or_none(drop_rule()), "Frames that are dropped on purpose."),
        "flap" => directed(
            or_none(object(&impairments::FLAP, &["period"], flap)),
            "The link comes and goes.",
        ),
        _ => Value::Bool(true),
    }
}

fn or_none(value: Value) -> Value {
    json!({ "anyOf": [value, { "const": "none" }] })
}

fn flap(key: &str) -> Value {
    match key {
        "period" => described(reference("duration"), "From one rise to the next."),
        _ => described(reference("percentage"), "So much of it the link is up. Left out: 50%."),
    }
}

fn drop_rule() -> Value {
    object(&impairments::DROP, &[], |key| match key {
        "nth" => number("This one alone of those that match, from 1.", 1),
        "every" => number("Every so manieth of those that match.", 1),
        "ethertype" => {
            json!({ "type": ["string", "integer"], "description": "EtherType, for example 0x0806." })
        }
        "kind" => word("Frames of the runtime's link of this kind.", &KINDS.map(|(kind, _)| kind)),
        "from" => name("The node whose card sent it."),
        "to" => name("The node whose card it goes to."),
        "longer-than" => described(reference("size"), "Frames with more bytes."),
        _ => described(reference("size"), "Frames with fewer bytes."),
    })
}

fn runtime() -> Value {
    optional(settings::RUNTIME, |key| match key {
        "binding" => word("What the shared memory speaks.", &["mcapi", "sockets"]),
        "transport" => {
            word("What carries frames where links do not say otherwise.", &["tcp", "ethernet"])
        }
        "heartbeat" => described(reference("duration"), "How often a sign of life is sent."),
        "suspect-after" => number("So many silent heartbeats make a peer suspect.", 2),
        "join-timeout" => described(reference("duration"), "How long the first contact may take."),
        "quorum" => word("Who decides on views.", &["majority", "fail-stop"]),
        "shared-memory" => described(reference("size"), "Shared memory, in whole pages."),
        "heap" => described(reference("size"), "Heap of a rank."),
        "stack" => described(reference("size"), "Stack of a rank."),
        "checkpoint" => described(
            reference("checkpoint"),
            "When checkpoints are taken, and how they outlive their host.",
        ),
        "on-exhausted" => {
            word("What becomes of a rank that no standby is left for.", &["stop", "double-up"])
        }
        _ => Value::Bool(true),
    })
}

fn checkpoint() -> Value {
    optional(settings::CHECKPOINT, |key| match key {
        "every" => {
            json!({ "type": "string", "description": "`50 barriers`, `5s` or `auto`. Left out: when the program asks." })
        }
        "mtbf" => described(
            reference("duration"),
            "How long it usually is from one failure to the next; with `every: auto`.",
        ),
        "replicas" => number("Copies of each epoch on other nodes.", 0),
        "redundancy" => word("Copies, or parity over groups of ranks.", &["copies", "parity"]),
        "parity" => optional(&["group", "losses"], |key| match key {
            "group" => number("Ranks in a group.", 2),
            _ => number("Losses in a group that are survived.", 1),
        }),
        _ => Value::Bool(true),
    })
}

fn run() -> Value {
    let argument = json!({ "type": ["string", "number", "boolean"] });
    object(run::KEYS, &[], |key| match key {
        "workload" => word("A program that the images contain.", &workloads::NAMES),
        "program" => json!({
            "type": "string", "description": "In its place, a program on MCAPI: C source or an executable, seen from the file.",
            "examples": ["./ping-pong.c"],
        }),
        "args" => json!({
            "type": ["object", "array", "null"],
            "description": "Its arguments: by name of a workload, in order of a program.",
            "additionalProperties": argument, "items": argument,
        }),
        "timeout" => described(reference("duration"), "How long a program may take."),
        _ => Value::Bool(true),
    })
}

fn targets() -> Value {
    json!({
        "description": "A node, several, or all of a board.",
        "anyOf": [
            reference("name"),
            { "type": "array", "items": reference("name"), "minItems": 1, "uniqueItems": true },
            object(&["board"], &["board"], |_| reference("name")),
        ],
    })
}

fn fault() -> Value {
    let rank_and = |key: &str| {
        object(&["rank", key], &["rank", key], |k| match k {
            "rank" => number("Which rank.", 0),
            _ => reference("name"),
        })
    };
    let nodes = |words: &str| described(reference("targets"), words);
    object(faults::KEYS, &["at"], |key| match key {
        "name" => name("For other faults and expectations to refer to."),
        "at" => described(reference("trigger"), "When."),
        "kill" => nodes("The machine is gone, at once."),
        "crash" => nodes("The machine's system panics."),
        "pause" => nodes("The machine stands still."),
        "resume" => nodes("It goes on."),
        "heal" => nodes(
            "Its link is again as the file says; so is a cable between switches, by its name.",
        ),
        "reboot" => nodes("The machine starts again with nothing in its memory."),
        "cut" => json!({
            "description": "The link of a node, or a cable, carries nothing; with `from`, `to` or a direction, one way only.",
            "anyOf": [
                reference("targets"),
                object(link_faults::CUT_KEYS, &["link"], |k| of_links(k).unwrap_or(Value::Bool(true))),
                object(&["from"], &["from"], |_| reference("targets")),
                object(&["to"], &["to"], |_| reference("targets")),
            ],
        }),
        "degrade" => {
            let keys = [link_faults::DEGRADE_KEYS, impairments::KEYS].concat();
            object(&keys, &["link"], |k| of_links(k).unwrap_or_else(|| impairment(k)))
        }
        "flap" => object(link_faults::FLAP_KEYS, &["link", "period"], |k| {
            of_links(k).unwrap_or_else(|| flap(k))
        }),
        "migrate" => described(rank_and("to"), "A rank moves to a standby."),
        "corrupt" => described(rank_and("node"), "A node's copy of a rank goes bad."),
        "slow" => object(&["node", "to"], &["node", "to"], |k| match k {
            "node" => reference("targets"),
            _ => described(reference("percentage"), "Of every 20 ms the machine runs for so much."),
        }),
        "fill" => object(&["node", "leave"], &["node", "leave"], |k| match k {
            "node" => reference("targets"),
            _ => described(reference("size"), "Memory that stays available."),
        }),
        "for" => described(reference("duration"), "It ends after so long."),
        "every" => described(reference("duration"), "It is repeated so long after it began."),
        "times" => number("So many times in all.", 1),
        "hold" => truth("The node stands still at the trigger until it is struck."),
        _ => Value::Bool(true),
    })
}

/// Which links change.
fn of_links(key: &str) -> Option<Value> {
    let directions = Direction::ALL.map(|(direction, _)| direction);
    match key {
        "link" => Some(described(reference("targets"), "The nodes whose links change, or cables.")),
        "direction" => Some(word("Left out: both.", &directions)),
        _ => None,
    }
}

fn trigger() -> Value {
    let words: Vec<&str> = Phase::ALL.iter().map(|phase| phase.word()).collect();
    let moment = object(triggers::KEYS, &[], |key| match key {
        "checkpoint" => number("Number of a checkpoint.", 1),
        "phase" => word("How far it is. Left out: committed.", &words),
        "barrier" => number("Number of a barrier of the program.", 1),
        "iteration" => number("What the program calls its iteration.", 1),
        "event" => event(),
        "nth" => number("Which of them.", 1),
        "on" => name("The node whose events are watched. Left out: the one that is struck."),
        "after" => name("The fault whose end is waited for."),
        "delay" => described(reference("duration"), "So long after it."),
        "random" => {
            json!({ "type": "array", "items": reference("duration"), "minItems": 2, "maxItems": 2, "description": "Some time from the first to the second, as the seed decides." })
        }
        _ => Value::Bool(true),
    });
    let one_of = triggers::MOMENTS.map(|word| json!({ "required": [word] }));
    json!({
        "anyOf": [
            { "const": "start" },
            reference("duration"),
            { "allOf": [moment, { "oneOf": one_of }] },
        ],
    })
}

fn event() -> Value {
    let kinds: Vec<&str> = names::event_kinds().collect();
    json!({ "description": "An event that a node reports.", "enum": kinds })
}

fn sight(keys: &[&str]) -> Value {
    let mut sight = object(keys, &[], |key| match key {
        "event" => event(),
        "epoch" => number("Only of this epoch.", 1),
        "line" => {
            json!({ "type": "string", "minLength": 1, "description": "A line of a console, or one that the program prints, that holds this." })
        }
        "on" => name("Only on this node."),
        "times" => number("So many times or more.", 1),
        "within" => {
            described(reference("duration"), "At most so long after the start, or after the fault.")
        }
        "after" => name("Only after the end of this fault."),
        _ => Value::Bool(true),
    });
    sight["oneOf"] = json!([{ "required": ["event"] }, { "required": ["line"] }]);
    sight
}

fn expectation() -> Value {
    let mut all = object(expect::KEYS, &[], |key| match key {
        "result" => {
            word("The result is that of the sequential program, bit for bit.", &["reference"])
        }
        "takeover" => object(&["of", "by", "within"], &["of"], |k| match k {
            "of" => name("Whose rank is taken over."),
            "by" => name("By whom. Left out: by anybody."),
            _ => described(reference("duration"), "At most so long after the fault."),
        }),
        "no-takeover" => json!({ "const": true, "description": "No rank changes its node." }),
        "epochs" => number("So many checkpoints or more.", 1),
        "seen" => described(sight(&expect::SEEN_KEYS), "An event or a line shows."),
        "never" => described(reference("sight"), "An event or a line never shows."),
        "order" => {
            json!({ "type": "array", "items": reference("sight"), "minItems": 2, "description": "One shows after the other." })
        }
        "state" => json!({
            "type": "object", "description": "What becomes of nodes.", "propertyNames": reference("name"),
            "additionalProperties": { "type": "string", "pattern": "^(dead|standby|rank [0-9]+|exited [0-9]+)$" },
        }),
        "metric" => object(&Metric::ALL.map(Metric::word), &[], |_| {
            object(&["at-least", "at-most"], &[], |_| json!({ "type": ["string", "integer"] }))
        }),
        _ => Value::Bool(true),
    });
    all["minProperties"] = json!(1);
    all
}
