//! Counts and times calls: by method, door and code.
//!
//! There is one handle for each method, door and code that have met: a call looks up nothing but its path, and no caller
//! can make the set of labels grow.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
};
use tokio::time::Instant;
use tonic::Code;
use tracing::{Span, info_span};

use crate::api::status::http;

/// Upper bounds of the times that calls take, in seconds.
const TIMES: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// What stands for the method of a call that no service has.
const UNKNOWN: &str = "unknown";

/// The way by which a call comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web.
    GrpcWeb,
    /// JSON over HTTP.
    Rest,
}

/// Why a stream was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Its reader took nothing for too long.
    Stalled,
    /// Its reader wanted every update, and the log has moved past it.
    Overrun,
    /// Its connection was old.
    ConnectionAge,
    /// The service stops.
    Stopping,
    /// Its caller's time was up.
    Deadline,
}

/// All that is counted of calls and streams. Clones count together.
#[derive(Clone)]
pub struct Measures(Arc<Inner>);

struct Inner {
    methods: HashMap<String, usize, foldhash::fast::RandomState>,
    handles: Vec<MethodHandles>,
    open: [prometheus::IntGauge; 3],
    messages: IntCounter,
    updates: IntCounter,
    skipped: IntCounter,
    conflated: IntCounter,
    cut: [IntCounter; 5],
    texts: IntCounter,
    connections: prometheus::IntGauge,
    accepted: IntCounter,
}

/// What is counted of one method, by door.
struct MethodHandles([DoorHandles; 3]);

struct DoorHandles {
    /// Made when the first call ends: most methods are never called by most doors.
    durations: OnceLock<Histogram>,
    all_durations: HistogramVec,
    /// By code; made when the first call ends with it.
    calls: [OnceLock<IntCounter>; 17],
    all_calls: IntCounterVec,
    name: Arc<str>,
    door: Door,
    /// What is said in a call of the method is said within it. There is one for all its calls, since all that it tells
    /// is the same for all of them; a new one for each would cost as much as answering it.
    span: Span,
}

/// The measure of one call, which counts when it ends: by itself as cancelled, if nobody says otherwise.
#[derive(Debug)]
pub struct Measure {
    measures: Measures,
    method: usize,
    door: Door,
    began: Instant,
    ended: bool,
}

/// An open stream, counted while it lives.
#[derive(Debug)]
pub struct OpenStream(Measures, Door);

impl Door {
    const ALL: [Self; 3] = [Self::Grpc, Self::GrpcWeb, Self::Rest];

    /// Gets the name, as it stands in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::GrpcWeb => "grpc_web",
            Self::Rest => "rest",
        }
    }
}

impl Cut {
    const ALL: [Self; 5] =
        [Self::Stalled, Self::Overrun, Self::ConnectionAge, Self::Stopping, Self::Deadline];

    fn as_str(self) -> &'static str {
        match self {
            Self::Stalled => "stalled",
            Self::Overrun => "overrun",
            Self::ConnectionAge => "connection_age",
            Self::Stopping => "stopping",
            Self::Deadline => "deadline",
        }
    }
}

