//! Single calls: through each door, against the same door made the ordinary way.

use std::path::Path;

use cryptoprice::client::v1::{GetPriceRequest, ListPricesRequest, price_service_client::PriceServiceClient};
use prost::Message as _;

use crate::{
    Context, http1, http2, market,
    process::Server,
    report::Row,
    rounds::{Contender, Load, compare},
};

/// Pairs on the board.
const PAIRS: usize = 1_000;

/// Connections of HTTP/2, and calls on their way on each.
const HTTP2: (usize, usize) = (8, 32);

/// Connections of HTTP/1.1.
const HTTP1: usize = 64;

/// The servers that answer single calls: ours, and those it is held against.
#[derive(Debug)]
pub struct Servers {
    pub ours: Server,
    tonic: Server,
    tonic_web: Server,
    axum: Server,
}

impl Servers {
    /// Starts all, with the same prices.
    pub async fn start(context: &Context) -> anyhow::Result<Self> {
        let recording = context.folder.path().join("KRAKEN.jsonl");
        market::record(&recording, PAIRS)?;
        let ours = start_ours(context, &recording)?;
        let listed = list(&ours).await?;
        let prices = context.folder.path().join("prices.bin");
        std::fs::write(&prices, &listed)?;
        let peer = |kind: &str| context.peer(kind, &prices);
        Ok(Self { ours, tonic: peer("tonic")?, tonic_web: peer("tonic-web")?, axum: peer("axum")? })
    }
}

fn start_ours(context: &Context, recording: &Path) -> anyhow::Result<Server> {
    let recording = recording.display().to_string();
    let arguments = ["serve", "--replay", &recording, "--speed", "max"];
    let last = format!("/v1/prices/{}", market::pair(PAIRS - 1));
    Server::start(&context.program, &arguments, &[], &last)
}

/// Gets all prices, as the wire bytes of the answer.
async fn list(server: &Server) -> anyhow::Result<Vec<u8>> {
    let channel =
        tonic::transport::Channel::from_shared(format!("http://{}", server.address))?.connect().await?;
    let mut client = PriceServiceClient::new(channel);
    let request = ListPricesRequest { page_size: 1_000, quote: "USD".into(), ..Default::default() };
    let listed = client.list_prices(request).await?.into_inner();
    anyhow::ensure!(listed.prices.len() == PAIRS, "{} prices instead of {PAIRS}", listed.prices.len());
    Ok(listed.encode_to_vec())
}

/// `GetPrice` over gRPC.
pub async fn grpc(context: &Context, servers: &Servers) -> anyhow::Result<Row> {
    const PATH: &str = "/cryptoprice.v1.PriceService/GetPrice";
    let messages = || (0..PAIRS).map(|number| message(number)).collect();
    let open = async |server| {
        let load = http2::Load::open(Server::address(server), PATH, messages(), HTTP2.0, HTTP2.1).await?;
        anyhow::Ok(Contender { server, load: Load::Http2(load) })
    };
    let (ratio, ours, theirs) =
        compare(context.rounds, &mut open(&servers.ours).await?, &mut open(&servers.tonic).await?).await?;
    Ok(Row::compared(
        "grpc_get_price",
        "GetPrice over gRPC, all layers on : bare tonic",
        ratio,
        1.0,
        ours,
        theirs,
    ))
}

/// `GetPrice` over gRPC-Web.
pub async fn grpc_web(context: &Context, servers: &Servers) -> anyhow::Result<Row> {
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
    let open = async |server| {
        let load = http1::Load::open(Server::address(server), requests(), HTTP1).await?;
        anyhow::Ok(Contender { server, load: Load::Http1(load) })
    };
    let (ratio, ours, theirs) =
        compare(context.rounds, &mut open(&servers.ours).await?, &mut open(&servers.tonic_web).await?)
            .await?;
    Ok(Row::compared(
        "grpc_web_get_price",
        "GetPrice over gRPC-Web, all layers on : bare tonic-web",
        ratio,
        1.0,
        ours,
        theirs,
    ))
}

/// `GetPrice` over REST.
pub async fn rest(context: &Context, servers: &Servers) -> anyhow::Result<Row> {
    let requests = |_| {
        let request =
            |number| http1::request("GET", &format!("/v1/prices/{}", market::pair(number)), "", &[]);
        (0..PAIRS).map(request).collect::<Vec<_>>()
    };
    let row = |ratio, ours, theirs| {
        Row::compared(
            "rest_get_price",
            "GetPrice over REST, all layers on : axum with serde_json",
            ratio,
            0.9,
            ours,
            theirs,
        )
    };
    over_http1(context, servers, requests, row).await
}

/// `ListPrices` of all over REST.
pub async fn rest_list(context: &Context, servers: &Servers) -> anyhow::Result<Row> {
    let requests = |_| vec![http1::request("GET", "/v1/prices?page_size=1000&quote=USD", "", &[])];
    let row = |ratio, ours, theirs| {
        Row::compared(
            "rest_list_1000",
            "ListPrices of 1,000 over REST : axum with pbjson",
            ratio,
            1.5,
            ours,
            theirs,
        )
    };
    over_http1(context, servers, requests, row).await
}

async fn over_http1<T>(
    context: &Context,
    servers: &Servers,
    requests: impl Fn(()) -> Vec<Vec<u8>>,
    row: impl FnOnce(crate::rounds::Ratio, crate::rounds::Figures, crate::rounds::Figures) -> T,
) -> anyhow::Result<T> {
    let open = async |server| {
        let load = http1::Load::open(Server::address(server), requests(()), HTTP1).await?;
        anyhow::Ok(Contender { server, load: Load::Http1(load) })
    };
    let (ratio, ours, theirs) =
        compare(context.rounds, &mut open(&servers.ours).await?, &mut open(&servers.axum).await?).await?;
    Ok(row(ratio, ours, theirs))
}

fn message(number: usize) -> Vec<u8> {
    GetPriceRequest { pair: market::pair(number), ..Default::default() }.encode_to_vec()
}
