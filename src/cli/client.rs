//! The way to the server: its address, the connection, and the deadline of a call.

use std::{fmt, str::FromStr, time::Duration};

use http::Uri;
use tonic::{
    Request,
    transport::{Channel, ClientTlsConfig, Endpoint},
};

use super::failure::{self, Failure};
use crate::client::v1::{
    candle_service_client::CandleServiceClient, price_service_client::PriceServiceClient,
    source_service_client::SourceServiceClient,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// A stream may have nothing to say for long; a ping tells a quiet server from a dead one.
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// What every command that asks a server takes.
#[derive(Debug, clap::Args)]
pub struct ClientArgs {
    /// The server to ask
    #[arg(long, value_name = "URL", env = "CRYPTOPRICE_SERVER", default_value = "http://127.0.0.1:8080")]
    pub server: Address,
    /// Print the answer as JSON, as REST gives it
    #[arg(long)]
    pub json: bool,
}

/// The address of a server: `http://` or `https://`, a host, a port where it is not the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Uri);

/// Why a text is no address.
#[derive(Debug, thiserror::Error)]
#[error("expected http://HOST:PORT or https://HOST:PORT")]
pub struct AddressError;

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let uri: Uri = text.parse().map_err(|_| AddressError)?;
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        let bare = uri.path_and_query().is_none_or(|path| path == "/");
        if known && bare && uri.host().is_some_and(|host| !host.is_empty()) {
            Ok(Self(uri))
        } else {
            Err(AddressError)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.to_string().trim_end_matches('/'))
    }
}

/// A connection to a server.
pub(super) struct Client {
    address: Address,
    channel: Channel,
}

impl Client {
    /// Connects, or says why not.
    pub(super) async fn connect(address: &Address) -> Result<Self, Failure> {
        let unreachable = |error: tonic::transport::Error| Failure::Unreachable {
            address: address.clone(),
            cause: failure::root_cause(&error),
        };
        let endpoint = endpoint(&address.0).map_err(unreachable)?;
        let channel = endpoint.connect().await.map_err(unreachable)?;
        Ok(Self { address: address.clone(), channel })
    }

    /// The calls about prices.
    pub(super) fn prices(&self) -> PriceServiceClient<Channel> {
        PriceServiceClient::new(self.channel.clone())
    }

    /// The calls about candles.
    pub(super) fn candles(&self) -> CandleServiceClient<Channel> {
        CandleServiceClient::new(self.channel.clone())
    }

    /// The calls about sources.
    pub(super) fn sources(&self) -> SourceServiceClient<Channel> {
        SourceServiceClient::new(self.channel.clone())
    }

    /// Takes the message out of an answer.
    pub(super) fn answer<T>(&self, result: Result<tonic::Response<T>, tonic::Status>) -> Result<T, Failure> {
        match result {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(Failure::of_call(&self.address, status)),
        }
    }

    /// Takes a part out of an answer that the contract promises.
    pub(super) fn part<T>(&self, part: Option<T>, name: &'static str) -> Result<T, Failure> {
        part.ok_or_else(|| Failure::Incomplete { address: self.address.clone(), part: name })
    }
}

/// Wraps the message of a call that has one answer, which must come in time.
pub(super) fn timed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}

fn endpoint(uri: &Uri) -> Result<Endpoint, tonic::transport::Error> {
    let endpoint = Endpoint::from(uri.clone())
        .user_agent(concat!("cryptoprice/", env!("CARGO_PKG_VERSION")))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    if uri.scheme_str() == Some("https") {
        endpoint.tls_config(ClientTlsConfig::new().with_native_roots())
    } else {
        Ok(endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_scheme_and_a_host() {
        for (given, expected) in [
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("https://prices.example/", Some("https://prices.example")),
            ("http://[::1]:8080", Some("http://[::1]:8080")),
            ("127.0.0.1:8080", None),
            ("ftp://127.0.0.1", None),
            ("http://127.0.0.1/v1", None),
            ("http://", None),
            ("", None),
        ] {
            let shown = given.parse::<Address>().ok().map(|address| address.to_string());
            assert_eq!(shown.as_deref(), expected, "{given}");
        }
    }

    #[tokio::test]
    async fn a_closed_port_is_told_with_its_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address: Address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        drop(listener);
        let failure = Client::connect(&address).await.err().unwrap();
        assert_eq!(failure.exit_code(), 3);
        assert_eq!(
            failure.to_string(),
            format!("no answer from {address}: Connection refused (os error 111)")
        );
    }
}
