//! A venue on loopback that speaks a real one's protocols over WebSocket and REST on one port, and misbehaves on command.

mod answering;
mod hearing;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use super::{
    line::{self, Said},
    tongue::{Deal, Quote, Tongue},
    words::Channel,
};

/// A status, further headers, and a body.
pub(super) type Answer = (u16, &'static str, String);

/// What a venue proves itself with over TLS.
pub(super) type Proof = Arc<ServerConfig>;

/// A running venue. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Venue {
    pub(super) tongue: Tongue,
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    open: watch::Sender<bool>,
    server: JoinHandle<()>,
    /// What it proves itself with, where it speaks over TLS.
    tls: Option<watch::Sender<Proof>>,
}

/// What the venue's connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) tongue: Tongue,
    address: SocketAddr,
    markets: Vec<&'static str>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Answers to whoever wants a WebSocket, in its place.
    pub(super) instead: Option<Answer>,
    /// Answers to whoever asks over REST, in the place of what is asked.
    pub(super) rest_instead: Option<Answer>,
    /// How long a handshake takes.
    pub(super) handshake: Duration,
    /// Cuts every connection as soon as it stands.
    pub(super) cuts: bool,
    /// Says nothing of these, or of all, though it takes the subscription.
    pub(super) muted: BTreeSet<&'static str>,
    /// Refuses to subscribe to these…
    pub(super) refused: BTreeSet<&'static str>,
    /// … and with them, to all that are named in the same message.
    pub(super) refuses_whole: bool,
    /// Not traded.
    pub(super) suspended: BTreeSet<&'static str>,
    /// Not listed.
    pub(super) unlisted: BTreeSet<&'static str>,
    /// How far the clock is ahead.
    pub(super) skew: TimeDelta,
    /// How late all comes that is told on a WebSocket.
    pub(super) late: TimeDelta,
    /// Tells the last 24 hours, too, where they are a channel of their own.
    pub(super) tells_days: bool,
    /// What it quotes instead of what it is told to.
    pub(super) stuck: Option<Quote>,
    /// When each WebSocket was asked for, and each question came over REST.
    pub(super) handshakes: Vec<Instant>,
    pub(super) questions: Vec<(Instant, String)>,
    /// Handshakes that are under way, and the most there were.
    pub(super) pending: usize,
    pub(super) most_pending: usize,
    /// What was said that a real one would not understand: other words, other channels, other markets.
    pub(super) not_understood: Vec<String>,
    /// Pings of the venue's own that were answered, and connections that were cut because one was not.
    pub(super) answered: u64,
    pub(super) unanswered: u64,
    standing: BTreeMap<usize, Standing>,
    quotes: BTreeMap<&'static str, (Quote, DateTime<Utc>)>,
    deals: BTreeMap<&'static str, Vec<Deal>>,
    sent: HashSet<(&'static str, u64)>,
    copies: BTreeMap<&'static str, u64>,
    next_id: u64,
}

#[derive(Debug)]
struct Standing {
    say: mpsc::UnboundedSender<Said>,
    subscribed: HashSet<(Channel, String)>,
    /// The venue's own pings that are not answered yet.
    awaited: BTreeMap<i64, Instant>,
}

