//! A caller that follows prices through whatever replica there is, and keeps account of what it was told.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cryptoprice::client::v1::{
    Cursor, StreamDelivery, StreamPricesKind, StreamPricesRequest, StreamPricesResponse,
    price_service_client::PriceServiceClient,
};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::node::channel;

/// Where replicas are just now. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Addresses(Arc<Mutex<Vec<SocketAddr>>>);

/// A caller that runs.
#[derive(Debug)]
pub(super) struct Subscriber {
    task: JoinHandle<Account>,
    stop: CancellationToken,
    /// The newest epoch that it has been told of.
    epoch: Arc<AtomicU64>,
}

/// What a caller was told.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// The pair that it follows; all if none.
    pub(super) pair: Option<String>,
    /// The pair of each update, by its place.
    pub(super) updates: BTreeMap<(u64, u64), String>,
    /// The places over which every update was promised: an epoch, after which sequence, up to which.
    pub(super) spans: Vec<(u64, u64, u64)>,
    /// When an update came.
    pub(super) arrivals: Vec<Instant>,
    pub(super) resets: usize,
    pub(super) connections: usize,
    pub(super) faults: Vec<String>,
    position: Option<(u64, u64)>,
}

impl Addresses {
    pub(super) fn add(&self, address: SocketAddr) {
        self.0.lock().unwrap().push(address);
    }

    pub(super) fn remove(&self, address: SocketAddr) {
        self.0.lock().unwrap().retain(|known| *known != address);
    }

    fn pick(&self, turn: usize) -> Option<SocketAddr> {
        let known = self.0.lock().unwrap();
        (!known.is_empty()).then(|| known[turn % known.len()])
    }
}

impl Subscriber {
    pub(super) fn start(number: usize, pair: Option<&str>, addresses: &Addresses) -> Self {
        let (stop, epoch) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
        let account = Account { pair: pair.map(str::to_owned), ..Account::default() };
        let task = tokio::spawn(run(account, number, addresses.clone(), Arc::clone(&epoch), stop.clone()));
        Self { task, stop, epoch }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    pub(super) async fn stop(self) -> Account {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

async fn run(
    mut account: Account,
    number: usize,
    addresses: Addresses,
    epoch: Arc<AtomicU64>,
    stop: CancellationToken,
) -> Account {
    let follow = async {
        for turn in number.. {
            if let Some(address) = addresses.pick(turn) {
                follow_one(&mut account, address, &epoch).await;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    stop.run_until_cancelled(follow).await;
    account
}

/// Follows one replica as long as it can.
async fn follow_one(account: &mut Account, address: SocketAddr, epoch: &AtomicU64) {
    let Ok(channel) = channel(address).await else { return };
    let after = account.position.map(|(epoch, sequence)| Cursor { epoch, sequence });
    let request = StreamPricesRequest {
        pairs: account.pair.iter().cloned().collect(),
        delivery: StreamDelivery::All.into(),
        resume_after: after,
        ..Default::default()
    };
    let Ok(stream) = PriceServiceClient::new(channel).stream_prices(request).await else { return };
    let mut stream = stream.into_inner();
    account.connections += 1;
    let mut begins_anew = after.is_none();
    while let Ok(Some(message)) = stream.message().await {
        account.take(&message, &mut begins_anew);
        epoch.store(account.position.unwrap_or_default().0, Ordering::Relaxed);
    }
}

impl Account {
    fn take(&mut self, message: &StreamPricesResponse, begins_anew: &mut bool) {
        let cursor = message.cursor.unwrap();
        let cursor = (cursor.epoch, cursor.sequence);
        let before = self.position.unwrap_or_default();
        if cursor < before {
            self.fault(format!("{:?} goes back from {before:?} to {cursor:?}", message.kind()));
        }
        match message.kind() {
            StreamPricesKind::Reset => {
                self.resets += 1;
                *begins_anew = true;
            }
            StreamPricesKind::Snapshot => {
                if !*begins_anew {
                    self.fault(format!("a snapshot at {cursor:?} that nothing has told of"));
                }
                self.spans.push((cursor.0, cursor.1, cursor.1));
            }
            StreamPricesKind::Update => {
                *begins_anew = false;
                self.updates(message, before, cursor);
            }
            StreamPricesKind::Heartbeat | StreamPricesKind::Unspecified => {}
        }
        self.position = Some(cursor);
    }

    fn updates(&mut self, message: &StreamPricesResponse, before: (u64, u64), cursor: (u64, u64)) {
        self.arrivals.push(Instant::now());
        if cursor.0 != before.0 {
            self.fault(format!("from {before:?} to {cursor:?} without a reset"));
        }
        let mut last = before;
        for price in &message.prices {
            let place = (price.epoch, price.sequence);
            if place <= last || place > cursor {
                self.fault(format!("{place:?} after {last:?}, up to {cursor:?}"));
            }
            if self.pair.is_none() && place != (last.0, last.1 + 1) {
                self.fault(format!("a gap from {last:?} to {place:?}"));
            }
            if self.updates.insert(place, price.pair.clone()).is_some() {
                self.fault(format!("{place:?} twice"));
            }
            last = place;
        }
        if self.pair.is_none() && last != cursor {
            self.fault(format!("a gap from {last:?} to {cursor:?}"));
        }
        match self.spans.last_mut() {
            Some((epoch, _, to)) if *epoch == cursor.0 && *to == before.1 => *to = cursor.1,
            _ => self.fault(format!("updates up to {cursor:?} after nothing")),
        }
    }

    fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    /// Compares what came of one pair with what there was.
    pub(super) fn lacks(&self, truth: &BTreeMap<(u64, u64), String>) -> Vec<(u64, u64)> {
        let pair = self.pair.as_ref().unwrap();
        let promised = |place: &(u64, u64)| {
            self.spans
                .iter()
                .any(|(epoch, after, to)| *epoch == place.0 && *after < place.1 && place.1 <= *to)
        };
        let lacking = truth
            .iter()
            .filter(|(place, of)| promised(place) && (*of == pair) != self.updates.contains_key(place));
        lacking.map(|(place, _)| *place).collect()
    }

    /// Gets the longest time without an update that ended in a span.
    pub(super) fn silence(&self, span: &Range<Instant>) -> Duration {
        let gaps = self.arrivals.windows(2).filter(|gap| span.contains(&gap[1]));
        gaps.map(|gap| gap[1] - gap[0]).max().unwrap_or(Duration::MAX)
    }
}
