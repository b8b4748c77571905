//! An exchange that quotes as many pairs as often as is asked, in Kraken's format; and the same quotes for a peer, in
//! lines.
//!
//! Every quote has a number of its own, which is its price: whoever sees the price knows when the quote was sent.

use std::{
    cell::{Cell, RefCell},
    fmt::Write as _,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use futures::{SinkExt as _, StreamExt as _};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, spawn_local},
    time::{MissedTickBehavior, interval},
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

use crate::market;

/// Quotes whose times are remembered.
const REMEMBERED: usize = 1 << 20;

/// How often quotes that are due are sent.
const TICK: Duration = Duration::from_millis(1);

/// An exchange that is open.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) address: SocketAddr,
    quotes: Rc<Quotes>,
    task: JoinHandle<()>,
}

/// What has been quoted.
#[derive(Debug)]
pub(crate) struct Quotes {
    /// Quotes a second, of all pairs together.
    rate: Cell<f64>,
    next: Cell<usize>,
    sent: RefCell<Vec<Instant>>,
}

/// How quotes are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// As Kraken does, over a WebSocket.
    Kraken,
    /// One line each: the number of the pair, a space, the quote.
    Lines,
}

enum Outlet {
    Kraken(Box<WebSocketStream<TcpStream>>),
    Lines(TcpStream),
}

impl Exchange {
    /// Opens, for one listener, with so many pairs. Nothing is quoted before there is a rate.
    pub(crate) async fn open(pairs: usize, language: Language) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let quotes = Rc::new(Quotes {
            rate: Cell::new(0.0),
            next: Cell::new(0),
            sent: RefCell::new(vec![Instant::now(); REMEMBERED]),
        });
        let task = spawn_local(serve(listener, pairs, language, Rc::clone(&quotes)));
        Ok(Self { address, quotes, task })
    }

    /// Quotes so often from now on, all pairs together.
    pub(crate) fn quote(&self, per_second: f64) {
        self.quotes.rate.set(per_second);
    }

    pub(crate) fn quotes(&self) -> Rc<Quotes> {
        Rc::clone(&self.quotes)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Quotes {
    /// Tells how many there have been.
    pub(crate) fn count(&self) -> usize {
        self.next.get()
    }

    /// Tells when a quote was sent, by its number.
    pub(crate) fn sent(&self, number: usize) -> Instant {
        self.sent.borrow()[number % REMEMBERED]
    }
}

async fn serve(listener: TcpListener, pairs: usize, language: Language, quotes: Rc<Quotes>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { return };
        let _ = socket.set_nodelay(true);
        let outlet = match language {
            Language::Lines => Outlet::Lines(socket),
            Language::Kraken => match accept_async(socket).await {
                Ok(socket) => Outlet::Kraken(Box::new(socket)),
                Err(_) => continue,
            },
        };
        // Whoever has heard enough, or is ended, hangs up.
        let _ = talk(outlet, pairs, &quotes).await;
    }
}

async fn talk(mut outlet: Outlet, pairs: usize, quotes: &Quotes) -> anyhow::Result<()> {
    if let Outlet::Kraken(socket) = &mut outlet {
        // Two subscriptions, to trades and to tickers.
        for _ in 0..2 {
            socket.next().await;
        }
    }
    // All pairs once, so that each has a price.
    for pair in 0..pairs {
        outlet.say(pair, quotes).await?;
    }
    outlet.flush().await?;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut due, mut pair) = (0.0, 0);
    loop {
        ticks.tick().await;
        due += quotes.rate.get() * TICK.as_secs_f64();
        while due >= 1.0 {
            due -= 1.0;
            outlet.say(pair % pairs, quotes).await?;
            pair += 1;
        }
        outlet.flush().await?;
    }
}

impl Outlet {
    async fn say(&mut self, pair: usize, quotes: &Quotes) -> anyhow::Result<()> {
        // One is left free: a price of zero is none.
        let number = quotes.next.get() + 1;
        quotes.next.set(number);
        quotes.sent.borrow_mut()[number % REMEMBERED] = Instant::now();
        match self {
            Self::Kraken(socket) => socket.feed(Message::text(market::quote(pair, number, None))).await?,
            Self::Lines(socket) => {
                let mut line = String::new();
                writeln!(line, "{pair} {number}")?;
                socket.write_all(line.as_bytes()).await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        if let Self::Kraken(socket) = self {
            socket.flush().await?;
        }
        Ok(())
    }
}
