//! Writes what is mirrored.

use std::{collections::VecDeque, sync::LazyLock, time::Duration};

use redis::{Cmd, RedisWrite as _, Script};

use super::{Batch, CANDLE, Position, SOURCES, States, Update, WHOLE};
use crate::{
    cache::{
        CacheError,
        fence::{self, Answer},
        keys::IngestKeys,
        lease::Tenure,
        pool::{self, Line, Pool},
    },
    clock::uptime,
};

/// The most updates of one entry, and the most names of candles: what one call in a script can take is bounded, by less
/// than 8,000 words.
const MAX_UPDATES: usize = 3_000;
const MAX_CANDLES: usize = 900;

/// The words before those, and what they take in bytes at most.
const HEAD_WORDS: usize = 7;
const HEAD_BYTES: usize = HEAD_WORDS * 20;

/// The most that waits for Redis, in bytes. What is more is given up, and everything is written anew.
const MAX_WAITING: usize = 32 << 20;

/// The stream is cut when there are so many entries too many.
const CUT_EVERY: usize = 16;

/// Adds an entry. `KEYS`: epoch, head, latest, states, updates. `ARGV`: epoch, format, entry, sequence, the oldest entry
/// that is kept, how many names of pairs that leave follow, how many words of states; these names; name and value of
/// states; pair and record of updates.
const APPEND: &str = "\
local head = redis.call('HMGET', KEYS[2], 'format', 'epoch', 'entry')
if head[1] ~= ARGV[2] or head[2] ~= ARGV[1] then return {'astray', '0'} end
if head[3] == ARGV[3] then return {'done', ARGV[3]} end
if tonumber(head[3]) + 1 ~= tonumber(ARGV[3]) then return {'astray', head[3]} end
local leaving = tonumber(ARGV[6])
local states = 8 + leaving
local updates = states + tonumber(ARGV[7])
if updates > states then redis.call('HSET', KEYS[4], unpack(ARGV, states, updates - 1)) end
if #ARGV >= updates then redis.call('HSET', KEYS[3], unpack(ARGV, updates)) end
if leaving > 0 then redis.call('HDEL', KEYS[3], unpack(ARGV, 8, states - 1)) end
redis.call('XADD', KEYS[5], ARGV[1] .. '-' .. ARGV[3], 'sequence', ARGV[4], unpack(ARGV, states))
if ARGV[5] ~= '0' then redis.call('XTRIM', KEYS[5], 'MINID', ARGV[1] .. '-' .. ARGV[5]) end
redis.call('HSET', KEYS[2], 'entry', ARGV[3], 'sequence', ARGV[4])
return {'done', ARGV[3]}
";

/// Replaces everything, unless it comes late. `KEYS` and `ARGV` as above; nobody leaves, and nothing is kept of the stream.
const REPLACE: &str = "\
local head = redis.call('HMGET', KEYS[2], 'epoch', 'entry')
if head[1] == ARGV[1] and tonumber(head[2]) >= tonumber(ARGV[3]) then return {'late', head[2]} end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
local function set(key, from, to)
  for at = from, to, 6000 do redis.call('HSET', key, unpack(ARGV, at, math.min(at + 5999, to))) end
