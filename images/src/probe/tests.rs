use super::*;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

fn output(code: i32, stdout: &[u8], stderr: &str) -> Output {
    Output { status: ExitStatus::from_raw(code << 8), stdout: stdout.into(), stderr: stderr.into() }
}

#[test]
fn the_stub_runs_where_it_must() {
    // Emulation always works, so this tests the probe itself.
    let probe = boots(Accel::Tcg, Duration::from_secs(120));
    assert_eq!(probe, Probe { usable: true, reason: "a stub ran under tcg".into() });
}

#[test]
fn a_silent_machine_is_not_usable_and_does_not_stay() {
    let probe = boots(Accel::Tcg, Duration::ZERO);
    assert!(!probe.usable);
    assert!(probe.reason.contains("said nothing"), "{}", probe.reason);
}

#[test]
fn only_byte_and_exit_code_together_count() {
    assert!(judge(Accel::Kvm, &output(EXIT, b"U", "")).usable);
    assert!(!judge(Accel::Kvm, &output(EXIT, b"", "")).usable);
    assert!(!judge(Accel::Kvm, &output(0, b"U", "")).usable);
}

#[test]
fn the_reason_is_what_qemu_said_first() {
    let errors = "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69\n\
                  qemu-system-x86_64: kvm.c: Assertion failed.\n";
    let probe = judge(Accel::Kvm, &output(1, b"", errors));
    assert_eq!(
        probe.reason,
        "qemu-system-x86_64 under kvm ended with exit status: 1: \
         error: failed to set MSR 0x10a to 0x69"
    );
}
