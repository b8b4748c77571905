//! The venues' servers on loopback: each waits until all its markets are asked for, greets, and then speaks as often as
//! it is told to, with true times.

use std::{
    cell::Cell,
    collections::HashSet,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use chrono::Utc;
use cryptoprice::domain::{pair::Pair, venue::Venue};
use futures::{SinkExt as _, StreamExt as _};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, spawn_local},
    time::{MissedTickBehavior, interval},
};
use tokio_tungstenite::accept_async;

use crate::venues::{language::Language, market::Markets};

/// How often what is due is sent.
const TICK: Duration = Duration::from_millis(1);

/// A venue's server.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) venue: Venue,
    pub(crate) address: SocketAddr,
    pub(crate) pairs: Vec<Pair>,
    pub(crate) sent: Rc<Sent>,
    task: JoinHandle<()>,
}

/// What a server has sent, and how much it is to send.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Frames a second.
    pub(crate) rate: Cell<f64>,
    /// Frames since the start, greetings included.
    pub(crate) frames: Cell<u64>,
    /// Trades after the greeting.
    pub(crate) trades: Cell<u64>,
    /// Whether the subscriber has been greeted.
    pub(crate) greeted: Cell<bool>,
}

impl Exchange {
    /// Opens a venue's server for one subscriber. It says nothing more than a greeting before it has a rate.
    pub(crate) async fn open(language: &'static dyn Language) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let markets = Markets::open(language);
        let pairs = markets.pairs().collect();
        let sent = Rc::new(Sent::default());
        let task = spawn_local(serve(listener, language, markets, Rc::clone(&sent)));
        Ok(Self { venue: language.protocol().venue(), address, pairs, sent, task })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, language: &'static dyn Language, mut markets: Markets, sent: Rc<Sent>) {
    while let Ok((socket, _)) = listener.accept().await {
        // Whoever has heard enough, or is ended, hangs up.
        let _ = talk(socket, language, &mut markets, &sent).await;
    }
}

async fn talk(
    socket: TcpStream,
    language: &dyn Language,
    markets: &mut Markets,
    sent: &Sent,
) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    let (mut out, mut from) = accept_async(socket).await?.split();
    let mut unasked: HashSet<String> = markets.symbols().map(str::to_lowercase).collect();
    while !unasked.is_empty() {
        let Some(message) = from.next().await else { return Ok(()) };
        let asked = message?.into_text()?.to_lowercase();
        unasked.retain(|symbol| !asked.contains(symbol));
    }
    // Answers to what we ask, and pings, are heard and forgotten.
    let hears = spawn_local(async move { while let Some(Ok(_)) = from.next().await {} });
    for text in markets.greet(Utc::now()) {
        out.feed(language.packing().pack(text)?).await?;
        sent.frames.set(sent.frames.get() + 1);
    }
    out.flush().await?;
    sent.greeted.set(true);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut due, mut before) = (0.0, Instant::now());
    while !hears.is_finished() {
        ticks.tick().await;
        let now = Instant::now();
        due += sent.rate.get() * now.duration_since(std::mem::replace(&mut before, now)).as_secs_f64();
        if due < 1.0 {
            continue;
        }
        while due >= 1.0 {
            due -= 1.0;
            let (text, trades) = markets.next(Utc::now());
            out.feed(language.packing().pack(text)?).await?;
            sent.frames.set(sent.frames.get() + 1);
            sent.trades.set(sent.trades.get() + trades as u64);
        }
        out.flush().await?;
    }
    Ok(())
}
