//! `SourceService`.

use tonic::{Request, Response, Status};

use crate::{
    api::{
        pb::v1::{
            AbsentMarket, GetSourceRequest, GetSourceResponse, ListSourcesRequest, ListSourcesResponse,
            Source, SourceState, source_service_server::SourceService,
        },
        wire,
    },
    domain::decimal,
    pipeline::health::{SourceReport, SourceState as State},
    service::sources::Sources,
};

/// Answers `SourceService` calls.
#[derive(Debug, Clone)]
pub struct SourceDoor {
    sources: Sources,
}

impl SourceDoor {
    /// Answers from these sources.
    pub fn new(sources: Sources) -> Self {
        Self { sources }
    }
}

#[tonic::async_trait]
impl SourceService for SourceDoor {
    async fn list_sources(
        &self,
        request: Request<ListSourcesRequest>,
    ) -> Result<Response<ListSourcesResponse>, Status> {
        let request = request.into_inner();
        let (sources, next_page_token) = self.sources.list(request.page_size, &request.page_token)?;
        let sources = sources.into_iter().map(source).collect();
        Ok(Response::new(ListSourcesResponse { sources, next_page_token }))
    }

    async fn get_source(
        &self,
        request: Request<GetSourceRequest>,
    ) -> Result<Response<GetSourceResponse>, Status> {
        let report = self.sources.get(&request.into_inner().source)?;
        Ok(Response::new(GetSourceResponse { source: Some(source(report)) }))
    }
}

fn source(report: SourceReport) -> Source {
    let (last_error, last_error_time) = report.last_error.unzip();
    Source {
        source: report.venue.to_string(),
        owner: report.venue.owner().as_str().to_owned(),
        state: match report.state {
            State::Connecting => SourceState::Connecting,
            State::Live => SourceState::Live,
            State::Silent => SourceState::Silent,
            State::Ended => SourceState::Ended,
            State::Blocked => SourceState::Blocked,
            State::Penalized => SourceState::Penalized,
        }
        .into(),
        state_time: Some(wire::timestamp(report.state_time)),
        markets: report.markets.iter().map(ToString::to_string).collect(),
        frame_count: report.counts.frames,
        ticker_count: report.counts.tickers,
        trade_count: report.counts.trades,
        snapshot_trade_count: report.counts.snapshot_trades,
        duplicate_count: report.counts.duplicates,
        out_of_order_count: report.counts.out_of_order,
        malformed_count: report.counts.malformed,
        reconnect_count: report.counts.reconnects,
        last_receive_time: report.last_receive_time.map(wire::timestamp),
        lag: report.lag.map(wire::duration),
        last_error: last_error.unwrap_or_default(),
        last_error_time: last_error_time.map(wire::timestamp),
        origin: wire::origin(report.origin).into(),
        frame_rate: report.recent.frame_rate,
        lag_p50: report.recent.lag.map(|lag| wire::duration(lag.p50)),
        lag_p99: report.recent.lag.map(|lag| wire::duration(lag.p99)),
        deviation_p50_bps: report.recent.deviation_bps.map(|deviation| decimal::text(deviation.p50)),
        deviation_p99_bps: report.recent.deviation_bps.map(|deviation| decimal::text(deviation.p99)),
        frozen_market_count: report.frozen.map_or(0, |(markets, _)| markets),
        frozen_time: report.frozen.map(|(_, since)| wire::timestamp(since)),
        retry_time: report.retry_time.map(wire::timestamp),
        evidence: report.evidence.to_owned(),
        state_reason: report.state_reason,
        connection_count: count(report.connections.0),
        wanted_connection_count: count(report.connections.1),
        gap_count: report.counts.gaps,
        clock_offset: report.recent.least_lag.map(|least| wire::duration(-least)),
        penalty_end_time: report.penalty_end_time.map(wire::timestamp),
        polled_market_count: count(report.polled),
        absent_markets: report
            .absent
            .into_iter()
            .map(|(market, reason)| AbsentMarket { market: market.to_string(), reason })
            .collect(),
        malformed_counts: report
            .malformed
            .into_iter()
            .map(|(kind, count)| (kind.into_owned(), count))
            .collect(),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
