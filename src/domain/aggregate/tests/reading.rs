//! Tables of what one quote says, and whether it may.

use super::*;

/// The consensus that a frozen quote is held against: 25 bps away from it are about 100.249 and 100.752.
const CONSENSUS: Decimal = Decimal::from_parts(1_005, 0, 0, false, 1);

fn good() -> Quote {
    quote("kraken", "BTC-USD", "100", "101")
}

fn check(name: &str, edit: impl FnOnce(&mut Quote), expected: Verdict) {
    let mut quote = good();
    edit(&mut quote);
    let made = aggregate(BTC_USD, &[quote], &pegs(&[]), Some(CONSENSUS), &Policy::default(), now());
    assert_eq!(verdicts(&made), [("kraken", expected)], "{name}");
    assert_eq!(made.value.is_some(), expected == Verdict::Used, "{name}");
}

#[test]
fn a_quote_has_to_be_timely() {
    check("now", |_| {}, Verdict::Used);
    check("30 s old", |quote| quote.confirm_time = ago(30), Verdict::Used);
    check("31 s old", |quote| quote.confirm_time = ago(31), Verdict::Stale);
    check("5 s ahead", |quote| quote.confirm_time = ago(-5), Verdict::Used);
    check("6 s ahead", |quote| quote.confirm_time = ago(-6), Verdict::FromTheFuture);
    let long_unchanged = |quote: &mut Quote| {
        quote.observe_time = ago(9_000);
        quote.change_time = ago(9_000);
    };
    check("unchanged for long, but confirmed", long_unchanged, Verdict::Used);
    let ahead_and_behind = |quote: &mut Quote| {
        quote.observe_time = ago(-6);
        quote.confirm_time = ago(99);
    };
    check("observed ahead, confirmed long ago", ahead_and_behind, Verdict::FromTheFuture);
}

#[test]
fn a_book_has_to_have_two_sides_in_order() {
    let check = |bid: Option<&str>, ask: Option<&str>, expected| {
        let book = TopOfBook { bid: bid.map(decimal), ask: ask.map(decimal) };
        // A trade does not stand in for a book that is wrong.
        let edit = |quote: &mut Quote| {
            quote.book = Some(book);
            quote.last = Some(last("100.5", 0));
        };
        check(&format!("{book:?}"), edit, expected);
    };
    check(Some("100"), Some("100.1"), Verdict::Used);
    check(Some("100"), None, Verdict::OneSided);
    check(None, Some("101"), Verdict::OneSided);
    check(None, None, Verdict::OneSided);
    check(Some("0"), Some("1"), Verdict::OneSided);
    check(Some("-1"), Some("1"), Verdict::OneSided);
    check(Some("100"), Some("100"), Verdict::Crossed);
    check(Some("101"), Some("100"), Verdict::Crossed);
}

#[test]
fn a_trade_stands_in_for_a_wide_book_or_none() {
    let check = |book: Option<(&str, &str)>, trade: Option<(&str, i64)>, expected: Option<Basis>| {
        let name = format!("{book:?} {trade:?}");
        let side = |price| Some(decimal(price));
        let quote = Quote {
            book: book.map(|(bid, ask)| TopOfBook { bid: side(bid), ask: side(ask) }),
            last: trade.map(|(price, seconds_ago)| last(price, seconds_ago)),
            ..good()
        };
        let made = aggregated(&[quote], &pegs(&[]));
        let contribution = &made.contributions[0];
        assert_eq!(contribution.reading.as_ref().map(|reading| reading.basis), expected, "{name}");
        match expected {
            None => assert_eq!(contribution.verdict, Verdict::NoReading, "{name}"),
            Some(basis) => {
                let value = made.value.unwrap();
                assert_eq!(value.bid.is_some(), basis == Basis::Mid, "{name}");
                assert_eq!(value.ask.is_some(), basis == Basis::Mid, "{name}");
                let price = if basis == Basis::Mid { "100" } else { "100.03" };
                assert_eq!(text(value.price), price, "{name}");
            }
        }
    };
    // A spread of exactly 100 bps of the mid, and one of a little more.
    let (narrow, wide) = (Some(("99.5", "100.5")), Some(("99.49", "100.51")));
    check(narrow, None, Some(Basis::Mid));
    check(narrow, Some(("100.03", 0)), Some(Basis::Mid));
    check(wide, None, None);
    check(wide, Some(("100.03", 0)), Some(Basis::LastTrade));
    for book in [wide, None] {
        check(book, Some(("100.03", 30)), Some(Basis::LastTrade));
        check(book, Some(("100.03", 31)), None);
        check(book, Some(("100.03", -86_400)), None);
        check(book, Some(("0", 0)), None);
        check(book, Some(("-100.03", 0)), None);
        check(book, None, None);
    }
}

