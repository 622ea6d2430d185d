//! What both sides must agree on stands here once more, so that nobody changes it and leaves [`VERSION`] as it was.

use super::{Awake, Card, Configure, FromNode, Hold, Nic, NodeSpec, Program, Run, RuntimeSpec};
use super::{BoardSpec, ToNode, VERSION, from_line};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::de::DeserializeOwned;

/// The words of each type. Who changes them raises [`VERSION`], and writes both here.
const WORDS: (u32, &str) = (
    2,
    "awake configure run migrate corrupt crash fill release shutdown | \
     hello event report print measured ended held failed panic | \
     cards seed unix_us | was mac | \
     node generation nodes nic board_memory runtime holds bench program | \
     path args nodes topology file | \
     name role board image transport address mac host | \
     mac address prefix mtu fd | bytes fd | \
     binding quorum heartbeat_us suspect_after join_timeout_us redundancy checkpoint \
     shared_bytes heap_bytes stack_bytes | \
     job workload args | event number nth still",
);

/// Which words a type knows: whoever does not know one says which there are.
fn words<T: DeserializeOwned>(line: &str) -> String {
    let Err(error) = from_line::<T>(line) else { return String::new() };
    let said = error.to_string();
    let known = said.split_once("expected ").map_or("", |(_, known)| known);
    let quoted: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    quoted.join(" ")
}

#[test]
fn whoever_changes_the_protocol_raises_its_version() {
    const KIND: &str = r#"{"type":"?"}"#;
    const FIELD: &str = r#"{"?":0}"#;
    let all = [
        words::<ToNode>(KIND),
        words::<FromNode>(KIND),
        words::<Awake>(FIELD),
        words::<Card>(FIELD),
        words::<Configure>(FIELD),
        words::<Program>(FIELD),
        words::<NodeSpec>(FIELD),
        words::<Nic>(FIELD),
        words::<BoardSpec>(FIELD),
        words::<RuntimeSpec>(FIELD),
        words::<Run>(FIELD),
        words::<Hold>(FIELD),
    ];
    assert_eq!((VERSION, all.join(" | ").as_str()), WORDS);
}
