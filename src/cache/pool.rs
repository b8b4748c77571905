//! Connections to Redis: made when they are needed, tried before they are trusted, never waited for without an end.
//!
//! Every command has a time within which it is answered, or else its connection is dropped. While Redis cannot be
//! reached, callers are told so at once, and only now and then one of them finds out whether it has
//! come back.

mod gate;
mod line;
mod manager;
mod place;

use std::{pin::pin, sync::Arc, time::Duration};

use bb8_redis::bb8;
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, Script, ServerErrorKind, Value};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, timeout};

use self::manager::{Connection, Manager};
pub use self::{
    line::Line,
    place::{Place, place},
};
use super::{CacheError, metrics::Measures};

/// Where Redis is, and how it is used.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Its address: `redis://`, `rediss://` for TLS, or `unix://`, with user and password where it wants them.
    pub url: SecretString,
    /// Connections at most.
    pub size: u32,
    /// How long a connection may take to be made, or to become free.
    pub connect_timeout: Duration,
    /// How long a command may take.
    pub command_timeout: Duration,
}

/// A pool of connections. Clones share it.
#[derive(Debug, Clone)]
pub struct Pool {
    connections: bb8::Pool<Manager>,
    manager: Manager,
    connect_timeout: Duration,
    command_timeout: Duration,
    measures: Arc<Measures>,
}

/// Tells whether an address is one of Redis; the reason does not show it.
pub fn check_address(url: &str) -> Result<(), CacheError> {
    manager::understand(url).map(|_| ())
}

impl Pool {
    /// Makes a pool. No connection is made before there is a use for one, so Redis need not be there yet.
    ///
    /// # Panics
    /// Outside of a tokio runtime, and with a size or a time of zero.
    pub fn new(options: &PoolOptions) -> Result<Self, CacheError> {
        let manager = Manager::new(options.url.expose_secret(), options.connect_timeout)?;
        let connections = bb8::Pool::builder()
            .max_size(options.size)
            .min_idle(None)
            .test_on_check_out(true)
            .connection_timeout(options.connect_timeout)
            .retry_connection(false)
            .queue_strategy(bb8::QueueStrategy::Lifo)
            .build_unchecked(manager.clone());
        Ok(Self {
            connections,
            manager,
            connect_timeout: options.connect_timeout,
            command_timeout: options.command_timeout,
            measures: Arc::new(Measures::new()),
        })
    }

    /// Sends a command and reads its answer. The name is what metrics have for it.
    pub async fn query<T: FromRedisValue>(&self, name: &'static str, command: &Cmd) -> Result<T, CacheError> {
        let ask = async |connection: &mut Connection| command.query_async(&mut connection.inner).await;
        read(self.run(name, ask).await?)
    }

    /// Sends several commands at once and reads their answers.
    pub async fn pipeline<T: FromRedisValue>(
        &self,
        name: &'static str,
        pipeline: &Pipeline,
    ) -> Result<T, CacheError> {
        let ask = async |connection: &mut Connection| pipeline.query_async(&mut connection.inner).await;
        read(self.run(name, ask).await?)
    }

    /// Runs a script, which Redis is given if it does not know it yet.
    pub async fn script<T: FromRedisValue>(
        &self,
        name: &'static str,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<T, CacheError> {
        let call = call_with(script, keys, arguments);
        let ask = async |connection: &mut Connection| run_script(connection, script, &call).await;
        read(self.run(name, ask).await?)
    }

    /// Makes a connection apart from the pool, for what must not wait for others or holds a connection for long.
    pub fn line(&self) -> Line {
        Line::new(self.clone())
    }

    /// Gets the state of the connections.
    pub(super) fn state(&self) -> bb8::State {
        self.connections.state()
    }

    /// Gets what is measured.
    pub(super) fn measures(&self) -> &Measures {
        &self.measures
    }

    /// Takes a connection, lets it be asked, and gives it back.
    async fn run(
        &self,
        name: &'static str,
        ask: impl AsyncFnOnce(&mut Connection) -> Result<Value, RedisError>,
    ) -> Result<Value, CacheError> {
        let taken = self.take().await.inspect_err(|error| self.measures.failed(name, error));
        self.ask(name, &mut *taken?, self.command_timeout, ask).await
    }

    /// Asks over a connection, within a time.
    async fn ask(
        &self,
        name: &'static str,
        connection: &mut Connection,
        limit: Duration,
        ask: impl AsyncFnOnce(&mut Connection) -> Result<Value, RedisError>,
    ) -> Result<Value, CacheError> {
        let began = Instant::now();
        // Until the answer has come whole, and also if the caller goes away meanwhile.
        connection.broken = true;
        let answer = match timeout(limit, ask(connection)).await {
            Err(_) => Err(CacheError::TimedOut(limit)),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.manager.judge(&error)),
        };
        match &answer {
            Ok(_) | Err(CacheError::Refused(_)) => connection.answered(),
            Err(_) => {}
        }
        match &answer {
            Ok(_) => self.measures.answered(name, began.elapsed()),
            Err(error) => self.measures.failed(name, error),
        }
        answer
    }

    async fn take(&self) -> Result<bb8::PooledConnection<'_, Manager>, CacheError> {
        let mut failures = self.manager.failures();
        let mut taken = pin!(self.connections.get());
        loop {
            let cause = tokio::select! {
                biased;
                taken = &mut taken => return taken.map_err(|error| match error {
                    bb8::RunError::User(error) => error,
                    bb8::RunError::TimedOut => {
                        CacheError::Unavailable(format!("no connection within {:?}", self.connect_timeout))
                    }
                }),
                cause = failures.next() => cause,
            };
            // Whoever waits for a connection that cannot be made need not wait any longer; but another one that
            // there is may become free.
            if self.connections.state().connections == 0 {
                return Err(cause);
            }
        }
    }
}

/// Begins the call of a script by its hash, with room for so many arguments of so many bytes.
pub(super) fn call(script: &Script, keys: &[&str], arguments: usize, bytes: usize) -> Cmd {
    const NAME: &str = "EVALSHA";
    let head = NAME.len() + script.get_hash().len() + keys.iter().map(|key| key.len()).sum::<usize>();
    let count = keys.len().to_string();
    let mut call = Cmd::with_capacity(3 + keys.len() + arguments, head + count.len() + bytes);
    call.arg(NAME).arg(script.get_hash()).arg(count);
    call.arg(keys);
    call
}

/// Makes the call of a script with its arguments.
fn call_with(script: &Script, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
    let mut call = call(script, keys, arguments.len(), arguments.iter().map(|argument| argument.len()).sum());
    call.arg(arguments);
    call
}

async fn run_script(connection: &mut Connection, script: &Script, call: &Cmd) -> Result<Value, RedisError> {
    match call.query_async(&mut connection.inner).await {
        Err(error) if error.kind() == ServerErrorKind::NoScript.into() => {
            script.load_async(&mut connection.inner).await?;
            call.query_async(&mut connection.inner).await
        }
        answer => answer,
    }
}

/// Reads an answer as what was expected.
fn read<T: FromRedisValue>(answer: Value) -> Result<T, CacheError> {
    T::from_redis_value(answer).map_err(|error| CacheError::Foreign(error.to_string()))
}
