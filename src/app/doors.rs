//! All doors behind one router.

use http::{HeaderName, HeaderValue, Method, Uri};
use prometheus::Registry;
use prost_reflect::DescriptorPool;
use tonic::codec::CompressionEncoding;
use tonic_health::pb::health_server::{Health, HealthServer};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::{
    api::{
        front::Front,
        gateway::{Gateway, GatewayLimits, docs, openapi},
        grpc::{PriceDoor, SourceDoor},
        layer::{
            CallsBuilder,
            limits::Limits,
            measure::{Door, Measures},
        },
        ops::{self, Readiness},
        pb::{
            self,
            v1::{price_service_server::PriceServiceServer, source_service_server::SourceServiceServer},
        },
    },
    config::Server,
    service::{prices::Prices, sources::Sources, streams::Streams},
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
    pub(super) streams: Streams,
    pub(super) sources: Sources,
    pub(super) readiness: Readiness,
}

impl Doors {
    /// Makes the front of the public port.
    ///
    /// Also lists what is served: the calls, each with its route, and what stands beside the contract.
    pub(super) fn front<H: Health>(
        self,
        health: HealthServer<H>,
        server: &Server,
        registry: &Registry,
    ) -> anyhow::Result<(Front, Vec<String>)> {
        let pool = DescriptorPool::decode(pb::DESCRIPTORS)?;
        let limits = GatewayLimits {
            max_head: server.max_header,
            max_body: server.max_message,
            body_timeout: server.call_timeout,
        };
        let gateway = Gateway::new(&pool, limits)?;
        let plain = BESIDE_CONTRACT.iter().map(|path| format!("GET {path}"));
        let reflection = REFLECTION.iter().filter(|_| server.reflection);
        let services = std::iter::once(&HEALTH).chain(reflection).map(|service| format!("gRPC {service}"));
        let listed = gateway.calls().chain(plain).chain(services).collect();

        let measures = Measures::new(registry, methods(&pool))?;
        let (methods_refused, paths_refused) = (gateway.clone(), gateway.clone());
        let refusals = measures.clone();
        let plain = ops::routes(self.readiness.clone())
            .merge(docs::routes(&openapi::document(&pool)?))
            .method_not_allowed_fallback(async move |method: Method| {
                methods_refused.refuse_method(&method, "GET, HEAD")
            })
            .fallback(async move |uri: Uri| {
                refusals.begin("", Door::Rest).end(tonic::Code::NotFound);
                paths_refused.refuse_path(uri.path())
            });
        let calls = self.calls(health, server, measures)?.build();
        Ok((Front::new(calls, gateway, plain, cors(&server.cors_origins)), listed))
    }

    fn calls<H: Health>(
        self,
        health: HealthServer<H>,
        server: &Server,
        measures: Measures,
    ) -> anyhow::Result<CallsBuilder> {
        macro_rules! configured {
            ($service:expr) => {
                $service
                    .accept_compressed(CompressionEncoding::Gzip)
                    .accept_compressed(CompressionEncoding::Zstd)
                    .send_compressed(CompressionEncoding::Gzip)
                    .send_compressed(CompressionEncoding::Zstd)
                    .max_decoding_message_size(server.max_message)
            };
        }
        let limits = Limits {
            call_timeout: server.call_timeout,
            max_head: server.max_header,
            max_message: server.max_message,
            max_streams: server.max_streams,
        };
        let mut calls = CallsBuilder::new(limits, measures)
            .add(configured!(PriceServiceServer::new(PriceDoor::new(self.prices, self.streams))))
            .add(configured!(SourceServiceServer::new(SourceDoor::new(self.sources))))
            .add(health);
        if server.reflection {
            let builder = || {
                tonic_reflection::server::Builder::configure()
                    .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
                    .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            };
            calls = calls.add(builder().build_v1()?).add(builder().build_v1alpha()?);
        }
        Ok(calls)
    }
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
