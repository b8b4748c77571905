//! All doors behind one router.

use std::sync::Arc;

use axum::Router;
use http::{HeaderName, HeaderValue, Method};
use prometheus::Registry;
use prost_reflect::DescriptorPool;
use tonic::codec::CompressionEncoding;
use tonic_health::pb::health_server::{Health, HealthServer};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::{
    api::{
        front::{Front, Plain},
        gateway::{Gateway, GatewayLimits, docs, openapi},
        grpc::{
            CandleDoor, PriceDoor, SourceDoor,
            direct::{CandleServiceDirect, PriceServiceDirect, SourceServiceDirect},
        },
        layer::CallsBuilder,
        limits::Limits,
        measure::Measures,
        ops::{self, Readiness},
        pb::{
            self,
            v1::{
                candle_service_server::CandleServiceServer, price_service_server::PriceServiceServer,
                source_service_server::SourceServiceServer,
            },
        },
    },
    config::Server,
    service::{candles::Candles, history::History, prices::Prices, sources::Sources, streams::Streams},
};

/// Paths that are served and are no call of the contract.
const BESIDE_CONTRACT: &[&str] = &["/livez", "/readyz", "/docs", "/v1/openapi.json"];

/// The service that answers how the others do.
const HEALTH: &str = "grpc.health.v1.Health";

/// The services that tell the contract.
const REFLECTION: [&str; 2] =
    ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

/// What the doors ask.
#[derive(Debug)]
pub(super) struct Services {
    pub(super) prices: Prices,
    pub(super) streams: Streams,
    pub(super) history: History,
    pub(super) candles: Candles,
    pub(super) sources: Sources,
}

/// What the doors lead to.
#[derive(Debug)]
pub(super) struct Doors<H: Health> {
    services: Services,
    health: HealthServer<H>,
    gateway: Gateway,
    plain: Plain,
    server: Server,
    measures: Measures,
    listed: Vec<String>,
    names: Vec<String>,
}

impl<H: Health> Doors<H> {
    /// Makes the doors to these services.
    pub(super) fn new(
        services: Services,
        health: HealthServer<H>,
        readiness: Readiness,
        server: &Server,
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        let pool = DescriptorPool::decode(pb::DESCRIPTORS)?;
        let limits = GatewayLimits {
            max_head: server.max_header,
            max_body: server.max_message,
            body_timeout: server.call_timeout,
        };
        let gateway = Gateway::new(&pool, limits)?;
        let plain = BESIDE_CONTRACT.iter().map(|path| format!("GET {path}"));
        let reflection = REFLECTION.iter().filter(|_| server.reflection);
        let beside = std::iter::once(&HEALTH).chain(reflection).map(|service| format!("gRPC {service}"));
        let listed = gateway.calls().chain(plain).chain(beside).collect();
        let measures = Measures::new(registry, methods(&pool))?;
        let plain = Plain { paths: BESIDE_CONTRACT, router: plain_routes(&pool, readiness, &gateway)? };
        let server = server.clone();
        let names = pool.services().map(|service| service.full_name().to_owned()).collect();
        Ok(Self { services, health, gateway, plain, server, measures, listed, names })
    }

    /// Lists the names of the services of the contract.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Lists what is served: the calls, each with its route, and what stands beside the contract.
    pub(super) fn listed(&self) -> &[String] {
        &self.listed
    }

    /// Makes the front for a thread, whose readers live on this lane.
    pub(super) fn front(&self, lane: usize) -> anyhow::Result<Front> {
        let calls = self.calls(lane)?.build();
        let cors = cors(&self.server.cors_origins);
        Ok(Front::new(calls, self.gateway.clone(), self.plain.clone(), cors))
    }

    fn calls(&self, lane: usize) -> anyhow::Result<CallsBuilder> {
        macro_rules! configured {
            ($service:expr) => {
                $service
                    .accept_compressed(CompressionEncoding::Gzip)
                    .accept_compressed(CompressionEncoding::Zstd)
                    .send_compressed(CompressionEncoding::Gzip)
                    .send_compressed(CompressionEncoding::Zstd)
                    .max_decoding_message_size(self.server.max_message)
            };
        }
        let limits = Limits {
            call_timeout: self.server.call_timeout,
            max_head: self.server.max_header,
            max_message: self.server.max_message,
            max_streams: self.server.max_streams,
        };
        let Services { prices, streams, history, .. } = &self.services;
        let prices = Arc::new(PriceDoor::new(prices.clone(), streams.on_lane(lane), history.clone()));
        let sources = Arc::new(SourceDoor::new(self.services.sources.clone()));
        let candles = Arc::new(CandleDoor::new(self.services.candles.clone()));
        let served = configured!(PriceServiceServer::from_arc(Arc::clone(&prices)));
        let calls = CallsBuilder::new(limits, self.measures.clone());
        let calls = calls.with_direct(served, PriceServiceDirect(prices));
        let served = configured!(CandleServiceServer::from_arc(Arc::clone(&candles)));
        let calls = calls.with_direct(served, CandleServiceDirect(candles));
        let served = configured!(SourceServiceServer::from_arc(Arc::clone(&sources)));
        let mut calls = calls.with_direct(served, SourceServiceDirect(sources)).with(self.health.clone());
        if self.server.reflection {
            let builder = || {
                tonic_reflection::server::Builder::configure()
                    .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
                    .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            };
            calls = calls.with(builder().build_v1()?).with(builder().build_v1alpha()?);
        }
        Ok(calls)
    }
}

/// Makes the routes of what is no call.
fn plain_routes(pool: &DescriptorPool, readiness: Readiness, gateway: &Gateway) -> anyhow::Result<Router> {
    let gateway = gateway.clone();
    let routes = ops::routes(readiness).merge(docs::routes(&openapi::document(pool)?));
    Ok(routes
        .method_not_allowed_fallback(async move |method: Method| gateway.refuse_method(&method, "GET, HEAD")))
}

/// Lists all methods that calls can be of, as they stand in a path.
fn methods(pool: &DescriptorPool) -> Vec<String> {
    let ours = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    let ours = ours.map(|method| format!("{}/{}", method.parent_service().full_name(), method.name()));
    let health = ["Check", "Watch", "List"].map(|method| format!("{HEALTH}/{method}"));
    let reflection = REFLECTION.map(|service| format!("{service}/ServerReflectionInfo"));
    ours.chain(health).chain(reflection).collect()
}

/// Lets browsers call, and read the status that gRPC-Web sends in headers.
fn cors(origins: &[String]) -> CorsLayer {
    let exposed = ["grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-encoding", "retry-after"];
    let cors = CorsLayer::new()
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::OPTIONS])
        .allow_headers(Any)
        .expose_headers(exposed.map(HeaderName::from_static))
        .max_age(std::time::Duration::from_secs(86_400));
    if origins.iter().any(|origin| origin == "*") {
        return cors.allow_origin(Any);
    }
    let listed: Vec<_> = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    cors.allow_origin(AllowOrigin::list(listed))
}
