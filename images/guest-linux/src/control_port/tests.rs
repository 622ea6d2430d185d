use super::*;
use std::io::Cursor;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;

fn read_all(bytes: &[u8]) -> Vec<Incoming> {
    let mut seen = Vec::new();
    read_lines(Cursor::new(bytes), |i| seen.push(i));
    seen
}

fn closed(seen: &Incoming) -> &str {
    match seen {
        Incoming::Closed(why) => why,
        other => panic!("expected the end, got {other:?}"),
    }
}

#[test]
fn each_line_is_a_message_and_the_end_is_told_last() {
    let bytes = [to_line(&ToNode::Release), to_line(&ToNode::Shutdown)].concat();
    let seen = read_all(bytes.as_bytes());
    assert_eq!(seen[0], Incoming::Message(ToNode::Release));
    assert_eq!(seen[1], Incoming::Message(ToNode::Shutdown));
    assert_eq!(closed(&seen[2]), "end of stream");
    assert_eq!(seen.len(), 3);
}

#[test]
fn a_line_that_is_no_message_does_not_end_the_port() {
    let seen = read_all(b"nonsense\n\xff\xfe\n{\"type\":\"release\"}\n");
    assert!(matches!(&seen[0], Incoming::Bad(why) if why.contains("bad control message")));
    assert!(matches!(&seen[1], Incoming::Bad(why) if why.contains("utf-8")));
    assert_eq!(seen[2], Incoming::Message(ToNode::Release));
}

#[test]
fn half_a_line_is_never_taken_for_a_message() {
    let seen = read_all(b"{\"type\":\"shutdown\"}");
    assert_eq!(seen.len(), 1);
    assert!(closed(&seen[0]).contains("half a line"));
}

#[test]
fn an_endless_line_ends_the_port_instead_of_filling_memory() {
    let seen = read_all(&vec![b'x'; 3 * MAX_LINE]);
    assert_eq!(seen.len(), 1);
    assert!(closed(&seen[0]).contains("too long"));
}

#[test]
fn a_port_carries_both_ways_and_tells_when_the_harness_is_gone() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let port = File::from(std::os::fd::OwnedFd::from(ours));
    let port = ControlPort::from_virtio(port).unwrap();
    let sender = port.sender();
    let (tell, told) = mpsc::channel();
    let thread = port.listen(move |i| tell.send(i).unwrap()).unwrap();

    let mut lines = BufReader::new(theirs.try_clone().unwrap()).lines();
    sender.send(&FromNode::Held { at: "epoch".into() }).unwrap();
    let line = lines.next().unwrap().unwrap();
    assert_eq!(from_line::<FromNode>(&line), Ok(FromNode::Held { at: "epoch".into() }));

    (&theirs).write_all(to_line(&ToNode::Shutdown).as_bytes()).unwrap();
    assert_eq!(told.recv().unwrap(), Incoming::Message(ToNode::Shutdown));
    drop(lines);
    drop(theirs);
    assert!(matches!(told.recv().unwrap(), Incoming::Closed(_)));
    thread.join().unwrap();
    assert!(sender.send(&FromNode::Held { at: "epoch".into() }).is_err());
}

#[test]
fn a_panic_while_somebody_sends_does_not_wait_for_them() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let port = File::from(std::os::fd::OwnedFd::from(ours));
    let sender = ControlPort::from_virtio(port).unwrap().sender();
    let held = sender.0.lock().unwrap();
    assert!(!sender.try_send(&FromNode::Panic { message: "bug".into(), backtrace: vec![] }));
    drop(held);
    assert!(sender.try_send(&FromNode::Panic { message: "bug".into(), backtrace: vec![] }));
}
