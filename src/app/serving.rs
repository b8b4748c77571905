//! How connections are served: where, by how many threads, and with what patience.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    api::{
        front::Front,
        server::{self, Serving, Transport, stall::Watchdog, workers::Workers},
    },
    config::Config,
    pipeline::fanout::Fanout,
};

/// Takes the ops address. The default one gives way where it is taken, so that two instances run side by side.
pub(super) async fn bind_ops(config: &Config) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let wanted = config.ops.listen;
    match server::bind(wanted).await {
        Err(error)
            if error.kind() == std::io::ErrorKind::AddrInUse && wanted == Config::default_ops_address() =>
        {
            let free = server::bind(SocketAddr::new(wanted.ip(), 0)).await?;
            warn!(taken = %wanted, ops = %free.1, "the default ops address is taken, a free port is used");
            Ok(free)
        }
        outcome => Ok(outcome?),
    }
}

/// Starts the threads that serve connections, each with a front of its own.
pub(super) fn workers(
    fronts: Vec<Front>,
    fanout: &Fanout,
    transport: Transport,
    watchdog: &Watchdog,
    stopping: &CancellationToken,
) -> std::io::Result<Workers> {
    Workers::start(fronts.into_iter().zip(1..), |(front, lane), sockets| {
        let serving = Serving::new(front, transport, watchdog.clone(), stopping.clone());
        let relay = fanout.on_lane(lane).relay(stopping.clone());
        async { tokio::join!(serving.take(sockets), relay).0 }
    })
}

/// Tells how many threads serve connections.
pub(super) fn threads(config: &Config) -> usize {
    match config.server.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
}

/// Says how a connection is kept.
pub(super) fn transport(config: &Config) -> Transport {
    let server = &config.server;
    Transport {
        send_buffer: config.streams.send_buffer,
        max_streams: server.max_streams,
        max_head: server.max_header,
        keep_alive: server.keep_alive,
        keep_alive_timeout: server.keep_alive_timeout,
        // Longer than it takes until a reader is told why.
        patience: (server.keep_alive + server.keep_alive_timeout).max(3 * config.streams.stall_timeout),
        max_age: server.max_connection_age,
        max_idle: server.max_idle,
        grace: server.shutdown_grace,
    }
}
