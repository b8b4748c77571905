//! What the settings say of how prices are made.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::{delta, markets::Listened};
use crate::{
    config::Config,
    domain::{
        aggregate, cross::CrossPolicy, jump::JumpPolicy, pair::Pair, peg::PegPolicy, price::Origin,
        venue::Venue,
    },
    feed::venues,
    pipeline::{aggregator::Options, crosses::Crosses},
};

/// Says how prices are made of what is listened to.
pub(super) fn options(config: &Config, origin: Origin, listened: &Listened) -> Options {
    let aggregation = &config.aggregation;
    let replayed = origin == Origin::Replay;
    Options {
        policy: aggregate::Policy {
            max_spread_bps: aggregation.max_spread_bps.0,
            max_age: delta(aggregation.max_age),
            outlier_mads: aggregation.outlier_mads.0,
            outlier_floor_bps: aggregation.outlier_floor_bps.0,
            weight_cap: aggregation.weight_cap.0,
            min_sources: if replayed { aggregation.replay_min_sources } else { aggregation.min_sources },
            max_dispersion_bps: aggregation.max_dispersion_bps.0,
            frozen_after: delta(aggregation.frozen_after),
            frozen_move_bps: aggregation.frozen_move_bps.0,
            max_future: delta(aggregation.max_future),
            factors: factors(config),
        },
        peg: PegPolicy {
            anchors: config.peg.anchors,
            pegged_bps: config.peg.pegged_bps.0,
            depegged_bps: config.peg.depegged_bps.0,
        },
        coins: config.peg.coins.iter().map(|(coin, reference)| (coin.0, reference.0)).collect(),
        jump: JumpPolicy {
            jump: config.jump.threshold.0,
            sources: config.jump.sources,
            samples: config.jump.samples,
            span: delta(config.jump.span),
        },
        refresh: delta(aggregation.refresh),
        origin,
        markets: listened.markets(),
    }
}

/// Lists what the volumes of venues are multiplied by.
fn factors(config: &Config) -> BTreeMap<Venue, Decimal> {
    let named = config.venues.iter().filter_map(|(name, venue)| Some((name, venue.weight.as_ref()?.0)));
    named.filter_map(|(name, weight)| Some((venues::by_name(name)?.venue(), weight))).collect()
}

/// Says which derived pairs are kept on the board, and makes what keeps them.
pub(super) fn crosses(config: &Config, origin: Origin, required: &[Pair]) -> (BTreeSet<Pair>, Crosses) {
    let policy = CrossPolicy { max_hops: config.cross.max_hops, max_skew: delta(config.cross.max_skew) };
    let configured = config.cross.pairs.iter().map(|pair| pair.0);
    // A recording holds what it holds: derived pairs come when they are asked for.
    let configured = configured.filter(|_| origin != Origin::Replay);
    let kept: BTreeSet<_> = configured.chain(required.iter().copied()).collect();
    let crosses = Crosses::new(kept.iter().copied(), config.cross.max_streamed, policy);
    (kept, crosses)
}
