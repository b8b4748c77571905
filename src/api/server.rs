//! One port for all doors: HTTP/1.1 and HTTP/2 without TLS, told apart by their first bytes.

use std::{io, net::SocketAddr, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

/// What one stream may hold back before it waits for its reader. The default of several hundred kilobytes would hide
/// a slow reader until its prices are seconds old.
const SEND_BUFFER: usize = 16 << 10;

/// Streams of one HTTP/2 connection at most.
const STREAMS: u32 = 1_024;

/// How long a connection may take to send the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How often an idle HTTP/2 connection is asked whether it is still there, and how long it may take to answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(20));

/// Takes an address, and says which one it is where the port was left open.
pub async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Serves until told to stop, then lets calls end for as long as the grace allows.
pub async fn serve(listener: TcpListener, router: Router, stopping: CancellationToken, grace: Duration) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_send_buf_size(SEND_BUFFER)
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(KEEP_ALIVE.0)
        .keep_alive_timeout(KEEP_ALIVE.1);
    let connections = GracefulShutdown::new();
    let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
    while let Some(accepted) = stopping.run_until_cancelled(listener.accept()).await {
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file handles, as a rule: wait for some to be given back.
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if let Err(error) = socket.set_nodelay(true) {
            debug!(%peer, %error, "cannot send small packets at once");
        }
        let service = TowerToHyperService::new(router.clone());
        let (builder, watcher) = (builder.clone(), connections.watcher());
        let (stopping, cut) = (stopping.clone(), cut.clone());
        tasks.spawn(async move {
            // Whoever says nothing is not waited for: the library's own limit begins with the first byte.
            let mut first = [0];
            let spoken = tokio::time::timeout(HEADER_TIMEOUT, socket.peek(&mut first));
            let Some(Ok(Ok(1..))) = stopping.run_until_cancelled(spoken).await else {
                return;
            };
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(socket), service);
            let connection = watcher.watch(connection.into_owned());
            if let Some(Err(error)) = cut.run_until_cancelled(connection).await {
                debug!(%peer, %error, "a connection ended");
            }
        });
    }
    drop(listener);
    let open = connections.count();
    if tokio::time::timeout(grace, connections.shutdown()).await.is_err() {
        warn!(open, grace_ms = grace.as_millis(), "connections did not end in time and are cut");
        cut.cancel();
    }
    tasks.close();
    tasks.wait().await;
}
