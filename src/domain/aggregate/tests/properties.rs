//! What holds for any quotes.

use proptest::{option, prelude::*};

use super::*;

const VENUES: [&str; 8] =
    ["binance", "binanceus", "bitstamp", "bybit", "coinbase", "gemini", "kraken", "okx"];

/// Any decimal at all, the largest and the smallest included.
fn any_decimal() -> impl Strategy<Value = Decimal> {
    let any = (-(1_i128 << 96) + 1..1_i128 << 96, 0_u32..=28)
        .prop_map(|(mantissa, scale)| Decimal::from_i128_with_scale(mantissa, scale));
    prop_oneof![
        8 => any,
        1 => Just(Decimal::MAX),
        1 => Just(Decimal::MIN),
        1 => Just(Decimal::ZERO),
        1 => Just(Decimal::new(1, 28)),
    ]
}

fn any_time() -> impl Strategy<Value = DateTime<Utc>> {
    prop_oneof![
        4 => (-100_i64..100).prop_map(ago),
        1 => Just(DateTime::<Utc>::MIN_UTC),
        1 => Just(DateTime::<Utc>::MAX_UTC),
    ]
}

fn any_venue() -> impl Strategy<Value = Venue> {
    prop::sample::select(VENUES.to_vec()).prop_map(Venue::new)
}

fn any_market() -> impl Strategy<Value = Pair> {
    let markets = ["BTC-USD", "BTC-USD", "BTC-USDT", "BTC-USDC", "ETH-USD"];
    prop::sample::select(markets.to_vec()).prop_map(|market| market.parse().unwrap())
}

prop_compose! {
    /// A quote of anything, at any time.
    fn any_quote()(
        venue in any_venue(),
        market in any_market(),
        book in option::of((option::of(any_decimal()), option::of(any_decimal()))),
        last in option::of((any_decimal(), any_time())),
        quote_volume_24h in option::of(any_decimal()),
        times in [any_time(), any_time(), any_time(), any_time()],
        consensus_at_change in option::of(any_decimal()),
    ) -> Quote {
        let [observe_time, confirm_time, receive_time, change_time] = times;
        Quote {
            venue,
            market,
            book: book.map(|(bid, ask)| TopOfBook { bid, ask }),
            last: last.map(|(price, time)| LastTrade { price, time }),
            quote_volume_24h,
            observe_time,
            confirm_time,
            receive_time,
            change_time,
            consensus_at_change,
        }
    }
}

prop_compose! {
    /// A quote as venues send them, most of them good.
    fn likely_quote()(
        venue in any_venue(),
        market in any_market(),
        bid in 99_000_i64..101_000,
        spread in -5_i64..200,
        volume in option::weighted(0.95, 0_i64..1_000_000),
        age in -2_i64..40,
        delay in 0_i64..3,
    ) -> Quote {
        Quote {
            venue,
            market,
            book: Some(TopOfBook {
                bid: Some(Decimal::new(bid, 2)),
                ask: Some(Decimal::new(bid + spread, 2)),
            }),
            quote_volume_24h: volume.map(|volume| Decimal::new(volume, 3)),
            observe_time: ago(age + 1),
            confirm_time: ago(age),
            receive_time: ago(age - delay),
            ..around(VENUES[0], 1_000)
        }
    }
}

fn known_pegs() -> Pegs {
    pegs(&[(USDT, "0.99987", 2), (USDC, "1.0001234567", 3)])
}

/// Checks what holds for every aggregate.
fn consistent(made: &Aggregate, policy: &Policy) -> Result<(), TestCaseError> {
    prop_assert_eq!(made.value.is_none(), made.status == Status::Unavailable);
    prop_assert_eq!(made.status_reason.is_none(), made.status == Status::Live);
    let used: Vec<_> = made.contributions.iter().filter(|c| c.verdict == Verdict::Used).collect();
    let total: Decimal = used.iter().map(|c| c.weight).sum();
    prop_assert_eq!(total, if used.is_empty() { Decimal::ZERO } else { Decimal::ONE });
    let holds = Decimal::from(used.len()) * policy.weight_cap >= Decimal::ONE;
    for contribution in &made.contributions {
        prop_assert!(contribution.verdict == Verdict::Used || contribution.weight.is_zero());
        prop_assert!(!holds || contribution.weight <= policy.weight_cap);
    }
    let Some(value) = made.value else {
        return Ok(());
    };
    prop_assert_eq!(made.source_count as usize, used.len());
    prop_assert!(value.bid.is_none_or(|bid| bid <= value.price));
    prop_assert!(value.ask.is_none_or(|ask| ask >= value.price));
    prop_assert!(value.price > Decimal::ZERO && value.dispersion_bps >= Decimal::ZERO);
    let reached = |time: fn(&Reading) -> DateTime<Utc>, at: DateTime<Utc>| {
        let held = used.iter().filter(|c| c.reading.as_ref().is_some_and(|reading| time(reading) >= at));
        held.map(|c| c.weight).sum::<Decimal>()
    };
    // Half of the weight, but for the rounding of what is shown.
    let half = Decimal::new(49_999_999, 8);
    prop_assert!(reached(|reading| reading.observe_time, value.observe_time) >= half);
    prop_assert!(reached(|reading| reading.receive_time, value.receive_time) >= half);
    Ok(())
}

