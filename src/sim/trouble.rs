//! What goes wrong at a venue now and then, and when: a timetable that a seed repeats.
//!
//! Troubles never overlap and each hits one venue, while every pair is listed by three or more: so never the
//! majority of a pair's venues at once.

use std::{fmt, time::Duration};

use super::chance::{BASIS_POINT, Chance};
use crate::domain::venue::Venue;

/// One way in which a venue fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Sends nothing, heartbeats neither, on connections that stay open.
    Silence,
    /// Quotes prices off by so many billionths.
    Spike(i64),
    /// Quotes bids above asks.
    Crossed,
    /// Cuts its connections, and new ones too.
    Cut,
    /// Reports trades twice and out of order.
    Shuffled,
    /// Repeats an old quote while the market moves on.
    Frozen,
    /// Sends frames that break off in the middle.
    Malformed,
}

/// A trouble with its place and time, counted from the start of the simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Episode {
    pub(super) venue: Venue,
    pub(super) trouble: Trouble,
    pub(super) start: Duration,
    pub(super) end: Duration,
}

/// All episodes to come, in order, without end.
#[derive(Debug, Clone)]
pub(super) struct Timetable {
    venues: Vec<Venue>,
    chance: Chance,
    /// When the last episode ends.
    calm_since: Duration,
}

impl Timetable {
    /// Writes the timetable of a seed for these venues.
    pub(super) fn new(seed: u64, venues: Vec<Venue>) -> Self {
        Self { venues, chance: Chance::new(seed, "trouble"), calm_since: Duration::ZERO }
    }

    /// Draws a trouble and how long it lasts, in milliseconds.
    fn draw(&mut self) -> (Trouble, i64) {
        match self.chance.between(0, 11) {
            // One long silence for each short one: longer than a quote may be old.
            0 => (Trouble::Silence, self.chance.between(35_000, 45_000)),
            1 => (Trouble::Silence, self.chance.between(4_000, 10_000)),
            2..=4 => {
                let size = self.chance.between(300, 2_000) * BASIS_POINT;
                let sign = self.chance.between(0, 1) * 2 - 1;
                (Trouble::Spike(size * sign), self.chance.between(3_000, 8_000))
            }
            5 | 6 => (Trouble::Crossed, self.chance.between(3_000, 8_000)),
            7 | 8 => (Trouble::Cut, self.chance.between(500, 2_000)),
            9 => (Trouble::Shuffled, self.chance.between(5_000, 10_000)),
            10 => (Trouble::Frozen, self.chance.between(10_000, 25_000)),
            _ => (Trouble::Malformed, 500),
        }
    }

    fn millis(millis: i64) -> Duration {
        Duration::from_millis(millis.unsigned_abs())
    }
}

impl Iterator for Timetable {
    type Item = Episode;

    fn next(&mut self) -> Option<Episode> {
        let start = self.calm_since + Self::millis(self.chance.between(10_000, 20_000));
        let venue = *self.chance.choose(&self.venues)?;
        let (trouble, length) = self.draw();
        let end = start + Self::millis(length);
        self.calm_since = end;
        Some(Episode { venue, trouble, start, end })
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silence => f.write_str("silence"),
            Self::Spike(billionths) => write!(f, "spike of {} bps", billionths / BASIS_POINT),
            Self::Crossed => f.write_str("crossed book"),
            Self::Cut => f.write_str("cut connection"),
            Self::Shuffled => f.write_str("shuffled trades"),
            Self::Frozen => f.write_str("frozen quotes"),
            Self::Malformed => f.write_str("malformed frame"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sim::catalogue;

    fn timetable(seed: u64) -> impl Iterator<Item = Episode> {
        Timetable::new(seed, catalogue::venues().collect()).take(2_000)
    }

    #[test]
    fn a_seed_repeats_its_troubles() {
        assert!(timetable(1).eq(timetable(1)));
        assert!(!timetable(1).eq(timetable(2)));
    }

    #[test]
    fn never_a_majority_of_a_pairs_venues() {
        let listed = catalogue::catalogue();
        let episodes: Vec<Episode> = timetable(3).collect();
        for at in &episodes {
            let hit: BTreeSet<Venue> = episodes
                .iter()
                .filter(|e| e.start <= at.start && at.start <= e.end)
                .map(|e| e.venue)
                .collect();
            for pair in listed.iter().flat_map(|(_, pairs)| pairs) {
                let venues: Vec<Venue> = listed
                    .iter()
                    .filter(|(_, pairs)| pairs.contains(pair))
                    .map(|(venue, _)| *venue)
                    .collect();
                let troubled = venues.iter().filter(|venue| hit.contains(venue)).count();
                assert!(troubled * 2 < venues.len(), "{pair} at {:?}", at.start);
            }
        }
    }

    #[test]
    fn every_trouble_comes_to_every_venue() {
        let kinds: BTreeSet<String> = timetable(4)
            .map(|episode| match episode.trouble {
                Trouble::Spike(_) => format!("{} spike", episode.venue),
                trouble => format!("{} {trouble}", episode.venue),
            })
            .collect();
        assert_eq!(kinds.len(), 7 * catalogue::venues().count(), "{kinds:#?}");
    }

    #[test]
    fn spikes_are_of_three_to_twenty_percent() {
        for episode in timetable(5) {
            if let Trouble::Spike(billionths) = episode.trouble {
                let size = billionths.abs();
                assert!((30_000_000..=200_000_000).contains(&size), "{billionths}");
            }
        }
    }
}