impl Measures {
    /// Registers what is counted, for these methods (`package.Service/Method`).
    pub fn new(registry: &Registry, methods: impl IntoIterator<Item = String>) -> prometheus::Result<Self> {
        let calls = IntCounterVec::new(
            Opts::new("cryptoprice_calls_total", "Calls that have ended, by method, door and gRPC code."),
            &["method", "door", "code"],
        )?;
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "cryptoprice_call_duration_seconds",
                "From a call's headers to the end of its answer, by method and door; a stream's whole life.",
            )
            .buckets(TIMES.to_vec()),
            &["method", "door"],
        )?;
        let open = IntGaugeVec::new(
            Opts::new("cryptoprice_open_streams", "Streams of prices and candles that are open, by door."),
            &["door"],
        )?;
        let cut = IntCounterVec::new(
            Opts::new(
                "cryptoprice_streams_cut_total",
                "Streams of prices and candles that the service has ended, by reason.",
            ),
            &["reason"],
        )?;
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let connections = prometheus::IntGauge::new(
            "cryptoprice_connections",
            "Connections to the public doors that are open.",
        )?;
        registry.register(Box::new(calls.clone()))?;
        registry.register(Box::new(durations.clone()))?;
        registry.register(Box::new(open.clone()))?;
        registry.register(Box::new(cut.clone()))?;
        registry.register(Box::new(connections.clone()))?;
        let names: Vec<Arc<str>> = methods.into_iter().chain([UNKNOWN.to_owned()]).map(Arc::from).collect();
        let handles = names.iter().map(|name| {
            MethodHandles(Door::ALL.map(|door| DoorHandles {
                durations: OnceLock::new(),
                all_durations: durations.clone(),
                calls: Default::default(),
                all_calls: calls.clone(),
                name: Arc::clone(name),
                door,
                span: info_span!("call", method = &**name, door = door.as_str()),
            }))
        });
        Ok(Self(Arc::new(Inner {
            handles: handles.collect(),
            methods: names.iter().map(ToString::to_string).zip(0..).collect(),
            open: Door::ALL.map(|door| open.with_label_values(&[door.as_str()])),
            messages: counter(
                "cryptoprice_stream_messages_total",
                "Messages that streams of prices have sent.",
            )?,
            updates: counter("cryptoprice_stream_updates_total", "Updates that those messages held.")?,
            skipped: counter(
                "cryptoprice_stream_skipped_updates_total",
                "Updates that streams left out because newer ones of the same pair were there already.",
            )?,
            conflated: counter(
                "cryptoprice_stream_conflated_messages_total",
                "Messages of streams that left updates out.",
            )?,
            texts: counter(
                "cryptoprice_encodings_text_total",
                "Prices and messages of streams that were written as JSON.",
            )?,
            accepted: counter(
                "cryptoprice_connections_accepted_total",
                "Connections to the public doors that were accepted.",
            )?,
            cut: Cut::ALL.map(|reason| cut.with_label_values(&[reason.as_str()])),
            connections,
        })))
    }

    /// Begins to measure a call of a path such as `/package.Service/Method`.
    pub fn begin(&self, path: &str, door: Door) -> Measure {
        let inner = &self.0;
        let method = path.strip_prefix('/').and_then(|path| inner.methods.get(path).copied());
        let method = method.unwrap_or(inner.handles.len() - 1);
        Measure { measures: self.clone(), method, door, began: Instant::now(), ended: false }
    }

    /// Counts an open stream while the answer lives.
    pub fn open(&self, door: Door) -> OpenStream {
        self.gauge(door).inc();
        OpenStream(self.clone(), door)
    }

    /// Counts a message of a stream.
    pub fn message(&self, updates: u64, skipped: u64) {
        self.0.messages.inc();
        self.0.updates.inc_by(updates);
        if skipped > 0 {
            self.0.skipped.inc_by(skipped);
            self.0.conflated.inc();
        }
    }

    /// Counts a stream that was cut.
    #[expect(clippy::indexing_slicing, reason = "there is one for each reason")]
    pub fn cut(&self, cut: Cut) {
        self.0.cut[cut as usize].inc();
    }

    /// Counts something that was written as JSON for all who get it.
    pub fn text(&self) {
        self.0.texts.inc();
    }

    /// Counts a connection that was accepted.
    pub fn connected(&self) {
        self.0.accepted.inc();
        self.0.connections.inc();
    }

    /// Counts a connection that has ended.
    pub fn disconnected(&self) {
        self.0.connections.dec();
    }

    #[expect(clippy::indexing_slicing, reason = "there is one for each door")]
    fn gauge(&self, door: Door) -> &prometheus::IntGauge {
        &self.0.open[door as usize]
    }
}

impl Measure {
    /// Counts the call with the code that it ended with.
    pub fn end(&mut self, code: Code) {
        if self.ended {
            return;
        }
        self.ended = true;
        let took: Duration = self.began.elapsed();
        let handles = self.handles();
        let labels = [&*handles.name, handles.door.as_str()];
        let durations = handles.durations.get_or_init(|| handles.all_durations.with_label_values(&labels));
        durations.observe(took.as_secs_f64());
        #[expect(clippy::indexing_slicing, reason = "there is one for each code")]
        let counter = handles.calls[code as usize].get_or_init(|| {
            let ([method, door], (_, code)) = (labels, http(code));
            handles.all_calls.with_label_values(&[method, door, code])
        });
        counter.inc();
    }

    /// Tells when the call began.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Tells whether no service has the method.
    pub fn is_unknown(&self) -> bool {
        self.method + 1 == self.measures.0.handles.len()
    }

    /// Gets the span of the call.
    pub fn span(&self) -> &Span {
        &self.handles().span
    }

    #[expect(clippy::indexing_slicing, reason = "methods and doors were counted when the handles were made")]
    fn handles(&self) -> &DoorHandles {
        &self.measures.0.handles[self.method].0[self.door as usize]
    }

    /// Gets what it counts with.
    pub fn measures(&self) -> &Measures {
        &self.measures
    }

    /// Gets the door.
    pub fn door(&self) -> Door {
        self.door
    }
}

impl Drop for Measure {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.gauge(self.1).dec();
    }
}

impl fmt::Debug for Measures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measures").finish_non_exhaustive()
    }
}