#[test]
fn a_quote_that_stays_while_the_price_moves_is_frozen() {
    let check = |seconds, then: Option<&str>, expected| {
        let edit = |quote: &mut Quote| {
            quote.change_time = ago(seconds);
            quote.consensus_at_change = then.map(decimal);
        };
        check(&format!("{seconds} s, {then:?}"), edit, expected);
    };
    check(60, Some("100.2"), Verdict::Frozen);
    check(60, Some("100.8"), Verdict::Frozen);
    check(59, Some("100.2"), Verdict::Used);
    check(60, Some("100.3"), Verdict::Used);
    check(60, None, Verdict::Used);
    // |100.5 ÷ 100 − 1| is 50 bps, |100.5 ÷ 100.25 − 1| 24.94 bps.
    check(60, Some("100"), Verdict::Frozen);
    check(60, Some("100.25"), Verdict::Used);
}

#[test]
fn a_quote_of_another_market_says_nothing() {
    let other = |quote: &mut Quote| quote.market = Pair::literal("ETH", "USD");
    check("another base", other, Verdict::NoReading);
    let other = |quote: &mut Quote| quote.market = Pair::literal("BTC", "EUR");
    check("another quote", other, Verdict::NoReading);
}

#[test]
fn a_stablecoin_is_converted_at_its_live_rate_or_not_at_all() {
    let check = |known: &[(Asset, &str, i64)], expected: Verdict, expected_price: Option<&str>, reason| {
        let made = aggregated(&[quote("okx", "BTC-USDT", "199", "201")], &pegs(known));
        assert_eq!(verdicts(&made), [("okx", expected)], "{known:?}");
        assert_eq!(price(&made).as_deref(), expected_price, "{known:?}");
        assert_eq!(made.status_reason, Some(reason), "{known:?}");
    };
    let few = StatusReason::TooFewSources;
    check(&[(USDT, "0.9991", 0)], Verdict::Used, Some("199.82"), few);
    check(&[(USDT, "0.985", 0)], Verdict::Used, Some("197"), few);
    check(&[(USDT, "0.97", 0)], Verdict::Depegged, None, StatusReason::Depegged);
    check(&[], Verdict::PegUnknown, None, StatusReason::NoFreshQuotes);
    check(&[(USDC, "1", 0)], Verdict::PegUnknown, None, StatusReason::NoFreshQuotes);
    // What was known half a minute ago is not known.
    check(&[(USDT, "0.9991", 30)], Verdict::Used, Some("199.82"), few);
    check(&[(USDT, "0.9991", 31)], Verdict::PegUnknown, None, StatusReason::NoFreshQuotes);
}

#[test]
fn a_lost_peg_is_the_reason_only_if_nothing_else_is_missing() {
    let in_tether = quote("okx", "BTC-USDT", "199", "201");
    let in_circle = quote("kraken", "BTC-USDC", "199", "201");
    let stale = Quote { confirm_time: ago(60), ..quote("bitstamp", "BTC-USD", "199", "201") };
    let check = |quotes: &[&Quote], expected| {
        let quotes: Vec<_> = quotes.iter().copied().cloned().collect();
        let made = aggregated(&quotes, &pegs(&[(USDT, "0.9", 0)]));
        assert_eq!((made.status, made.status_reason), (Status::Unavailable, Some(expected)));
        assert_eq!(made.source_count, 0);
    };
    check(&[&in_tether, &stale], StatusReason::Depegged);
    check(&[&in_tether, &in_circle], StatusReason::NoFreshQuotes);
    check(&[&stale], StatusReason::NoFreshQuotes);
    check(&[], StatusReason::NoFreshQuotes);
}
