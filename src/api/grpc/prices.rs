//! `PriceService`.

use std::sync::Arc;

use futures::{
    StreamExt as _,
    stream::{Empty, empty},
};
use tonic::{Request, Response, Status};

use super::{
    requests::{Barred as _, instant},
    stream,
};
use crate::{
    api::{
        pb::v1::{
            BatchGetPricesRequest, BatchGetPricesResponse, Contribution, ConvertAmountRequest,
            ConvertAmountResponse, ExplainPriceRequest, ExplainPriceResponse, GetPriceRequest,
            GetPriceResponse, GetPriceStatsRequest, GetPriceStatsResponse, ListPricesRequest,
            ListPricesResponse, PriceLeg, PriceResult, PriceStats, PriceStatus, QuoteBasis, QuoteVerdict,
            StreamPricesRequest, StreamPricesResponse, price_result, price_service_server::PriceService,
        },
        replies::{AsText, Opened, Reply, Source, Within},
        wire::{self, price},
    },
    domain::{
        aggregate::{self, Basis, Verdict},
        decimal,
        price::Status as PriceState,
    },
    pipeline::board::{Explanation, Update},
    service::{
        error::ServiceError,
        history::{History, Stats},
        prices::{Leg, ListQuery, Prices},
        streams::Streams,
    },
};

/// Answers `PriceService` calls.
#[derive(Debug, Clone)]
pub struct PriceDoor {
    prices: Prices,
    streams: Streams,
    history: History,
}

impl PriceDoor {
    /// Answers from these prices.
    pub fn new(prices: Prices, streams: Streams, history: History) -> Self {
        Self { prices, streams, history }
    }
}

#[tonic::async_trait]
impl PriceService for PriceDoor {
    /// Nothing: the replies are shared with other callers, and stand among the extensions of the response.
    type StreamPricesStream = Empty<Result<StreamPricesResponse, Status>>;

    async fn get_price(
        &self,
        request: Request<GetPriceRequest>,
    ) -> Result<Response<GetPriceResponse>, Status> {
        let as_text = wants_text(&request);
        let request = request.into_inner();
        let bar = request.bar()?;
        let known_by = instant("known_by", request.known_by)?;
        let update = match instant("time", request.time)? {
            Some(time) => self.history.price_at(&request.pair, time, known_by, &bar).await?,
            None if known_by.is_some() => return Err(without_time("time").into()),
            None => self.prices.get(&request.pair, &bar)?,
        };
        let response = GetPriceResponse { price: Some(price(&update)) };
        Ok(naming(response, as_text, || [update]))
    }

    async fn batch_get_prices(
        &self,
        request: Request<BatchGetPricesRequest>,
    ) -> Result<Response<BatchGetPricesResponse>, Status> {
        let as_text = wants_text(&request);
        let request = request.into_inner();
        let bar = request.bar()?;
        let known_by = instant("known_by", request.known_by)?;
        let times: Vec<_> = request
            .times
            .iter()
            .map(|time| instant("times", Some(*time)))
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?;
        let outcomes = if times.is_empty() {
            if known_by.is_some() {
                return Err(without_time("times").into());
            }
            self.prices.batch(&request.pairs, &bar)?
        } else {
            self.history.batch(&request.pairs, &times, known_by, &bar).await?
        };
        let within: Vec<_> = outcomes.iter().filter(|_| as_text).flatten().cloned().collect();
        let result = |((pair, time), outcome): (_, Result<Arc<Update>, ServiceError>)| PriceResult {
            pair,
            time,
            result: Some(match outcome {
                Ok(update) => price_result::Result::Price(price(&update)),
                Err(error) => price_result::Result::Error(as_value(error)),
            }),
        };
        let times = &request.times;
        let asked = request.pairs.into_iter().flat_map(|pair| {
            let at: Vec<_> =
                if times.is_empty() { vec![None] } else { times.iter().copied().map(Some).collect() };
            at.into_iter().map(move |time| (pair.clone(), time))
        });
        let results = asked.zip(outcomes).map(result).collect();
        Ok(naming(BatchGetPricesResponse { results }, as_text, || within))
    }

