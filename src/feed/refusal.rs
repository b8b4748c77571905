//! How venues refuse us over HTTP, and what that asks of us.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};

/// The longest wait that a venue may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

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
    /// Reads a status, and the wait that it asks for.
    pub(super) fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let asked = seconds
            .and_then(|seconds| seconds.trim().parse().ok())
            .map(|seconds| Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_venue_may_ask_for_a_wait_but_not_for_ever() {
        for (status, given, expected) in [
            (429, Some("7"), Some(7)),
            (429, Some("999999"), Some(600)),
            (429, Some("Wed, 21 Oct 2026 07:28:00 GMT"), Some(60)),
            (429, None, Some(60)),
            (418, None, Some(60)),
            (503, Some("7"), Some(7)),
            (503, None, None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = given {
                headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            }
            let refusal = Refusal::new(StatusCode::from_u16(status).unwrap(), &headers);
            assert_eq!(refusal.retry_after(), expected.map(Duration::from_secs), "{status} {given:?}");
            assert!(!refusal.is_final());
        }
        for status in [403, 451] {
            assert!(Refusal::new(StatusCode::from_u16(status).unwrap(), &HeaderMap::new()).is_final());
        }
    }
}