impl Venue {
    /// Opens a venue with these markets.
    pub(super) async fn open(tongue: Tongue, markets: &[&'static str]) -> Self {
        Self::over(tongue, markets, None).await
    }

    /// Opens one that speaks over TLS.
    pub(super) async fn open_secure(tongue: Tongue, markets: &[&'static str], tls: Proof) -> Self {
        Self::over(tongue, markets, Some(tls)).await
    }

    async fn over(tongue: Tongue, markets: &[&'static str], tls: Option<Proof>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Mutex::new(State::default());
        let shared = Arc::new(Shared { tongue, address, markets: markets.to_vec(), state });
        shared.state().next_id = 1_000_000;
        let (open, opened) = watch::channel(true);
        let tls = tls.map(watch::Sender::new);
        let proofs = tls.as_ref().map(watch::Sender::subscribe);
        let server = tokio::spawn(serve(listener, proofs, Arc::clone(&shared), opened));
        Self { tongue, address, shared, open, server, tls }
    }

    pub(super) fn name(&self) -> &'static str {
        self.tongue.name()
    }

    pub(super) fn markets(&self) -> &[&'static str] {
        &self.shared.markets
    }

    /// Looks at what has happened, or changes how it behaves.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// Refuses connections from now on, and cuts those that stand.
    pub(super) fn refuse(&self) {
        self.open.send_replace(false);
        self.cut();
    }

    /// Takes connections again.
    pub(super) fn accept(&self) {
        self.open.send_replace(true);
    }

    /// Cuts all connections.
    pub(super) fn cut(&self) {
        self.say(&Said::Cut);
    }

    /// Says something on all connections, as it is.
    pub(super) fn say(&self, said: &Said) {
        for standing in self.state().standing.values() {
            // One that has ended hears nothing.
            let _ = standing.say.send(said.clone());
        }
    }

    /// Says something on the connections that have subscribed to a market; counts them.
    pub(super) fn say_to(&self, market: &str, said: &Said) -> u64 {
        let symbol = self.tongue.symbol(market);
        self.state().tell(market, Channel::Quotes, &symbol, said)
    }

    /// Answers this to whoever asks for anything.
    pub(super) fn show(&self, answer: Answer) {
        let mut state = self.state();
        (state.instead, state.rest_instead) = (Some(answer.clone()), Some(answer));
    }

    /// Cuts all connections and takes no other, while REST goes on.
    pub(super) fn refuse_sockets(&self) {
        self.state().instead = Some((503, "", String::new()));
        self.cut();
    }

    /// Says nothing of any market any more, and goes on answering pings.
    pub(super) fn go_silent(&self) {
        self.state().muted = self.markets().iter().copied().collect();
    }

    /// Says everything again.
    pub(super) fn speak(&self) {
        self.state().muted.clear();
    }

    /// Quotes a market, to all that have subscribed to it.
    pub(super) fn quote(&self, market: &'static str, quote: Quote) {
        let mut state = self.state();
        let quote = state.stuck.unwrap_or(quote);
        let time = state.told_at();
        state.quotes.insert(market, (quote, time));
        let symbol = self.tongue.symbol(market);
        state.tell(market, Channel::Quotes, &symbol, &Said::Quote(symbol.clone(), quote, time));
    }

    /// Has something traded on a market.
    pub(super) fn deal(&self, market: &'static str, price: i64) -> Deal {
        let mut state = self.state();
        state.next_id += 1;
        let deal = Deal { id: state.next_id, price, time: state.told_at() };
        state.deals.entry(market).or_default().push(deal.clone());
        self.repeat(&mut state, market, &deal);
        deal
    }

    /// Tells a trade once more.
    pub(super) fn deal_again(&self, market: &'static str, deal: &Deal) {
        self.repeat(&mut self.state(), market, deal);
    }

    fn repeat(&self, state: &mut State, market: &'static str, deal: &Deal) {
        let symbol = self.tongue.symbol(market);
        let told = state.tell(market, Channel::Deals, &symbol, &Said::Deal(symbol.clone(), deal.clone()));
        let mut again = told;
        if told > 0 && state.sent.insert((market, deal.id)) {
            again -= 1;
        }
        *state.copies.entry(market).or_default() += again;
    }

    /// Has something traded that is lost on its way.
    pub(super) fn deal_unheard(&self, market: &'static str, price: i64) {
        let mut state = self.state();
        state.next_id += 1;
        let deal = Deal { id: state.next_id, price, time: state.told_at() };
        state.deals.entry(market).or_default().push(deal);
        let symbol = self.tongue.symbol(market);
        state.tell(market, Channel::Deals, &symbol, &Said::Lost(symbol.clone()));
    }

    /// Counts the trades that somebody was told, each once, and how often one was told again.
    pub(super) fn told(&self) -> (u64, u64) {
        let counts = self.markets().iter().map(|market| self.told_of(market));
        counts.fold((0, 0), |(all, copies), (more, again)| (all + more, copies + again))
    }

    /// Counts those of one market.
    pub(super) fn told_of(&self, market: &str) -> (u64, u64) {
        let state = self.state();
        let told = state.sent.iter().filter(|(sent, _)| *sent == market).count() as u64;
        (told, state.copies.get(market).copied().unwrap_or_default())
    }

    /// Counts the trades since the first that somebody was told, whether told or not, and all trades.
    pub(super) fn traded(&self) -> (u64, u64) {
        let state = self.state();
        let since_first = |(market, deals): (&&'static str, &Vec<Deal>)| {
            deals.iter().skip_while(|deal| !state.sent.contains(&(*market, deal.id))).count() as u64
        };
        let all = state.deals.values().map(|deals| deals.len() as u64).sum();
        (state.deals.iter().map(since_first).sum(), all)
    }

    pub(super) fn handshakes(&self) -> usize {
        self.state().handshakes.len()
    }

    pub(super) fn standing(&self) -> usize {
        self.state().standing.len()
    }

    pub(super) fn url(&self) -> String {
        match self.tongue {
            Tongue::KuCoin => format!("http://{}/api/v1/bullet-public", self.address),
            // Certificates are for names.
            _ if self.tls.is_some() => format!("wss://localhost:{}/ws", self.address.port()),
            _ => format!("ws://{}/ws", self.address),
        }
    }

    pub(super) fn rest_url(&self) -> String {
        match self.tls {
            Some(_) => format!("https://localhost:{}", self.address.port()),
            None => format!("http://{}", self.address),
        }
    }

    /// Proves itself with something else from now on.
    pub(super) fn prove(&self, tls: Proof) {
        self.tls.as_ref().unwrap().send_replace(tls);
    }
}

impl Drop for Venue {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl State {
    /// Gets the time by the venue's clock.
    pub(super) fn clock(&self) -> DateTime<Utc> {
        Utc::now() + self.skew
    }

    /// Gets the time that what is told now is of.
    fn told_at(&self) -> DateTime<Utc> {
        self.clock() - self.late
    }

    /// Tells something of a market to those who have subscribed to it; counts them.
    fn tell(&self, market: &str, channel: Channel, symbol: &str, said: &Said) -> u64 {
        if self.muted.contains(market) {
            return 0;
        }
        let wanted = (channel, symbol.to_owned());
        let hearers = self.standing.values().filter(|standing| standing.subscribed.contains(&wanted));
        hearers.filter(|standing| standing.say.send(said.clone()).is_ok()).count() as u64
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes in a connection that stands.
    pub(super) fn stands(&self, say: mpsc::UnboundedSender<Said>) -> usize {
        let mut state = self.state();
        let number = state.handshakes.len() * 1_000 + state.standing.len();
        if let Some(welcome) = self.tongue.words().welcomes() {
            // One that has ended hears nothing.
            let _ = say.send(Said::Text(welcome));
        }
        let standing = Standing { say, subscribed: HashSet::new(), awaited: BTreeMap::new() };
        state.standing.insert(number, standing);
        number
    }

    pub(super) fn ended(&self, number: usize) {
        self.state().standing.remove(&number);
    }
}

/// Takes connections while it is open.
async fn serve(
    listener: TcpListener,
    tls: Option<watch::Receiver<Proof>>,
    shared: Arc<Shared>,
    mut open: watch::Receiver<bool>,
) {
    let mut listener = Some(listener);
    let mut lines = JoinSet::new();
    loop {
        let next = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending::<std::io::Result<(TcpStream, SocketAddr)>>().await,
            }
        };
        tokio::select! {
            accepted = next => {
                if let Ok((stream, _)) = accepted {
                    let _ = stream.set_nodelay(true);
                    let shared = Arc::clone(&shared);
                    match tls.as_ref().map(|tls| TlsAcceptor::from(tls.borrow().clone())) {
                        None => {
                            lines.spawn(line::take(stream, shared));
                        }
                        Some(tls) => {
                            lines.spawn(async move {
                                // A caller that does not trust us hangs up.
                                if let Ok(stream) = tls.accept(stream).await {
                                    line::take(stream, shared).await;
                                }
                            });
                        }
                    }
                }
            }
            Some(_) = lines.join_next() => {}
            changed = open.changed() => {
                if changed.is_err() {
                    return;
                }
                if !*open.borrow_and_update() {
                    listener = None;
                } else if listener.is_none() {
                    listener = Some(TcpListener::bind(shared.address).await.unwrap());
                }
            }
        }
    }
}
