//! Who listens to the venues for all: one replica at a time.
//!
//! The one that leads holds a key that expires, and renews it several times before that. Each time that the lease goes
//! to somebody it comes with an epoch that is higher than any before: than the highest that Redis remembers, than any
//! that this replica has seen, and than Redis's clock and ours in milliseconds, so that a Redis that was emptied does not
//! go back. The epoch is the fencing token ([`super::fence`]).
//!
//! A replica counts its lease from before it has asked for it, by a clock that also runs while the machine sleeps, so it
//! stops believing in it before Redis gives it to another one. That holds also if Redis cannot be reached.

mod epochs;
mod tenure;

use std::{sync::LazyLock, time::Duration};

use redis::{Script, cmd};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub use self::{epochs::Epochs, tenure::Tenure};
use super::{
    CacheError,
    keys::IngestKeys,
    pool::{Line, Pool},
};
use crate::clock::{Clock, uptime};

/// Takes the lease, or renews it. `KEYS`: lease, epoch. `ARGV`: who asks, for how long in ms, the epoch that it holds or
/// 0, the least epoch. Who asks without an epoch but holds the lease has not heard that it got it: it gets a new epoch.
const TAKE: &str = "\
local newest = tonumber(redis.call('GET', KEYS[2]) or '0')
local held = redis.call('GET', KEYS[1])
local mine = ARGV[3] .. ' ' .. ARGV[1]
if held == mine then
  if newest > tonumber(ARGV[3]) then return {held, string.format('%.0f', newest), 'lost'} end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  redis.call('SET', KEYS[2], ARGV[3])
  return {held, ARGV[3], 'held'}
end
local holder = held and string.match(held, '^%d+ (.*)$')
if held and holder ~= ARGV[1] then return {held, string.format('%.0f', newest), 'taken'} end
if ARGV[3] ~= '0' then return {held or '', string.format('%.0f', newest), 'lost'} end
local time = redis.call('TIME')
local epoch = math.max(newest + 1, tonumber(ARGV[4]), time[1] * 1000 + math.floor(time[2] / 1000))
local text = string.format('%.0f', epoch)
redis.call('SET', KEYS[2], text)
redis.call('SET', KEYS[1], text .. ' ' .. ARGV[1], 'PX', ARGV[2])
return {text .. ' ' .. ARGV[1], text, 'held'}
";

/// Gives the lease up, if it is still held. `KEYS`: lease. `ARGV`: what it then says.
const RELEASE: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
";

static TAKE_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(TAKE));
static RELEASE_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(RELEASE));

/// How the lease is held.
#[derive(Debug, Clone)]
pub struct LeaseOptions {
    /// Who asks. No two that ask may have the same name: [`holder`] makes one.
    pub holder: String,
    /// How long the lease holds without being renewed.
    pub span: Duration,
    /// How often it is renewed, or asked for.
    pub renew_every: Duration,
}

/// What a replica is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It is not known who leads: Redis has not answered, or not lately.
    Unknown,
    /// Another one leads.
    Standby {
        /// Who that is, by its name.
        leader: String,
        /// Its epoch.
        epoch: u64,
    },
    /// This one leads, until its tenure is over.
    Leader(Tenure),
}

/// Asks for the lease, and keeps it.
#[derive(Debug)]
pub struct Lease {
    line: Line,
    keys: IngestKeys,
    options: LeaseOptions,
    clock: Clock,
    role: watch::Sender<Role>,
    /// What was seen: a Redis that was emptied may know of none.
    epochs: Epochs,
}

/// Makes a name for this process: one that people know, and a part that nobody else has.
pub fn holder(name: &str) -> String {
    format!("{name}/{}/{:016x}", std::process::id(), rand::random::<u64>())
}

/// Finds out who leads, by its name; nobody may.
pub async fn leader(pool: &Pool, keys: &IngestKeys) -> Result<Option<String>, CacheError> {
    let held: Option<String> = pool.query("lease_holder", cmd("GET").arg(&keys.lease)).await?;
    Ok(held.and_then(|held| Some(held.split_once(' ')?.1.to_owned())))
}

impl Lease {
    /// Makes one that asks for nothing before it is run, and what tells the role.
    pub fn new(
        pool: &Pool,
        keys: IngestKeys,
        options: LeaseOptions,
        clock: Clock,
    ) -> (Self, watch::Receiver<Role>) {
        let (role, told) = watch::channel(Role::Unknown);
        (Self { line: pool.line(), keys, options, clock, role, epochs: Epochs::default() }, told)
    }

    /// Gets the epochs that it has seen. It asks for higher ones only, also than those that others note there.
    pub fn epochs(&self) -> Epochs {
        self.epochs.clone()
    }

