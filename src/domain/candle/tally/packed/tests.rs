use proptest::prelude::*;

use super::*;
use crate::domain::candle::Ohlc;

const VENUES: [Venue; 3] = [Venue::new("okx"), Venue::new("kraken"), Venue::new("")];

fn at(nanos: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_nanos(1_795_392_000_000_000_000 + nanos)
}

fn decimals() -> impl Strategy<Value = Decimal> {
    let any = (-(1_i128 << 96) + 1..1_i128 << 96, 0_u32..=28);
    let usual = (1_i128..1 << 40, 0_u32..=8);
    prop_oneof![any, usual].prop_map(|(mantissa, scale)| Decimal::from_i128_with_scale(mantissa, scale))
}

fn ids() -> impl Strategy<Value = TradeId> {
    let written = "[0-9]{1,39}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|.{0,40}";
    prop_oneof![written.prop_map(|id| TradeId::read(&id)), any::<u64>().prop_map(TradeId::Unnamed)]
}

prop_compose! {
    fn trades()(
        nanos in prop_oneof![0_i64..1_000_000_000, -(1_i64 << 50)..1 << 60],
        venue in 0_usize..3,
        id in ids(),
        price in decimals(),
        amount in decimals(),
    ) -> Tally {
        Tally::of(Mark { time: at(nanos), venue: VENUES[venue], id }, price, amount)
    }
}

proptest! {
    #[test]
    fn what_is_unpacked_is_what_was_packed(
        trades in prop::collection::vec(trades(), 1..6),
        told in prop::option::of((prop::array::uniform6(decimals()), any::<u64>(), any::<u32>())),
        by_venue: bool,
    ) {
        let mut venues = Vec::new();
        let mut tally = trades[0].clone();
        trades[1..].iter().for_each(|trade| tally.add(trade));
        if let Some(([open, high, low, close, base_volume, quote_volume], trade_count, source_count)) = told {
            let candle = crate::domain::candle::sample::candle(crate::domain::candle::Interval::Minute, 0, None, 0);
            let told = crate::domain::candle::Candle {
                prices: Some(Ohlc { open, high, low, close }),
                maker: if by_venue { CandleMaker::Venue } else { CandleMaker::Service },
                venue: Some(VENUES[1]).filter(|_| by_venue),
                base_volume,
                quote_volume,
                trade_count,
                source_count,
                ..candle
            };
            tally.add(&Tally::of_candle(&told).unwrap());
        }
        // Another list than that which one tally alone would make.
        pack(&trades[trades.len() - 1], at(7), &mut venues);
        let packed = pack(&tally, at(0), &mut venues);
        prop_assert_eq!(unpack(&packed, at(0), &venues), Some(tally));
        prop_assert!(venues.len() <= VENUES.len());
    }

    #[test]
    fn bytes_that_were_not_packed_do_no_harm(bytes: Vec<u8>) {
        let _ = unpack(&bytes, at(0), &VENUES);
    }
}

#[test]
fn a_busy_second_takes_less_than_a_hundred_bytes() {
    let trade = |number: i64| {
        let id = TradeId::read(&(4_312_587_901 + number).to_string());
        let mark = Mark { time: at(number * 7_000_000), venue: VENUES[0], id };
        Tally::of(mark, Decimal::new(10_423_517 + number * 31 % 17, 2), Decimal::new(1_234_567 + number, 8))
    };
    let mut tally = trade(0);
    let mut venues = Vec::new();
    assert!(pack(&tally, at(0), &mut venues).len() <= 50);
    (1..100).for_each(|number| tally.add(&trade(number)));
    assert!(pack(&tally, at(0), &mut venues).len() <= 96);
}
