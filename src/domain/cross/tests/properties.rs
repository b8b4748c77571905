//! What holds for any derived price.

use proptest::prelude::*;

use super::*;

fn any_price() -> impl Strategy<Value = Decimal> {
    (1_i128..1 << 90, 0_u32..=28).prop_map(|(mantissa, scale)| Decimal::from_i128_with_scale(mantissa, scale))
}

prop_compose! {
    fn any_leg()(
        price in any_price(),
        half_spread in 0_i64..100,
        status in prop::sample::select(vec![Status::Live, Status::Degraded, Status::Stale]),
        source_count in 1_u32..9,
        dispersion in any_price(),
        observed in -5_i64..40,
        received in -5_i64..40,
    ) -> Price {
        let side = |bps: i64| price.checked_mul(Decimal::new(10_000 + bps, 4));
        let edit = |value: &mut Value| *value = Value {
            price,
            bid: side(-half_spread),
            ask: side(half_spread),
            dispersion_bps: dispersion,
            observe_time: ago(observed),
            receive_time: ago(received),
        };
        Price { status, source_count, ..with(&live("A-B", "1"), edit) }
    }
}

/// Tells whether two numbers differ by at most so many 10⁻¹⁶ of the first.
fn close(a: Decimal, b: Decimal, parts: i64) -> bool {
    let distance = Exact::of(a).distance(&Exact::of(b));
    distance <= Exact::of(a).times(Decimal::new(parts, 16))
}

fn priced(price: Decimal) -> Price {
    with(&live("A-B", "1"), |value| value.price = price)
}

proptest! {
    #[test]
    fn a_derived_price_is_never_better_than_its_legs(
        legs in prop::collection::vec((any_leg(), any::<bool>()), 1..4),
    ) {
        // A-B, B-C, C-D, each in one of its two spellings.
        let legs: Vec<_> = legs
            .into_iter()
            .zip(ASSETS.windows(2))
            .map(|((leg, inverted), names)| {
                let pair = Pair::literal(names[0], names[1]);
                let pair = if inverted { pair.inverse() } else { pair };
                (Step { pair, inverted }, Price { pair, ..leg })
            })
            .collect();
        let legs: Vec<_> = legs.iter().map(|(step, leg)| (*step, leg)).collect();
        let pair = Pair::new(Asset::literal("A"), legs[legs.len() - 1].0.to());
        let made = derive(pair, &legs, &CrossPolicy::default(), &|_| false, ago(0));
        prop_assert_eq!(made.value.is_none(), made.status == Status::Unavailable);
        for (_, leg) in &legs {
            prop_assert!(made.status >= leg.status);
            prop_assert!(made.source_count <= leg.source_count);
            let own = leg.value.unwrap();
            if let Some(value) = made.value {
                prop_assert!(value.observe_time <= own.observe_time);
                prop_assert!(value.receive_time <= own.receive_time);
                prop_assert!(value.dispersion_bps >= own.dispersion_bps);
                prop_assert!(value.bid.is_none_or(|bid| bid <= value.price));
                prop_assert!(value.ask.is_none_or(|ask| ask >= value.price));
            }
        }
    }

    /// An inverse is rounded once, by half a unit of its 16th digit: 5 × 10⁻¹⁶ of it at most. So twice the inverse
    /// is within 10 × 10⁻¹⁶, and the products of two such errors that are left are far below one more.
    #[test]
    fn twice_the_inverse_is_the_price(price in any_price()) {
        let one_way = priced(price);
        let back = invert(&one_way).and_then(|inverse| invert(&inverse));
        if let Ok(back) = back {
            prop_assert!(close(price, back.value.unwrap().price, 11));
        }
    }

    /// There and back: the inverse and the two amounts are rounded once each, by 5 × 10⁻¹⁶ at most.
    #[test]
    fn an_amount_converts_there_and_back(amount in any_price(), price in any_price()) {
        let inverse = invert(&priced(price)).map(|inverse| inverse.value.unwrap().price);
        let there = convert(amount, price);
        if let (Ok(inverse), Ok(there)) = (inverse, there)
            && let Ok(back) = convert(there, inverse)
        {
            prop_assert!(close(amount, back, 16));
        }
    }
}
