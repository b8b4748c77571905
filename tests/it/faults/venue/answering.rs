//! What a venue is asked over REST, and for a WebSocket.

use std::time::Instant;

use super::{
    super::{counter::Asked, tongue::Tongue},
    Answer, Shared,
};

/// The header of most answers.
const JSON: &str = "content-type: application/json\r\n";

/// The token of the one venue that gives one with its address.
const TOKEN: &str = "2neAiuYvAU61ZDXANAGAsiL4";

impl Shared {
    /// Tells whether a WebSocket may be asked for at this place.
    pub(in super::super) fn admits(&self, target: &str) -> bool {
        self.tongue != Tongue::KuCoin || target == format!("/endpoint?token={TOKEN}")
    }

    /// Gives an address and a token, where they are asked for first.
    fn bullet(&self) -> String {
        let address = self.address;
        format!(
            r#"{{"code":"200000","data":{{"token":"{TOKEN}","instanceServers":[{{"endpoint":"ws://{address}/endpoint","encrypt":false,"protocol":"websocket","pingInterval":1000,"pingTimeout":10000}}]}}}}"#
        )
    }

    /// Answers a question.
    pub(in super::super) fn answer(&self, method: &str, target: &str) -> Answer {
        let mut state = self.state();
        if self.tongue == Tongue::KuCoin && (method, target) == ("POST", "/api/v1/bullet-public") {
            return (200, JSON, self.bullet());
        }
        if method != "GET" {
            return (405, "", String::new());
        }
        state.questions.push((Instant::now(), target.to_owned()));
        if let Some(answer) = &state.rest_instead {
            return answer.clone();
        }
        let now = state.clock();
        let quotes = |markets: &[&'static str]| -> Vec<_> {
            markets.iter().filter_map(|market| Some((*market, state.quotes.get(market)?.0))).collect()
        };
        let body = match self.tongue.asked(target, &self.markets) {
            Some(Asked::Markets) => {
                let listed = self.markets.iter().filter(|market| !state.unlisted.contains(*market));
                let listed: Vec<_> =
                    listed.map(|market| (*market, !state.suspended.contains(market))).collect();
                self.tongue.listing(&listed)
            }
            Some(Asked::State(market)) => self.tongue.state(!state.suspended.contains(market)),
            Some(Asked::Quotes(markets)) if !quotes(&markets).is_empty() => {
                self.tongue.stand(&quotes(&markets), now)
            }
            Some(Asked::Books(markets)) => self.tongue.books(&quotes(&markets), now),
            Some(Asked::Deals(market)) => {
                self.tongue.dealt(market, state.deals.get(market).map_or(&[], Vec::as_slice))
            }
            Some(Asked::Quotes(_)) | None => return (404, "", "{}".to_owned()),
        };
        (200, JSON, body)
    }
}
