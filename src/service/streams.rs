//! Streams of prices: a snapshot, or the rest of an earlier stream, then what changes.
//!
//! Most callers ask for nothing of their own: they get the messages that the fan-out has made for all. Whoever sets a
//! bar or a deviation gets messages made for it alone (`personal`), out of the same encoded prices.

pub mod alarm;

mod personal;

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::Stream;
use rust_decimal::Decimal;
use tokio::time::Instant;

use self::{alarm::Alarm, personal::Personal};
use super::{bar::Bar, error::ServiceError, prices::Prices};
use crate::{
    domain::{pair::Pair, price::Cursor},
    pipeline::{
        board::Update,
        crosses::Kept,
        fanout::{Fanout, News, Subscription},
        message::{Message, MessageKind},
    },
};

/// Pairs of a stream at most.
pub const MAX_PAIRS: usize = 1_000;

/// How long a stream that goes on from another replica waits for this one to come as far.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a caller asks of a stream.
#[derive(Debug, Clone)]
pub struct StreamQuery {
    /// The pairs; all that are kept if empty.
    pub pairs: Vec<String>,
    /// A price that misses it goes out without its number.
    pub bar: Bar,
    /// Whether every update is delivered, or the latest of each pair.
    pub every_update: bool,
    /// The time between two messages at least; the service's own interval if that is longer.
    pub min_interval: Duration,
    /// How far a price must have moved to go out again, in basis points.
    pub deviation_bps: Option<Decimal>,
    /// How often a stream that has nothing to say says so.
    pub heartbeat: Duration,
    /// Where an earlier stream was.
    pub resume_after: Option<Cursor>,
}

/// Opens streams of prices.
#[derive(Debug, Clone)]
pub struct Streams {
    prices: Prices,
    fanout: Fanout,
}

/// An open stream of prices.
#[derive(Debug)]
pub struct PriceStream {
    streams: Streams,
    subscription: Subscription,
    every_update: bool,
    min_interval: Duration,
    heartbeat: Duration,
    personal: Option<Personal>,
    waiting: VecDeque<Arc<Message>>,
    last_message: Instant,
    /// Rings when something may be due without an update. It is set anew only when it rings: a stream that has much to
    /// say does not keep the timers busy.
    alarm: Alarm,
    /// Rings when the next update may go out, where that is not at once.
    pause: Option<Alarm>,
    /// Until when it waits for the board to come as far as the stream was elsewhere, if it is not.
    patience: Option<Instant>,
    /// How often prices had grown old in their places when that was told.
    ageings: u64,
    kept: Vec<Kept>,
}

impl Streams {
    /// Streams what the fan-out tells.
    pub fn new(prices: Prices, fanout: Fanout) -> Self {
        Self { prices, fanout }
    }

    /// Opens streams whose readers live on another lane of the fan-out.
    #[must_use]
    pub fn on_lane(&self, lane: usize) -> Self {
        Self { prices: self.prices.clone(), fanout: self.fanout.on_lane(lane) }
    }

    /// Opens a stream. Unknown pairs fail it at once.
    pub fn open(&self, query: &StreamQuery) -> Result<PriceStream, ServiceError> {
        let wanted = self.wanted(&query.pairs)?;
        let filter = (!wanted.is_empty()).then_some(wanted.as_slice());
        let (derived, kept) = self.derived(&wanted)?;
        let now = Instant::now();
        let resumed = query.resume_after.and_then(|after| self.fanout.resume(filter, after));
        // Another replica may have been ahead of this one.
        let mirrored = query.resume_after.filter(|_| resumed.is_none() && self.prices.board().is_mirrored());
        let ahead = mirrored.and_then(|after| self.fanout.ahead(filter, after));
        let patience = ahead.is_some().then(|| now + PATIENCE);
        let resumed = resumed.or(ahead);
        let goes_on = resumed.is_some();
        let subscription = resumed.unwrap_or_else(|| self.fanout.subscribe(filter));
        let personal = Personal::asked(query.bar, query.deviation_bps, now);
        let alarm = personal.as_ref().and_then(Personal::looks_again).unwrap_or(now + query.heartbeat);
        let alarm = patience.map_or(alarm, |patience| patience.min(alarm));
        let mut stream = PriceStream {
            streams: self.clone(),
            subscription,
            every_update: query.every_update,
            min_interval: query.min_interval,
            heartbeat: query.heartbeat,
            personal,
            waiting: VecDeque::new(),
            last_message: now,
            alarm: Alarm::at(alarm.min(now + query.heartbeat)),
            pause: (!query.min_interval.is_zero()).then(|| Alarm::at(now + query.min_interval)),
            patience,
            ageings: self.prices.board().ageings(),
            kept,
        };
        if goes_on {
            stream.catch_up(derived);
        } else {
            if query.resume_after.is_some() {
                stream.say(MessageKind::Reset, Vec::new());
            }
            stream.start_over(derived);
        }
        Ok(stream)
    }

