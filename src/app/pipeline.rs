//! What fills the board and the history, from its beginning to its end.

use prometheus::Histogram;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::history::History;
use crate::{
    clock::Clock,
    pipeline::{
        aggregator::Aggregator,
        backfill::{service::Service as BackfillService, watch::Watch},
        chronicle::Chronicle,
        health::Sources as SourceHealth,
        ingest::{self, Changes, Surroundings},
        replay::Replay,
    },
    sim::Simulation,
};

/// What fills the board.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) aggregator: Aggregator,
    pub(super) chronicle: Chronicle,
    pub(super) history: Option<History>,
    pub(super) sources: SourceHealth,
    pub(super) clock: Clock,
    pub(super) times: Histogram,
    pub(super) input: Input,
}

/// Where it comes from.
#[derive(Debug)]
pub(super) enum Input {
    Sockets {
        venues: Vec<ingest::Listen>,
        queue: usize,
        changes: mpsc::Receiver<Changes>,
        simulation: Option<(Simulation, CancellationToken)>,
        backfill: Option<Box<(BackfillService, Watch)>>,
    },
    Replay(Replay),
}

impl Pipeline {
    /// Runs until told to stop or until the input ends, then has what is left of the history written.
    pub(super) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { aggregator, mut chronicle, history, sources, clock, times, input } = self;
        let history = history.map(History::start);
        let outcome = match input {
            Input::Replay(replay) => {
                let played = replay.run(aggregator, chronicle, sources, clock, shutdown).await;
                played.map_err(anyhow::Error::from)
            }
            Input::Sockets { venues, queue, changes, simulation, backfill } => {
                if let Some(history) = &history {
                    history.restore(chronicle.book(), clock.now()).await;
                }
                let (backfill, watch) = backfill.map(|both| *both).unzip();
                let filling = backfill.map(|service| tokio::spawn(service.run(shutdown.clone())));
                let surroundings = Surroundings { sources, chronicle, queue, clock, times, changes, watch };
                ingest::run(venues, aggregator, surroundings, shutdown).await;
                if let Some(filling) = filling {
                    filling.await?;
                }
                if let Some((simulation, shutdown)) = simulation {
                    shutdown.cancel();
                    simulation.join().await;
                }
                Ok(())
            }
        };
        if let Some(history) = history {
            history.stop().await;
        }
        outcome
    }
}
