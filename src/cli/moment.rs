//! Times as they are written on a command line.

use std::{
    str::FromStr,
    time::{Duration, SystemTime},
};

use chrono::{DateTime, NaiveDate, Utc};
use prost_types::Timestamp;

/// A time: written out, a day, or how long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// At this time.
    At(DateTime<Utc>),
    /// This long ago.
    Ago(Duration),
}

impl Moment {
    /// Gets the time.
    pub(super) fn time(self, now: SystemTime) -> DateTime<Utc> {
        match self {
            Self::At(time) => time,
            Self::Ago(span) => now.checked_sub(span).map_or(DateTime::UNIX_EPOCH, DateTime::from),
        }
    }

    /// Gets it as it stands in a message.
    pub(super) fn timestamp(self, now: SystemTime) -> Timestamp {
        Timestamp::from(SystemTime::from(self.time(now)))
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "now" {
            return Ok(Self::Ago(Duration::ZERO));
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(time.to_utc()));
        }
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|day| day.and_hms_opt(0, 0, 0));
        if let Some(midnight) = day {
            return Ok(Self::At(midnight.and_utc()));
        }
        humantime::parse_duration(text).map(Self::Ago).map_err(|_| {
            "expected a time such as 2026-11-27T12:00:00Z, a day such as 2026-11-27 (UTC), or how long ago, such as 2h"
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_days_and_spans_are_understood() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (text, expected) in [
            ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z"),
            ("2023-11-14T23:13:20.5+01:00", "2023-11-14T22:13:20.500Z"),
            ("2023-11-14", "2023-11-14T00:00:00Z"),
            ("2h", "2023-11-14T20:13:20Z"),
            ("1d 1s", "2023-11-13T22:13:19Z"),
            ("now", "2023-11-14T22:13:20Z"),
            ("0s", "2023-11-14T22:13:20Z"),
        ] {
            let time = text.parse::<Moment>().unwrap().time(now);
            assert_eq!(time, expected.parse::<DateTime<Utc>>().unwrap(), "{text}");
        }
        for wrong in ["", "yesterday", "2023-13-01", "2023-11-14 25:00", "-2h", "2023-11-14T22:13:20"] {
            assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
        }
    }
}
