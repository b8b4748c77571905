//! Finds the address of a venue and opens a WebSocket to it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, HeaderValue, Uri, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{self, client::IntoClientRequest, protocol::WebSocketConfig},
};

use crate::{
    clock::Clock,
    feed::{causes::with_causes, refusal::Refusal, venue::Endpoint},
};

/// How long a connection may take to stand, the question for its address included.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// Some venues refuse callers without a name.
pub(in crate::feed) const USER_AGENT: &str = concat!("cryptoprice/", env!("CARGO_PKG_VERSION"));

/// Bytes of a REST answer at most.
const MAX_ANSWER: usize = 64 << 10;

/// The shortest interval between pings that a venue may ask for.
const MIN_PING: Duration = Duration::from_secs(1);

/// A connection that stands.
pub(super) struct Opened {
    pub(super) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The WebSocket's address, without what may be secret in it.
    pub(super) address: String,
    /// How often to ping, where the venue said so with the address.
    pub(super) ping_every: Option<Duration>,
    /// What the venue's clock showed when it answered, in whole seconds.
    pub(super) date: Option<DateTime<Utc>>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("no connection within {CONNECT_WITHIN:?}")]
    Timeout,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Socket(Box<tungstenite::Error>),
    #[error("cannot ask for the address: {}", with_causes(.0))]
    Rest(reqwest::Error),
    #[error("the answer with the address is not understood: {0}")]
    Answer(String),
}

/// Where to connect, once it is known.
struct Address {
    url: String,
    ping_every: Option<Duration>,
}

#[derive(Deserialize)]
struct Answer {
    data: Option<Bullet>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bullet {
    token: String,
    instance_servers: Vec<Server>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Server {
    endpoint: String,
    ping_interval: Option<u64>,
}

impl ConnectError {
    /// Gets the wait that the venue asked for, or that it would be wise to keep.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.refusal().and_then(Refusal::retry_after)
    }

    /// Tells whether trying again is of no use: the venue does not want us, or not from where we are.
    pub(super) fn is_final(&self) -> bool {
        self.refusal().is_some_and(Refusal::is_final)
    }

    fn of(error: tungstenite::Error, clock: &Clock) -> Self {
        match error {
            tungstenite::Error::Http(response) => {
                Refusal::new(response.status(), response.headers(), clock.now()).into()
            }
            other => Self::Socket(Box::new(other)),
        }
    }

    fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal) => Some(*refusal),
            _ => None,
        }
    }
}

impl From<reqwest::Error> for ConnectError {
    /// Leaves the address out, which may hold a token: callers read a source's last error.
    fn from(error: reqwest::Error) -> Self {
        Self::Rest(error.without_url())
    }
}

/// Opens a connection. Another address takes the place of the venue's: a WebSocket's, or (`http…`) one that is
/// asked for a WebSocket's.
pub(super) async fn open(
    endpoint: Endpoint,
    url_override: Option<&str>,
    max_frame: usize,
    clock: &Clock,
) -> Result<Opened, ConnectError> {
    // Fails where the program has chosen a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let opening = async {
        let address = match (endpoint, url_override) {
            (_, Some(url)) if url.starts_with("http") => ask(url, clock).await?,
            (_, Some(url)) | (Endpoint::Socket(url), None) => {
                Address { url: url.to_owned(), ping_every: None }
            }
            (Endpoint::Bullet(url), None) => ask(url, clock).await?,
        };
        let request = address.url.into_client_request();
        let mut request = request.map_err(|error| ConnectError::of(error, clock))?;
        let shown = without_secrets(request.uri());
        let name = HeaderValue::from_static(USER_AGENT);
        request.headers_mut().insert(header::USER_AGENT, name);
        let limits =
            WebSocketConfig::default().max_message_size(Some(max_frame)).max_frame_size(Some(max_frame));
        let connected = connect_async_with_config(request, Some(limits), true).await;
        let (socket, answer) = connected.map_err(|error| ConnectError::of(error, clock))?;
        let date = date(answer.headers());
        Ok(Opened { socket, address: shown, ping_every: address.ping_every, date })
    };
    timeout(CONNECT_WITHIN, opening).await.unwrap_or(Err(ConnectError::Timeout))
}

