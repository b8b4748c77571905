//! The servers: tonic with prost messages and no layers, tonic-web, and axum with handlers written by hand.

use std::{collections::HashMap, pin::Pin, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response as Answer},
    routing::get,
};
use serde::Serialize;
use tokio::{net::TcpListener, sync::broadcast};
use tokio_stream::{Stream, StreamExt as _, wrappers::BroadcastStream, wrappers::TcpListenerStream};
use tonic::{Request, Response, Status, transport::Server};

use crate::v1::{
    BatchGetPricesRequest, BatchGetPricesResponse, ConvertAmountRequest, ConvertAmountResponse,
    ExplainPriceRequest, ExplainPriceResponse, GetPriceRequest, GetPriceResponse, GetPriceStatsRequest,
    GetPriceStatsResponse, ListPricesRequest, ListPricesResponse, Price, StreamPricesRequest,
    StreamPricesResponse,
    price_service_server::{PriceService, PriceServiceServer},
};

/// The prices that are served, and where new ones come from.
#[derive(Debug, Clone)]
pub struct Bare {
    prices: Arc<HashMap<String, Price>>,
    sorted: Arc<ListPricesResponse>,
    updates: broadcast::Sender<Price>,
}

impl Bare {
    /// Serves these prices.
    pub fn new(prices: Vec<Price>) -> Self {
        Self {
            prices: Arc::new(prices.iter().map(|price| (price.pair.clone(), price.clone())).collect()),
            sorted: Arc::new(ListPricesResponse { prices, ..ListPricesResponse::default() }),
            updates: broadcast::Sender::new(4_096),
        }
    }

    /// Sends an update to every subscriber.
    pub fn publish(&self, price: Price) {
        // Nobody may be subscribed.
        let _ = self.updates.send(price);
    }

    /// Serves over gRPC as tonic's own documentation shows.
    pub async fn serve_tonic(self, listener: TcpListener) -> Result<(), tonic::transport::Error> {
        let incoming = TcpListenerStream::new(listener).map(nodelay);
        Server::builder().add_service(PriceServiceServer::new(self)).serve_with_incoming(incoming).await
    }

    /// Serves over gRPC-Web as tonic-web's own documentation shows.
    pub async fn serve_tonic_web(self, listener: TcpListener) -> Result<(), tonic::transport::Error> {
        let incoming = TcpListenerStream::new(listener).map(nodelay);
        Server::builder()
            .accept_http1(true)
            .layer(tonic_web::GrpcWebLayer::new())
            .add_service(PriceServiceServer::new(self))
            .serve_with_incoming(incoming)
            .await
    }

    /// Serves over HTTP, with a handler for each call.
    pub async fn serve_axum(self, listener: TcpListener) -> std::io::Result<()> {
        let router = Router::new()
            .route("/v1/prices/{pair}", get(get_price))
            .route("/v1/prices", get(list_prices))
            .with_state(self);
        let listener = axum::serve::ListenerExt::tap_io(listener, |socket| {
            let _ = socket.set_nodelay(true);
        });
        axum::serve(listener, router).await
    }
}

fn nodelay(socket: std::io::Result<tokio::net::TcpStream>) -> std::io::Result<tokio::net::TcpStream> {
    let socket = socket?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// The price as somebody would write it who serves JSON alone.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonPrice<'p> {
    pair: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bid: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ask: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dispersion_bps: Option<&'p str>,
    status: &'static str,
    status_reason: &'static str,
    source_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    observe_time: Option<crate::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receive_time: Option<crate::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregate_time: Option<crate::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publish_time: Option<crate::Timestamp>,
    #[serde(serialize_with = "quoted")]
    epoch: u64,
    #[serde(serialize_with = "quoted")]
    sequence: u64,
    route: &'p [String],
    origin: &'static str,
}

#[derive(Serialize)]
struct JsonAnswer<'p> {
    price: JsonPrice<'p>,
}

fn quoted<S: serde::Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

async fn get_price(State(bare): State<Bare>, Path(pair): Path<String>) -> Answer {
    let Some(price) = bare.prices.get(&pair) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let price = JsonPrice {
        pair: &price.pair,
        price: price.price.as_deref(),
        bid: price.bid.as_deref(),
        ask: price.ask.as_deref(),
        dispersion_bps: price.dispersion_bps.as_deref(),
        status: price.status().as_str_name(),
        status_reason: price.status_reason().as_str_name(),
        source_count: price.source_count,
        observe_time: price.observe_time,
        receive_time: price.receive_time,
        aggregate_time: price.aggregate_time,
        publish_time: price.publish_time,
        epoch: price.epoch,
        sequence: price.sequence,
        route: &price.route,
        origin: price.origin().as_str_name(),
    };
    json(&JsonAnswer { price })
}

/// Lists by pbjson, from the message in memory.
async fn list_prices(State(bare): State<Bare>) -> Answer {
    json(&*bare.sorted)
}

fn json(value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

type Messages = Pin<Box<dyn Stream<Item = Result<StreamPricesResponse, Status>> + Send>>;

#[tonic::async_trait]
impl PriceService for Bare {
    type StreamPricesStream = Messages;

    async fn get_price(
        &self,
        request: Request<GetPriceRequest>,
    ) -> Result<Response<GetPriceResponse>, Status> {
        let price = self.prices.get(&request.get_ref().pair).cloned();
        let price = price.ok_or_else(|| Status::not_found("unknown pair"))?;
        Ok(Response::new(GetPriceResponse { price: Some(price) }))
    }

    async fn batch_get_prices(
        &self,
        _request: Request<BatchGetPricesRequest>,
    ) -> Result<Response<BatchGetPricesResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn list_prices(
        &self,
        _request: Request<ListPricesRequest>,
    ) -> Result<Response<ListPricesResponse>, Status> {
        Ok(Response::new((*self.sorted).clone()))
    }

    /// Sends one message for each update, encoded for each subscriber.
    async fn stream_prices(
        &self,
        _request: Request<StreamPricesRequest>,
    ) -> Result<Response<Messages>, Status> {
        let updates = BroadcastStream::new(self.updates.subscribe());
        let messages = updates.filter_map(|update| {
            let price = update.ok()?;
            Some(Ok(StreamPricesResponse { prices: vec![price], ..StreamPricesResponse::default() }))
        });
        Ok(Response::new(Box::pin(messages)))
    }

    async fn explain_price(
        &self,
        _request: Request<ExplainPriceRequest>,
    ) -> Result<Response<ExplainPriceResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn convert_amount(
        &self,
        _request: Request<ConvertAmountRequest>,
    ) -> Result<Response<ConvertAmountResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn get_price_stats(
        &self,
        _request: Request<GetPriceStatsRequest>,
    ) -> Result<Response<GetPriceStatsResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}
