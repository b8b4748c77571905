//! Makes connections for the pool, and judges them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bb8_redis::{RedisConnectionManager, bb8::ManageConnection};
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, RedisError,
    ServerErrorKind, aio::MultiplexedConnection,
};
use tokio::time::{Instant, timeout};

use super::{
    CacheError,
    gate::{Failures, Gate},
};

/// A connection on which nothing was said for this long is tried before it is used.
const TRUSTED_FOR: Duration = Duration::from_secs(15);

/// Makes connections.
#[derive(Debug, Clone)]
pub(super) struct Manager {
    /// Makes connections, within our own times.
    client: Client,
    /// Tries whether they are good.
    inner: RedisConnectionManager,
    connect_timeout: Duration,
    gate: Gate,
    /// Rises when a connection is lost: those from before may be lost too.
    losses: Arc<AtomicU64>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) inner: MultiplexedConnection,
    /// Whether it must not be used again.
    pub(super) broken: bool,
    answered: Instant,
    /// How many losses there had been when it was known to be good.
    good_at: u64,
    losses: Arc<AtomicU64>,
}

/// Reads an address.
pub(super) fn understand(url: &str) -> Result<ConnectionInfo, CacheError> {
    url.into_connection_info().map_err(|error| {
        let reason = error.to_string();
        // What cannot be read as an address may be a password all the same.
        CacheError::Address(reason.split(" - ").next().unwrap_or_default().to_lowercase())
    })
}

impl Manager {
    pub(super) fn new(url: &str, connect_timeout: Duration) -> Result<Self, CacheError> {
        let refused = |error: RedisError| CacheError::Address(error.to_string());
        let info = understand(url)?;
        // Else the end of a large write waits until its beginning is acknowledged, which may take 40 ms.
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let info = info.set_tcp_settings(tcp);
        let client = Client::open(info.clone()).map_err(refused)?;
        let inner = RedisConnectionManager::new(info).map_err(refused)?;
        Ok(Self { client, inner, connect_timeout, gate: Gate::new(), losses: Arc::default() })
    }

    /// Listens for connections that cannot be made.
    pub(super) fn failures(&self) -> Failures {
        self.gate.failures()
    }

    /// Turns an error of the library into ours, and notes what it says about other connections.
    pub(super) fn judge(&self, error: &RedisError) -> CacheError {
        match error.kind() {
            ErrorKind::Io => {
                self.losses.fetch_add(1, Ordering::Relaxed);
                CacheError::Unavailable(error.to_string())
            }
            // One that only reads is not the one that was meant, or is so no longer: another connection may find it.
            ErrorKind::Server(
                ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown | ServerErrorKind::ReadOnly,
            ) => CacheError::Unavailable(error.to_string()),
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => CacheError::Foreign(error.to_string()),
            _ => CacheError::Refused(error.to_string()),
        }
    }

    async fn try_connect(&self) -> Result<MultiplexedConnection, RedisError> {
        // Both limits are ours: the library's own are shorter or longer than what is configured.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connect = self.client.get_multiplexed_async_connection_with_config(&config);
        timeout(self.connect_timeout, connect).await.unwrap_or_else(|_| {
            let message = format!("no connection within {:?}", self.connect_timeout);
            Err(std::io::Error::new(std::io::ErrorKind::TimedOut, message).into())
        })
    }
}

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = CacheError;

    async fn connect(&self) -> Result<Connection, CacheError> {
        self.gate.pass().inspect_err(|_| self.gate.repeat())?;
        let good_at = self.losses.load(Ordering::Relaxed);
        match self.try_connect().await {
            Ok(inner) => {
                self.gate.succeeded();
                let (answered, losses) = (Instant::now(), Arc::clone(&self.losses));
                Ok(Connection { inner, broken: false, answered, good_at, losses })
            }
            Err(error) => {
                let error = self.judge(&error);
                self.gate.failed(error.clone());
                Err(error)
            }
        }
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), CacheError> {
        let losses = self.losses.load(Ordering::Relaxed);
        if connection.good_at == losses && connection.answered.elapsed() < TRUSTED_FOR {
            return Ok(());
        }
        self.inner.is_valid(&mut connection.inner).await.map_err(|error| self.judge(&error))?;
        connection.good_at = losses;
        connection.answered = Instant::now();
        Ok(())
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.broken
    }
}

impl Connection {
    /// Notes that it has answered.
    pub(super) fn answered(&mut self) {
        self.broken = false;
        self.answered = Instant::now();
        self.good_at = self.losses.load(Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood_and_what_is_not_is_not_shown() {
        for good in [
            "redis://localhost",
            "redis://user:secret@10.0.0.1:6380/2",
            "rediss://user:s%40cret@redis.example:6380",
            "unix:///run/redis.sock",
        ] {
            assert!(understand(good).is_ok(), "{good}");
        }
        for bad in ["", "secret", "http://user:secret@host", "redis://host:port:secret", "redis://h/secret"] {
            let error = understand(bad).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{bad}: {error}");
            assert!(error.starts_with("the address of Redis is not understood: "), "{error}");
        }
    }
}
