//! Five venues on loopback whose prices move, a service that listens to them, and a witness of all that it tells.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use cryptoprice::{
    app::Mode,
    client::v1::{
        Contribution, ExplainPriceRequest, GetPriceRequest, GetSourceRequest, Price, PriceStatus, Source,
        SourceState, StreamDelivery, StreamPricesRequest, price_service_client::PriceServiceClient,
        source_service_client::SourceServiceClient,
    },
    feed::venues,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use tonic::transport::Channel;

use super::{
    course::{Course, drive},
    tongue::Tongue,
    venue::Venue,
};
use crate::{
    harness::{Metrics, Running, eventually},
    program::Program,
};

/// The pair that is looked at by most.
pub(super) const PAIR: &str = "BTC-USD";

/// The venues of most stages, each of another owner.
pub(super) const TONGUES: [Tongue; 5] =
    [Tongue::Gate, Tongue::Kraken, Tongue::Coinbase, Tongue::Bybit, Tongue::Okx];

/// Spans that are short, so that faults take seconds; long enough for a machine that is busy.
pub(super) const SETTINGS: &[(&str, &str)] = &[
    ("AGGREGATION__MAX_AGE", "5s"),
    ("FEED__BACKOFF", "50ms"),
    ("FEED__MAX_BACKOFF", "200ms"),
    ("FEED__STABLE_AFTER", "1s"),
    ("FEED__SILENT_AFTER", "1500ms"),
    ("FEED__MARKET_SILENT_AFTER", "4s"),
    ("FEED__POLL_AFTER", "500ms"),
    ("FEED__POLL_EVERY", "200ms"),
    ("FEED__PENALTY_AFTER", "1000"),
    ("FEED__PENALTY", "1s"),
    // What is asked for is told apart by what the feeds ask.
    ("BACKFILL__ENABLED", "false"),
];

/// Venues, what runs, and what is known of it.
pub(super) struct Stage {
    pub(super) venues: Vec<Arc<Venue>>,
    pub(super) course: Arc<Course>,
    /// That pair, or another where venues do not have it.
    pair: &'static str,
    service: Service,
    pub(super) prices: PriceServiceClient<Channel>,
    sources: SourceServiceClient<Channel>,
    seen: Arc<Mutex<Vec<Price>>>,
    tasks: Vec<JoinHandle<()>>,
}

/// Where the service runs.
enum Service {
    Here(Running),
    Apart(Program),
}

impl Stage {
    /// Has one pair at five venues.
    pub(super) async fn set(settings: &[(&str, &str)]) -> Self {
        Self::with(&[PAIR], settings).await
    }

