//! What is known of moments, in their order.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

/// So few need not be made fewer.
const FEW: usize = 8;

/// Values by when something opened. Most are added at the new end and taken away at the old one: they lie one beside the
/// other, with little room for more.
#[derive(Debug)]
pub(super) struct ByTime<T>(VecDeque<(DateTime<Utc>, T)>);

impl<T> ByTime<T> {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(super) fn get(&self, time: DateTime<Utc>) -> Option<&T> {
        self.0.get(self.place(time).ok()?).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, time: DateTime<Utc>) -> Option<&mut T> {
        let at = self.place(time).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Finds what is there, or adds it.
    pub(super) fn or_insert_with(&mut self, time: DateTime<Utc>, make: impl FnOnce() -> T) -> &mut T {
        let at = self.place(time).unwrap_or_else(|at| {
            if self.0.len() == self.0.capacity() {
                self.0.reserve_exact(self.0.len() / FEW + 1);
            }
            self.0.insert(at, (time, make()));
            at
        });
        #[expect(clippy::indexing_slicing, reason = "it was found or inserted there")]
        &mut self.0[at].1
    }

    pub(super) fn remove(&mut self, time: DateTime<Utc>) {
        if let Ok(at) = self.place(time) {
            self.0.remove(at);
        }
    }

    /// Gets when the first opened.
    pub(super) fn first(&self) -> Option<DateTime<Utc>> {
        self.0.front().map(|(time, _)| *time)
    }

    pub(super) fn pop_first(&mut self) -> Option<(DateTime<Utc>, T)> {
        let first = self.0.pop_front();
        if self.0.capacity() > FEW.max(self.0.len() * 4) {
            self.0.shrink_to(FEW.max(self.0.len() * 2));
        }
        first
    }

    fn place(&self, time: DateTime<Utc>) -> Result<usize, usize> {
        match self.0.back() {
            Some((last, _)) if *last < time => Err(self.0.len()),
            Some(_) => self.0.binary_search_by_key(&time, |(time, _)| *time),
            None => Err(0),
        }
    }
}

#[cfg(test)]
impl<T> ByTime<T> {
    /// Gets what the values take, and how many there is room for.
    pub(super) fn values(&self) -> (impl Iterator<Item = &T>, usize) {
        (self.0.iter().map(|(_, value)| value), self.0.capacity())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_plain_map_holds(
            steps in prop::collection::vec((0_i64..200, 0_usize..5), 0..500),
        ) {
            let (mut ours, mut plain) = (ByTime::new(), BTreeMap::new());
            for (number, (second, step)) in steps.into_iter().enumerate() {
                let time = DateTime::from_timestamp(second, 0).unwrap();
                match step {
                    0 => {
                        ours.remove(time);
                        plain.remove(&time);
                    }
                    1 => prop_assert_eq!(ours.pop_first(), plain.pop_first()),
                    _ => {
                        let (ours, plain) = (ours.or_insert_with(time, || number), plain.entry(time).or_insert(number));
                        prop_assert_eq!(ours, plain);
                    }
                }
                prop_assert_eq!(ours.get(time), plain.get(&time));
                prop_assert_eq!(ours.get_mut(time), plain.get_mut(&time));
                prop_assert_eq!(ours.first(), plain.keys().next().copied());
                let (values, room) = ours.values();
                prop_assert!(values.eq(plain.values()));
                prop_assert!(room <= FEW.max(4 * plain.len()) + 1, "{} in {}", plain.len(), room);
            }
        }
    }
}