    /// Reads the pairs of a stream, each once.
    fn wanted(&self, pairs: &[String]) -> Result<Vec<Pair>, ServiceError> {
        if pairs.len() > MAX_PAIRS {
            let wrong = format!("has {} pairs: {MAX_PAIRS} at most are allowed", pairs.len());
            return Err(ServiceError::field("pairs", wrong));
        }
        let mut wanted =
            pairs.iter().map(|text| self.prices.resolve("pairs", text)).collect::<Result<Vec<_>, _>>()?;
        wanted.sort_unstable();
        wanted.dedup();
        Ok(wanted)
    }

    /// Reads the prices that are not on the board; and keeps there what is derived as long as the stream lives.
    fn derived(&self, wanted: &[Pair]) -> Result<(Vec<Arc<Update>>, Vec<Kept>), ServiceError> {
        let mut updates = Vec::new();
        let mut kept = Vec::new();
        for pair in wanted {
            let on_board = self.prices.board().contains(*pair);
            let update = self.prices.find(*pair)?;
            if update.price.route.is_empty() && on_board {
                continue;
            }
            let full =
                || ServiceError::field("pairs", format!("{pair} is derived, and too many such are streamed"));
            kept.push(self.prices.crosses().keep(*pair).ok_or_else(full)?);
            if !on_board {
                updates.push(update);
            }
        }
        Ok((updates, kept))
    }
}

