use super::{Filter, InvalidProfile, Loss, Profile};
use crate::vlan::tagged;

#[test]
fn the_default_is_valid_and_perfect() {
    assert_eq!(Profile::default().check(), Ok(()));
    assert_eq!(Profile::default().loss, Loss::None);
}

#[test]
fn probabilities_and_rate_are_checked() {
    let base = Profile::default();
    let error = Profile { duplicate: 1.5, ..base }.check().unwrap_err();
    assert_eq!(error.to_string(), "duplicate is 1.5, but a probability lies between 0 and 1");
    assert!(Profile { corrupt: f64::NAN, ..base }.check().is_err());
    assert!(Profile { reorder: -0.1, ..base }.check().is_err());
    assert!(Profile { loss: Loss::Random(2.0), ..base }.check().is_err());
    let bursts = |to_bad, to_good, loss_good, loss_bad| Profile {
        loss: Loss::GilbertElliott { to_bad, to_good, loss_good, loss_bad },
        ..base
    };
    assert_eq!(bursts(0.1, 0.2, 0.0, 1.0).check(), Ok(()));
    for wrong in [
        bursts(2.0, 0.0, 0.0, 0.0),
        bursts(0.0, 2.0, 0.0, 0.0),
        bursts(0.0, 0.0, 2.0, 0.0),
        bursts(0.0, 0.0, 0.0, 2.0),
    ] {
        assert!(wrong.check().is_err());
    }
    let error = Profile { rate_bits_per_s: Some(0), ..base }.check();
    assert_eq!(error, Err(InvalidProfile::NoRate));
}

#[test]
fn corruption_flips_exactly_one_bit() {
    let mut bytes = [0; 3];
    Profile::corrupt_bytes(9, &mut bytes);
    assert_eq!(bytes, [0, 2, 0]);
    Profile::corrupt_bytes(24 + 9, &mut bytes);
    assert_eq!(bytes, [0; 3]);
    Profile::corrupt_bytes(u64::MAX, &mut bytes);
    assert_eq!(bytes.iter().map(|b| b.count_ones()).sum::<u32>(), 1);
    Profile::corrupt_bytes(5, &mut []);
}

#[test]
fn a_filter_looks_through_the_tag_of_a_vlan() {
    let bare = [&[0; 12][..], &[0x88, 0xb5, 1, 7, 9]].concat();
    let in_vlan = tagged(&bare, 10);
    let of = |ethertype, byte| Filter { ethertype, byte, ..Filter::default() };
    for (filter, plain, behind) in [
        (of(Some(0x88b5), None), true, true),
        (of(Some(0x8100), None), false, true),
        (of(Some(0x0806), None), false, false),
        (of(None, Some((15, 7))), true, true),
        (of(None, Some((15, 1))), false, false),
        (of(None, Some((0, 0))), true, true),
    ] {
        assert_eq!(filter.matches(&bare, bare.len()), plain, "{filter:?}");
        assert_eq!(filter.matches(&in_vlan, in_vlan.len()), behind, "{filter:?}");
    }
}
