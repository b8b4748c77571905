//! What has changed of some pairs, for all who ask for just these.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::{Lane, readers::Readers};
use crate::{
    domain::{pair::Pair, price::Cursor},
    pipeline::{
        board::{Board, LOG, Update},
        message::{Batch, Message},
    },
};

/// Answers to readers that are behind which are kept for others, at most.
const CATCH_UPS: usize = 64;

/// Some pairs, or all, as of the last flush.
#[derive(Debug)]
pub(super) struct Channel {
    board: Board,
    id: u64,
    filter: Option<Arc<[Pair]>>,
    state: Mutex<State>,
    /// Its readers, for each lane where it has been read.
    lanes: Box<[OnceLock<Readers>]>,
}

#[derive(Debug)]
struct State {
    latest: BTreeMap<Pair, Arc<Update>>,
    to: Cursor,
    /// Who stands before this place has to begin anew: what was between is not known.
    begun: Cursor,
    /// Matching updates so far, counted from anywhere.
    total: u64,
    last: Option<Flush>,
    /// Pairs that have left the board, and where they did.
    gone: VecDeque<(u64, Pair)>,
    /// What those got who were behind, by their position.
    catch_ups: BTreeMap<u64, Batch>,
    /// The snapshot, and how often prices had been said to be old when it was made.
    snapshot: Option<(u64, Batch)>,
}

/// What came with one flush.
#[derive(Debug)]
struct Flush {
    /// Who stands between these two is in step: nothing that matches lies between them.
    after: (u64, u64),
    latest: Batch,
    /// Nothing where some updates were lost between the log and the flush.
    every: Option<Batch>,
}

/// What a reader gets, and where it stands then.
#[derive(Debug)]
pub(super) struct Taken {
    /// The messages.
    pub(super) batch: Batch,
    /// The reader's new position.
    pub(super) position: Cursor,
    /// The channel's count there.
    pub(super) total: u64,
}

/// Where a reader stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// It has got everything up to here.
    pub(super) position: Cursor,
    /// The channel's count there, if it is known.
    pub(super) total: Option<u64>,
}

/// What there is for a reader.
#[derive(Debug)]
pub(super) enum Since {
    /// Nothing yet.
    Nothing,
    /// These.
    Taken(Taken),
    /// It has to begin anew: its epoch is over, or a pair has left unheard.
    Turned,
}

