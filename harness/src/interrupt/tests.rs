use super::Interrupt;
use crate::failure::Failure;
use nix::sys::signal::Signal;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

#[test]
fn a_signal_ends_what_is_said_and_not_what_is_heard() {
    let interrupt = Interrupt::default();
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let (mut done, mut other) = UnixStream::pair().unwrap();
    let _closed = interrupt.closes(&ours).unwrap();
    drop(interrupt.closes(&done).unwrap());
    assert!(interrupt.failure("it ended").is_none());
    interrupt.came(Signal::SIGINT);
    assert_eq!(theirs.read(&mut [0]).unwrap(), 0, "nothing more is said");
    theirs.write_all(b"x").unwrap();
    assert_eq!(ours.read(&mut [0]).unwrap(), 1, "what is said last is heard");
    // One that was over before is let alone.
    done.write_all(b"x").unwrap();
    assert_eq!(other.read(&mut [0]).unwrap(), 1);
    // What begins now ends at once.
    let _closed = interrupt.closes(&done).unwrap();
    assert_eq!(other.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_signal_explains_a_failure_and_takes_nothing_that_is_there() {
    let interrupt = Interrupt::default();
    let failed = || Err::<(), _>(Failure { exit: 3, reason: "gone".to_owned() });
    assert_eq!(interrupt.explains(failed(), "it ended").unwrap_err().reason, "gone");
    interrupt.came(Signal::SIGTERM);
    let failure = interrupt.explains(failed(), "it ended").unwrap_err();
    assert_eq!((failure.exit, failure.reason.as_str()), (143, "SIGTERM: it ended"));
    assert!(interrupt.explains(Ok(()), "it ended").is_ok());
}
