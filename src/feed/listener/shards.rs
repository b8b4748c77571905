//! Spreads the markets of a venue over connections.

use std::collections::BTreeSet;

use crate::domain::pair::Pair;

/// Assigns markets to connections, `max` to each: those that have one stay there, others go where there is room. Connections that
/// are left with none come back empty.
pub(super) fn assign(
    current: impl IntoIterator<Item = BTreeSet<Pair>>,
    wanted: &BTreeSet<Pair>,
    max: usize,
) -> Vec<BTreeSet<Pair>> {
    let max = max.max(1);
    let mut shards: Vec<BTreeSet<Pair>> =
        current.into_iter().map(|shard| shard.intersection(wanted).take(max).copied().collect()).collect();
    let placed: BTreeSet<Pair> = shards.iter().flatten().copied().collect();
    let mut homeless = wanted.difference(&placed).copied();
    for shard in &mut shards {
        let room = max - shard.len();
        shard.extend(homeless.by_ref().take(room));
    }
    let mut homeless = homeless.peekable();
    while homeless.peek().is_some() {
        shards.push(homeless.by_ref().take(max).collect());
    }
    shards
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_set, prelude::*};

    use super::*;
    use crate::domain::pair::Asset;

    fn pair(number: u8) -> Pair {
        Pair::new(format!("A{number}").parse().unwrap(), Asset::literal("USD"))
    }

    fn pairs(numbers: impl IntoIterator<Item = u8>) -> BTreeSet<Pair> {
        numbers.into_iter().map(pair).collect()
    }

    #[test]
    fn markets_that_stay_stay_where_they_are() {
        let first = assign([], &pairs(0..5), 2);
        assert_eq!(first.iter().map(BTreeSet::len).collect::<Vec<_>>(), [2, 2, 1]);
        // One goes, two come: one takes its place, the other the last room.
        let gone = *first[0].first().unwrap();
        let mut wanted = pairs(0..7);
        wanted.remove(&gone);
        let second = assign(first.clone(), &wanted, 2);
        assert_eq!(second.iter().map(BTreeSet::len).collect::<Vec<_>>(), [2, 2, 2]);
        assert_eq!(second[1], first[1]);
        assert!(second[0].contains(first[0].last().unwrap()));
        assert!(second[2].is_superset(&first[2]));
        // A lower limit leaves some without a place: they get a new connection.
        let third = assign(second.clone(), &wanted, 1);
        assert_eq!(third.iter().map(BTreeSet::len).collect::<Vec<_>>(), [1; 6]);
        assert!(third[0].is_subset(&second[0]));
        // What is left with none is empty, and keeps its number.
        assert_eq!(assign(second, &pairs([]), 2), [pairs([]), pairs([]), pairs([])]);
    }

    proptest! {
        #[test]
        fn every_market_has_one_place(
            before in btree_set(any::<u8>(), 0..60),
            after in btree_set(any::<u8>(), 0..60),
            max in 1_usize..20,
            next_max in 1_usize..20,
        ) {
            let (before, after) = (pairs(before), pairs(after));
            let shards = assign(assign([], &before, max), &after, next_max);
            let all: Vec<Pair> = shards.iter().flatten().copied().collect();
            prop_assert_eq!(all.len(), after.len());
            prop_assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), after);
            prop_assert!(shards.iter().all(|shard| shard.len() <= next_max));
        }
    }
}
