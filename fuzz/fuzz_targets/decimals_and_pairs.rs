//! Numbers and pairs as callers and venues write them.
#![no_main]

use cryptoprice::domain::{decimal, pair::Pair};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for parsed in [decimal::parse(text), decimal::parse_venue(text)].into_iter().flatten() {
        assert_eq!(decimal::parse(&decimal::text(parsed)), Ok(parsed));
    }
    if let Ok(pair) = text.parse::<Pair>() {
        assert_eq!(pair.to_string().parse(), Ok(pair));
    }
});