    async fn list_prices(
        &self,
        request: Request<ListPricesRequest>,
    ) -> Result<Response<ListPricesResponse>, Status> {
        let as_text = wants_text(&request);
        let request = request.into_inner();
        let page = self.prices.list(&ListQuery {
            bar: request.bar()?,
            status: status(request.status)?,
            base: request.base,
            quote: request.quote,
            order_by: request.order_by,
            page_size: request.page_size,
            page_token: request.page_token,
        })?;
        let response = ListPricesResponse {
            prices: page.updates.iter().map(price).collect(),
            next_page_token: page.next_page_token,
            omitted_count: page.omitted,
        };
        Ok(naming(response, as_text, || page.updates))
    }

    async fn stream_prices(
        &self,
        request: Request<StreamPricesRequest>,
    ) -> Result<Response<Self::StreamPricesStream>, Status> {
        let query = stream::query(request)?;
        let opened = self.streams.open(&query)?;
        let replies: Source = Box::pin(
            opened.map(|message| message.map(|message| message as Arc<dyn Reply>).map_err(Status::from)),
        );
        let mut response = Response::new(empty());
        response.extensions_mut().insert(Opened::new(replies));
        Ok(response)
    }

    async fn explain_price(
        &self,
        request: Request<ExplainPriceRequest>,
    ) -> Result<Response<ExplainPriceResponse>, Status> {
        let request = request.into_inner();
        let bar = request.bar()?;
        let explained = self.prices.explain(&request.pair, &bar)?;
        Ok(Response::new(ExplainPriceResponse {
            price: Some(price(&explained.update)),
            legs: explained.legs.iter().map(leg).collect(),
            error: explained.verdict.err().map(as_value),
        }))
    }

    async fn get_price_stats(
        &self,
        request: Request<GetPriceStatsRequest>,
    ) -> Result<Response<GetPriceStatsResponse>, Status> {
        let Stats { pair, stats, time } = self.history.stats(&request.into_inner().pair).await?;
        let text = |value: Option<rust_decimal::Decimal>| value.map(decimal::text);
        let stats = PriceStats {
            pair: pair.to_string(),
            price: text(stats.last),
            change_1h: text(stats.change_1h),
            change_24h: text(stats.change_24h),
            change_7d: text(stats.change_7d),
            high_24h: text(stats.high_24h),
            low_24h: text(stats.low_24h),
            base_volume_24h: text(stats.base_volume_24h),
            quote_volume_24h: text(stats.quote_volume_24h),
            time: Some(wire::timestamp(time)),
            origin: wire::origin(self.history.origin()).into(),
        };
        Ok(Response::new(GetPriceStatsResponse { stats: Some(stats) }))
    }

    async fn convert_amount(
        &self,
        request: Request<ConvertAmountRequest>,
    ) -> Result<Response<ConvertAmountResponse>, Status> {
        let request = request.into_inner();
        let bar = request.bar()?;
        let (amount, update) = self.prices.convert(&request.amount, &request.from, &request.to, &bar)?;
        let amount = decimal::text(amount);
        Ok(Response::new(ConvertAmountResponse { amount, price: Some(price(&update)) }))
    }
}

/// Says that what was known by some time is a question about the past.
fn without_time(field: &str) -> ServiceError {
    ServiceError::field("known_by", format!("needs {field}: it is a question about the past"))
}

/// Tells whether the answer will be written as text.
fn wants_text<T>(request: &Request<T>) -> bool {
    request.extensions().get::<AsText>().is_some()
}

/// Names the prices within an answer, if it will be written as text.
fn naming<T, P>(message: T, as_text: bool, within: impl FnOnce() -> P) -> Response<T>
where
    P: IntoIterator<Item = Arc<Update>>,
{
    let mut response = Response::new(message);
    if as_text {
        response.extensions_mut().insert(Within::new(within()));
    }
    response
}

