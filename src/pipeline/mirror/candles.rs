//! Candles as they are mirrored: of each series those that form, and the last that were closed.
//!
//! The name of a series is `BTC-USD:kraken:1m`, without a venue for the composite. What forms lies under it, and changes
//! often; what was closed lies under `BTC-USD:kraken:1m:closed`. That is enough for who comes later: older ones are in the
//! store. A series that does not go on has nothing closed, in so many words.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use chrono::DateTime;

use super::bytes::{Sink, Source};
use crate::{
    domain::candle::{Candle, CandleMaker, CandleState, Ohlc},
    feed::venues,
    pipeline::candles::{
        hub::CandleHub,
        watch::{Said, Watch},
    },
    store::candles::Series,
};

/// What the name of what was closed ends with.
const CLOSED: &str = ":closed";

/// Closed candles of a series that are told again with each new one.
const KEPT: usize = 4;

/// Series that are told together at most. The others come next.
const AT_ONCE: usize = 450;

/// States by their numbers: what is added comes last.
const STATES: [CandleState; 4] =
    [CandleState::Forming, CandleState::Final, CandleState::Restated, CandleState::Gap];

/// What is told of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) struct Told {
    series: Series,
    /// Whether it is what was closed, or what forms.
    closed: bool,
    candles: Vec<Arc<Candle>>,
}

/// Takes candles from one hub, for another that shows them once they are mirrored.
#[derive(Debug)]
pub(super) struct CandleTap {
    from: CandleHub,
    to: CandleHub,
    watch: Watch,
    /// What was said and is not taken yet.
    waiting: Said,
    /// What was taken and is not shown yet.
    pending: Vec<Told>,
}

impl CandleTap {
    pub(super) fn new(from: CandleHub, to: CandleHub) -> Self {
        Self { watch: from.watch(), from, to, waiting: Said::new(), pending: Vec::new() }
    }

    /// Waits until there is something to take.
    pub(super) async fn changed(&self) {
        if self.waiting.is_empty() {
            self.watch.changed().await;
        }
    }

    /// Takes what was said, of some series, as it is mirrored.
    pub(super) fn news(&mut self) -> Vec<(String, Bytes)> {
        for (series, closed) in self.watch.take() {
            self.waiting.entry(series).or_default().extend(closed);
        }
        let taken = self.pending.len();
        for _ in 0..AT_ONCE {
            let Some((series, said)) = self.waiting.pop_first() else { break };
            let forming = self.from.forming(series);
            let recent = self.from.recent(series);
            let gone = forming.is_empty() && recent.is_empty();
            if gone || !said.is_empty() {
                self.take(series, said, recent);
            }
            self.pending.push(Told { series, closed: false, candles: forming });
        }
        self.pending.iter().skip(taken).map(Told::write).collect()
    }

    /// Takes everything there is.
    pub(super) fn everything(&mut self) -> Vec<(String, Bytes)> {
        self.waiting.clear();
        self.pending.clear();
        drop(self.watch.take());
        for series in self.from.series() {
            let recent = self.from.recent(series);
            if !recent.is_empty() {
                self.take(series, Vec::new(), recent);
            }
            self.pending.push(Told { series, closed: false, candles: self.from.forming(series) });
        }
        self.pending.iter().map(Told::write).collect()
    }

    /// Shows what was taken.
    pub(super) fn show(&mut self) {
        self.pending.drain(..).for_each(|told| told.tell(&self.to));
    }

    /// Shows what was taken as everything there is.
    pub(super) fn show_everything(&mut self) {
        tell_everything(&self.to, std::mem::take(&mut self.pending));
    }

    /// Takes what was closed: all that was said of late, and the last.
    fn take(&mut self, series: Series, said: Vec<Arc<Candle>>, recent: Vec<Arc<Candle>>) {
        // What was said last of a time is what holds.
        let closed: BTreeMap<_, _> = said
            .into_iter()
            .chain(recent.into_iter().rev().take(KEPT))
            .map(|candle| (candle.open_time, candle))
            .collect();
        self.pending.push(Told { series, closed: true, candles: closed.into_values().collect() });
    }
}

impl Told {
    /// Reads what is told under a name; nothing if it is not understood, or of a venue that is not known.
    pub(in crate::pipeline) fn read(name: &str, bytes: &[u8]) -> Option<Self> {
        let (name, closed) = match name.strip_suffix(CLOSED) {
            Some(name) => (name, true),
            None => (name, false),
        };
        let mut parts = name.split(':');
        let (pair, venue, interval) =
            (parts.next()?.parse().ok()?, parts.next()?, parts.next()?.parse().ok()?);
        let venue = match venue {
            "" => None,
            name => Some(venues::by_name(name)?.venue()),
        };
        let series = Series { pair, venue, interval };
        let (mut source, _) = Source::open(bytes)?;
        let candles = source.list(|source| read_candle(source, series).map(Arc::new))?;
        Some(Self { series, closed, candles })
    }

