//! The venues' servers on loopback: each greets whoever asks for a market, and then speaks as often as it is told to, with true
//! times, over the connection that has asked for what is said.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use chrono::Utc;
use cryptoprice::domain::{pair::Pair, venue::Venue};
use futures::{SinkExt as _, StreamExt as _};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::{JoinHandle, JoinSet, spawn_local},
    time::{MissedTickBehavior, interval},
};
use tokio_tungstenite::{accept_async, tungstenite::Message};

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
    /// Opens a venue's server for one subscriber, over as many connections as it wants. It says nothing more than a greeting before it has a rate.
    pub(crate) async fn open(language: &'static dyn Language) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let markets = Markets::open(language);
        let pairs = markets.pairs().collect();
        let symbols: Vec<String> = markets.symbols().map(str::to_lowercase).collect();
        let sent = Rc::new(Sent::default());
        let listeners = RefCell::new(vec![None; symbols.len()]);
        let markets = RefCell::new(markets);
        let hall = Rc::new(Hall { language, markets, symbols, listeners, sent: Rc::clone(&sent) });
        let task = spawn_local(serve(listener, hall));
        Ok(Self { venue: language.protocol().venue(), address, pairs, sent, task })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A venue's markets, and to whom what is said of each goes.
struct Hall {
    language: &'static dyn Language,
    markets: RefCell<Markets>,
    symbols: Vec<String>,
    listeners: RefCell<Vec<Option<UnboundedSender<Vec<Message>>>>>,
    sent: Rc<Sent>,
}

async fn serve(listener: TcpListener, hall: Rc<Hall>) {
    let mut lines = JoinSet::new();
    let listens = async {
        while let Ok((socket, _)) = listener.accept().await {
            // Whoever has heard enough, or is ended, hangs up.
            let hall = Rc::clone(&hall);
            lines.spawn_local(async move { talk(socket, &hall).await });
        }
    };
    tokio::join!(listens, speak(&hall));
}

/// Hears what a connection asks for, and hands on to it what is said of that.
async fn talk(socket: TcpStream, hall: &Rc<Hall>) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    let (mut out, mut from) = accept_async(socket).await?.split();
    let (say, mut said) = unbounded_channel::<Vec<Message>>();
    let hears = Rc::clone(hall);
    // It ends with the connection, and what was said to it with it.
    spawn_local(async move {
        while let Some(Ok(message)) = from.next().await {
            if let Ok(asked) = message.into_text() {
                hears.ask(&asked.to_lowercase(), &say);
            }
        }
    });
    while let Some(messages) = said.recv().await {
        for message in messages {
            out.feed(message).await?;
        }
        out.flush().await?;
    }
    Ok(())
}

/// Says as much as it is told to.
async fn speak(hall: &Hall) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut due, mut before) = (0.0, Instant::now());
    loop {
        ticks.tick().await;
        let now = Instant::now();
        due += hall.sent.rate.get() * now.duration_since(std::mem::replace(&mut before, now)).as_secs_f64();
        let mut batches: Vec<(UnboundedSender<Vec<Message>>, Vec<Message>, u64)> = Vec::new();
        while due >= 1.0 {
            due -= 1.0;
            let mut markets = hall.markets.borrow_mut();
            let place = markets.choose();
            let (text, trades) = markets.next_of(place, Utc::now());
            let (Some(listener), Ok(message)) =
                (&hall.listeners.borrow()[place], hall.language.packing().pack(text))
            else {
                continue;
            };
            let trades = trades as u64;
            match batches.iter_mut().find(|(known, ..)| known.same_channel(listener)) {
                Some((_, messages, all)) => {
                    messages.push(message);
                    *all += trades;
                }
                None => batches.push((listener.clone(), vec![message], trades)),
            }
        }
        for (listener, messages, trades) in batches {
            hall.say(&listener, messages, trades);
        }
    }
}

impl Hall {
    /// Takes in what somebody asks for, and greets them.
    fn ask(&self, asked: &str, listener: &UnboundedSender<Vec<Message>>) {
        for (place, symbol) in self.symbols.iter().enumerate() {
            let is_free = self.listeners.borrow()[place].as_ref().is_none_or(UnboundedSender::is_closed);
            if is_free && asked.contains(symbol) {
                self.listeners.borrow_mut()[place] = Some(listener.clone());
                let greeting = self.markets.borrow_mut().greet_of(place, Utc::now());
                let packing = self.language.packing();
                self.say(
                    listener,
                    greeting.into_iter().filter_map(|text| packing.pack(text).ok()).collect(),
                    0,
                );
            }
        }
        self.sent.greeted.set(self.listeners.borrow().iter().all(Option::is_some));
    }

    fn say(&self, listener: &UnboundedSender<Vec<Message>>, messages: Vec<Message>, trades: u64) {
        let count = messages.len() as u64;
        if listener.send(messages).is_ok() {
            self.sent.frames.set(self.sent.frames.get() + count);
            self.sent.trades.set(self.sent.trades.get() + trades);
        }
    }
}
