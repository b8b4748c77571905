//! Pages of a list: sizes, and tokens that are bound to the arguments of the list.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::error::ServiceError;

/// Items of a page if the caller does not say.
const DEFAULT_SIZE: usize = 50;

/// Items of a page at most.
pub const MAX_SIZE: usize = 1_000;

/// Reads the page size that a caller asks for: the default for zero, the most for more.
pub fn size(asked: i32) -> Result<usize, ServiceError> {
    match usize::try_from(asked) {
        Ok(0) => Ok(DEFAULT_SIZE),
        Ok(asked) => Ok(asked.min(MAX_SIZE)),
        Err(_) => Err(ServiceError::field("page_size", format!("{asked} is negative"))),
    }
}

/// Makes the token of the page that starts after `last`, good only with these arguments.
pub fn token(arguments: &[&str], last: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text(arguments, last))
}

/// Reads a token back into the item that its page starts after; an empty token is the first page.
pub fn after(token: &str, arguments: &[&str]) -> Result<Option<String>, ServiceError> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| ServiceError::PageToken)?;
    let decoded = String::from_utf8(bytes).map_err(|_| ServiceError::PageToken)?;
    let last = decoded.rsplit('\u{1f}').next().unwrap_or_default();
    if decoded == text(arguments, last) { Ok(Some(last.to_owned())) } else { Err(ServiceError::PageToken) }
}

/// Writes the arguments and the last item with a separator that none of them can contain.
fn text(arguments: &[&str], last: &str) -> String {
    let mut text = String::from("1");
    for part in arguments.iter().chain([&last]) {
        text.push('\u{1f}');
        text.extend(part.chars().filter(|c| *c != '\u{1f}'));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_own_list_only() {
        let made = token(&["BTC", "pair"], "BTC-USD");
        assert_eq!(after(&made, &["BTC", "pair"]), Ok(Some("BTC-USD".into())));
        assert_eq!(after("", &["BTC", "pair"]), Ok(None));
        for (token, arguments) in [
            (made.as_str(), ["ETH", "pair"]),
            (&made[1..], ["BTC", "pair"]),
            ("!", ["BTC", "pair"]),
            ("AAAA", ["", ""]),
        ] {
            assert_eq!(after(token, &arguments), Err(ServiceError::PageToken), "{token}");
        }
    }

    #[test]
    fn sizes_are_bounded() {
        assert_eq!((size(0), size(7), size(i32::MAX)), (Ok(50), Ok(7), Ok(1_000)));
        assert!(size(-1).is_err());
    }
}
