use super::Change;
use crate::{DropRule, Filter, Flap, Loss, Profile, Queue, Which};

#[test]
fn a_change_keeps_what_it_does_not_name() {
    let old = Profile {
        delay_ns: 5,
        loss: Loss::Random(0.1),
        rate_bits_per_s: Some(1000),
        queue: Queue { bytes: 7, packets: 8 },
        ..Profile::default()
    };
    assert!(Change::default().is_empty());
    assert_eq!(Change::default().of(old, 3), old);
    let change = Change { delay_ns: Some(9), ..Change::default() };
    assert!(!change.is_empty());
    assert_eq!(change.of(old, 3), Profile { delay_ns: 9, ..old });
    let lift = Change { rate_bits_per_s: Some(None), loss: Some(Loss::None), ..Change::default() };
    assert_eq!(lift.of(old, 3), Profile { rate_bits_per_s: None, loss: Loss::None, ..old });
}

#[test]
fn a_flap_begins_when_it_is_set_and_a_rule_can_be_ended() {
    let flap = Flap { period_ns: 100, up_ns: 40, since_ns: 0 };
    let rule = DropRule { filter: Filter::default(), which: Which::Nth(2) };
    let change = Change { flap: Some(Some(flap)), drop: Some(Some(rule)), ..Change::default() };
    let changed = change.of(Profile::default(), 1234);
    assert_eq!(changed.flap, Some(Flap { since_ns: 1234, ..flap }));
    assert_eq!(changed.drop, Some(rule));
    let end = Change { flap: Some(None), drop: Some(None), ..Change::default() };
    assert_eq!(end.of(changed, 2000), Profile::default());
}
