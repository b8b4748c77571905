//! How venues refuse us over HTTP, and what that asks of us.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode, header};

/// The longest wait that a venue may ask for: the longest that Binance bans those for who ask on while they are banned.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3 * 86_400);

/// How long to wait after having asked too often, where the venue does not say.
const TOO_OFTEN: Duration = Duration::from_secs(60);

/// A status that is none of success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the venue answered with status {status}")]
pub(super) struct Refusal {
    status: StatusCode,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// Reads a status that came at a time, and the wait that it asks for.
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, received: DateTime<Utc>) -> Self {
        let asked = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let asked = asked.and_then(|value| wait(value.trim(), received));
        // 418: banned for not having listened to 429.
        let too_often = matches!(status.as_u16(), 418 | 429);
        Self { status, retry_after: asked.or(too_often.then_some(TOO_OFTEN)) }
    }

    /// Gets the wait that the venue asked for, or that it would be wise to keep.
    pub(super) fn retry_after(self) -> Option<Duration> {
        self.retry_after
    }

    /// Tells whether trying again is of no use: the venue does not want us, or not from where we are.
    pub(super) fn is_final(self) -> bool {
        matches!(self.status, StatusCode::FORBIDDEN | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS)
    }
}

/// Reads a wait: in seconds, or until a date.
fn wait(asked: &str, received: DateTime<Utc>) -> Option<Duration> {
    let wait = if !asked.is_empty() && asked.bytes().all(|digit| digit.is_ascii_digit()) {
        // What is too large for a number is too long.
        asked.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
    } else {
        let until = DateTime::<Utc>::from(httpdate::parse_http_date(asked).ok()?);
        (until - received).to_std().unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wednesday, 21 October 2026, 07:00.
    const RECEIVED: DateTime<Utc> = DateTime::from_timestamp(1_792_566_000, 0).unwrap();

    #[test]
    fn a_venue_may_ask_for_a_wait_but_not_for_ever() {
        for (status, given, expected) in [
            (429, Some("7"), Some(7)),
            // A ban of some hours.
            (418, Some("14400"), Some(14_400)),
            (418, Some("999999"), Some(259_200)),
            (418, Some("99999999999999999999999"), Some(259_200)),
            (429, Some("Wed, 21 Oct 2026 07:28:00 GMT"), Some(1_680)),
            (503, Some("Wed, 21 Oct 2026 07:28:00 GMT"), Some(1_680)),
            (429, Some("Wednesday, 21-Oct-26 07:28:00 GMT"), Some(1_680)),
            (429, Some("Wed Oct 21 07:28:00 2026"), Some(1_680)),
            (429, Some("Wed, 21 Oct 2026 06:59:00 GMT"), Some(0)),
            (429, Some("Thu, 21 Oct 2027 07:28:00 GMT"), Some(259_200)),
            (429, Some("-7"), Some(60)),
            (429, Some("soon"), Some(60)),
            (429, Some(""), Some(60)),
            (429, None, Some(60)),
            (418, None, Some(60)),
            (503, Some("7"), Some(7)),
            (503, None, None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = given {
                headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            }
            let refusal = Refusal::new(StatusCode::from_u16(status).unwrap(), &headers, RECEIVED);
            assert_eq!(refusal.retry_after(), expected.map(Duration::from_secs), "{status} {given:?}");
            assert!(!refusal.is_final());
        }
        for status in [403, 451] {
            let status = StatusCode::from_u16(status).unwrap();
            assert!(Refusal::new(status, &HeaderMap::new(), RECEIVED).is_final());
        }
    }
}
