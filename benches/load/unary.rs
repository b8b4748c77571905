//! Single calls: through each door, against the same door made the ordinary way.

use cryptoprice::client::v1::{GetPriceRequest, ListPricesRequest};
use prost::Message as _;

use crate::{
    Context, check, http1, http2,
    market::{self, LIST, PAIRS},
    process::Server,
    report::{Bound, Row},
    rounds::{Contender, Load, compare},
};

/// Connections of HTTP/2, and calls on their way on each.
const HTTP2: (usize, usize) = (8, 32);

/// Connections of HTTP/1.1.
const HTTP1: usize = 64;

/// The servers that answer single calls: ours, and those it is held against.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) ours: Server,
    tonic: Server,
    tonic_web: Server,
    axum: Server,
}

impl Servers {
    /// Starts all, with the same prices, and checks that they answer the same.
    pub(crate) async fn start(context: &Context) -> anyhow::Result<Self> {
        let recording = context.folder.path().join("KRAKEN.jsonl");
        market::record(&recording, PAIRS)?;
        let arguments = ["serve", "--replay", &recording.display().to_string(), "--speed", "max"];
        let last = format!("/v1/prices/{}", market::pair(PAIRS - 1));
        let ours = context.start(arguments.map(ToOwned::to_owned).to_vec(), last).await?;
        let request = ListPricesRequest { page_size: 1_000, quote: "USD".into(), ..Default::default() };
        let listed = check::grpc(&ours).await?.list_prices(request).await?.into_inner();
        let prices = context.folder.path().join("prices.bin");
        std::fs::write(&prices, listed.encode_to_vec())?;
        let peer = async |kind: &str| {
            context.start_peer(vec!["peer".into(), kind.into(), prices.display().to_string()]).await
        };
        let (tonic, tonic_web, axum) = (peer("tonic").await?, peer("tonic-web").await?, peer("axum").await?);
        check::all_agree(&ours, &tonic, &tonic_web, &axum).await?;
        Ok(Self { ours, tonic, tonic_web, axum })
    }
}

/// `GetPrice` over gRPC.
pub(crate) async fn grpc(context: &Context, servers: &Servers) -> anyhow::Result<Row> {
    let row = Row::new("grpc_get_price", "GetPrice over gRPC, all layers on, against bare tonic");
    over_grpc(context, [(&servers.ours, PAIRS), (&servers.tonic, PAIRS)], row, Bound::AtLeast(1.0)).await
}

/// Compares two servers over gRPC, each with so many pairs.
pub(crate) async fn over_grpc(
    context: &Context,
    servers: [(&Server, usize); 2],
    row: Row,
    bound: Bound,
) -> anyhow::Result<Row> {
    let calls = |pairs| (0..pairs).map(|pair| http2::Request::Call(message(pair))).collect();
    over_http2(context, servers.map(|(server, pairs)| (server, calls(pairs))), row, bound).await
}

/// Compares two servers over HTTP/2.
pub(crate) async fn over_http2(
    context: &Context,
    [ours, theirs]: [(&Server, Vec<http2::Request>); 2],
    row: Row,
    bound: Bound,
) -> anyhow::Result<Row> {
    const PATH: &str = "/cryptoprice.v1.PriceService/GetPrice";
    let open = async |(server, requests): (_, _)| {
        let load = http2::Load::open(Server::address(server), PATH, requests, HTTP2.0, HTTP2.1).await?;
        anyhow::Ok(Contender { server, load: Load::Http2(load) })
    };
    let (ratio, ours, theirs) =
        compare(context.rounds, &mut open(ours).await?, &mut open(theirs).await?).await?;
    Ok(row.ratio(ratio, bound).figures(ours.named(), theirs.named()))
}

/// `GetPrice` over gRPC-Web.
pub(crate) async fn grpc_web(context: &Context, servers: &Servers) -> anyhow::Result<Row> {
    const HEADERS: &str = "content-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n";
    let requests = || {
        let request = |number| {
            let message = message(number);
            let length = u32::try_from(message.len()).unwrap_or_default().to_be_bytes();
            let body = [&[0], length.as_slice(), &message].concat();
            http1::request("POST", "/cryptoprice.v1.PriceService/GetPrice", HEADERS, &body)
        };
        (0..PAIRS).map(request).collect()
    };
    let row = Row::new("grpc_web_get_price", "GetPrice over gRPC-Web, all layers on, against bare tonic-web");
    let (ours, tonic_web) = (&servers.ours, &servers.tonic_web);
    over_http1(context, [ours, tonic_web], requests, row, Bound::AtLeast(1.0)).await
}

/// `GetPrice` over REST.
pub(crate) async fn rest(context: &Context, servers: &Servers) -> anyhow::Result<Row> {
    let row = Row::new("rest_get_price", "GetPrice over REST, all layers on, against axum with serde_json");
    let (ours, axum) = (&servers.ours, &servers.axum);
    let requests = || paths().map(|path| http1::request("GET", &path, "", &[])).collect();
    over_http1(context, [ours, axum], requests, row, Bound::AtLeast(0.9)).await
}

/// `ListPrices` of all over REST.
pub(crate) async fn rest_list(context: &Context, servers: &Servers) -> anyhow::Result<Row> {
    let row = Row::new("rest_list_1000", "ListPrices of 1,000 over REST, against axum with pbjson");
    let requests = || vec![http1::request("GET", LIST, "", &[])];
    let (ours, axum) = (&servers.ours, &servers.axum);
    over_http1(context, [ours, axum], requests, row, Bound::AtLeast(1.5)).await
}

/// The paths of the prices of all pairs.
pub(crate) fn paths() -> impl Iterator<Item = String> {
    (0..PAIRS).map(|number| format!("/v1/prices/{}", market::pair(number)))
}

/// Compares two servers over HTTP/1.1.
pub(crate) async fn over_http1(
    context: &Context,
    [ours, theirs]: [&Server; 2],
    requests: impl Fn() -> Vec<Vec<u8>>,
    row: Row,
    bound: Bound,
) -> anyhow::Result<Row> {
    let open = async |server| {
        let load = http1::Load::open(Server::address(server), requests(), HTTP1).await?;
        anyhow::Ok(Contender { server, load: Load::Http1(load) })
    };
    let (ratio, ours, theirs) =
        compare(context.rounds, &mut open(ours).await?, &mut open(theirs).await?).await?;
    Ok(row.ratio(ratio, bound).figures(ours.named(), theirs.named()))
}

fn message(number: usize) -> Vec<u8> {
    GetPriceRequest { pair: market::pair(number), ..Default::default() }.encode_to_vec()
}
