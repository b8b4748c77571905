//! What stands behind an error, for those whose own words only name the step that failed.

use std::{error::Error, iter};

/// Writes an error with all that has caused it, in one line.
pub(super) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let all = iter::successors(Some(error), |&error| error.source()).map(ToString::to_string);
    all.collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the answer was cut off")]
    struct Cut(#[source] io::Error);

    #[test]
    fn an_error_is_told_with_its_cause() {
        assert_eq!(with_causes(&io::Error::other("no")), "no");
        assert_eq!(with_causes(&Cut(io::Error::other("by peer"))), "the answer was cut off: by peer");
    }
}
