use super::*;
use crate::domain::trade::Side;

const VENUE: Venue = Venue::new("kraken");
const MARKET: Pair = Pair::literal("BTC", "USD");

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

fn heard(second: i64) -> Heard {
    Heard { venue: VENUE, connection: Some(1), receive_time: at(second) }
}

fn book(bid: i64, ask: i64, time: Option<i64>) -> TickerUpdate {
    let book = TopOfBook { bid: Some(bid.into()), ask: Some(ask.into()) };
    TickerUpdate { book: Some(book), time: time.map(at), ..TickerUpdate::default() }
}

fn trade(id: &str, price: i64, time: i64) -> Trade {
    Trade {
        id: Some(id.into()),
        count: 1,
        price: price.into(),
        amount: 1.into(),
        side: Side::Buy,
        time: at(time),
    }
}

#[test]
fn what_is_not_listened_to_any_more_is_not_heard() {
    let mut quotes = Quotes::default();
    quotes.ticker(heard(1), MARKET, &book(1, 3, None), None);
    assert_eq!(quotes.keep(VENUE, &[]), [MARKET]);
    // A connection that has not been left yet still says something.
    quotes.ticker(heard(2), MARKET, &book(1, 3, None), None);
    assert!(quotes.of(&[MARKET]).is_empty() && !quotes.has(MARKET));
    quotes.keep(VENUE, &[MARKET]);
    quotes.ticker(heard(3), MARKET, &book(1, 3, None), None);
    assert!(quotes.has(MARKET));
}

#[test]
fn a_change_is_not_a_confirmation() {
    let mut quotes = Quotes::default();
    assert_eq!(quotes.ticker(heard(0), MARKET, &book(1, 3, Some(0)), None), Effect::Changed);
    assert_eq!(quotes.ticker(heard(6), MARKET, &book(1, 3, Some(5)), None), Effect::Confirmed);
    assert_eq!(quotes.confirm(heard(9), None), [MARKET]);
    let [quote] = quotes.of(&[MARKET]).try_into().unwrap();
    assert_eq!((quote.observe_time, quote.change_time, quote.confirm_time), (at(0), at(0), at(9)));
}

#[test]
fn what_comes_late_or_twice_changes_nothing() {
    let mut quotes = Quotes::default();
    quotes.ticker(heard(5), MARKET, &book(1, 3, Some(4)), None);
    assert_eq!(quotes.ticker(heard(6), MARKET, &book(7, 9, Some(3)), None), Effect::OutOfOrder);
    assert_eq!(quotes.trade(heard(6), MARKET, trade("1", 2, 5), None), Effect::Changed);
    assert_eq!(quotes.trade(heard(7), MARKET, trade("1", 2, 5), None), Effect::Duplicate);
    assert_eq!(quotes.trade(heard(7), MARKET, trade("0", 8, 4), None), Effect::OutOfOrder);
    let [quote] = quotes.of(&[MARKET]).try_into().unwrap();
    assert_eq!(quote.book.unwrap().bid, Some(1.into()));
    assert_eq!(quote.last.unwrap().price, 2.into());
}

#[test]
fn trades_do_not_keep_a_book_fresh() {
    let mut quotes = Quotes::default();
    quotes.ticker(heard(0), MARKET, &book(1, 3, Some(0)), None);
    assert_eq!(quotes.trade(heard(50), MARKET, trade("1", 2, 50), None), Effect::Changed);
    let [quote] = quotes.of(&[MARKET]).try_into().unwrap();
    assert_eq!((quote.confirm_time, quote.change_time, quote.last.unwrap().time), (at(0), at(0), at(50)));
}

#[test]
fn a_last_price_does_not_keep_a_book_fresh() {
    let mut quotes = Quotes::default();
    let last = |price: i64, time| TickerUpdate {
        last: Some(price.into()),
        time: Some(at(time)),
        ..TickerUpdate::default()
    };
    quotes.ticker(heard(0), MARKET, &last(2, 0), None);
    quotes.ticker(heard(1), MARKET, &book(1, 3, Some(1)), None);
    assert_eq!(quotes.ticker(heard(50), MARKET, &last(4, 50), None), Effect::Changed);
    assert_eq!(quotes.ticker(heard(51), MARKET, &last(4, 51), None), Effect::Confirmed);
    let [quote] = quotes.of(&[MARKET]).try_into().unwrap();
    assert_eq!((quote.confirm_time, quote.change_time, quote.last.unwrap().time), (at(1), at(1), at(50)));
}

