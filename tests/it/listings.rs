//! Recordings begin with what was asked over REST first: the list of markets. Each is read by its venue's own reader, and
//! is held against the same list read as plain JSON: no market is missing, each is in the state that the venue tells,
//! and its symbol names its assets to the WebSocket's half too.

use std::collections::BTreeMap;

use cryptoprice::feed::{
    recording::{RecordKind, Recording},
    rest::{Instrument, InstrumentState},
};
use serde_json::Value;

use crate::data;

/// A recorded list.
struct Row {
    /// The recording.
    exchange: &'static str,
    /// How the address ends that was asked.
    address: &'static str,
    /// Where in the answer the list is.
    list: &'static str,
    /// What a market's symbol is called, where it is not the element itself.
    symbol: &'static str,
    /// What tells whether it is traded, and what it is then.
    trading: Option<(&'static str, Word)>,
}

/// The venue's word for traded.
enum Word {
    Yes,
    Text(&'static str),
}

const ROWS: &[Row] = &[
    Row {
        exchange: "BITFINEX",
        address: "/conf/pub:list:pair:exchange",
        list: "/0",
        symbol: "",
        trading: None,
    },
    Row {
        exchange: "KUCOIN",
        address: "/api/v1/symbols",
        list: "/data",
        symbol: "symbol",
        trading: Some(("enableTrading", Word::Yes)),
    },
    Row {
        exchange: "GATEIO",
        address: "/spot/currency_pairs",
        list: "",
        symbol: "id",
        trading: Some(("trade_status", Word::Text("tradable"))),
    },
    Row {
        exchange: "CRYPTO.COM",
        address: "/public/get-instruments",
        list: "/result/instruments",
        symbol: "instrument_name",
        trading: None,
    },
    Row {
        exchange: "HUOBI",
        address: "/v1/common/symbols",
        list: "/data",
        symbol: "symbol",
        trading: Some(("state", Word::Text("online"))),
    },
    Row { exchange: "UPBIT", address: "/market/all", list: "", symbol: "market", trading: None },
];

#[test]
fn recorded_lists_of_markets_are_read_whole() {
    let Some(folder) = data::folder("recorded_lists_of_markets_are_read_whole") else {
        return;
    };
    for row in ROWS {
        let recording = Recording::open(folder.join(format!("replay/{}.jsonl.zst", row.exchange))).unwrap();
        let protocol = recording.protocol();
        let body = recording.map(Result::unwrap).find_map(|record| match record.kind {
            RecordKind::Http { url, body } if url.ends_with(row.address) => Some(body),
            _ => None,
        });
        let body = body.unwrap_or_else(|| panic!("{} has no list", row.exchange));
        let read = protocol.rest().unwrap().read_instruments(&body).unwrap();
        for Instrument { symbol, market, .. } in &read {
            assert_eq!(protocol.market(symbol).as_ref(), Ok(market), "{}: {symbol}", row.exchange);
        }
        let read: BTreeMap<String, bool> = read
            .into_iter()
            .map(|instrument| (instrument.symbol, instrument.state == InstrumentState::Trading))
            .collect();
        assert_eq!(read, row.expected(&body), "{}", row.exchange);
    }
}

impl Row {
    /// Reads the list as plain JSON: which symbols there are, and which of them are traded.
    fn expected(&self, body: &str) -> BTreeMap<String, bool> {
        let body: Value = serde_json::from_str(body).unwrap();
        let markets = body.pointer(self.list).unwrap().as_array().unwrap().iter();
        let markets = markets.map(|market| match market {
            Value::String(name) => (format!("t{name}"), true),
            market => {
                let trading = self.trading.as_ref().is_none_or(|(field, word)| match word {
                    Word::Yes => market[field] == true,
                    Word::Text(word) => market[field] == *word,
                });
                (market[self.symbol].as_str().unwrap().to_owned(), trading)
            }
        });
        markets.collect()
    }
}