impl Channel {
    pub(super) fn new(
        board: Board,
        id: u64,
        filter: Option<Arc<[Pair]>>,
        latest: BTreeMap<Pair, Arc<Update>>,
        (begun, to, total): (Cursor, Cursor, u64),
        lanes: usize,
    ) -> Self {
        let state = State {
            gone: gone(&latest),
            latest,
            to,
            begun,
            total,
            last: None,
            catch_ups: BTreeMap::new(),
            snapshot: None,
        };
        Self {
            board,
            id,
            filter,
            state: Mutex::new(state),
            lanes: (0..lanes).map(|_| OnceLock::new()).collect(),
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Gets the pairs; `None` for all.
    pub(super) fn filter(&self) -> Option<&Arc<[Pair]>> {
        self.filter.as_ref()
    }

    /// Adds a reader on a lane, and gives the number it goes by there. Nothing is flushed meanwhile.
    pub(super) fn join(&self, lane: usize) -> usize {
        let head = self.state().to;
        self.readers(lane).join(head)
    }

    /// Gets the readers of a lane.
    #[expect(clippy::indexing_slicing, reason = "each lane has its readers")]
    pub(super) fn readers(&self, lane: usize) -> &Readers {
        self.lanes[lane].get_or_init(Readers::default)
    }

    /// Tells whether anybody reads it on a lane.
    fn is_read_on(&self, lane: usize) -> bool {
        self.lanes.get(lane).and_then(OnceLock::get).is_some_and(|readers| !readers.is_empty())
    }

    /// Wakes the readers of a lane.
    pub(super) fn wake(&self, lane: usize) {
        if let Some(readers) = self.lanes.get(lane).and_then(OnceLock::get) {
            let head = self.state().to;
            readers.wake(head);
        }
    }

    /// Has the lanes woken on which somebody reads it.
    pub(super) fn call(self: &Arc<Self>, lanes: &[Lane]) {
        for (_, lane) in lanes.iter().enumerate().filter(|(lane, _)| self.is_read_on(*lane)) {
            lane.woken().push(Arc::clone(self));
        }
    }

    /// Gets what it knows of some pairs, and since when.
    pub(super) fn of(&self, pairs: &[Pair]) -> (BTreeMap<Pair, Arc<Update>>, Cursor) {
        let state = self.state();
        let known = |pair: &Pair| Some((*pair, Arc::clone(state.latest.get(pair)?)));
        (pairs.iter().filter_map(known).collect(), state.begun)
    }

    /// Takes in what has changed between two flushes, in order: every update, or only the newest of each pair.
    pub(super) fn flush(&self, every: Vec<Arc<Update>>, complete: bool, before: u64, to: Cursor) {
        let mut state = self.state();
        let latest = newest_of_each(&every);
        // In the channel of all pairs, the count of updates is their sequence, whatever was lost.
        let passed = if self.filter.is_none() { to.sequence - state.total } else { every.len() as u64 };
        let skipped = passed.saturating_sub(latest.len() as u64);
        state.latest.extend(latest.iter().map(|update| (update.price.pair, Arc::clone(update))));
        state.forget_gone(&latest, to.sequence);
        let after = (state.to.sequence, before);
        state.to = to;
        state.total += passed;
        state.catch_ups.clear();
        state.snapshot = None;
        let latest = Message::changes(&self.board, latest, to, skipped);
        let every = || match skipped {
            0 => Arc::clone(&latest),
            _ => Message::changes(&self.board, every, to, 0),
        };
        state.last = Some(Flush { after, every: complete.then(every), latest });
    }

    /// Begins another epoch, with the board as it is there, and all that led there from a place on.
    pub(super) fn turn(&self, board: &BTreeMap<Pair, Arc<Update>>, begun: Cursor, to: Cursor) {
        let mut state = self.state();
        state.latest = match &self.filter {
            None => board.clone(),
            Some(pairs) => pairs.iter().filter_map(|pair| board.get_key_value(pair)).map(cloned).collect(),
        };
        (state.begun, state.to) = (begun, to);
        if self.filter.is_none() {
            state.total = to.sequence;
        }
        (state.last, state.snapshot) = (None, None);
        state.gone = gone(&state.latest);
        state.catch_ups.clear();
    }

    /// Forgets pairs that are not on the board any more, of which no update has told, and tells whether there were any.
    /// Who knows of them begins anew.
    pub(super) fn keep(&self, board: &BTreeMap<Pair, Arc<Update>>, to: Cursor) -> bool {
        let mut state = self.state();
        let before = state.latest.len();
        state.latest.retain(|pair, update| update.price.is_gone() || board.contains_key(pair));
        let lost = state.latest.len() < before;
        if lost {
            (state.to, state.begun) = (to, to);
        }
        state.snapshot = None;
        lost
    }

    /// Gets how many matching updates there have been up to the last flush, counted from anywhere.
    pub(super) fn total(&self) -> u64 {
        self.state().total
    }

    /// Gives a reader the latest update of each pair that changed since its place.
    pub(super) fn latest_since(&self, place: Place) -> Since {
        let mut state = self.state();
        let (position, total, sequence) = (state.to, state.total, place.position.sequence);
        if let Some(apart) = state.apart(place) {
            return apart;
        }
        if let Some(flush) = state.last.as_ref().filter(|flush| flush.is_in_step(sequence)) {
            return Since::Taken(Taken { batch: Arc::clone(&flush.latest), position, total });
        }
        if let Some(batch) = state.catch_ups.get(&sequence) {
            return Since::Taken(Taken { batch: Arc::clone(batch), position, total });
        }
        let newer = |update: &&Arc<Update>| update.stamp.cursor > place.position;
        let mut updates: Vec<_> = state.latest.values().filter(newer).cloned().collect();
        if updates.is_empty() {
            return Since::Nothing;
        }
        updates.sort_by_key(|update| update.stamp.cursor);
        let passed = match place.total {
            Some(known) => Some(total.saturating_sub(known)),
            None => self.logged_since(place.position, position),
        };
        // Where nobody can tell any more how many there were, there was one more at least.
        let passed = passed.unwrap_or(updates.len() as u64 + 1);
        let skipped = passed.saturating_sub(updates.len() as u64);
        let batch = Message::changes(&self.board, updates, state.to, skipped);
        if state.catch_ups.len() < CATCH_UPS {
            state.catch_ups.insert(sequence, Arc::clone(&batch));
        }
        Since::Taken(Taken { batch, position, total })
    }

    /// Gives a reader every update since its place.
    pub(super) fn every_since(&self, place: Place) -> Result<Since, Overrun> {
        let state = self.state();
        let (position, total) = (state.to, state.total);
        if let Some(apart) = state.apart(place) {
            return Ok(apart);
        }
        if let Some(flush) = state.last.as_ref().filter(|flush| flush.is_in_step(place.position.sequence)) {
            let batch = flush.every.as_ref().map(Arc::clone).ok_or(Overrun)?;
            return Ok(Since::Taken(Taken { batch, position, total }));
        }
        drop(state);
        let updates: Vec<_> = self.logged(place.position, position).collect::<Option<_>>().ok_or(Overrun)?;
        if updates.is_empty() {
            return Ok(Since::Nothing);
        }
        let batch = Message::changes(&self.board, updates, position, 0);
        Ok(Since::Taken(Taken { batch, position, total }))
    }

    /// Gives the state of all its pairs.
    pub(super) fn snapshot(&self) -> Taken {
        let ageings = self.board.ageings();
        let mut state = self.state();
        let (position, total) = (state.to, state.total);
        if let Some((_, batch)) = state.snapshot.as_ref().filter(|(made, _)| *made == ageings) {
            return Taken { batch: Arc::clone(batch), position, total };
        }
        let batch = Message::snapshot(&self.board, &state.kept(&self.board), position);
        state.snapshot = Some((ageings, Arc::clone(&batch)));
        Taken { batch, position, total }
    }

    /// Lists its pairs as they are, and tells as of where.
    pub(super) fn kept(&self) -> (Vec<Arc<Update>>, Place) {
        let state = self.state();
        (state.kept(&self.board), Place { position: state.to, total: Some(state.total) })
    }

    /// Lists those that have grown old in their places since they were told.
    pub(super) fn aged(&self) -> Vec<Arc<Update>> {
        if self.board.ageings() == 0 {
            return Vec::new();
        }
        let state = self.state();
        let aged = state.latest.values().map(|update| (update, self.board.aged(update)));
        aged.filter(|(told, now)| !Arc::ptr_eq(told, now)).map(|(_, now)| now).collect()
    }

    fn logged_since(&self, position: Cursor, to: Cursor) -> Option<u64> {
        self.logged(position, to).map(|update| update.map(|_| 1)).sum()
    }

    /// Reads the matching updates between two places from the log; `None` where it does not reach any more.
    fn logged(&self, position: Cursor, to: Cursor) -> impl Iterator<Item = Option<Arc<Update>>> {
        let filter = self.filter.clone();
        let matches = move |update: &Option<Arc<Update>>| {
            let pair = update.as_ref().map(|update| update.price.pair);
            let asked = |pairs: &[Pair], pair| pairs.binary_search(&pair).is_ok();
            filter.as_ref().zip(pair).is_none_or(|(pairs, pair)| asked(pairs, pair))
        };
        let places = position.sequence + 1..=to.sequence;
        places.map(move |sequence| self.board.logged(Cursor { sequence, ..to })).filter(matches)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log no longer reaches back to the reader's place.
#[derive(Debug)]
pub(super) struct Overrun;

impl State {
    /// Forgets pairs that have left the board, once whoever has not been told is too far behind to be told at all.
    fn forget_gone(&mut self, latest: &[Arc<Update>], to: u64) {
        let gone = latest.iter().filter(|update| update.price.is_gone());
        self.gone.extend(gone.map(|update| (update.stamp.cursor.sequence, update.price.pair)));
        while let Some((sequence, pair)) = self.gone.front().copied()
            && sequence.saturating_add(LOG as u64) < to
        {
            self.gone.pop_front();
            if self.latest.get(&pair).is_some_and(|update| update.stamp.cursor.sequence == sequence) {
                self.latest.remove(&pair);
            }
        }
    }

    /// Tells what a reader has to know that is not just behind: it is here already, or has to begin anew.
    fn apart(&self, place: Place) -> Option<Since> {
        if place.position < self.begun {
            Some(Since::Turned)
        } else {
            (place.position >= self.to).then_some(Since::Nothing)
        }
    }

    fn kept(&self, board: &Board) -> Vec<Arc<Update>> {
        let kept = self.latest.values().filter(|update| !update.price.is_gone());
        kept.map(|update| board.aged(update)).collect()
    }
}

impl Flush {
    fn is_in_step(&self, position: u64) -> bool {
        (self.after.0..=self.after.1).contains(&position)
    }
}

/// Lists pairs that have left, in the order in which they did.
fn gone(latest: &BTreeMap<Pair, Arc<Update>>) -> VecDeque<(u64, Pair)> {
    let gone = latest.iter().filter(|(_, update)| update.price.is_gone());
    let mut gone: Vec<_> = gone.map(|(pair, update)| (update.stamp.cursor.sequence, *pair)).collect();
    gone.sort_unstable();
    gone.into()
}

fn cloned((pair, update): (&Pair, &Arc<Update>)) -> (Pair, Arc<Update>) {
    (*pair, Arc::clone(update))
}

/// Finds the newest update of each pair, oldest first.
fn newest_of_each(updates: &[Arc<Update>]) -> Vec<Arc<Update>> {
    let mut seen = BTreeSet::new();
    let mut newest: Vec<_> =
        updates.iter().rev().filter(|update| seen.insert(update.price.pair)).cloned().collect();
    newest.reverse();
    newest
}
