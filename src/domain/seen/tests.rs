use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const QUARTER: TimeDelta = TimeDelta::seconds(150);

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_392_000 + second, 0).unwrap()
}

/// What the ids take on the heap. A set has a byte beside each place, of which an eighth is always free.
fn bytes(seen: &Seen) -> usize {
    let set = |set: &HashSet<u64, _>| set.capacity() * 8 / 7 * 9;
    let young = set(&seen.young.ids.numbers) + set(&seen.young.ids.hashes);
    young + seen.old.iter().map(Old::len).sum::<usize>() * 8 + seen.old.capacity() * size_of::<Old>()
}

#[test]
fn ids_that_look_alike_are_not_the_same() {
    let mut seen = Seen::new(1 << 10, QUARTER);
    let long = "18446744073709551615";
    let ids = ["7", "07", "+7", "007", "0", "00", "", " 7", "7a", long, "18446744073709551616", "９"];
    for again in [true, false] {
        for id in ids {
            assert_eq!(seen.insert(at(0), id), again, "{id}");
        }
        seen.insert(at(200), "1");
        assert!(!seen.old.is_empty());
    }
}

#[test]
fn a_generation_goes_when_the_newest_of_it_is_settled() {
    let mut seen = Seen::new(1 << 10, QUARTER);
    seen.insert(at(100), "1");
    seen.insert(at(249), "2");
    // Late, and of the generation that it comes with.
    seen.insert(at(250), "3");
    seen.insert(at(90), "4");
    seen.forget(at(249));
    assert!(["1", "2", "3", "4"].iter().all(|id| !seen.insert(at(250), id)));
    seen.forget(at(250));
    assert_eq!(["1", "2", "3", "4"].map(|id| seen.insert(at(250), id)), [true, true, false, false]);
    seen.forget(at(251));
    assert!(seen.insert(at(251), "3") && !seen.has_lost(at(0)));
}

#[test]
fn trades_that_were_told_as_one_are_known_one_by_one() {
    let mut seen = Seen::new(1 << 10, QUARTER);
    assert!(seen.insert_joined(at(0), "474", 3));
    let known = ["471", "472", "473", "474", "475"].map(|id| !seen.insert(at(0), id));
    assert_eq!(known, [false, true, true, true, false]);
    assert!(!seen.insert_joined(at(0), "475", 9), "told one by one before");
    // A name has none before it, and no number is below the first.
    assert!(seen.insert_joined(at(0), "a", 3) && seen.insert_joined(at(0), "1", u32::MAX));
}

#[test]
fn where_there_is_no_room_the_oldest_are_lost_and_that_is_known() {
    let mut seen = Seen::new(160, QUARTER);
    for id in 0..1_000 {
        assert!(!seen.has_lost(at(id)));
        assert!(seen.insert(at(id), &id.to_string()));
    }
    let known = seen.young.len() + seen.old.iter().map(Old::len).sum::<usize>();
    assert!((150..=160).contains(&known), "{known}");
    // What is said not to be lost is known, and what is not known is said to be lost.
    let first = i64::try_from(1_000 - known).unwrap();
    assert!((first..1_000).all(|id| !seen.has_lost(at(id)) && !seen.insert(at(id), &id.to_string())));
    assert!((0..first).all(|id| seen.has_lost(at(id))));
    seen.clear();
    assert!(!seen.has_lost(at(0)) && seen.insert(at(0), "999"));
}

#[test]
fn an_id_takes_twelve_bytes_in_the_mean() {
    // Ten minutes of 100 trades a second, in turn a number and one of 36 letters.
    let mut seen = Seen::new(1 << 20, QUARTER);
    let (mut most, mut sum) = (0, 0);
    for second in 0..1_200 {
        seen.forget(at(second - 600));
        for trade in 0..100 {
            let id = second * 100 + trade;
            let id = if trade % 2 == 0 { id.to_string() } else { format!("{id:036x}") };
            assert!(seen.insert(at(second), &id));
        }
        if second >= 600 {
            most = most.max(bytes(&seen));
            sum += bytes(&seen);
        }
    }
    let (most, mean) = (most / 60_000, sum / 600 / 60_000);
    assert!(mean <= 12 && most <= 14, "{mean} in the mean, {most} at most");
    assert!(bytes(&Seen::new(1 << 20, QUARTER)) == 0);
}

#[test]
fn however_many_come_what_is_kept_is_bounded() {
    let mut seen = Seen::new(1 << 12, QUARTER);
    for id in 0..100_000_u32 {
        seen.insert(at(0), &id.to_string());
        assert!(bytes(&seen) <= (1 << 12) * 12);
    }
}

proptest! {
    #[test]
    fn it_knows_what_a_plain_set_knows(
        trades in prop::collection::vec((0_i64..40, "(0{0,1}[0-9]{1,2}|[ab]{1,2})"), 0..200),
        span in 0_i64..20,
    ) {
        let mut seen = Seen::new(1 << 10, TimeDelta::seconds(span));
        let mut plain = BTreeMap::new();
        let mut settled = 0;
        for (index, (late, id)) in trades.into_iter().enumerate() {
            let now = i64::try_from(index).unwrap();
            settled = settled.max(now - 40);
            seen.forget(at(settled));
            let time = now - late;
            if time < settled {
                continue;
            }
            // A generation may know for longer what a plain set has forgotten.
            let known = plain.get(&id).is_some_and(|known| *known >= settled);
            let new = seen.insert(at(time), &id);
            prop_assert!(!(known && new), "{id} came twice");
            prop_assert!(new || plain.contains_key(&id), "{id} is new");
            if new {
                plain.insert(id, time);
            }
        }
    }
}
