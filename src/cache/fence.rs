//! Writes that are refused once there is a newer epoch.
//!
//! A replica that was stopped for a while may believe that it still leads, and what it has sent may come late. So every
//! write brings its epoch, and the script that does it first looks at the highest epoch that Redis has seen. That is
//! what keeps two leaders apart; the lease's own clock only spares the writes that would be refused.

use std::sync::LazyLock;

use redis::Script;

use super::{CacheError, keys::IngestKeys, lease::Tenure, pool::Pool};

/// What every fenced script begins with. `KEYS[1]` is the highest epoch, `ARGV[1]` that of the write. Epochs are below
/// 2^53, which Lua's numbers hold exactly.
const CHECK: &str = "\
local newest = tonumber(redis.call('GET', KEYS[1]) or '0')
local epoch = tonumber(ARGV[1])
if newest > epoch then return {'deposed', string.format('%.0f', newest)} end
if newest < epoch then redis.call('SET', KEYS[1], ARGV[1]) end
";

/// Does commands, each of which stands in the arguments as the number of its words and then these.
const COMMANDS: &str = "\
local at, done = 2, 0
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, at + words))
  at = at + words + 1
  done = done + 1
end
return {'done', tostring(done)}
";

static SCRIPT: LazyLock<Script> = LazyLock::new(|| script(COMMANDS));

/// Commands that are done together, or not at all if there is a newer epoch.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    arguments: Vec<Vec<u8>>,
    keys: Vec<String>,
}

/// Does batches under an epoch.
#[derive(Debug, Clone)]
pub struct Fence {
    pool: Pool,
    epoch_key: String,
    tenure: Tenure,
}

/// What a fenced script has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// What became of it, in the script's own word.
    pub(super) outcome: String,
    /// A number that belongs to it.
    pub(super) number: u64,
}

impl Batch {
    /// Makes an empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a command to its end: its name, its key, and the words after that. All keys must be of the group of the
    /// epoch's own key ([`super::keys::Keys::ingest`]).
    pub fn command<'a>(&mut self, name: &str, key: &str, words: impl IntoIterator<Item = &'a [u8]>) {
        let at = self.arguments.len();
        self.arguments.extend([Vec::new(), name.into(), key.into()]);
        self.arguments.extend(words.into_iter().map(Into::into));
        let count = self.arguments.len() - at - 1;
        if let Some(head) = self.arguments.get_mut(at) {
            *head = count.to_string().into();
        }
        if !self.keys.iter().any(|known| known == key) {
            self.keys.push(key.to_owned());
        }
    }

    /// Tells whether there is nothing to do.
    pub const fn is_empty(&self) -> bool {
        self.arguments.is_empty()
    }
}

impl Fence {
    /// Writes under the epoch of this lease.
    pub fn new(pool: Pool, keys: &IngestKeys, tenure: Tenure) -> Self {
        Self { pool, epoch_key: keys.epoch.clone(), tenure }
    }

    /// Does a batch. Nothing is sent if the lease has run out.
    ///
    /// # Errors
    /// [`CacheError::Deposed`] if there is a newer epoch, [`CacheError::Lapsed`] if the lease has run out.
    pub async fn run(&self, batch: &Batch) -> Result<(), CacheError> {
        self.tenure.guard()?;
        let epoch = self.tenure.epoch();
        let mut keys = vec![self.epoch_key.as_str()];
        keys.extend(batch.keys.iter().map(String::as_str));
        let epoch_text = epoch.to_string();
        let mut arguments = vec![epoch_text.as_bytes()];
        arguments.extend(batch.arguments.iter().map(Vec::as_slice));
        let answer = self.pool.script("fenced", &SCRIPT, &keys, &arguments).await?;
        Answer::read(answer, epoch).map(|_| ())
    }
}

impl Answer {
    /// Reads what a fenced script returns.
    pub(super) fn read((outcome, number): (String, String), epoch: u64) -> Result<Self, CacheError> {
        let number =
            number.parse().map_err(|_| CacheError::Foreign(format!("`{number}` is not a number")))?;
        if outcome == "deposed" {
            return Err(CacheError::Deposed { epoch, newest: number });
        }
        Ok(Self { outcome, number })
    }
}

/// Makes a script of one that returns a word and a number, and that is refused once there is a newer epoch.
pub(super) fn script(body: &str) -> Script {
    Script::new(&format!("{CHECK}{body}"))
}
