use super::*;
use alloc::collections::{BTreeMap, BTreeSet};

/// Numbers in no order, some of them twice.
fn numbers() -> impl Iterator<Item = u32> {
    (0..500u32).map(|i| i.wrapping_mul(2_654_435_761) >> 24)
}

#[test]
fn a_map_does_what_a_tree_does() {
    let (mut map, mut tree) = (Map::new(), BTreeMap::new());
    for (i, key) in numbers().enumerate() {
        assert_eq!(map.contains_key(&key), tree.contains_key(&key));
        if i % 3 == 2 {
            assert_eq!(map.remove(&(key / 2)), tree.remove(&(key / 2)));
        } else {
            assert_eq!(map.insert(key, i), tree.insert(key, i));
        }
        *map.get_or_default(key + 1) += 1;
        *tree.entry(key + 1).or_default() += 1;
        assert_eq!(map.get(&key), tree.get(&key));
        assert_eq!(map.len(), tree.len());
        assert!(map.iter().eq(tree.iter()));
    }
    for (from, to) in [(0, 255), (17, 18), (9, 9), (300, 400)] {
        assert!(map.range(from..to).iter().map(|(k, v)| (k, v)).eq(tree.range(from..to)));
    }
    let (upper, upper_tree) = (map.split_off(&99), tree.split_off(&99));
    assert!(upper.into_iter().eq(upper_tree) && map.iter().eq(tree.iter()));
    map.retain(|key, value| (*key as usize + *value).is_multiple_of(2));
    tree.retain(|key, value| (*key as usize + *value).is_multiple_of(2));
    assert!(!map.is_empty() && map.keys().eq(tree.keys()) && map.values().eq(tree.values()));
}

#[test]
fn of_pairs_with_one_key_the_last_counts() {
    assert_eq!(Map::from([(2, 'a'), (1, 'b'), (2, 'c')]), Map::from([(1, 'b'), (2, 'c')]));
}

#[test]
fn a_set_does_what_a_tree_does() {
    let (mut set, mut tree) = (Set::new(), BTreeSet::new());
    for (i, value) in numbers().enumerate() {
        if i % 3 == 2 {
            assert_eq!(set.remove(&(value / 2)), tree.remove(&(value / 2)));
        } else {
            assert_eq!(set.insert(value), tree.insert(value));
        }
        assert_eq!(set.contains(&(value / 2)), tree.contains(&(value / 2)));
        assert!(set.iter().eq(tree.iter()));
    }
    assert_eq!(set.len(), tree.len());
    assert!(set.into_iter().eq(tree));
    assert!(numbers().collect::<Set<_>>().iter().eq(&numbers().collect::<BTreeSet<_>>()));
}
