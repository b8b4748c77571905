//! One connection from its first word to its last.

use std::{collections::HashSet, convert::Infallible, future::pending, time::Duration};

use chrono::{DateTime, Utc};
use futures::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message},
};
use tokio_util::sync::CancellationToken;

use super::{
    SocketOptions,
    connect::{self, ConnectError},
};
use crate::{
    clock::Clock,
    domain::venue::Venue,
    feed::{
        delivery::{Delivery, DeliveryKind},
        recording::{Tapped, Untold},
        translate::Translator,
        venue::{Frame, ParseError, Protocol, Session},
    },
};

/// How long a message of ours may take to leave.
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// How long saying goodbye may take.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// Hands deliveries on.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) venue: Venue,
    pub(super) clock: Clock,
    pub(super) out: mpsc::Sender<Delivery>,
}

/// Why a connection ended, or was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("stopped by us")]
    Stopped,
    #[error(transparent)]
    NotConnected(#[from] ConnectError),
    #[error("closed by the venue: {0}")]
    Closed(String),
    #[error("no event for {0:?}")]
    Silent(Duration),
    #[error("a message was not taken within {SEND_WITHIN:?}")]
    NotTaken,
    #[error("cut: {0}")]
    Cut(Box<tungstenite::Error>),
    #[error("ended by us: {0}")]
    Unrecorded(Untold),
}

/// One connection and what is known of it.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    protocol: &'static dyn Protocol,
    options: &'a SocketOptions,
    outlet: &'a Outlet,
    shutdown: &'a CancellationToken,
    session: Session,
    tapped: Option<Tapped<'a>>,
    translator: Translator,
    /// Set when the connection brings its first event.
    good: CancellationToken,
    logged: HashSet<&'static str>,
}

/// What a message says, and what to answer.
struct Understood {
    deliveries: Vec<Result<DeliveryKind, ParseError>>,
    reply: Option<String>,
}

impl Understood {
    fn not(error: ParseError) -> Self {
        Self { deliveries: vec![Err(error)], reply: None }
    }
}

impl From<Untold> for Ended {
    fn from(untold: Untold) -> Self {
        match untold {
            Untold::NoRoom => Self::Unrecorded(untold),
            Untold::Ended => Self::Stopped,
        }
    }
}

impl From<tungstenite::Error> for Ended {
    fn from(error: tungstenite::Error) -> Self {
        Self::Cut(Box::new(error))
    }
}

impl Outlet {
    /// Hands on what happens now, once there is room; fails when nobody listens any more.
    pub(super) async fn deliver(&self, kind: DeliveryKind) -> Result<(), Ended> {
        self.deliver_at(self.clock.now(), kind).await
    }

    async fn deliver_at(&self, receive_time: DateTime<Utc>, kind: DeliveryKind) -> Result<(), Ended> {
        let delivery = Delivery { venue: self.venue, receive_time, kind };
        self.out.send(delivery).await.map_err(|_| Ended::Stopped)
    }
}

impl<'a> Conversation<'a> {
    /// Prepares a connection.
    pub(super) fn new(
        protocol: &'static dyn Protocol,
        options: &'a SocketOptions,
        outlet: &'a Outlet,
        shutdown: &'a CancellationToken,
        good: CancellationToken,
    ) -> Self {
        Self {
            protocol,
            options,
            outlet,
            shutdown,
            session: Session::default(),
            tapped: None,
            translator: Translator::new(protocol).asking_for(&options.pairs),
            good,
            logged: HashSet::new(),
        }
    }

    /// Connects, and keeps the connection to its end.
    pub(super) async fn run(&mut self) -> Ended {
        let url = self.options.url_override.as_deref();
        // Boxed, because a TLS handshake is large and lives only for a moment.
        let opening = Box::pin(async {
            // Never closed.
            let _starting = self.options.starts.acquire().await;
            connect::open(self.protocol.endpoint(), url, self.options.max_frame).await
        });
        match self.shutdown.run_until_cancelled(opening).await {
            None => Ended::Stopped,
            Some(Err(error)) => error.into(),
            Some(Ok(opened)) => {
                let now = self.outlet.clock.now();
                let tap = self.options.tap.as_ref();
                match tap.map(|tap| tap.connect(opened.address, now)).transpose() {
                    Ok(tapped) => self.tapped = tapped,
                    Err(untold) => return untold.into(),
                }
                self.hold(opened.socket, opened.ping_every).await
            }
        }
    }

