//! A connection of one's own.

use std::time::Duration;

use bb8_redis::bb8::ManageConnection as _;
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, Script, Value};

use super::{CacheError, Connection, Pool, call_with, read, run_script};

/// A connection apart from the pool. It is made when it is needed, and anew after it was lost.
#[derive(Debug)]
pub struct Line {
    pool: Pool,
    connection: Option<Connection>,
}

impl Line {
    pub(super) const fn new(pool: Pool) -> Self {
        Self { pool, connection: None }
    }

    /// Sends a command that Redis may think about for a while before it answers.
    pub async fn query_for<T: FromRedisValue>(
        &mut self,
        name: &'static str,
        command: &Cmd,
        thinking: Duration,
    ) -> Result<T, CacheError> {
        let ask = async |connection: &mut Connection| command.query_async(&mut connection.inner).await;
        read(self.run(name, thinking + self.pool.command_timeout, ask).await?)
    }

    /// Sends several commands at once and reads their answers.
    pub async fn pipeline<T: FromRedisValue>(
        &mut self,
        name: &'static str,
        pipeline: &Pipeline,
    ) -> Result<T, CacheError> {
        self.pipeline_for(name, pipeline, Duration::ZERO).await
    }

    /// Sends several commands at once, whose answers may take so much longer to come whole.
    pub async fn pipeline_for<T: FromRedisValue>(
        &mut self,
        name: &'static str,
        pipeline: &Pipeline,
        longer: Duration,
    ) -> Result<T, CacheError> {
        let ask = async |connection: &mut Connection| pipeline.query_async(&mut connection.inner).await;
        read(self.run(name, longer + self.pool.command_timeout, ask).await?)
    }

    /// Runs a script, which Redis is given if it does not know it yet.
    pub async fn script<T: FromRedisValue>(
        &mut self,
        name: &'static str,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<T, CacheError> {
        self.call(name, script, &call_with(script, keys, arguments), Duration::ZERO).await
    }

    /// Runs a script by its call, which may take so much longer to go out whole.
    pub(in crate::cache) async fn call<T: FromRedisValue>(
        &mut self,
        name: &'static str,
        script: &Script,
        call: &Cmd,
        longer: Duration,
    ) -> Result<T, CacheError> {
        let ask = async |connection: &mut Connection| run_script(connection, script, call).await;
        read(self.run(name, longer + self.pool.command_timeout, ask).await?)
    }

    async fn run(
        &mut self,
        name: &'static str,
        limit: Duration,
        ask: impl AsyncFnOnce(&mut Connection) -> Result<Value, RedisError>,
    ) -> Result<Value, CacheError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect(name).await?,
        };
        let answer = self.pool.ask(name, &mut connection, limit, ask).await;
        self.connection = (!connection.broken).then_some(connection);
        answer
    }

    async fn connect(&self, name: &'static str) -> Result<Connection, CacheError> {
        let connected = self.pool.manager.connect().await;
        connected.inspect_err(|error| self.pool.measures.failed(name, error))
    }
}