end
local updates = 8 + tonumber(ARGV[7])
set(KEYS[4], 8, updates - 1)
set(KEYS[3], updates, #ARGV)
redis.call('XADD', KEYS[5], ARGV[1] .. '-' .. ARGV[3], 'sequence', ARGV[4], 'reset', '1')
redis.call('HSET', KEYS[2], 'format', ARGV[2], 'epoch', ARGV[1], 'entry', ARGV[3], 'sequence', ARGV[4])
return {'done', ARGV[3]}
";

static APPEND_SCRIPT: LazyLock<Script> = LazyLock::new(|| fence::script(APPEND));
static REPLACE_SCRIPT: LazyLock<Script> = LazyLock::new(|| fence::script(REPLACE));

/// How the mirror is written.
#[derive(Debug, Clone, Copy)]
pub struct WriterOptions {
    /// The format of prices, contributions and states.
    pub format: u32,
    /// How long a change stays in the stream.
    pub keep_for: Duration,
    /// What the stream may hold, in bytes, about.
    pub keep_bytes: usize,
}

/// Writes what is mirrored, under one epoch.
#[derive(Debug)]
pub struct Writer {
    line: Line,
    keys: IngestKeys,
    options: WriterOptions,
    tenure: Tenure,
    /// The last entry that has a number, written or not.
    entry: u64,
    /// The last position that was written.
    reached: Position,
    /// What was not yet written for certain, in order. It may have been, and is known by its number then.
    waiting: VecDeque<Entry>,
    waiting_bytes: usize,
    /// Whether what is in Redis is what was written last.
    complete: bool,
    /// The entries in the stream, oldest first.
    kept: VecDeque<Kept>,
    kept_bytes: usize,
}

/// What became of what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "if it is not complete, everything has to be written anew"]
pub enum Written {
    /// All of it is mirrored, up to here.
    Mirrored(Position),
    /// Redis does not hold what came before: it was emptied, or too much had to wait. Everything has to be replaced.
    Incomplete,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    sequence: u64,
    /// What it takes, about.
    bytes: usize,
    call: Cmd,
}

#[derive(Debug)]
struct Kept {
    number: u64,
    since: Duration,
    bytes: usize,
}

impl Writer {
    /// Writes under the epoch of this lease. Everything has to be written once before updates can be.
    pub fn new(pool: &Pool, keys: IngestKeys, options: WriterOptions, tenure: Tenure) -> Self {
        let reached = Position { epoch: tenure.epoch(), entry: 0, sequence: 0 };
        Self {
            line: pool.line(),
            keys,
            options,
            tenure,
            entry: 0,
            reached,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            complete: false,
            kept: VecDeque::new(),
            kept_bytes: 0,
        }
    }

    /// Replaces all that is mirrored by this, which tells everything there is.
    ///
    /// # Errors
    /// If it is uncertain whether it was done, it is to be done again.
    pub async fn replace(&mut self, everything: &Batch) -> Result<Position, CacheError> {
        self.forget();
        let entry =
            self.entry(&REPLACE_SCRIPT, everything.sequence, &everything.updates, &everything.states)?;
        // The lease is renewed over another connection, and bounds it, too.
        let answer = self.send(&REPLACE_SCRIPT, &entry, WHOLE).await?;
        if answer.outcome != "done" {
            // Another one writes under this epoch: the entries beyond its own are free.
            self.entry = self.entry.max(answer.number);
            return Err(CacheError::Foreign(format!("entry {} of this epoch", answer.number)));
        }
        self.complete = true;
        self.keep(&entry);
        self.reached = self.position(&entry);
        Ok(self.reached)
    }

    /// Adds what has changed.
    ///
    /// # Errors
    /// If it is uncertain whether it was done ([`CacheError::is_uncertain`]) it is kept, and goes ahead of what is added
    /// next, or with [`Writer::settle`]. It is written once whatever happens.
    pub async fn append(&mut self, batch: &Batch) -> Result<Written, CacheError> {
        if self.complete {
            self.enqueue(batch)?;
        }
        self.settle().await
    }

    /// Writes what is not yet written for certain.
    pub async fn settle(&mut self) -> Result<Written, CacheError> {
        while let Some(entry) = self.waiting.pop_front() {
            let answer = match self.send(&APPEND_SCRIPT, &entry, Duration::ZERO).await {
                Ok(answer) => answer,
                Err(error) => {
                    self.waiting.push_front(entry);
                    return Err(error);
                }
            };
            self.waiting_bytes -= entry.bytes;
            if answer.outcome != "done" {
                self.forget();
                break;
            }
            self.keep(&entry);
            self.reached = self.position(&entry);
        }
        Ok(if self.complete { Written::Mirrored(self.reached) } else { Written::Incomplete })
    }

    fn position(&self, entry: &Entry) -> Position {
        Position { epoch: self.tenure.epoch(), entry: entry.number, sequence: entry.sequence }
    }

    fn forget(&mut self) {
        self.complete = false;
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.kept.clear();
        self.kept_bytes = 0;
    }

    /// Puts what has changed behind what waits, in as many entries as it takes. States go with the last one.
    fn enqueue(&mut self, batch: &Batch) -> Result<(), CacheError> {
        let mut rest = batch.updates.as_slice();
        while rest.len() > MAX_UPDATES {
            let (part, others) = rest.split_at(MAX_UPDATES);
            let sequence = part.last().map_or(batch.sequence, |update| update.sequence);
            let entry = self.entry(&APPEND_SCRIPT, sequence, part, &States::default())?;
            self.wait(entry);
            rest = others;
        }
        let States { sources, candles } = &batch.states;
        let (first, others) = candles.split_at(candles.len().min(MAX_CANDLES));
        let states = States { sources: sources.clone(), candles: first.to_vec() };
        let entry = self.entry(&APPEND_SCRIPT, batch.sequence, rest, &states)?;
        self.wait(entry);
        for candles in others.chunks(MAX_CANDLES) {
            let states = States { sources: None, candles: candles.to_vec() };
            let entry = self.entry(&APPEND_SCRIPT, batch.sequence, &[], &states)?;
            self.wait(entry);
        }
        if self.waiting_bytes > MAX_WAITING {
            self.forget();
        }
        Ok(())
    }

    fn wait(&mut self, entry: Entry) {
        self.waiting_bytes += entry.bytes;
        self.waiting.push_back(entry);
    }

    /// Gives the next number to what is to be written, and puts it into words.
    fn entry(
        &mut self,
        script: &Script,
        sequence: u64,
        updates: &[Update],
        states: &States,
    ) -> Result<Entry, CacheError> {
        let leaving = updates.iter().filter(|update| update.last);
        let (left, leaving_bytes) =
            leaving.clone().fold((0, 0), |(left, bytes), update| (left + 1, bytes + update.pair.len()));
        let words = left + states.words() + 2 * updates.len();
        let bytes = leaving_bytes + states.size() + updates.iter().map(Update::size).sum::<usize>();
        let keys = [
            self.keys.epoch.as_str(),
            &self.keys.head,
            &self.keys.latest,
            &self.keys.states,
            &self.keys.updates,
        ];
        let mut call = pool::call(script, &keys, HEAD_WORDS + words, HEAD_BYTES + bytes);
        self.entry += 1;
        let (number, oldest) = (self.entry, self.oldest());
        call.arg(self.tenure.epoch()).arg(self.options.format).arg(number).arg(sequence).arg(oldest);
        call.arg(left).arg(states.words());
        leaving.for_each(|update| _ = call.arg(&update.pair));
        if let Some(sources) = &states.sources {
            call.arg(SOURCES).arg(&sources[..]);
        }
        for (name, candles) in &states.candles {
            call.write_arg_fmt(format_args!("{CANDLE}{name}"));
            call.arg(&candles[..]);
        }
        for update in updates {
            call.arg(&update.pair);
            update.write_record(call.bufmut_for_next_arg(update.size()))?;
        }
        Ok(Entry { number, sequence, bytes: bytes + words * size_of::<usize>(), call })
    }

    async fn send(&mut self, script: &Script, entry: &Entry, longer: Duration) -> Result<Answer, CacheError> {
        self.tenure.guard()?;
        Answer::read(self.line.call("mirror", script, &entry.call, longer).await?, self.tenure.epoch())
    }

    fn keep(&mut self, entry: &Entry) {
        let bytes = entry.bytes;
        self.kept.push_back(Kept { number: entry.number, since: uptime(), bytes });
        self.kept_bytes += bytes;
    }

    /// Finds the oldest entry that stays in the stream, if it is worth while to cut those before it; else 0.
    fn oldest(&mut self) -> u64 {
        let now = uptime();
        let (mut bytes, mut leaving) = (self.kept_bytes, 0);
        for kept in &self.kept {
            if bytes <= self.options.keep_bytes && now.saturating_sub(kept.since) <= self.options.keep_for {
                break;
            }
            bytes -= kept.bytes;
            leaving += 1;
        }
        if leaving < CUT_EVERY {
            return 0;
        }
        self.kept.drain(..leaving);
        self.kept_bytes = bytes;
        self.kept.front().map_or(self.entry, |kept| kept.number)
    }
}