/// Reads when an answer was made.
fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    httpdate::parse_http_date(date).ok().map(DateTime::from)
}

/// Tells how far a clock is behind ours at least that showed a date, in whole seconds, after a moment of ours; `None` if it
/// may be right.
pub(super) fn behind(date: DateTime<Utc>, asked: DateTime<Utc>) -> Option<TimeDelta> {
    let latest = date.checked_add_signed(TimeDelta::seconds(1))?;
    (asked > latest).then(|| asked - latest)
}

/// Writes an address without credentials and without a query, which may hold a token.
fn without_secrets(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("ws");
    let host = uri.host().unwrap_or_default();
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{host}{port}{}", uri.path())
}

/// Asks for a WebSocket's address and token.
async fn ask(url: &str, clock: &Clock) -> Result<Address, ConnectError> {
    let client = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let mut response = client.post(url).send().await?;
    if !response.status().is_success() {
        return Err(Refusal::new(response.status(), response.headers(), clock.now()).into());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err(ConnectError::Answer(format!("more than {MAX_ANSWER} bytes")));
        }
    }
    address(&body)
}

/// Reads the answer: a token and servers, of which the first is taken.
fn address(body: &[u8]) -> Result<Address, ConnectError> {
    let answer: Answer = serde_json::from_slice(body).map_err(|e| ConnectError::Answer(e.to_string()))?;
    let no_server = || ConnectError::Answer("no server".to_owned());
    let bullet = answer.data.ok_or_else(no_server)?;
    let server = bullet.instance_servers.into_iter().next().ok_or_else(no_server)?;
    let token = utf8_percent_encode(&bullet.token, NON_ALPHANUMERIC);
    Ok(Address {
        url: format!("{}?token={token}", server.endpoint),
        ping_every: server.ping_interval.map(|millis| Duration::from_millis(millis).max(MIN_PING)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_server_is_taken_with_the_token() {
        let body = br#"{"code":"200000","data":{"token":"2ne/a+b==","instanceServers":[{"endpoint":"wss://a.example/endpoint","encrypt":true,"protocol":"websocket","pingInterval":18000,"pingTimeout":10000},{"endpoint":"wss://b.example/"}]}}"#;
        let address = address(body).unwrap();
        assert_eq!(address.url, "wss://a.example/endpoint?token=2ne%2Fa%2Bb%3D%3D");
        assert_eq!(address.ping_every, Some(Duration::from_secs(18)));
    }

    #[test]
    fn an_address_is_shown_without_secrets() {
        for (given, expected) in [
            ("wss://ws.kraken.com/v2", "wss://ws.kraken.com/v2"),
            ("wss://user:secret@proxy.example:8443/a/b?token=secret", "wss://proxy.example:8443/a/b"),
            ("ws://127.0.0.1:1234", "ws://127.0.0.1:1234/"),
            ("ws://[::1]:1234/x", "ws://[::1]:1234/x"),
        ] {
            assert_eq!(without_secrets(&given.parse().unwrap()), expected);
        }
    }

    #[test]
    fn a_clock_is_behind_as_far_as_its_date_proves() {
        let mut headers = HeaderMap::new();
        assert_eq!(date(&headers), None);
        headers.insert(header::DATE, HeaderValue::from_static("yesterday"));
        assert_eq!(date(&headers), None);
        headers.insert(header::DATE, HeaderValue::from_static("Tue, 14 Nov 2023 22:13:20 GMT"));
        let shown = date(&headers).unwrap();
        assert_eq!(shown.timestamp(), 1_700_000_000);
        for (asked_after, expected) in [(-5_000, None), (0, None), (1_000, None), (91_500, Some(90_500))] {
            let asked = shown + TimeDelta::milliseconds(asked_after);
            assert_eq!(behind(shown, asked).map(|by| by.num_milliseconds()), expected, "{asked_after}");
        }
    }

    #[test]
    fn an_answer_without_a_server_is_an_error() {
        for body in [
            "",
            "<html>",
            "{}",
            r#"{"code":"400100","msg":"busy"}"#,
            r#"{"data":{"token":"t","instanceServers":[]}}"#,
        ] {
            assert!(matches!(address(body.as_bytes()), Err(ConnectError::Answer(_))), "{body}");
        }
    }
}
