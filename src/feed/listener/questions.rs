//! What a venue is asked over REST, and what its answers say.

use std::sync::Arc;

use chrono::SubsecRound as _;
use tokio::time::Instant;

use crate::{
    domain::pair::Pair,
    feed::{
        delivery::DeliveryKind,
        event::{Event, Ticker, TradeReport},
        pulses::Missed,
        rest::{Instrument, InstrumentState, Query, RestClient, RestError},
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
    /// How a market stands.
    Ticker { market: Pair, symbol: String, asked: Instant },
    /// What was traded.
    Trades { missed: Missed, symbol: String },
}

/// What was answered.
#[derive(Debug)]
pub(super) enum Answer {
    Instruments(Result<Vec<Instrument>, RestError>),
    State { market: Pair, outcome: Result<InstrumentState, RestError> },
    Ticker { market: Pair, asked: Instant, outcome: Result<DeliveryKind, RestError> },
    Trades { missed: Missed, outcome: Result<Vec<DeliveryKind>, RestError> },
}

impl Question {
    /// Asks, when the budget has room.
    pub(super) async fn ask(self, contact: Arc<Contact>, client: Arc<RestClient>) -> Answer {
        match self {
            Self::Instruments => Answer::Instruments(instruments(&client).await),
            Self::State { market, query } => Answer::State { market, outcome: state(&client, query).await },
            Self::Ticker { market, symbol, asked } => {
                Answer::Ticker { market, asked, outcome: ticker(&contact, &client, market, &symbol).await }
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

/// Asks how a market stands: an answer tells what holds now, whenever the venue says that it last changed.
async fn ticker(
    contact: &Contact,
    client: &RestClient,
    market: Pair,
    symbol: &str,
) -> Result<DeliveryKind, RestError> {
    let body = client.ask(client.rest().ticker(symbol)).await?;
    let ticker = Ticker { time: None, ..client.rest().read_ticker(symbol, &body)? };
    let now = contact.outlet.clock.now();
    Ok(translator(contact, market, symbol).translate(&Event::Ticker(ticker), now)?)
}

/// Asks for the trades that were missed; all of them are past.
async fn trades(
    contact: &Contact,
    client: &RestClient,
    missed: Missed,
    symbol: &str,
) -> Result<Vec<DeliveryKind>, RestError> {
    let Missed { market, since, .. } = missed;
    let body = client.ask(client.rest().trades(symbol, since)).await?;
    let (mut translator, now) = (translator(contact, market, symbol), contact.outlet.clock.now());
    let reports = client.rest().read_trades(symbol, &body)?.into_iter();
    // Some venues tell times by the second over REST, and finer over the stream.
    let since = since.trunc_subsecs(0);
    let missed = reports.filter(|report| report.time >= since).map(|report| {
        let past = TradeReport { snapshot: true, ..report };
        Ok(translator.translate(&Event::Trade(past), now)?)
    });
    missed.collect()
}

/// Translates an answer as what was asked for, which a symbol alone may not tell.
fn translator(contact: &Contact, market: Pair, symbol: &str) -> Translator {
    Translator::new(contact.protocol).asking_for([(symbol.to_owned(), market)])
}