/// The messages of a stream. It ends only with an error, which names the position to resume after.
impl Stream for PriceStream {
    type Item = Result<Arc<Message>, ServiceError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(message) = this.waiting.pop_front() {
                this.last_message = Instant::now();
                return Poll::Ready(Some(Ok(message)));
            }
            if let Err(error) = ready!(this.poll_news(context)) {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

impl PriceStream {
    /// Waits until there may be something to say, and puts it in line.
    fn poll_news(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ServiceError>> {
        let paused = self.pause.as_mut().is_some_and(|pause| !pause.poll(context));
        if !paused && self.subscription.poll_changed(context).is_ready() {
            return Poll::Ready(self.take());
        }
        if self.alarm.poll(context) {
            self.ring();
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// Takes what has changed.
    fn take(&mut self) -> Result<(), ServiceError> {
        let taken = if self.every_update {
            let resume_after = Some(self.subscription.cursor());
            self.subscription.take_all().map_err(|_| ServiceError::SlowReader { resume_after })?
        } else {
            self.subscription.take()
        };
        let batch = match taken {
            News::Nothing => return Ok(()),
            News::Batch(batch) => batch,
            News::Turned => {
                self.begin_anew();
                return Ok(());
            }
        };
        self.patience = None;
        match &mut self.personal {
            None => self.waiting.extend(batch.iter().cloned()),
            Some(personal) => {
                self.waiting
                    .extend(batch.iter().filter_map(|message| personal.make(message, &self.streams.prices)));
            }
        }
        if let Some(pause) = self.pause.as_mut().filter(|_| !self.waiting.is_empty()) {
            pause.set(Instant::now() + self.min_interval);
        }
        Ok(())
    }

    /// Says what is due without an update: that prices have grown too old, or that the stream lives. Sets the alarm.
    fn ring(&mut self) {
        let now = Instant::now();
        if self.patience.is_some_and(|patience| now >= patience) {
            self.patience = None;
            if self.subscription.cursor() > self.streams.prices.board().cursor() {
                self.begin_anew();
            }
        }
        if let Some(personal) = &mut self.personal {
            let aged = personal.aged(now, &self.streams.prices);
            if !aged.is_empty() {
                self.say(MessageKind::Update, aged);
            }
        }
        self.say_what_is_old();
        if self.waiting.is_empty() && now >= self.last_message + self.heartbeat {
            self.say(MessageKind::Heartbeat, Vec::new());
        }
        let heard = if self.waiting.is_empty() { self.last_message } else { now };
        let ageing = self.personal.as_ref().and_then(Personal::looks_again);
        let due = [ageing, self.patience].into_iter().flatten();
        self.alarm.set(due.fold(heard + self.heartbeat, Instant::min));
    }

    /// Says which prices have grown old in their places, as the replica that leads is not heard of. It is said when a
    /// heartbeat may be due, and moves on to nowhere.
    fn say_what_is_old(&mut self) {
        let ageings = self.streams.prices.board().ageings();
        if std::mem::replace(&mut self.ageings, ageings) == ageings {
            return;
        }
        let mut aged = self.subscription.aged();
        if let Some(personal) = &mut self.personal {
            aged = personal.first(&aged, &self.streams.prices);
        }
        if !aged.is_empty() {
            self.say(MessageKind::Update, aged);
        }
    }

    /// Says that the stream cannot go on where it was, and starts again with the state of all pairs.
    fn begin_anew(&mut self) {
        self.patience = None;
        let prices = &self.streams.prices;
        let derived = self.kept.iter().map(Kept::pair).filter(|pair| !prices.board().contains(*pair));
        let derived = derived.filter_map(|pair| prices.find(pair).ok()).collect();
        if let Some(personal) = &mut self.personal {
            personal.forget();
        }
        let at = self.waiting.len();
        self.start_over(derived);
        let (board, cursor) = (self.streams.prices.board(), self.subscription.cursor());
        self.waiting.insert(at, Message::new(board, MessageKind::Reset, Vec::new(), cursor, 0));
    }

    /// Starts with the state of all pairs.
    fn start_over(&mut self, derived: Vec<Arc<Update>>) {
        let batch = if self.personal.is_none() && derived.is_empty() {
            self.subscription.snapshot()
        } else {
            let mut state = with(self.subscription.state(), derived);
            if let Some(personal) = &mut self.personal {
                state = personal.first(&state, &self.streams.prices);
            }
            Message::snapshot(self.streams.prices.board(), &state, self.subscription.cursor())
        };
        self.waiting.extend(batch.iter().cloned());
    }

    /// Goes on where an earlier stream was. Derived pairs that nobody kept meanwhile have left nothing in the log: they
    /// come once as they are, if they have changed.
    fn catch_up(&mut self, mut derived: Vec<Arc<Update>>) {
        let cursor = self.subscription.cursor();
        derived.retain(|update| update.stamp.cursor > cursor);
        if !derived.is_empty() {
            if let Some(personal) = &mut self.personal {
                derived = personal.first(&derived, &self.streams.prices);
            }
            self.say(MessageKind::Update, derived);
        }
    }

    /// Puts a message in line that moves on to nowhere.
    fn say(&mut self, kind: MessageKind, updates: Vec<Arc<Update>>) {
        let (board, cursor) = (self.streams.prices.board(), self.subscription.cursor());
        self.waiting.push_back(Message::new(board, kind, updates, cursor, 0));
    }
}

/// Adds what is not on the board to what is, in the order of the pairs.
fn with(mut state: Vec<Arc<Update>>, derived: Vec<Arc<Update>>) -> Vec<Arc<Update>> {
    let known: Vec<Pair> = state.iter().map(|update| update.price.pair).collect();
    state.extend(derived.into_iter().filter(|update| known.binary_search(&update.price.pair).is_err()));
    state.sort_by_key(|update| update.price.pair);
    state
}
