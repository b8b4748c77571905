//! What a venue is asked over REST, and what its answers say.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound as _, Utc};
use tokio::time::Instant;

use crate::{
    domain::pair::Pair,
    feed::{
        delivery::DeliveryKind,
        event::{Event, Ticker, TradeReport},
        pulses::Missed,
        rest::{Instrument, InstrumentState, Query, Reach, RestClient, RestError},
        socket::Contact,
        translate::Translator,
        venue::ParseError,
    },
};

/// Something to ask.
#[derive(Debug)]
pub(super) enum Question {
    /// Which markets there are.
    Instruments,
    /// Whether a market is traded.
    State { market: Pair, query: Query },
    /// How some markets stand.
    Tickers { markets: Vec<(Pair, String)>, asked: Instant },
    /// How much was traded on a market in a day.
    Volume { market: Pair, symbol: String },
    /// What was traded.
    Trades { missed: Missed, symbol: String },
}

/// What was answered.
#[derive(Debug)]
pub(super) enum Answer {
    Instruments(Result<Vec<Instrument>, RestError>),
    State { market: Pair, outcome: Result<InstrumentState, RestError> },
    Tickers { markets: Vec<Pair>, asked: Instant, outcome: Result<Vec<DeliveryKind>, RestError> },
    Volume { market: Pair, outcome: Result<DeliveryKind, RestError> },
    Trades { missed: Missed, outcome: Result<Page, RestError> },
}

/// Trades that were missed, and what of them is missing yet.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) trades: Vec<DeliveryKind>,
    pub(super) left: Left,
}

/// What of the trades that were missed is missing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// As far as the venue tells, nothing.
    Nothing,
    /// Those after this time, which the venue tells when it is asked again.
    After(DateTime<Utc>),
    /// Those between these times, which the venue does not tell.
    Untold { from: DateTime<Utc>, to: DateTime<Utc> },
}

impl Question {
    /// Asks, when the budget has room.
    pub(super) async fn ask(self, contact: Arc<Contact>, client: Arc<RestClient>) -> Answer {
        match self {
            Self::Instruments => Answer::Instruments(instruments(&client).await),
            Self::State { market, query } => Answer::State { market, outcome: state(&client, query).await },
            Self::Tickers { markets, asked } => {
                let outcome = tickers(&contact, &client, &markets).await;
                Answer::Tickers {
                    markets: markets.into_iter().map(|(market, _)| market).collect(),
                    asked,
                    outcome,
                }
            }
            Self::Volume { market, symbol } => {
                Answer::Volume { market, outcome: volume(&contact, &client, market, &symbol).await }
            }
            Self::Trades { missed, symbol } => {
                Answer::Trades { missed, outcome: trades(&contact, &client, missed, &symbol).await }
            }
        }
    }
}

async fn instruments(client: &RestClient) -> Result<Vec<Instrument>, RestError> {
    let body = client.ask(client.rest().instruments()).await?;
    let instruments = client.rest().read_instruments(&body)?;
    // No venue closes all of its markets at once: this one does not know what it says.
    if instruments.is_empty() {
        return Err(ParseError::value("list of markets", "empty").into());
    }
    Ok(instruments)
}

async fn state(client: &RestClient, query: Query) -> Result<InstrumentState, RestError> {
    let body = client.ask(query).await?;
    Ok(client.rest().read_state(&body)?)
}

/// Asks how some markets stand: an answer tells what holds now, whenever the venue says that it last changed.
async fn tickers(
    contact: &Contact,
    client: &RestClient,
    markets: &[(Pair, String)],
) -> Result<Vec<DeliveryKind>, RestError> {
    let rest = client.rest();
    let symbols: Vec<&str> = markets.iter().map(|(_, symbol)| symbol.as_str()).collect();
    let books = match rest.books(&symbols) {
        Some(query) => Some(client.ask(query).await?),
        None => None,
    };
    let body;
    let tickers = match (&symbols[..], rest.tickers(&symbols)) {
        ([symbol], _) => {
            body = client.ask(rest.ticker(symbol)).await?;
            vec![rest.read_ticker(symbol, &body)?]
        }
        (_, Some(query)) => {
            body = client.ask(query).await?;
            rest.read_tickers(&symbols, &body)?
        }
        (_, None) => Vec::new(),
    };
    let now = contact.outlet.clock.now();
    let mut translator = translator(contact, markets);
    let told = tickers.into_iter().map(|ticker| {
        let book = match &books {
            Some(books) => Some(rest.read_book(ticker.symbol, books)?),
            None => ticker.book,
        };
        let ticker = Ticker { book, time: None, ..ticker };
        Ok(translator.translate(&Event::Ticker(ticker), now)?)
    });
    told.collect()
}