/// Turns an error into the value that stands for it inside a message.
fn as_value(error: ServiceError) -> tonic_types::Status {
    use prost::Message as _;
    let status = Status::from(error);
    // What `StatusExt` packed is a `google.rpc.Status`, by its definition.
    tonic_types::Status::decode(status.details()).unwrap_or_else(|_| tonic_types::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

fn status(asked: i32) -> Result<Option<PriceState>, ServiceError> {
    match PriceStatus::try_from(asked) {
        Ok(PriceStatus::Unspecified) => Ok(None),
        Ok(PriceStatus::Live) => Ok(Some(PriceState::Live)),
        Ok(PriceStatus::Stale) => Ok(Some(PriceState::Stale)),
        Ok(PriceStatus::Degraded) => Ok(Some(PriceState::Degraded)),
        Ok(PriceStatus::Unavailable) => Ok(Some(PriceState::Unavailable)),
        Err(_) => Err(ServiceError::field("status", format!("{asked} is not a status"))),
    }
}

fn leg(leg: &Leg) -> PriceLeg {
    let mut contributions: Vec<_> = leg.explanation.contributions.iter().collect();
    contributions.sort_by_key(|made| std::cmp::Reverse(made.weight));
    PriceLeg {
        price: Some(price(&leg.explanation.update)),
        inverted: leg.inverted,
        contributions: contributions.into_iter().map(|made| contribution(made, &leg.explanation)).collect(),
    }
}

fn contribution(made: &aggregate::Contribution, of: &Explanation) -> Contribution {
    let (quote, reading) = (&made.quote, made.reading.as_ref());
    let text = |value: Option<rust_decimal::Decimal>| value.map(decimal::text);
    let agreed = of.update.price.value.map(|value| value.price);
    let deviation =
        reading.zip(agreed).and_then(|(reading, agreed)| decimal::deviation_bps(reading.price, agreed));
    Contribution {
        source: quote.venue.to_string(),
        owner: quote.venue.owner().as_str().to_owned(),
        market: quote.market.to_string(),
        bid: text(quote.book.and_then(|book| book.bid)),
        ask: text(quote.book.and_then(|book| book.ask)),
        last: text(quote.last.map(|last| last.price)),
        last_time: quote.last.map(|last| wire::timestamp(last.time)),
        reading: text(reading.map(|reading| reading.price)),
        basis: match reading.map(|reading| reading.basis) {
            None => QuoteBasis::Unspecified,
            Some(Basis::Mid) => QuoteBasis::Mid,
            Some(Basis::LastTrade) => QuoteBasis::LastTrade,
        }
        .into(),
        peg: reading.and_then(|reading| reading.peg).map(|(pair, _)| pair.to_string()).unwrap_or_default(),
        peg_rate: text(reading.and_then(|reading| reading.peg).map(|(_, rate)| rate)),
        quote_volume_24h: text(reading.and_then(|reading| reading.quote_volume_24h)),
        weight: decimal::text(made.weight),
        deviation_bps: text(deviation),
        verdict: verdict(made.verdict).into(),
        observe_time: Some(wire::timestamp(quote.observe_time)),
        confirm_time: Some(wire::timestamp(quote.confirm_time)),
        receive_time: Some(wire::timestamp(quote.receive_time)),
        age: Some(wire::duration(of.time - quote.confirm_time)),
    }
}

fn verdict(verdict: Verdict) -> QuoteVerdict {
    match verdict {
        Verdict::Used => QuoteVerdict::Used,
        Verdict::Stale => QuoteVerdict::Stale,
        Verdict::FromTheFuture => QuoteVerdict::FromTheFuture,
        Verdict::OneSided => QuoteVerdict::OneSided,
        Verdict::Crossed => QuoteVerdict::Crossed,
        Verdict::NoReading => QuoteVerdict::NoReading,
        Verdict::Frozen => QuoteVerdict::Frozen,
        Verdict::PegUnknown => QuoteVerdict::PegUnknown,
        Verdict::Depegged => QuoteVerdict::Depegged,
        Verdict::OwnerVotesElsewhere => QuoteVerdict::OwnerVotesElsewhere,
        Verdict::Outlier => QuoteVerdict::Outlier,
    }
}