/// Prices of sources that are not the bad one, with the bad one's price and all volumes.
fn one_bad(honest: std::ops::Range<usize>) -> impl Strategy<Value = (Vec<(i64, i64)>, (i64, i64))> {
    let volumes = 1_i64..1_000_000;
    (
        prop::collection::vec((9_000_i64..11_000, volumes.clone()), honest),
        (prop_oneof![8_000_i64..12_000, 10_i64..1_000_000], volumes),
    )
}

/// Aggregates honest sources and a bad one, and gets the price with the lowest and the highest honest one.
fn attacked(honest: &[(i64, i64)], bad: (i64, i64)) -> (Decimal, Decimal, Decimal) {
    let all = honest.iter().chain([&bad]);
    let quotes: Vec<_> = VENUES[1..]
        .iter()
        .zip(all)
        .map(|(venue, (price, volume))| Quote {
            book: None,
            last: Some(last(&price.to_string(), 0)),
            quote_volume_24h: Some(Decimal::from(*volume)),
            ..around(venue, 10)
        })
        .collect();
    let made = aggregated(&quotes, &pegs(&[]));
    let prices = || honest.iter().map(|(price, _)| Decimal::from(*price));
    (made.value.unwrap().price, prices().min().unwrap(), prices().max().unwrap())
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(
        quotes in prop::collection::vec(any_quote(), 0..12),
        consensus in option::of(any_decimal()),
        rate in any_decimal(),
    ) {
        let policy = Policy::default();
        let mut pegs = known_pegs();
        let anchor = aggregated(&[around("kraken", 1_000)], &pegs);
        let any_rate = Value { price: rate, ..anchor.value.unwrap() };
        let anchors = Aggregate { value: Some(any_rate), source_count: 3, ..anchor };
        pegs.update(USDC, &anchors, &PegPolicy::default(), now());
        let made = aggregate(BTC_USD, &quotes, &pegs, consensus, &policy, now());
        consistent(&made, &policy)?;
    }

    #[test]
    fn likely_quotes_make_a_consistent_price(quotes in prop::collection::vec(likely_quote(), 0..12)) {
        consistent(&aggregated(&quotes, &known_pegs()), &Policy::default())?;
    }

    #[test]
    fn the_order_of_quotes_does_not_matter(
        (quotes, shuffled) in prop::collection::vec(prop_oneof![likely_quote(), any_quote()], 0..12)
            .prop_flat_map(|quotes| (Just(quotes.clone()), Just(quotes).prop_shuffle())),
    ) {
        prop_assert_eq!(aggregated(&quotes, &known_pegs()), aggregated(&shuffled, &known_pegs()));
    }

    /// Whatever one of four or more says, the price stays among the others: at least three readings are left, so
    /// the bad one has at most 40 % of the vote.
    #[test]
    fn one_of_four_moves_nothing((honest, bad) in one_bad(3..7)) {
        let (price, lowest, highest) = attacked(&honest, bad);
        prop_assert!(lowest <= price && price <= highest, "{lowest} {price} {highest}");
    }

    /// Of three, a bad one can have an honest one thrown out by siding with the other, if the honest ones
    /// disagree by more than the floor; then it has half of the vote. To be believed it has to stay within
    /// 1 ÷ (3 × 1.4826) of their distance, so it moves the price by half of that at most: less than an eighth.
    #[test]
    fn one_of_three_moves_little((honest, bad) in one_bad(2..3)) {
        let (price, lowest, highest) = attacked(&honest, bad);
        let disagreement = highest - lowest;
        let agreed = disagreement <= lowest * Decimal::new(25, 4);
        let allowed = if agreed { Decimal::ZERO } else { disagreement / Decimal::from(8) };
        prop_assert!(lowest - allowed <= price && price <= highest + allowed, "{lowest} {price} {highest}");
    }
}