/// Asks for a volume, and tells of nothing else: the price beside it is older than what the stream says.
async fn volume(
    contact: &Contact,
    client: &RestClient,
    market: Pair,
    symbol: &str,
) -> Result<DeliveryKind, RestError> {
    let body = client.ask(client.rest().volume(symbol)).await?;
    let Ticker { last, base_volume_24h, quote_volume_24h, .. } = client.rest().read_volume(symbol, &body)?;
    let base_volume = base_volume_24h.zip(last).and_then(|(volume, price)| volume.checked_mul(price));
    let quote_volume_24h = quote_volume_24h.or(base_volume);
    if quote_volume_24h.is_none() {
        return Err(ParseError::value("volume", "absent").into());
    }
    let ticker = Ticker { symbol, quote_volume_24h, ..Ticker::default() };
    let now = contact.outlet.clock.now();
    let mut translator = translator(contact, &[(market, symbol.to_owned())]);
    Ok(translator.translate(&Event::Ticker(ticker), now)?)
}

/// Asks for the trades that were missed; all of them are past.
async fn trades(
    contact: &Contact,
    client: &RestClient,
    missed: Missed,
    symbol: &str,
) -> Result<Page, RestError> {
    let Missed { market, since, .. } = missed;
    let body = client.ask(client.rest().trades(symbol, since)).await?;
    let now = contact.outlet.clock.now();
    let mut translator = translator(contact, &[(market, symbol.to_owned())]);
    let reports = client.rest().read_trades(symbol, &body)?;
    let left = left(client.rest().reach(), missed, &reports, now);
    // Some venues tell times by the second over REST, and finer over the stream.
    let since = since.trunc_subsecs(0);
    let reports = reports.into_iter().filter(|report| report.time >= since);
    let trades = reports.map(|report| {
        let past = TradeReport { snapshot: true, ..report };
        Ok(translator.translate(&Event::Trade(past), now)?)
    });
    Ok(Page { trades: trades.collect::<Result<_, RestError>>()?, left })
}

/// Tells what an answer, in the order in which it happened, has not told of what was missed.
fn left(reach: Reach, missed: Missed, trades: &[TradeReport<'_>], now: DateTime<Utc>) -> Left {
    let from = missed.since;
    let untold = |to: DateTime<Utc>| if to > from { Left::Untold { from, to } } else { Left::Nothing };
    let ends = trades.first().zip(trades.last()).map(|(first, last)| (first.time, last.time));
    match (reach, ends) {
        (Reach::Oldest(full), Some((_, last))) if trades.len() >= full && !missed.is_closed_by(last) => {
            // More at one moment than an answer has: there is no way past them.
            if last > from { Left::After(last) } else { untold(missed.until) }
        }
        (Reach::Newest(full), Some((first, _))) if trades.len() >= full => untold(first),
        (Reach::Within(span), _) => now.checked_sub_signed(span).map_or(Left::Nothing, untold),
        _ => Left::Nothing,
    }
}

/// Translates an answer as what was asked for, which a symbol alone may not tell.
fn translator(contact: &Contact, markets: &[(Pair, String)]) -> Translator {
    let asked = markets.iter().map(|(market, symbol)| (symbol.clone(), *market));
    Translator::new(contact.protocol).asking_for(asked)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::trade::Side;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
    }

    #[test]
    fn an_answer_says_whether_it_closes_the_hole() {
        let (oldest, newest) = (Reach::Oldest(3), Reach::Newest(3));
        let day = Reach::Within(TimeDelta::seconds(86_400));
        let untold = |to| Left::Untold { from: at(10), to: at(to) };
        // Missed from 10 to 100, and asked for at 120.
        for (reach, told, expected) in [
            (oldest, &[] as &[i64], Left::Nothing),
            (oldest, &[10, 11], Left::Nothing),
            (oldest, &[10, 11, 12], Left::After(at(12))),
            // The clocks may differ by some seconds.
            (oldest, &[10, 11, 104], Left::After(at(104))),
            (oldest, &[10, 11, 105], Left::Nothing),
            (oldest, &[10, 10, 10], untold(100)),
            (newest, &[], Left::Nothing),
            (newest, &[50, 60], Left::Nothing),
            (newest, &[10, 60, 70], Left::Nothing),
            (newest, &[9, 60, 70], Left::Nothing),
            (newest, &[50, 60, 70], untold(50)),
            (day, &[50, 60, 70], Left::Nothing),
            (Reach::Within(TimeDelta::seconds(100)), &[50, 60, 70], untold(20)),
        ] {
            let report = |second: &i64| TradeReport {
                symbol: "A",
                id: None,
                count: 1,
                price: 1.into(),
                amount: 1.into(),
                side: Side::Buy,
                time: at(*second),
                snapshot: true,
            };
            let trades: Vec<_> = told.iter().map(report).collect();
            let missed = Missed::between(Pair::literal("BTC", "USD"), at(10), at(100));
            assert_eq!(left(reach, missed, &trades, at(120)), expected, "{reach:?} {told:?}");
        }
    }
}
