//! Until when a call has to be answered: the caller's `grpc-timeout`, and the service's own limit.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tonic::{Code, Status};

use crate::api::{pb::v1::ErrorReason, status::status};

/// The header by which a caller says how long it will wait.
const HEADER: HeaderName = HeaderName::from_static("grpc-timeout");

/// Reads how long the caller will wait, if it says so: up to eight digits and a unit, as the gRPC protocol has it.
pub fn asked(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get(&HEADER) else { return Ok(None) };
    let timeout = value.to_str().ok().and_then(parse);
    let malformed = || {
        let message = "grpc-timeout: expected 1 to 8 digits and one of the units H, M, S, m, u, n";
        let none: [(&str, &str); 0] = [];
        status(Code::InvalidArgument, ErrorReason::RequestMalformed, message, none)
    };
    timeout.map(Some).ok_or_else(malformed)
}

/// Says that the time is up.
pub fn exceeded(limit: Duration) -> Status {
    let limit = format!("{}.{:03}s", limit.as_secs(), limit.subsec_millis());
    let message = format!("the call was not answered within {limit}");
    status(Code::DeadlineExceeded, ErrorReason::DeadlineExceeded, message, [("timeout", limit)])
}

fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3_600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_has_them() {
        for (text, expected) in [
            ("1H", Duration::from_secs(3_600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("00000004m", Duration::from_millis(4)),
            ("5u", Duration::from_micros(5)),
            ("99999999n", Duration::from_nanos(99_999_999)),
            ("99999999H", Duration::from_secs(99_999_999 * 3_600)),
            ("0S", Duration::ZERO),
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        for text in ["", "1", "S", "-1S", "+1S", "1s", "1.5S", "123456789S", " 1S", "1 S", "1Sé", "é"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