    /// Writes it, with its name.
    fn write(&self) -> (String, Bytes) {
        let Series { pair, venue, interval } = self.series;
        let venue = venue.map_or("", |venue| venue.as_str());
        let closed = if self.closed { CLOSED } else { "" };
        let first = self.candles.first().map_or(DateTime::UNIX_EPOCH, |candle| candle.open_time);
        let mut sink = Sink::at(first);
        sink.list(self.candles.iter(), |sink, candle| write_candle(sink, candle));
        (format!("{pair}:{venue}:{interval}{closed}"), sink.into_bytes())
    }

    /// Tells it where it is news: what was closed is not said again, nor formed again.
    pub(in crate::pipeline) fn tell(self, hub: &CandleHub) {
        if self.closed && self.candles.is_empty() {
            return hub.retain(|series| series != self.series);
        }
        let (recent, forming) = (hub.recent(self.series), hub.forming(self.series));
        let news = |candle: &Arc<Candle>| {
            let same = |known: &&Arc<Candle>| known.open_time == candle.open_time;
            match recent.iter().find(same) {
                Some(known) => self.closed && known.revision < candle.revision,
                None if self.closed => true,
                None => forming.iter().find(same).is_none_or(|known| known != candle),
            }
        };
        hub.publish(
            self.candles.iter().filter(|candle| news(candle)).map(|candle| Candle::clone(candle)).collect(),
        );
    }
}

/// Tells everything there is.
pub(in crate::pipeline) fn tell_everything(hub: &CandleHub, everything: Vec<Told>) {
    let told: BTreeSet<_> = everything.iter().map(|told| told.series).collect();
    hub.retain(|series| told.contains(&series));
    for told in everything {
        told.tell(hub);
    }
}

fn write_candle(sink: &mut Sink, candle: &Candle) {
    sink.time(candle.open_time);
    sink.number(candle.revision);
    let state = STATES.iter().position(|state| *state == candle.state);
    sink.count(state.unwrap_or(STATES.len()));
    sink.byte(match candle.maker {
        CandleMaker::Service => 0,
        CandleMaker::Venue => 1,
    });
    sink.optional(candle.prices, |sink, Ohlc { open, high, low, close }| {
        for price in [open, high, low, close] {
            sink.decimal(price);
        }
    });
    sink.decimal(candle.base_volume);
    sink.decimal(candle.quote_volume);
    sink.number(candle.trade_count);
    sink.number(candle.source_count);
    sink.decimal(candle.coverage);
}

