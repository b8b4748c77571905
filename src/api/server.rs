//! One port for all doors: HTTP/1.1 and HTTP/2 without TLS, told apart by their first bytes.

pub mod connection;
pub mod stall;
pub mod workers;

mod accept;
mod cut;
mod gather;
mod heard;
mod linger;
mod usher;

use std::{future::poll_fn, io, net::SocketAddr, pin::pin, sync::Arc, task::Poll, time::Duration};

use axum::{Router, body::Body};
use http::{Request, Response};
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::{
    accept::Acceptor,
    connection::{Connection, Order},
    cut::Spawn,
    gather::Gathering,
    heard::Heard,
    stall::Watchdog,
    usher::{Terms, Usher},
    workers::{Socket, Workers},
};

/// How long a connection may take to say anything at all.
const FIRST_BYTE: Duration = Duration::from_secs(10);

/// How much more than the limit of a head is read, so that it can be refused in words.
const HEAD_ROOM: usize = 4;

/// Streams that a connection may have open beside those of prices.
const OTHER_STREAMS: usize = 256;

/// What the kernel may hold of a connection that it has not sent yet. Its own limit of some megabytes would hide a slow
/// reader as a large buffer of our own would.
const UNSENT: u32 = 64 << 10;

/// How connections are served.
#[derive(Debug, Clone, Copy)]
pub struct Transport {
    /// What one stream may hold back before it waits for its reader, in bytes. The library's default of several hundred
    /// kilobytes would hide a slow reader until its prices are seconds old.
    pub send_buffer: usize,
    /// Streams of prices or candles of one connection at most.
    pub max_streams: usize,
    /// Bytes of a request's head at most.
    pub max_head: usize,
    /// How often an idle HTTP/2 connection is asked whether it is still there.
    pub keep_alive: Duration,
    /// How long it may take to answer.
    pub keep_alive_timeout: Duration,
    /// After how long the system gives a peer up that acknowledges nothing, or has no room for anything.
    pub patience: Duration,
    /// After how long connections are asked to go, give or take a tenth.
    pub max_age: Duration,
    /// How long a connection over HTTP/1.1 may stay without a request.
    pub max_idle: Duration,
    /// How long calls may take to end when a connection or the service ends.
    pub grace: Duration,
}

/// Serves requests, connection by connection.
pub trait Serve: Clone + Send + Sync + 'static {
    /// What serves the requests of one connection.
    type Service: Service<Request<Incoming>, Response = Response<Self::Body>, Error: Into<BoxError>, Future: Send>
        + Send
        + 'static;
    /// What it answers.
    type Body: http_body::Body<Data: Send, Error: Into<BoxError>> + Send + 'static;

    /// Begins with a connection.
    fn begin(&self, connection: &Connection) -> Self::Service;

    /// Takes note of the end of one.
    fn end(&self);
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Takes an address, and says which one it is where the port was left open.
pub async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// The connections that one thread serves.
#[derive(Debug)]
pub struct Serving<S> {
    serve: S,
    builder: Arc<Builder<Spawn>>,
    watchdog: Watchdog,
    usher: Usher,
    patience: Duration,
    stopping: CancellationToken,
}

impl<S: Serve> Serving<S> {
    /// Starts without any. They are told to go when `stopping` says so.
    pub fn new(serve: S, transport: Transport, watchdog: Watchdog, stopping: CancellationToken) -> Self {
        let Transport { max_age, max_idle, grace, patience, .. } = transport;
        let usher = Usher::new(Terms { max_age, max_idle, grace });
        Self { serve, builder: Arc::new(builder(&transport)), watchdog, usher, patience, stopping }
    }

    /// Accepts and serves until told to stop, all on this thread; then lets calls end for as long as the grace allows.
    pub async fn accept(self, listener: TcpListener) {
        let accept = async {
            let mut acceptor = Acceptor::new(|context| listener.poll_accept(context), self.stopping.clone());
            while let Some((socket, _)) = acceptor.next().await {
                self.begin(socket, ());
            }
        };
        tokio::join!(accept, self.usher.run(self.stopping.clone()));
    }

