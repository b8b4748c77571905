//! One connection from its first word to its last.

mod roll;

use std::{
    collections::{HashSet, VecDeque},
    convert::Infallible,
    future::pending,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{SinkExt, StreamExt};
use smallvec::SmallVec;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};
use tokio_util::sync::CancellationToken;

use self::roll::Roll;
use super::{
    Contact, Subscription,
    connect::{self, ConnectError, Opened},
    ended::Ended,
    penalty::{Good, Leave},
    voices::Voices,
};
use crate::{
    domain::pair::Pair,
    feed::{
        delivery::DeliveryKind,
        recording::{Tap, Tapped, Untold},
        translate::Translator,
        venue::{Frame, ParseError, Session},
    },
};

/// How long a message of ours may take to leave.
pub(super) const SEND_WITHIN: Duration = Duration::from_secs(10);

/// How long saying goodbye may take.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// One connection and what is known of it.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    contact: &'a Contact,
    /// What it is asked for.
    subscriptions: Arc<[Subscription]>,
    /// Its number.
    connection: u64,
    shutdown: &'a CancellationToken,
    session: Session,
    /// What is still to be sent.
    outgoing: VecDeque<String>,
    roll: Roll,
    tapped: Option<Tapped<'a>>,
    /// How far the venue's clock is behind ours, where its answer has shown that it is.
    clock_behind: Option<TimeDelta>,
    translator: Translator,
    /// What is heard, for the one that keeps it.
    voices: Arc<Voices>,
    /// Kept from the first event on.
    stands: Option<Good<'a>>,
    logged: HashSet<&'static str>,
}

/// What a message says, and what to answer.
struct Understood {
    /// One thing, nearly always, as in [`Events`](crate::feed::event::Events).
    deliveries: SmallVec<[Result<DeliveryKind, ParseError>; 1]>,
    reply: Option<String>,
}

impl Understood {
    fn not(error: ParseError) -> Self {
        Self { deliveries: SmallVec::from_buf([Err(error)]), reply: None }
    }
}

impl<'a> Conversation<'a> {
    /// Prepares a connection.
    pub(super) fn new(
        contact: &'a Contact,
        subscriptions: Arc<[Subscription]>,
        shutdown: &'a CancellationToken,
        voices: Arc<Voices>,
    ) -> Self {
        let roll = Roll::new(Arc::clone(&subscriptions), contact.options.back_off.cap);
        let asked: Vec<_> = subscriptions.iter().map(|asked| (asked.symbol.clone(), asked.pair)).collect();
        Self {
            contact,
            subscriptions,
            connection: contact.outlet.number(),
            shutdown,
            session: Session::default(),
            outgoing: VecDeque::new(),
            roll,
            tapped: None,
            clock_behind: None,
            translator: Translator::new(contact.protocol).asking_for(asked),
            voices,
            stands: None,
            logged: HashSet::new(),
        }
    }

    /// Connects, and keeps the connection to its end.
    pub(super) async fn run(&mut self) -> Ended {
        // Boxed, because a TLS handshake is large and lives only for a moment.
        let opening = Box::pin(open(self.contact));
        match self.shutdown.run_until_cancelled(opening).await {
            None => Ended::Stopped,
            Some((Err(error), ..)) => error.into(),
            Some((Ok(opened), asked, _leave)) => {
                self.clock_behind = opened.date.and_then(|date| connect::behind(date, asked));
                let now = self.contact.outlet.clock.now();
                let tap = self.contact.options.tap.as_ref();
                match tap.map(|tap| self.tap(tap, opened.address, now)).transpose() {
                    Ok(tapped) => self.tapped = tapped,
                    Err(untold) => return untold.into(),
                }
                self.hold(opened.socket, opened.ping_every).await
            }
        }
    }

    /// Records that the connection stands.
    fn tap(&self, tap: &'a Tap, address: String, now: DateTime<Utc>) -> Result<Tapped<'a>, Untold> {
        let tapped = tap.connect(address, now)?;
        let asked = self.subscriptions.iter().map(|asked| (asked.symbol.as_str(), asked.pair));
        let unclear = Translator::unclear(self.contact.protocol, asked);
        if !unclear.is_empty() {
            tapped.asked(unclear, now)?;
        }
        Ok(tapped)
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
        let goodbye = timeout(CLOSE_WITHIN, socket.close(None));
        let _ = tokio::join!(self.leave(), goodbye);
        ended
    }

    /// Tells that the connection is left, however long it takes until there is room, for else it would be taken to stand
    /// for ever. When all connections end there may be nobody left to take it.
    async fn leave(&self) {
        let alone = async {
            self.contact.shutdown.cancelled().await;
            sleep(CLOSE_WITHIN).await;
        };
        tokio::select! {
            _ = self.deliver(DeliveryKind::Left(self.markets())) => {}
            () = alone => {}
        }
    }

    async fn talk<S>(
        &mut self,
        socket: &mut WebSocketStream<S>,
        ping_every: Option<Duration>,
    ) -> Result<Infallible, Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Contact { protocol, options, outlet, .. } = self.contact;
        let limits = protocol.limits();
        self.outgoing = self.requests(&self.subscriptions).into();
        self.deliver(DeliveryKind::Connected(self.markets())).await?;
        if let Some(by) = self.clock_behind {
            self.deliver(DeliveryKind::ClockBehind(by)).await?;
        }
        self.voices.stand();
        let mut silent_at = Instant::now() + options.silence_limit;
        let mut ping_at = self.next_ping(ping_every);
        let mut send_at = Instant::now() + limits.settle;
        loop {
            tokio::select! {
                biased;
                () = sleep_until(send_at), if !self.outgoing.is_empty() => {
                    if let Some(message) = self.outgoing.pop_front() {
                        self.say(socket, message).await?;
                    }
                    send_at = Instant::now() + limits.message_gap;
                }
                () = reached(ping_at) => {
                    if let Some(ping) = protocol.ping(outlet.clock.now()) {
                        self.say(socket, ping.message).await?;
                    }
                    ping_at = self.next_ping(ping_every);
                }
                () = reached(self.roll.due()) => self.subscribe_again(),
                // Before the limit, because what waits to be read is not silence: we may have been slow.
                message = socket.next() => {
                    let closed = || Ended::Closed("without a word".to_owned());
                    if self.hear(socket, message.ok_or_else(closed)??).await? {
                        silent_at = Instant::now() + options.silence_limit;
                    }
                }
                () = sleep_until(silent_at) => return Err(Ended::Silent(options.silence_limit)),
            }
        }
    }

