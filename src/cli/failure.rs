//! What can go wrong with a command, each in one line.

use std::{collections::BTreeMap, error::Error, io};

use tonic::Code;
use tonic_types::{ErrorDetails, RpcStatusExt, StatusExt};

use super::{client::Address, words};

/// Why a command did not get its answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Nothing answers, or nothing that speaks gRPC.
    #[error("no answer from {address}: {cause}")]
    Unreachable {
        /// Who was asked.
        address: Address,
        /// What the network said.
        cause: String,
    },
    /// The server answered with an error.
    #[error("{}", describe(.0.code(), .0.message(), &.0.get_error_details()))]
    Refused(Box<tonic::Status>),
    /// The server answered with something that its own contract does not have.
    #[error("the answer of {address} lacks its {part}")]
    Incomplete {
        /// Who was asked.
        address: Address,
        /// What is missing.
        part: &'static str,
    },
    /// The answer could not be turned into JSON.
    #[error("cannot write {message} as JSON: {cause}")]
    Json {
        /// The full name of the message.
        message: &'static str,
        /// What the serializer said.
        cause: String,
    },
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// Tells whether `status` came from the server or from the network on the way to it.
    pub(super) fn of_call(address: &Address, status: tonic::Status) -> Self {
        let from_network = Error::source(&status).is_some();
        let unanswered = matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled);
        let typed = status.get_details_error_info().is_some();
        if !typed && (from_network || unanswered) {
            let cause = match Error::source(&status) {
                Some(source) => root_cause(source),
                None => words::one_line(status.message()),
            };
            return Self::Unreachable { address: address.clone(), cause };
        }
        Self::Refused(Box::new(status))
    }

    /// Tells whether the reader of the output has gone away.
    pub(super) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Tells whether asking again later may help.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(status) => matches!(
                status.code(),
                Code::Unavailable
                    | Code::ResourceExhausted
                    | Code::Aborted
                    | Code::Cancelled
                    | Code::DeadlineExceeded
                    | Code::Internal
                    | Code::Unknown
            ),
            Self::Incomplete { .. } | Self::Json { .. } | Self::Output(_) => false,
        }
    }

    /// The exit code of the program.
    pub(super) const fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable { .. } => 3,
            Self::Refused(_) | Self::Incomplete { .. } | Self::Json { .. } | Self::Output(_) => 1,
        }
    }
}

/// Says in one line what a status inside an answer says.
pub(super) fn describe_item(status: &tonic_types::Status) -> String {
    describe(Code::from_i32(status.code), &status.message, &status.get_error_details())
}

/// Says why nothing came: the innermost error, as those around it only say that there is one.
pub(super) fn root_cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    words::one_line(&innermost.to_string())
}

/// Puts an error with its details into one line: reason, message, metadata, fields, what to do about it. What the
/// message says already is not said again.
fn describe(code: Code, message: &str, details: &ErrorDetails) -> String {
    let mut metadata = BTreeMap::new();
    let mut clauses = Vec::new();
    if let Some(info) = details.error_info() {
        metadata.extend(info.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        clauses.push(format!("{}: {message}", info.reason));
    } else {
        clauses.push(format!("{code:?}: {message}"));
    }
    metadata.retain(|_, value| !message.contains(*value));
    let nearest = metadata.remove("nearest").and_then(suggestion);
    if !metadata.is_empty() {
        let known: Vec<_> = metadata.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        clauses.push(known.join(", "));
    }
    for violation in details.bad_request().iter().flat_map(|request| &request.field_violations) {
        if !message.contains(&violation.description) {
            clauses.push(format!("{}: {}", violation.field, violation.description));
        }
    }
    clauses.extend(nearest);
    if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
        clauses.push(format!("try again in {}", words::span(delay)));
    }
    words::one_line(&clauses.join("; "))
}

/// Suggests the known names that are most like the one that was given.
fn suggestion(nearest: &str) -> Option<String> {
    let names: Vec<_> = nearest.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let (last, others) = names.split_last()?;
    let others = others.join(", ");
    let or = if others.is_empty() { "" } else { " or " };
    Some(format!("did you mean {others}{or}{last}?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn line(code: Code, message: &str, details: ErrorDetails) -> String {
        let status = tonic::Status::with_error_details(code, message, details);
        Failure::Refused(Box::new(status)).to_string()
    }

    #[test]
    fn an_error_is_one_line() {
        let mut unknown = ErrorDetails::with_error_info(
            "PAIR_UNKNOWN",
            "cryptoprice",
            [("pair", "BTC-UDS"), ("nearest", "BTC-USD,BTC-EUR, BCH-USD")]
                .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        insta::assert_snapshot!(
            line(Code::NotFound, "no venue lists BTC-UDS", unknown.clone()),
            @"PAIR_UNKNOWN: no venue lists BTC-UDS; did you mean BTC-USD, BTC-EUR or BCH-USD?"
        );
        unknown.set_error_info("PAIR_UNKNOWN", "cryptoprice", [("nearest".to_owned(), "BTC-USD".to_owned())]);
        insta::assert_snapshot!(
            line(Code::NotFound, "no venue\nlists\u{1b}[31m it", unknown),
            @"PAIR_UNKNOWN: no venue lists [31m it; did you mean BTC-USD?"
        );

        let mut stale = ErrorDetails::with_retry_info(Some(Duration::from_millis(1_500)));
        stale.set_error_info(
            "STALE",
            "cryptoprice",
            [("pair", "BTC-USD"), ("age", "9s"), ("max_age", "5s")]
                .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        insta::assert_snapshot!(
            line(Code::Unavailable, "the price is too old", stale),
            @"STALE: the price is too old; age: 9s, max_age: 5s, pair: BTC-USD; try again in 1.5s"
        );

        let invalid = ErrorDetails::with_bad_request_violation("amount", "not a decimal");
        insta::assert_snapshot!(
            line(Code::InvalidArgument, "the request is wrong", invalid),
            @"InvalidArgument: the request is wrong; amount: not a decimal"
        );
    }

    #[test]
    fn an_item_of_a_batch_reads_like_an_error() {
        let item = tonic_types::Status {
            code: Code::NotFound.into(),
            message: "no venue lists it".to_owned(),
            details: Vec::new(),
        };
        assert_eq!(describe_item(&item), "NotFound: no venue lists it");
    }
}
