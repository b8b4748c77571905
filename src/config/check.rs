//! What of the settings cannot be, although each is well formed.

use std::time::Duration;

use rust_decimal::Decimal;

use super::{Config, ConfigError, Role};
use crate::{
    cache::{keys, origins, pool},
    domain::{candle::Interval, price::Origin},
    store::Location,
};

/// The longest span that can be set: none of them is meant to be counted in days.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Below this, a spool could not hold a batch.
const SMALLEST_SPOOL: u64 = 65_536;

impl Config {
    /// Checks what no single key can tell.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for name in self.venues.keys() {
            if crate::feed::venues::by_name(name).is_none() {
                return Err(wrong(&format!("venues.{name}"), "no venue has this name"));
            }
        }
        self.check_venues()?;
        let url = self.store.url.expose();
        if !url.is_empty()
            && let Err(error) = Location::parse(url)
        {
            return Err(wrong("store.url", &error.to_string()));
        }
        self.check_spans()?;
        self.check_numbers()?;
        self.check_history()?;
        let cap = self.aggregation.weight_cap.0;
        if cap <= Decimal::ZERO || cap > Decimal::ONE {
            return Err(wrong("aggregation.weight_cap", "must be above 0 and at most 1"));
        }
        if let Some((coin, _)) = self.peg.coins.iter().find(|(coin, reference)| coin == reference) {
            return Err(wrong(&format!("peg.coins.{coin}"), "cannot be pegged to itself"));
        }
        if let Some(origin) = self.server.cors_origins.iter().find(|origin| !is_origin(origin)) {
            let message = format!("`{origin}` is not `*` or an origin such as `https://example.org`");
            return Err(wrong("server.cors_origins", &message));
        }
        let backfill = &self.backfill;
        if backfill.share.0 <= Decimal::ZERO || backfill.share.0 > Decimal::ONE {
            return Err(wrong("backfill.share", "must be above 0 and at most 1"));
        }
        if backfill.least_coverage.0 < Decimal::ZERO || backfill.least_coverage.0 > Decimal::ONE {
            return Err(wrong("backfill.least_coverage", "must be from 0 to 1"));
        }
        if backfill.enabled && backfill.intervals.is_empty() {
            return Err(wrong("backfill.intervals", "names no interval; `enabled = false` asks for none"));
        }
        if self.peg.depegged_bps.0 < self.peg.pegged_bps.0 {
            return Err(wrong("peg.depegged_bps", "must not be below peg.pegged_bps"));
        }
        if !(1..=3).contains(&self.cross.max_hops) {
            return Err(wrong("cross.max_hops", "must be 1, 2 or 3"));
        }
        self.check_cache()?;
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&self.log.filter) {
            return Err(wrong("log.filter", &error.to_string()));
        }
        Ok(())
    }

    /// Checks what is set of each venue.
    fn check_venues(&self) -> Result<(), ConfigError> {
        for (name, venue) in &self.venues {
            let key = |key: &str| format!("venues.{name}.{key}");
            if venue.weight.as_ref().is_some_and(|weight| weight.0 <= Decimal::ZERO) {
                return Err(wrong(&key("weight"), "must be above 0; `enabled = false` leaves a venue out"));
            }
            if venue.max_markets == Some(0) {
                return Err(wrong(&key("max_markets"), "must be above 0"));
            }
            if venue.requests_per_minute == Some(0) {
                return Err(wrong(&key("requests_per_minute"), "must be above 0"));
            }
        }
        Ok(())
    }

    /// Checks what is said about Redis. The address is not shown: what is wrong with it may be in the password.
    fn check_cache(&self) -> Result<(), ConfigError> {
        let cache = &self.cache;
        if !cache.url.is_empty()
            && let Err(error) = pool::check_address(cache.url.expose())
        {
            return Err(wrong("cache.url", &error.to_string()));
        }
        if !keys::is_prefix(&cache.prefix) {
            return Err(wrong("cache.prefix", "must be 1 to 64 letters, digits, or any of -_.:"));
        }
        if self.role != Role::All && cache.url.is_empty() {
            return Err(wrong("role", "needs Redis: set cache.url, or REDIS_URL"));
        }
        let origin = self.cluster.origin.as_str();
        if origin == Origin::Replay.name() {
            let message = "recordings are not mirrored, there is nothing to follow: must be live or simulated, or empty";
            return Err(wrong("cluster.origin", message));
        }
        if !origin.is_empty() && origins::ALL.iter().all(|mirrored| mirrored.name() != origin) {
            return Err(wrong("cluster.origin", "must be live or simulated, or empty"));
        }
        if !is_name(&self.cluster.name) {
            return Err(wrong("cluster.name", "must be at most 64 letters, digits, or any of -_.:"));
        }
        if cache.renew_lease.saturating_mul(3) > cache.lease {
            return Err(wrong("cache.lease", "must be three times cache.renew_lease or more"));
        }
        Ok(())
    }

    /// Checks what is written, and how long it is kept.
    fn check_history(&self) -> Result<(), ConfigError> {
        let history = &self.history;
        if history.queue < history.batch {
            return Err(wrong("history.queue", "must not be below history.batch"));
        }
        if history.spool_max_bytes < SMALLEST_SPOOL {
            return Err(wrong("history.spool_max_bytes", "must be at least 65536"));
        }
        for (name, keep) in &history.keep {
            let key = format!("history.keep.{name}");
            if name != "prices" && name.parse::<Interval>().is_err() {
                return Err(wrong(&key, "is neither an interval of candles nor `prices`"));
            }
            if keep.0.is_some_and(|span| span.is_zero()) {
                return Err(wrong(&key, "must be longer than zero"));
            }
        }
        Ok(())
    }

    /// Checks that spans are of a length that somebody can mean.
    fn check_spans(&self) -> Result<(), ConfigError> {
        let (aggregation, feed) = (&self.aggregation, &self.feed);
        let positive = [
            ("aggregation.max_age", aggregation.max_age),
            ("aggregation.refresh", aggregation.refresh),
            ("feed.backoff", feed.backoff),
            ("feed.max_backoff", feed.max_backoff),
            ("feed.silent_after", feed.silent_after),
            ("feed.market_silent_after", feed.market_silent_after),
            ("feed.poll_after", feed.poll_after),
            ("feed.poll_every", feed.poll_every),
            ("feed.refresh_markets", feed.refresh_markets),
            ("feed.rotate_after", feed.rotate_after),
            ("cache.connect_timeout", self.cache.connect_timeout),
            ("cache.command_timeout", self.cache.command_timeout),
            ("cache.renew_lease", self.cache.renew_lease),
            ("cluster.max_silence", self.cluster.max_silence),
            ("server.call_timeout", self.server.call_timeout),
            ("server.max_connection_age", self.server.max_connection_age),
            ("server.max_idle", self.server.max_idle),
            ("server.keep_alive", self.server.keep_alive),
            ("server.keep_alive_timeout", self.server.keep_alive_timeout),
            ("streams.flush", self.streams.flush),
            ("streams.stall_timeout", self.streams.stall_timeout),
            ("store.connect_timeout", self.store.connect_timeout),
            ("store.statement_timeout", self.store.statement_timeout),
            ("store.lock_timeout", self.store.lock_timeout),
            ("history.flush", self.history.flush),
            ("history.prices_every", self.history.prices_every),
            ("history.prices_repeat", self.history.prices_repeat),
            ("history.upkeep_every", self.history.upkeep_every),
        ];
        let others = [
            ("cache.lease", self.cache.lease),
            ("cache.keep_changes", self.cache.keep_changes),
            ("server.shutdown_grace", self.server.shutdown_grace),
            ("aggregation.frozen_after", aggregation.frozen_after),
            ("aggregation.max_future", aggregation.max_future),
            ("jump.span", self.jump.span),
            ("cross.max_skew", self.cross.max_skew),
            ("feed.stable_after", feed.stable_after),
            ("feed.penalty", feed.penalty),
            ("backfill.look_back", self.backfill.look_back),
            ("history.lateness", self.history.lateness),
            ("history.restatable", self.history.restatable),
            ("history.restore_within", self.history.restore_within),
        ];
        if let Some((key, _)) = positive.iter().find(|(_, span)| span.is_zero()) {
            return Err(wrong(key, "must be longer than zero"));
        }
        match positive.iter().chain(&others).find(|(_, span)| *span > LONGEST) {
            Some((key, _)) => Err(wrong(key, "must be at most 24h")),
            None => Ok(()),
        }
    }

    /// Checks that numbers are not below what makes sense.
    fn check_numbers(&self) -> Result<(), ConfigError> {
        let (aggregation, peg) = (&self.aggregation, &self.peg);
        let not_negative = [
            ("aggregation.max_spread_bps", aggregation.max_spread_bps),
            ("aggregation.outlier_mads", aggregation.outlier_mads),
            ("aggregation.outlier_floor_bps", aggregation.outlier_floor_bps),
            ("aggregation.max_dispersion_bps", aggregation.max_dispersion_bps),
            ("aggregation.frozen_move_bps", aggregation.frozen_move_bps),
            ("jump.threshold", self.jump.threshold),
            ("peg.pegged_bps", peg.pegged_bps),
        ];
        if let Some((key, _)) = not_negative.iter().find(|(_, number)| number.0 < Decimal::ZERO) {
            return Err(wrong(key, "must not be negative"));
        }
        let positive = [
            ("aggregation.min_sources", aggregation.min_sources == 0),
            ("aggregation.replay_min_sources", aggregation.replay_min_sources == 0),
            ("jump.sources", self.jump.sources == 0),
            ("jump.samples", self.jump.samples == 0),
            ("peg.anchors", peg.anchors == 0),
            ("feed.penalty_after", self.feed.penalty_after == 0),
            ("feed.max_connecting", self.feed.max_connecting == 0),
            ("feed.max_frame", self.feed.max_frame == 0),
            ("feed.queue", self.feed.queue == 0),
            ("cache.pool_size", self.cache.pool_size == 0),
            ("server.max_header", self.server.max_header == 0),
            ("server.max_message", self.server.max_message == 0),
            ("server.max_streams", self.server.max_streams == 0),
            ("streams.send_buffer", self.streams.send_buffer == 0),
            ("store.max_connections", self.store.max_connections == 0),
            ("store.max_bytes", self.store.max_bytes == 0),
            ("backfill.max_concurrent", self.backfill.max_concurrent == 0),
            ("history.batch", self.history.batch == 0),
            ("history.prune_batch", self.history.prune_batch == 0),
        ];
        match positive.iter().find(|(_, zero)| *zero) {
            Some((key, _)) => Err(wrong(key, "must be above 0")),
            None => Ok(()),
        }
    }
}

/// Tells whether a replica can have this name, or none.
fn is_name(text: &str) -> bool {
    text.is_empty() || keys::is_prefix(text)
}

/// Tells whether browsers can send this as their origin: a scheme and a host, and nothing after them.
fn is_origin(text: &str) -> bool {
    let host = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let plain = |c: char| c.is_ascii_graphic() && !"/?#@*,".contains(c);
    text == "*" || host.is_some_and(|host| !host.is_empty() && host.chars().all(plain))
}

fn wrong(key: &str, message: &str) -> ConfigError {
    ConfigError::Key { key: key.to_owned(), origin: None, message: message.to_owned() }
}