    /// Serves the sockets that are handed over until told to stop; then the same.
    pub async fn take(self, mut sockets: mpsc::Receiver<Socket>) {
        let take = async {
            while let Some(socket) = sockets.recv().await {
                match socket.take() {
                    Ok((socket, counted)) => self.begin(socket, counted),
                    Err(error) => debug!(%error, "a socket cannot be taken over"),
                }
            }
        };
        tokio::join!(take, self.usher.run(self.stopping.clone()));
    }

    /// Serves a connection beside the others; drops `held` at its end.
    fn begin(&self, socket: TcpStream, held: impl Send + 'static) {
        if let Err(error) = prepare(&socket, self.patience) {
            debug!(%error, "a socket cannot be set up");
        }
        let connection = Connection::new(self.watchdog.clone());
        let present = self.usher.welcome(connection.clone());
        let service = self.serve.begin(&connection);
        let served = converse(Arc::clone(&self.builder), socket, service, connection);
        let serve = self.serve.clone();
        tokio::spawn(async move {
            served.await;
            serve.end();
            drop((present, held));
        });
    }
}

/// Accepts until told to stop, and hands each socket to a thread; then waits for the threads to end.
pub async fn distribute(listener: TcpListener, workers: Workers, stopping: CancellationToken) {
    let mut acceptor = Acceptor::new(|context| listener.poll_accept(context), stopping);
    while let Some((socket, _)) = acceptor.next().await {
        workers.hand_over(socket);
    }
    drop(listener);
    workers.end().await;
}

/// Serves one connection to its end.
async fn converse<S, B>(builder: Arc<Builder<Spawn>>, socket: TcpStream, service: S, connection: Connection)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send + 'static>
        + Send,
    B: http_body::Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    // Which protocol it speaks is told by its first bytes.
    let mut first = [0];
    tokio::select! {
        spoken = timeout(FIRST_BYTE, socket.peek(&mut first)) => match spoken {
            Ok(Ok(1..)) => {}
            _ => return,
        },
        () = connection.leaving() => return,
    }
    let service = Heard { service, connection: connection.clone() };
    let (socket, turns) = Gathering::new(socket, connection.clone());
    let mut served = pin!(builder.serve_connection_with_upgrades(TokioIo::new(socket), service));
    let mut going = false;
    let ended = poll_fn(|context| {
        match connection.order(context.waker()) {
            Order::Stay => {}
            Order::Go if going => {}
            Order::Go => {
                going = true;
                served.as_mut().graceful_shutdown();
            }
            Order::Cut => return Poll::Ready(Ok(())),
        }
        turns.begin();
        let served = served.as_mut().poll(context);
        match turns.end(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            _ => served,
        }
    });
    if let Err(error) = ended.await {
        debug!(%error, "a connection ended");
    }
}

fn builder(transport: &Transport) -> Builder<Spawn> {
    let streams = u32::try_from(transport.max_streams.saturating_add(OTHER_STREAMS)).unwrap_or(u32::MAX);
    let head = transport.max_head.saturating_mul(HEAD_ROOM);
    let mut builder = Builder::new(Spawn);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(head.max(8 << 10));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_send_buf_size(transport.send_buffer)
        .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
        .max_concurrent_streams(streams)
        .keep_alive_interval(transport.keep_alive)
        .keep_alive_timeout(transport.keep_alive_timeout);
    builder
}

/// Sets up a socket. A peer that says nothing for as long as `patience` is gone: the system notices it where HTTP has
/// no pings.
fn prepare(socket: &TcpStream, patience: Duration) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        socket.set_tcp_notsent_lowat(UNSENT)?;
        // Whether it owes us a sign of what we have sent, or room for what we have yet to send.
        socket.set_tcp_user_timeout(Some(patience))?;
    }
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(patience))
}

impl Serve for Router {
    type Service = TowerToHyperService<Self>;
    type Body = Body;

    fn begin(&self, _: &Connection) -> Self::Service {
        TowerToHyperService::new(self.clone())
    }

    fn end(&self) {}
}