    /// Keeps a connection that stands to its end, and says goodbye.
    async fn hold<S>(&mut self, mut socket: WebSocketStream<S>, ping_every: Option<Duration>) -> Ended
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let shutdown = self.shutdown;
        let talk = self.talk(&mut socket, ping_every);
        let Err(ended) = shutdown.run_until_cancelled(talk).await.unwrap_or(Err(Ended::Stopped));
        // The other side may be gone already: whether it hears the goodbye changes nothing.
        let _ = timeout(CLOSE_WITHIN, socket.close(None)).await;
        ended
    }

    async fn talk<S>(
        &mut self,
        socket: &mut WebSocketStream<S>,
        ping_every: Option<Duration>,
    ) -> Result<Infallible, Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let outlet = self.outlet;
        self.subscribe(socket).await?;
        outlet.deliver(DeliveryKind::Connected).await?;
        let mut silent_at = Instant::now() + self.options.silence_limit;
        let mut ping_at = self.next_ping(ping_every);
        loop {
            tokio::select! {
                biased;
                () = reached(ping_at) => {
                    if let Some(ping) = self.protocol.ping(outlet.clock.now()) {
                        self.say(socket, ping.message).await?;
                    }
                    ping_at = self.next_ping(ping_every);
                }
                // Before the limit, because what waits to be read is not silence: we may have been slow.
                message = socket.next() => {
                    let closed = || Ended::Closed("without a word".to_owned());
                    if self.hear(socket, message.ok_or_else(closed)??).await? {
                        silent_at = Instant::now() + self.options.silence_limit;
                    }
                }
                () = sleep_until(silent_at) => return Err(Ended::Silent(self.options.silence_limit)),
            }
        }
    }

    async fn subscribe<S>(&self, socket: &mut WebSocketStream<S>) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let pairs = self.options.pairs.iter();
        let symbols: Vec<String> = pairs.map(|pair| self.protocol.symbol(*pair)).collect();
        for message in self.protocol.subscribe(&symbols, self.outlet.clock.now()) {
            self.say(socket, message).await?;
        }
        Ok(())
    }

    /// Sends a message.
    async fn say<S>(&self, socket: &mut WebSocketStream<S>, message: String) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if let Some(tapped) = &self.tapped {
            tapped.sent(message.clone(), self.outlet.clock.now())?;
        }
        match timeout(SEND_WITHIN, socket.send(Message::text(message))).await {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(Ended::NotTaken),
        }
    }

    /// Hears one message, hands on what it says and answers it. Tells whether it brought an event.
    async fn hear<S>(&mut self, socket: &mut WebSocketStream<S>, message: Message) -> Result<bool, Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let receive_time = self.outlet.clock.now();
        let frame = match &message {
            Message::Text(text) => Frame::Text(text),
            Message::Binary(bytes) => Frame::Binary(bytes),
            Message::Close(Some(close)) => {
                return Err(Ended::Closed(format!("{} {}", close.code, close.reason)));
            }
            Message::Close(None) => return Err(Ended::Closed("without a reason".to_owned())),
            // The library answers pings.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Ok(false),
        };
        let known = self.session.extent();
        let understood = self.understand(frame, receive_time).unwrap_or_else(Understood::not);
        if let Some(tapped) = &self.tapped {
            // The frame as it came. What changes the session is what later frames refer to.
            tapped.received(frame, receive_time, self.session.extent() != known)?;
        }
        if let Some(reply) = understood.reply {
            self.say(socket, reply).await?;
        }
        let mut told = false;
        self.outlet.deliver_at(receive_time, DeliveryKind::Message).await?;
        for delivery in understood.deliveries {
            let kind = delivery.unwrap_or_else(|error| self.malformed(&error));
            told |= is_event(&kind);
            self.outlet.deliver_at(receive_time, kind).await?;
        }
        if told {
            self.good.cancel();
        }
        Ok(told)
    }

    /// Makes of a frame what it says, and what to answer.
    fn understand(
        &mut self,
        frame: Frame<'_>,
        receive_time: DateTime<Utc>,
    ) -> Result<Understood, ParseError> {
        let text = self.protocol.decode(frame)?;
        let parsed = self.protocol.parse(&mut self.session, &text)?;
        let translator = &mut self.translator;
        let deliveries =
            parsed.events.into_iter().map(|event| translator.translate(event, receive_time)).collect();
        Ok(Understood { deliveries, reply: parsed.reply })
    }

    /// Counts what is not understood. It is logged once of a kind: a venue that changes its format would fill the
    /// log.
    fn malformed(&mut self, error: &ParseError) -> DeliveryKind {
        let kind = error.kind();
        if self.logged.insert(kind) {
            let venue = self.outlet.venue.as_str();
            tracing::warn!(venue, %error, "a message of a venue is not understood");
        }
        DeliveryKind::Malformed { kind, error: error.to_string() }
    }

    fn next_ping(&self, every: Option<Duration>) -> Option<Instant> {
        let ping = self.protocol.ping(self.outlet.clock.now())?;
        Some(Instant::now() + every.unwrap_or(ping.every))
    }
}

/// Tells whether something was said of the market.
fn is_event(kind: &DeliveryKind) -> bool {
    matches!(kind, DeliveryKind::Ticker { .. } | DeliveryKind::Trade { .. } | DeliveryKind::Confirm(_))
}

async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
