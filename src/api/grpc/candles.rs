//! `CandleService`.

use futures::{
    StreamExt as _,
    stream::{Empty, empty},
};
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::requests::{heartbeat, instant};
use crate::{
    api::{
        pb::v1::{
            Candle as Message, CandleFill, CandleMaker, CandleState, ListCandlesRequest, ListCandlesResponse,
            StreamCandlesRequest, StreamCandlesResponse, candle_service_server::CandleService,
        },
        replies::{Opened, Own, Source},
        wire,
    },
    domain::{
        candle::{
            self, Candle, CandleMaker as Maker, CandleState as State,
            fill::{Fill, Row},
        },
        decimal,
        price::Origin,
    },
    service::{
        candles::{Candles, CandlesQuery},
        error::ServiceError,
    },
};

/// Answers `CandleService` calls.
#[derive(Debug, Clone)]
pub struct CandleDoor {
    candles: Candles,
}

impl CandleDoor {
    /// Answers from these candles.
    pub fn new(candles: Candles) -> Self {
        Self { candles }
    }
}

#[tonic::async_trait]
impl CandleService for CandleDoor {
    /// Nothing: the replies stand among the extensions of the response.
    type StreamCandlesStream = Empty<Result<StreamCandlesResponse, Status>>;

    async fn list_candles(
        &self,
        request: Request<ListCandlesRequest>,
    ) -> Result<Response<ListCandlesResponse>, Status> {
        let request = request.into_inner();
        let query = CandlesQuery {
            fill: fill(request.fill)?,
            start_time: instant("start_time", request.start_time)?,
            end_time: instant("end_time", request.end_time)?,
            known_by: instant("known_by", request.known_by)?,
            pair: request.pair,
            interval: request.interval,
            source: request.source,
            order_by: request.order_by,
            page_size: request.page_size,
            page_token: request.page_token,
        };
        let page = self.candles.list(&query).await?;
        let origin = self.candles.origin();
        let candles = page.rows.iter().map(|row| candle(row, origin)).collect();
        Ok(Response::new(ListCandlesResponse { candles, next_page_token: page.next_page_token }))
    }

    async fn stream_candles(
        &self,
        request: Request<StreamCandlesRequest>,
    ) -> Result<Response<Self::StreamCandlesStream>, Status> {
        let request = request.into_inner();
        let origin = self.candles.origin();
        let heartbeat = heartbeat(request.heartbeat)?;
        let stream = self.candles.stream(&request.pair, &request.interval, &request.source, heartbeat)?;
        let replies: Source = Box::pin(stream.map(move |said| {
            let row = said?.map(|candle| Row { candle: Candle::clone(&candle), filled: false });
            let message = StreamCandlesResponse { candle: row.map(|row| self::candle(&row, origin)) };
            Ok(Own::reply(&message.encode_to_vec()))
        }));
        let mut response = Response::new(empty());
        response.extensions_mut().insert(Opened::new(replies));
        Ok(response)
    }
}

fn fill(asked: i32) -> Result<Option<Fill>, ServiceError> {
    match CandleFill::try_from(asked) {
        Ok(CandleFill::Unspecified | CandleFill::None) => Ok(None),
        Ok(CandleFill::Previous) => Ok(Some(Fill::Previous)),
        Ok(CandleFill::Null) => Ok(Some(Fill::Null)),
        Err(_) => Err(ServiceError::field("fill", format!("{asked} is no way to fill"))),
    }
}

fn candle(row: &Row, origin: Origin) -> Message {
    let candle = &row.candle;
    let price =
        |of: fn(&candle::Ohlc) -> rust_decimal::Decimal| candle.prices.as_ref().map(of).map(decimal::text);
    Message {
        pair: candle.pair.to_string(),
        source: candle.venue.map_or_else(String::new, |venue| venue.to_string()),
        interval: candle.interval.to_string(),
        open_time: Some(wire::timestamp(candle.open_time)),
        close_time: Some(wire::timestamp(candle.close_time())),
        open: price(|prices| prices.open),
        high: price(|prices| prices.high),
        low: price(|prices| prices.low),
        close: price(|prices| prices.close),
        base_volume: decimal::text(candle.base_volume),
        quote_volume: decimal::text(candle.quote_volume),
        vwap: candle.vwap().map(decimal::text),
        trade_count: candle.trade_count,
        source_count: candle.source_count,
        coverage: decimal::text(candle.coverage),
        state: match candle.state {
            State::Forming => CandleState::Forming,
            State::Final => CandleState::Final,
            State::Restated => CandleState::Restated,
            State::Gap => CandleState::Gap,
        }
        .into(),
        revision: candle.revision,
        maker: match candle.maker {
            Maker::Service => CandleMaker::Service,
            Maker::Venue => CandleMaker::Venue,
        }
        .into(),
        filled: row.filled,
        origin: wire::origin(origin).into(),
    }
}