    /// Writes the messages that subscribe to some markets.
    fn requests(&self, subscriptions: &[Subscription]) -> Vec<String> {
        let symbols: Vec<String> = subscriptions.iter().map(|wanted| wanted.symbol.clone()).collect();
        self.contact.protocol.subscribe(&symbols, self.contact.outlet.clock.now())
    }

    /// Subscribes what is to be subscribed once more after a refusal.
    fn subscribe_again(&mut self) {
        let wanted = self.roll.again(self.contact.protocol.replaces_subscriptions());
        let requests: Vec<_> = wanted.iter().flat_map(|together| self.requests(together)).collect();
        self.outgoing.extend(requests);
    }

    fn markets(&self) -> Arc<[Pair]> {
        self.subscriptions.iter().map(|wanted| wanted.pair).collect()
    }

    /// Hands on what happens now on this connection.
    async fn deliver(&self, kind: DeliveryKind) -> Result<(), Ended> {
        Ok(self.contact.outlet.deliver(Some(self.connection), kind).await?)
    }

    /// Sends a message.
    async fn say<S>(&self, socket: &mut WebSocketStream<S>, message: String) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if let Some(tapped) = &self.tapped {
            tapped.sent(message.clone(), self.contact.outlet.clock.now())?;
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
        let outlet = &self.contact.outlet;
        let connection = Some(self.connection);
        let receive_time = outlet.clock.now();
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
        let (mut told, now) = (false, Instant::now());
        outlet.deliver_at(receive_time, connection, DeliveryKind::Message).await?;
        for delivery in understood.deliveries {
            let mut kind = delivery.unwrap_or_else(|error| self.malformed(&error));
            if kind.is_event() {
                told = true;
                self.voices.hear(&kind, now);
            }
            self.note(&mut kind);
            outlet.deliver_at(receive_time, connection, kind).await?;
        }
        if told && self.stands.is_none() {
            self.stands = Some(self.contact.penalty.good());
        }
        Ok(told)
    }

    /// Remembers which markets have spoken, what was refused, and that the end is near.
    fn note(&mut self, kind: &mut DeliveryKind) {
        match kind {
            DeliveryKind::Ticker { market, .. } | DeliveryKind::Trade { market, .. } => {
                self.roll.speaks(*market);
            }
            DeliveryKind::Refused { market, words } => *market = self.roll.refuse(words),
            DeliveryKind::GoingAway(_) => self.voices.announce_end(),
            _ => {}
        }
    }

    /// Makes of a frame what it says, and what to answer.
    fn understand(
        &mut self,
        frame: Frame<'_>,
        receive_time: DateTime<Utc>,
    ) -> Result<Understood, ParseError> {
        let protocol = self.contact.protocol;
        let text = protocol.decode(frame)?;
        let parsed = protocol.parse(&mut self.session, &text)?;
        let translator = &mut self.translator;
        let deliveries =
            parsed.events.iter().map(|event| translator.translate(event, receive_time)).collect();
        Ok(Understood { deliveries, reply: parsed.reply })
    }

    /// Counts what is not understood. It is logged once of a kind: a venue that changes its format would fill the
    /// log.
    fn malformed(&mut self, error: &ParseError) -> DeliveryKind {
        let kind = error.kind();
        if self.logged.insert(kind) {
            let venue = self.contact.outlet.venue.as_str();
            tracing::warn!(venue, %error, "a message of a venue is not understood");
        }
        DeliveryKind::Malformed { kind, error: error.to_string() }
    }

    fn next_ping(&self, every: Option<Duration>) -> Option<Instant> {
        let ping = self.contact.protocol.ping(self.contact.outlet.clock.now())?;
        Some(Instant::now() + every.unwrap_or(ping.every))
    }
}

/// Opens a connection, when the venue may be asked for one and it is its turn; tells when it was asked.
async fn open(contact: &Contact) -> (Result<Opened, ConnectError>, DateTime<Utc>, Leave<'_>) {
    let Contact { protocol, options, outlet, penalty, closed, pace, .. } = contact;
    loop {
        closed.wait().await;
        let leave = penalty.enter().await;
        pace.turn().await;
        // Never closed.
        let _starting = options.starts.acquire().await;
        // Another may have been told meanwhile.
        if closed.until().is_some() {
            continue;
        }
        let (url, asked) = (options.url_override.as_deref(), outlet.clock.now());
        let opened = connect::open(protocol.endpoint(), url, options.max_frame, &outlet.clock).await;
        if let Some(wait) = opened.as_ref().err().and_then(ConnectError::retry_after) {
            closed.keep_for(wait);
        }
        return (opened, asked, leave);
    }
}

async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