#[test]
fn a_volume_that_is_not_told_again_is_unknown_after_some_hours() {
    let mut quotes = Quotes::default();
    let volume = || TickerUpdate { quote_volume_24h: Some(7.into()), ..TickerUpdate::default() };
    let known = |quotes: &Quotes| quotes.of(&[MARKET])[0].quote_volume_24h.is_some();
    let hours = |hours: i64| hours * 3_600;
    quotes.ticker(heard(0), MARKET, &book(1, 3, None), None);
    // It says nothing of bid and ask, which are as old as they were.
    assert_eq!(quotes.ticker(heard(9), MARKET, &volume(), None), Effect::Confirmed);
    assert_eq!((quotes.of(&[MARKET])[0].receive_time, known(&quotes)), (at(0), true));
    for (hour, told, expected) in [(6, false, true), (7, false, false), (8, true, true), (15, false, false)] {
        quotes.ticker(heard(hours(hour)), MARKET, &book(1, 3, None), None);
        if told {
            quotes.ticker(heard(hours(hour)), MARKET, &volume(), None);
        }
        assert_eq!(known(&quotes), expected, "hour {hour}");
    }
}

#[test]
fn a_volume_alone_does_not_keep_a_last_price_fresh() {
    let mut quotes = Quotes::default();
    quotes.trade(heard(0), MARKET, trade("1", 2, 0), None);
    let volume = TickerUpdate { quote_volume_24h: Some(7.into()), ..TickerUpdate::default() };
    quotes.ticker(heard(50), MARKET, &volume, None);
    assert_eq!(quotes.of(&[MARKET])[0].confirm_time, at(0));
}

#[test]
fn each_channel_of_a_market_is_in_order_by_itself() {
    let mut quotes = Quotes::default();
    let last = |price: i64, time| TickerUpdate {
        last: Some(price.into()),
        time: Some(at(time)),
        ..TickerUpdate::default()
    };
    for (ticker, expected) in [
        (last(2, 10), Effect::Changed),
        (book(1, 3, Some(9)), Effect::Changed),
        (book(2, 4, Some(8)), Effect::OutOfOrder),
        (last(3, 9), Effect::OutOfOrder),
        (book(2, 4, Some(11)), Effect::Changed),
        (last(3, 10), Effect::Changed),
    ] {
        assert_eq!(quotes.ticker(heard(12), MARKET, &ticker, None), expected, "{ticker:?}");
    }
    let [quote] = quotes.of(&[MARKET]).try_into().unwrap();
    assert_eq!((quote.book, quote.last.map(|last| last.price)), (book(2, 4, None).book, Some(3.into())));
}

#[test]
fn a_new_connection_confirms_only_what_it_has_said() {
    let mut quotes = Quotes::default();
    let other = Pair::literal("ETH", "USD");
    quotes.ticker(heard(0), MARKET, &book(1, 3, Some(0)), None);
    quotes.ticker(heard(0), other, &book(1, 3, Some(0)), None);
    quotes.left(VENUE, Some(1));
    assert_eq!(quotes.confirm(heard(300), None), []);
    quotes.ticker(heard(300), other, &book(1, 3, Some(300)), None);
    assert_eq!(quotes.confirm(heard(301), None), [other]);
    let [quote] = quotes.of(&[MARKET]).try_into().unwrap();
    assert_eq!(quote.confirm_time, at(0));
}

#[test]
fn two_equal_trades_without_ids_are_two() {
    let mut quotes = Quotes::default();
    let nameless = Trade { id: None, ..trade("", 2, 5) };
    assert_eq!(quotes.trade(heard(6), MARKET, nameless.clone(), None), Effect::Changed);
    assert_eq!(quotes.trade(heard(6), MARKET, nameless, None), Effect::Confirmed);
}