    /// Has some pairs at five venues.
    pub(super) async fn with(markets: &[&'static str], settings: &[(&str, &str)]) -> Self {
        let stage = Self::starting(&TONGUES, markets, settings, |_| ()).await;
        stage.begun().await;
        stage
    }

    /// Has some pairs at some venues, prepared before the service starts.
    pub(super) async fn starting(
        tongues: &[Tongue],
        markets: &[&'static str],
        settings: &[(&str, &str)],
        prepare: impl Fn(&Venue),
    ) -> Self {
        let venues = open(tongues, markets).await;
        let course = Course::begin();
        let driver = tokio::spawn(drive(venues.clone(), Arc::clone(&course)));
        for venue in &venues {
            prepare(venue);
        }
        let all = surroundings(&venues, settings);
        let all: Vec<(&str, &str)> = all.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let running = Running::start(Mode::Live, &all).await;
        Self::over(venues, course, driver, Service::Here(running)).await
    }

    /// Looks at a program that listens to some venues.
    pub(super) async fn beside(program: Program, venues: Vec<Arc<Venue>>) -> Self {
        let course = Course::begin();
        let driver = tokio::spawn(drive(venues.clone(), Arc::clone(&course)));
        Self::over(venues, course, driver, Service::Apart(program)).await
    }

    async fn over(
        venues: Vec<Arc<Venue>>,
        course: Arc<Course>,
        driver: JoinHandle<()>,
        service: Service,
    ) -> Self {
        let url = format!("http://{}", service.address());
        let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
        let (prices, sources) = (PriceServiceClient::new(channel.clone()), SourceServiceClient::new(channel));
        let markets = venues.first().map_or(&[][..], |venue| venue.markets());
        let pair = if markets.contains(&PAIR) { PAIR } else { markets[0] };
        let seen = Arc::new(Mutex::new(Vec::new()));
        let witness = tokio::spawn(witness(prices.clone(), pair, Arc::clone(&seen)));
        Self { venues, course, pair, service, prices, sources, seen, tasks: vec![driver, witness] }
    }

    pub(super) fn venue(&self, tongue: Tongue) -> &Venue {
        self.venues.iter().find(|venue| venue.tongue == tongue).unwrap()
    }

    pub(super) fn program(&self) -> &Program {
        match &self.service {
            Service::Apart(program) => program,
            Service::Here(_) => panic!("the service runs here"),
        }
    }

    pub(super) async fn source(&self, tongue: Tongue) -> Source {
        self.find_source(tongue).await.unwrap_or_else(|| panic!("there is no {tongue:?}"))
    }

    pub(super) async fn find_source(&self, tongue: Tongue) -> Option<Source> {
        let request = GetSourceRequest { source: tongue.name().to_owned() };
        self.sources.clone().get_source(request).await.ok()?.into_inner().source
    }

    /// Waits until something holds of a source.
    pub(super) async fn until(&self, tongue: Tongue, what: &str, holds: impl Fn(&Source) -> bool) -> Source {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let source = self.find_source(tongue).await;
            match source.filter(&holds) {
                Some(source) => return source,
                None if Instant::now() < deadline => sleep(Duration::from_millis(20)).await,
                None => {
                    panic!("waited in vain until {tongue:?} {what}: {:#?}", self.find_source(tongue).await)
                }
            }
        }
    }

    pub(super) async fn price(&self, pair: &str) -> Price {
        let request = GetPriceRequest { pair: pair.to_owned(), ..Default::default() };
        match self.prices.clone().get_price(request).await {
            Ok(answer) => answer.into_inner().price.unwrap(),
            // A price that is not there is told as an error; the list shows it nevertheless.
            Err(_) => Price { pair: pair.to_owned(), ..Price::default() },
        }
    }

    /// Tells what became of a venue's quote.
    pub(super) async fn contribution(&self, tongue: Tongue, market: &str) -> Option<Contribution> {
        let all = explain(&self.prices, self.pair).await?.1;
        all.into_iter().find(|said| said.source == tongue.name() && said.market == market)
    }

    /// Waits for a verdict on a venue's quote of the pair.
    pub(super) async fn until_judged(
        &self,
        tongue: Tongue,
        verdict: cryptoprice::client::v1::QuoteVerdict,
    ) -> Contribution {
        eventually(&format!("{tongue:?} is {verdict:?}"), async || {
            self.contribution(tongue, self.pair).await.filter(|said| said.verdict() == verdict)
        })
        .await
    }

    /// Waits until a venue's quote of the pair is near a price.
    pub(super) async fn until_quoted(&self, tongue: Tongue, price: i64) {
        eventually("the venue has moved", async || {
            let said = self.contribution(tongue, self.pair).await?;
            let bid: f64 = said.bid?.parse().ok()?;
            let wanted = i32::try_from(price).unwrap();
            ((bid * 100.0 - f64::from(wanted)).abs() < 200.0).then_some(())
        })
        .await;
    }

    /// Waits until a pair has the votes of so many venues.
    pub(super) async fn priced_by(&self, pair: &str, venues: u32) {
        let wanted = if venues > 1 { PriceStatus::Live } else { PriceStatus::Degraded };
        eventually(&format!("{pair} is priced by {venues}"), async || {
            let price = self.price(pair).await;
            (price.status() == wanted && price.source_count == venues).then_some(())
        })
        .await;
    }

    /// Waits until all venues are listened to, and each has told a trade of each market.
    pub(super) async fn begun(&self) {
        self.whole().await;
        let told = |venue: &Arc<Venue>| venue.markets().iter().all(|market| venue.told_of(market).0 > 0);
        eventually("all have told trades", async || self.venues.iter().all(told).then_some(())).await;
    }

    /// Waits until all venues are listened to and price the pair.
    pub(super) async fn whole(&self) {
        let owners: HashSet<Tongue> = self.venues.iter().map(|venue| venue.tongue.owner()).collect();
        self.priced_by(self.pair, u32::try_from(owners.len()).unwrap()).await;
        for venue in &self.venues {
            self.until(venue.tongue, "is whole again", |source| {
                source.state() == SourceState::Live
                    && source.connection_count == source.wanted_connection_count
                    && source.polled_market_count == 0
            })
            .await;
        }
    }

    /// Asks over REST at the public port.
    pub(super) async fn get(&self, path: &str) -> serde_json::Value {
        let answer = reqwest::get(format!("http://{}{path}", self.service.address())).await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    pub(super) async fn metrics(&self) -> Metrics {
        match &self.service {
            Service::Here(running) => running.metrics().await,
            Service::Apart(program) => program.metrics().await,
        }
    }

    /// Lists the statuses that the pair had, one after the other.
    pub(super) fn statuses(&self) -> Vec<PriceStatus> {
        let seen = self.seen.lock().unwrap();
        let mut statuses: Vec<_> = seen.iter().map(Price::status).collect();
        statuses.dedup();
        statuses
    }

    /// Looks at everything after a fault, and stops.
    ///
    /// All venues are back without help. Those that had no fault were never left, what they sent was counted, each trade
    /// once; what those with a fault traded meanwhile was asked for. The price had these statuses and no others once it was LIVE,
    /// and was never far from where the venues were.
    pub(super) async fn well(self, faulty: &[Tongue], statuses: &[PriceStatus]) {
        self.whole().await;
        self.course.stop();
        for venue in self.venues.iter().filter(|venue| faulty.contains(&venue.tongue)) {
            // Those before the first one may have been asked for, too.
            let (since_first, all) = venue.traded();
            let wanted = format!("has told of {since_first} trades at least and {all} at most");
            self.until(venue.tongue, &wanted, |source| {
                let told = source.trade_count + source.snapshot_trade_count;
                (since_first..=all).contains(&told)
            })
            .await;
        }
        let others = self.venues.iter().map(|venue| venue.tongue).filter(|tongue| !faulty.contains(tongue));
        self.untouched(&others.collect::<Vec<_>>()).await;
        self.stop(statuses).await;
    }

    /// Has trading stop, and looks at venues that had no fault: they were never left, and each trade was counted once.
    pub(super) async fn untouched(&self, tongues: &[Tongue]) {
        self.course.stop();
        for tongue in tongues {
            let (told, copies) = self.venue(*tongue).told();
            let source = self
                .until(*tongue, &format!("has told of {told} trades, {copies} of them again"), |source| {
                    source.trade_count + source.snapshot_trade_count == told
                        && source.duplicate_count == copies
                })
                .await;
            let told = (source.reconnect_count, source.malformed_count, source.gap_count);
            assert_eq!((told, source.out_of_order_count), ((0, 0, 0), 0), "{source:#?}");
        }
    }

    /// Stops, after a look at what the pair's price has been.
    pub(super) async fn stop(self, statuses: &[PriceStatus]) {
        for status in self.statuses().iter().skip_while(|status| **status != PriceStatus::Live) {
            assert!(statuses.contains(status), "{:?} are not all in {statuses:?}", self.statuses());
        }
        for price in self.seen.lock().unwrap().iter() {
            if let Some(price) = &price.price {
                let price: f64 = price.parse().unwrap();
                assert!((59_000.0..61_000.0).contains(&price), "{price}");
            }
        }
        self.tasks.iter().for_each(JoinHandle::abort);
        match self.service {
            Service::Here(running) => running.stop().await,
            Service::Apart(program) => assert!(program.terminate().0.success()),
        }
    }
}

impl Service {
    fn address(&self) -> SocketAddr {
        match self {
            Self::Here(running) => running.address,
            Self::Apart(program) => program.address,
        }
    }
}

/// Tells a price, and what became of all quotes.
pub(super) async fn explain(
    prices: &PriceServiceClient<Channel>,
    pair: &str,
) -> Option<(Price, Vec<Contribution>)> {
    let request = ExplainPriceRequest { pair: pair.to_owned(), ..Default::default() };
    let explained = prices.clone().explain_price(request).await.ok()?.into_inner();
    let all = explained.legs.into_iter().flat_map(|leg| leg.contributions).collect();
    Some((explained.price?, all))
}

/// Opens venues.
pub(super) async fn open(tongues: &[Tongue], markets: &[&'static str]) -> Vec<Arc<Venue>> {
    let mut venues = Vec::new();
    for tongue in tongues {
        venues.push(Arc::new(Venue::open(*tongue, markets).await));
    }
    venues
}

/// Writes the settings that name these venues and no others, and further ones over those of most stages.
pub(super) fn surroundings(venues: &[Arc<Venue>], settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let others = venues::ALL.iter().map(|protocol| protocol.venue().as_str());
    let own = others.flat_map(|name| {
        let key = |key: &str| format!("CRYPTOPRICE__VENUES__{}__{key}", name.to_uppercase());
        let Some(venue) = venues.iter().find(|venue| venue.name() == name) else {
            return vec![(key("ENABLED"), "false".to_owned())];
        };
        vec![
            (key("PAIRS"), venue.markets().join(",")),
            (key("URL"), venue.url()),
            (key("REST_URL"), venue.rest_url()),
            (key("REQUESTS_PER_MINUTE"), "60000".to_owned()),
        ]
    });
    let given = SETTINGS.iter().chain(settings);
    let given = given.map(|(key, value)| (format!("CRYPTOPRICE__{key}"), (*value).to_owned()));
    own.chain(given).collect()
}

/// Follows the pair, with every update.
async fn witness(mut prices: PriceServiceClient<Channel>, pair: &'static str, seen: Arc<Mutex<Vec<Price>>>) {
    let request = StreamPricesRequest {
        pairs: vec![pair.to_owned()],
        delivery: StreamDelivery::All.into(),
        ..Default::default()
    };
    let mut stream = prices.stream_prices(request).await.unwrap().into_inner();
    while let Ok(Some(told)) = stream.message().await {
        seen.lock().unwrap().extend(told.prices);
    }
}