    /// Asks for the lease and keeps it until told to end; then gives it up.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut ticks = interval(self.options.renew_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.turn() => {}
            }
        }
        self.resign().await;
    }

    /// Asks once. A leader that gets no answer before its lease is over has stopped leading by then.
    async fn turn(&mut self) {
        let tenure = self.tenure();
        let asked = uptime();
        let answer = match &tenure {
            Some(tenure) => match timeout(tenure.remaining(), self.ask(tenure.epoch())).await {
                Ok(answer) => answer,
                Err(_) => return self.lapse(tenure),
            },
            None => self.ask(0).await,
        };
        match answer {
            Ok(Taken::ByUs { epoch }) => self.lead(epoch, asked),
            Ok(Taken::ByAnother { leader, epoch }) => {
                end(tenure.as_ref());
                self.become_role(Role::Standby { leader, epoch });
            }
            Ok(Taken::Lost) => {
                end(tenure.as_ref());
                self.become_role(Role::Unknown);
            }
            Err(error) => self.unanswered(tenure.as_ref(), &error).await,
        }
    }

    /// Waits for the rest of the pause, and not past the end of the lease.
    async fn unanswered(&mut self, tenure: Option<&Tenure>, error: &CacheError) {
        debug!(%error, "the lease could not be asked for");
        match tenure {
            Some(tenure) if tenure.remaining() > self.options.renew_every => {}
            Some(tenure) => {
                sleep(tenure.remaining()).await;
                self.lapse(tenure);
            }
            None => self.become_role(Role::Unknown),
        }
    }

    async fn ask(&mut self, epoch: u64) -> Result<Taken, CacheError> {
        let least = self.epochs.next(&self.clock);
        let (span, epoch, least) =
            (self.options.span.as_millis().to_string(), epoch.to_string(), least.to_string());
        let arguments = [&self.options.holder, &span, &epoch, &least].map(String::as_bytes);
        let keys = [self.keys.lease.as_str(), self.keys.epoch.as_str()];
        let answer: (String, String, String) =
            self.line.script("lease", &TAKE_SCRIPT, &keys, &arguments).await?;
        let taken = Taken::read(&answer)?;
        let newest =
            answer.1.parse().map_err(|_| CacheError::Foreign(format!("the epoch `{}`", answer.1)))?;
        self.epochs.see(newest);
        Ok(taken)
    }

    fn lead(&mut self, epoch: u64, asked: Duration) {
        // A share of it is kept back, as no two clocks run alike.
        let until = asked + self.options.span.mul_f64(0.95);
        if let Some(tenure) = self.tenure().filter(|tenure| tenure.epoch() == epoch) {
            if tenure.extend(until) {
                return;
            }
            // It was over before the answer came: others may have seen that, so it is not taken up again.
            return self.lapse(&tenure);
        }
        let tenure = Tenure::new(epoch, until);
        if tenure.guard().is_ok() {
            info!(epoch, "this replica leads");
            self.role.send_replace(Role::Leader(tenure));
        }
    }

    fn lapse(&self, tenure: &Tenure) {
        end(Some(tenure));
        self.become_role(Role::Unknown);
    }

    async fn resign(&mut self) {
        let Some(tenure) = self.tenure() else {
            return;
        };
        tenure.end();
        self.become_role(Role::Unknown);
        let held = format!("{} {}", tenure.epoch(), self.options.holder);
        let released: Result<i64, _> =
            self.line.script("lease_release", &RELEASE_SCRIPT, &[&self.keys.lease], &[held.as_bytes()]).await;
        match released {
            Ok(_) => info!(epoch = tenure.epoch(), "this replica has given up the lease"),
            Err(error) => warn!(epoch = tenure.epoch(), %error, "the lease is left to run out"),
        }
    }

    fn tenure(&self) -> Option<Tenure> {
        match &*self.role.borrow() {
            Role::Leader(tenure) => Some(tenure.clone()),
            _ => None,
        }
    }

    fn become_role(&self, role: Role) {
        self.role.send_if_modified(|current| {
            let changed = *current != role;
            *current = role;
            changed
        });
    }
}

/// What Redis has said to who asked for the lease.
enum Taken {
    ByUs { epoch: u64 },
    ByAnother { leader: String, epoch: u64 },
    Lost,
}

impl Taken {
    fn read((held, _, outcome): &(String, String, String)) -> Result<Self, CacheError> {
        if outcome == "lost" {
            return Ok(Self::Lost);
        }
        let parts = held.split_once(' ').and_then(|(epoch, holder)| Some((epoch.parse().ok()?, holder)));
        let Some((epoch, holder)) = parts else {
            return Err(CacheError::Foreign(format!("the lease `{held}`")));
        };
        Ok(match outcome.as_str() {
            "held" => Self::ByUs { epoch },
            _ => Self::ByAnother { leader: holder.to_owned(), epoch },
        })
    }
}

/// Ends a tenure, if there is one.
fn end(tenure: Option<&Tenure>) {
    if let Some(tenure) = tenure {
        warn!(epoch = tenure.epoch(), "this replica leads no longer");
        tenure.end();
    }
}
