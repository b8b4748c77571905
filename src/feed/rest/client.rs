//! Asks a venue over REST, within its budget.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::{Budget, Query, Rest};
use crate::{
    clock::Clock,
    feed::{causes::with_causes, closed::Closed, refusal::Refusal, socket::USER_AGENT, venue::ParseError},
};

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of an answer at most: the longest list of instruments has some ten million.
const MAX_ANSWER: usize = 32 << 20;

/// The part of a budget that may be spent at once: one in this many.
const BURST: u32 = 4;

/// Asks one venue. Whoever asks waits for room in the budget; nobody asks before a wait that the venue wants is over.
#[derive(Debug)]
pub struct RestClient {
    rest: &'static dyn Rest,
    base: String,
    http: reqwest::Client,
    clock: Clock,
    /// Nothing is asked while it is.
    closed: Arc<Closed>,
    state: Mutex<State>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// The venue answered with a status of failure.
    #[error(transparent)]
    Refused(Refused),
    /// It wants to be left alone, for so long yet.
    #[error("the venue wants to be left alone for {0:?}")]
    TooOften(Duration),
    /// It was refused for good before.
    #[error("the venue has refused us for good")]
    Blocked,
    /// It was not reached, or the answer was cut off.
    #[error("no answer: {}", with_causes(.0))]
    Transport(reqwest::Error),
    /// The answer is larger than any should be.
    #[error("an answer of more than {MAX_ANSWER} bytes")]
    TooLarge,
    /// The answer is not understood, or says that the question is refused.
    #[error("the answer is not understood: {0}")]
    Answer(#[from] ParseError),
}

/// A status of failure.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Refused(#[from] Refusal);

#[derive(Debug)]
struct State {
    budget: Budget,
    /// When all that was asked so far would be paid for.
    paid: Instant,
    blocked: bool,
}

impl From<reqwest::Error> for RestError {
    /// Leaves the address out, which may hold credentials.
    fn from(error: reqwest::Error) -> Self {
        Self::Transport(error.without_url())
    }
}

impl RestError {
    /// Tells whether it may be about what was asked: of less, the venue may tell.
    pub(crate) fn is_of_the_question(&self) -> bool {
        match self {
            Self::Refused(Refused(refusal)) => refusal.retry_after().is_none() && !refusal.is_final(),
            Self::Answer(_) | Self::TooLarge => true,
            Self::TooOften(_) | Self::Blocked | Self::Transport(_) => false,
        }
    }
}

/// Makes the HTTP client that all venues share.
pub fn http_client() -> reqwest::Result<reqwest::Client> {
    // Fails where the program has chosen a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ANSWER_WITHIN)
        .build()
}

impl RestClient {
    /// Asks a venue at its own address, or at another.
    pub fn new(rest: &'static dyn Rest, base: Option<&str>, http: reqwest::Client) -> Self {
        let base = base.unwrap_or_else(|| rest.base()).trim_end_matches('/').to_owned();
        let state = State { budget: rest.budget(), paid: Instant::now(), blocked: false };
        let (clock, closed) = (Clock::system(), Arc::default());
        Self { rest, base, http, clock, closed, state: Mutex::new(state) }
    }

    /// Gets how the venue is asked.
    pub fn rest(&self) -> &'static dyn Rest {
        self.rest
    }

    /// Shares when the venue wants to be left alone.
    pub(in crate::feed) fn closed(&self) -> Arc<Closed> {
        Arc::clone(&self.closed)
    }

    /// Gets the budget.
    pub fn budget(&self) -> Budget {
        self.state().budget
    }

    /// Changes the budget: another than the venue's own, or the venue's own again.
    pub fn set_budget(&self, budget: Option<Budget>) {
        self.state().budget = budget.unwrap_or_else(|| self.rest.budget());
    }

    /// Tells whether the venue has refused us for good.
    pub fn is_blocked(&self) -> bool {
        self.state().blocked
    }

    /// Lets it be tried again after the venue has refused us for good.
    pub fn forgive(&self) {
        self.state().blocked = false;
    }

    /// Asks, when there is room in the budget.
    pub async fn ask(&self, query: Query) -> Result<String, RestError> {
        let turn = self.turn(query.weight)?;
        sleep_until(turn).await;
        // Others may have been told to wait meanwhile.
        self.open()?;
        let mut response = self.http.get(format!("{}{}", self.base, query.path)).send().await?;
        if !response.status().is_success() {
            let refusal = Refusal::new(response.status(), response.headers(), self.clock.now());
            self.state().blocked |= refusal.is_final();
            if let Some(wait) = refusal.retry_after() {
                self.closed.keep_for(wait);
            }
            return Err(RestError::Refused(refusal.into()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Err(RestError::TooLarge);
            }
        }
        Ok(String::from_utf8(body).map_err(|_| ParseError::NotText)?)
    }

    /// Takes a turn: tells when it is.
    fn turn(&self, weight: u32) -> Result<Instant, RestError> {
        self.open()?;
        let mut state = self.state();
        let (now, Budget { weight: all, per }) = (Instant::now(), state.budget);
        let burst = per / BURST;
        state.paid = state.paid.max(now) + per * weight / all.max(1);
        // What is within the burst need not wait.
        Ok(state.paid.checked_sub(burst).unwrap_or(now).max(now))
    }

    fn open(&self) -> Result<(), RestError> {
        if self.state().blocked {
            return Err(RestError::Blocked);
        }
        self.closed.left().map_or(Ok(()), |left| Err(RestError::TooOften(left)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