fn read_candle(source: &mut Source<'_>, Series { pair, venue, interval }: Series) -> Option<Candle> {
    Some(Candle {
        pair,
        venue,
        interval,
        open_time: source.time()?,
        revision: source.number()?.try_into().ok()?,
        state: *STATES.get(source.count()?)?,
        maker: match source.byte()? {
            0 => CandleMaker::Service,
            1 => CandleMaker::Venue,
            _ => return None,
        },
        prices: source.optional(|source| {
            let (open, high) = (source.decimal()?, source.decimal()?);
            Some(Ohlc { open, high, low: source.decimal()?, close: source.decimal()? })
        })?,
        base_volume: source.decimal()?,
        quote_volume: source.decimal()?,
        trade_count: source.number()?,
        source_count: source.number()?.try_into().ok()?,
        coverage: source.decimal()?,
    })
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::*;
    use crate::pipeline::candles::sample::candle;

    /// Passes on what a tap gives, as whoever follows gets it.
    fn follow(hub: &CandleHub, states: &[(String, Bytes)]) {
        for (name, bytes) in states {
            Told::read(name, bytes).unwrap().tell(hub);
        }
    }

    /// What a hub knows of each series: what forms, and what was closed.
    fn known(hub: &CandleHub) -> BTreeMap<Series, [Vec<Arc<Candle>>; 2]> {
        let known = |series| (series, [hub.forming(series), hub.recent(series)]);
        hub.series().into_iter().map(known).collect()
    }

    #[test]
    fn candles_read_back_and_cut_ones_are_refused() {
        let full = Candle {
            revision: 3,
            state: CandleState::Restated,
            maker: CandleMaker::Venue,
            prices: Some(Ohlc {
                open: Decimal::new(12_345, 2),
                high: Decimal::MAX,
                low: Decimal::new(1, 28),
                close: Decimal::new(-5, 0),
            }),
            base_volume: Decimal::new(7, 8),
            quote_volume: Decimal::new(9, 1),
            trade_count: u64::MAX,
            source_count: 15,
            coverage: Decimal::new(5, 1),
            ..candle(1_700_000_000, CandleState::Final)
        };
        let kraken = vec![candle(1_699_999_999, CandleState::Gap), full];
        let all: Vec<_> = kraken.iter().map(|one| Candle { venue: None, ..one.clone() }).collect();
        for (candles, closed, name) in
            [(kraken, true, "BTC-USD:kraken:1s:closed"), (all, false, "BTC-USD::1s")]
        {
            let series = Series::of(&candles[0]);
            let told = Told { series, closed, candles: candles.into_iter().map(Arc::new).collect() };
            let (named, bytes) = told.write();
            assert_eq!((named.as_str(), Told::read(name, &bytes)), (name, Some(told)));
            for length in 0..bytes.len() {
                assert_eq!(Told::read(name, &bytes[..length]), None, "cut at {length}");
            }
        }
        for foreign in ["BTC-USD:a later version's:1s", "BTC-USD:kraken:2s", "BTC-USD", ""] {
            assert_eq!(Told::read(foreign, &[0, 0]), None, "{foreign}");
        }
    }

    #[test]
    fn who_follows_knows_what_the_leader_shows_and_nothing_is_said_twice() {
        let [own, public, early, late] = [(); 4].map(|()| CandleHub::new(None));
        own.publish(vec![candle(0, CandleState::Final), candle(1, CandleState::Forming)]);
        let mut tap = CandleTap::new(own.clone(), public.clone());
        follow(&early, &tap.everything());
        tap.show_everything();
        assert_eq!((known(&public), known(&early)), (known(&own), known(&own)));

        let series = Series::of(&candle(0, CandleState::Final));
        let heard = early.watch();
        for second in 1..9 {
            own.publish(vec![candle(second, CandleState::Final), candle(second + 1, CandleState::Forming)]);
            if second % 3 == 0 {
                follow(&early, &tap.news());
                assert_ne!(known(&public), known(&own), "nothing is shown before it is mirrored");
                tap.show();
                assert_eq!((known(&public), known(&early)), (known(&own), known(&own)));
            }
        }
        let restated = Candle { revision: 1, ..candle(5, CandleState::Restated) };
        own.publish(vec![restated.clone()]);
        follow(&early, &tap.news());
        follow(&late, &tap.everything());
        tap.show_everything();
        let seconds = |candles: &[Arc<Candle>]| -> Vec<_> {
            candles.iter().map(|candle| (candle.open_time.timestamp(), candle.revision)).collect()
        };
        let said = heard.take().remove(&series).unwrap();
        let expected: Vec<_> =
            [1, 2, 3, 4, 5, 6, 5, 7, 8].into_iter().zip([0, 0, 0, 0, 0, 0, 1, 0, 0]).collect();
        assert_eq!(seconds(&said), expected, "each once, those of one batch in order");
        assert_eq!(known(&early), known(&own));
        assert_eq!(late.forming(series), own.forming(series));
        assert_eq!(seconds(&late.recent(series)), [(5, 1), (6, 0), (7, 0), (8, 0)]);

        // Another one that leads has made something else of a candle that was closed: what was said holds.
        let other = Candle { trade_count: 9, ..candle(8, CandleState::Final) };
        Told { series, closed: true, candles: vec![Arc::new(other)] }.tell(&early);
        Told { series, closed: false, candles: vec![Arc::new(candle(8, CandleState::Forming))] }.tell(&early);
        assert_eq!(known(&early), known(&own));

        own.retain(|_| false);
        follow(&early, &tap.news());
        tap.show();
        assert_eq!((known(&public), known(&early)), Default::default(), "what does not go on is forgotten");
    }

    #[test]
    fn many_series_are_told_in_turn() {
        let [own, public] = [(); 2].map(|()| CandleHub::new(None));
        let mut tap = CandleTap::new(own.clone(), public.clone());
        let candles = |count: usize| {
            (0..count).map(|at| Candle {
                pair: format!("A{at}-USD").parse().unwrap(),
                ..candle(0, CandleState::Final)
            })
        };
        own.publish(candles(1_000).collect());
        for expected in [AT_ONCE, 2 * AT_ONCE, 1_000, 1_000] {
            assert!(tap.news().len() <= 2 * AT_ONCE);
            tap.show();
            assert_eq!(public.series().len(), expected);
        }
    }
}
