//! All doors behind one router.

use axum::{
    Router,
    body::Body,
    http::{HeaderName, HeaderValue, Method},
};
use prost_reflect::DescriptorPool;
use tokio_util::sync::CancellationToken;
use tonic::{codec::CompressionEncoding, service::Routes};
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_web::GrpcWebLayer;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowOrigin, Any, CorsLayer},
    trace::{DefaultOnFailure, TraceLayer},
};
use tracing::Level;

use crate::{
    api::{
        gateway::{Gateway, docs, openapi},
        grpc::{PriceDoor, SourceDoor},
        layer::{explain::ExplainLayer, panic},
        ops::{self, Readiness},
        pb::{
            self,
            v1::{price_service_server::PriceServiceServer, source_service_server::SourceServiceServer},
        },
    },
    config::Server,
    service::{prices::Prices, sources::Sources},
};

/// Paths that are served and are no call of the contract.
const BESIDE_CONTRACT: [&str; 4] = ["/livez", "/readyz", "/docs", "/v1/openapi.json"];

/// The service that answers how the others do.
const HEALTH: &str = "grpc.health.v1.Health";

/// The services that tell the contract.
const REFLECTION: [&str; 2] =
    ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

/// What the doors lead to.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) prices: Prices,
    pub(super) sources: Sources,
    pub(super) readiness: Readiness,
    pub(super) stopping: CancellationToken,
}

impl Doors {
    /// Makes the router of the public port: gRPC and gRPC-Web by their content type, everything else as REST.
    ///
    /// Also lists what is served: the calls, each with its route, and what stands beside the contract.
    pub(super) fn router<H: Health>(
        self,
        health: HealthServer<H>,
        server: &Server,
    ) -> anyhow::Result<(Router, Vec<String>)> {
        let pool = DescriptorPool::decode(pb::DESCRIPTORS)?;
        let grpc = self.grpc(health, server.reflection)?.layer(GrpcWebLayer::new());
        let gateway = Gateway::new(&pool, grpc)?;
        let (faults, methods) = (gateway.clone(), gateway.clone());
        let plain = BESIDE_CONTRACT.iter().map(|path| format!("GET {path}"));
        let reflection = REFLECTION.iter().filter(|_| server.reflection);
        let services = std::iter::once(&HEALTH).chain(reflection).map(|service| format!("gRPC {service}"));
        let calls = gateway.calls().chain(plain).chain(services).collect();
        // A price that misses a bar is a 503, and no failure of ours: what is, is logged where it is handled.
        let trace = TraceLayer::new_for_http().on_failure(DefaultOnFailure::new().level(Level::DEBUG));
        let router = ops::routes(self.readiness)
            .merge(docs::routes(&openapi::document(&pool)?))
            .method_not_allowed_fallback(async move |method: Method| {
                methods.refuse_method(&method, "GET, HEAD")
            })
            .fallback_service(gateway)
            .layer(CatchPanicLayer::custom(move |fault| faults.refuse(&panic::status(fault))))
            .layer(cors(&server.cors_origins))
            .layer(trace);
        Ok((router, calls))
    }

    fn grpc<H: Health>(&self, health: HealthServer<H>, reflection: bool) -> anyhow::Result<Router> {
        macro_rules! compressed {
            ($service:expr) => {
                $service
                    .accept_compressed(CompressionEncoding::Gzip)
                    .accept_compressed(CompressionEncoding::Zstd)
                    .send_compressed(CompressionEncoding::Gzip)
                    .send_compressed(CompressionEncoding::Zstd)
            };
        }
        let prices = PriceServiceServer::new(PriceDoor::new(self.prices.clone(), self.stopping.clone()));
        let sources = SourceServiceServer::new(SourceDoor::new(self.sources.clone()));
        let mut routes =
            Routes::new(compressed!(prices)).add_service(compressed!(sources)).add_service(health);
        if reflection {
            let builder = || {
                tonic_reflection::server::Builder::configure()
                    .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
                    .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            };
            routes = routes.add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?);
        }
        Ok(routes
            .prepare()
            .into_axum_router()
            .layer(ExplainLayer)
            .layer(CatchPanicLayer::custom(|fault| panic::status(fault).into_http::<Body>())))
    }
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
