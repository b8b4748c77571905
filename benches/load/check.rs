//! Before anything is timed: do all answer the same, field by field?

use anyhow::{Context as _, ensure};
use cryptoprice::client::v1::{
    GetPriceRequest, GetPriceResponse, ListPricesRequest, ListPricesResponse, Price,
    price_service_client::PriceServiceClient,
};
use prost::Message as _;
use serde_json::Value;
use tonic::transport::Channel;

use crate::{
    market::{self, LIST, PAIRS},
    process::Server,
};

/// Asks every server for every price over its door, and compares.
pub(crate) async fn all_agree(
    ours: &Server,
    tonic: &Server,
    tonic_web: &Server,
    axum: &Server,
) -> anyhow::Result<()> {
    let client = client();
    let (mut our_grpc, mut their_grpc) = (grpc(ours).await?, grpc(tonic).await?);
    let mut listed: Vec<Price> = Vec::new();
    for number in 0..PAIRS {
        let pair = market::pair(number);
        let request = GetPriceRequest { pair: pair.clone(), ..Default::default() };
        let price = our_grpc.get_price(request.clone()).await?.into_inner();
        ensure!(price.price.as_ref().is_some_and(|price| price.pair == pair), "{pair}: {price:?}");
        let theirs = their_grpc.get_price(request.clone()).await?.into_inner();
        ensure!(price == theirs, "{pair} over gRPC: {price:?} is not {theirs:?}");
        for server in [ours, tonic_web] {
            let web = over_web(&client, server, &request).await?;
            ensure!(price == web, "{pair} over gRPC-Web: {price:?} is not {web:?}");
        }
        let path = format!("/v1/prices/{pair}");
        let (our_json, their_json) = (json(&client, ours, &path).await?, json(&client, axum, &path).await?);
        ensure!(our_json == their_json, "{pair} over REST: {our_json} is not {their_json}");
        let spelled = price.price.as_ref().map(|price| (price.price.as_deref(), price.sequence.to_string()));
        let (number, sequence) = (&our_json["price"]["price"], &our_json["price"]["sequence"]);
        ensure!(
            spelled == Some((number.as_str(), sequence.as_str().unwrap_or_default().to_owned())),
            "{pair}: {our_json} is not {price:?}"
        );
        listed.extend(price.price);
    }
    let request = ListPricesRequest { page_size: 1_000, quote: "USD".into(), ..Default::default() };
    let ListPricesResponse { prices, .. } = our_grpc.list_prices(request).await?.into_inner();
    ensure!(prices == listed, "the list is not what its prices are");
    let (ours, theirs) = (json(&client, ours, LIST).await?, json(&client, axum, LIST).await?);
    ensure!(ours == theirs, "the list over REST differs from pbjson's");
    Ok(())
}

/// Asks two servers for what is at some paths, and compares.
pub(crate) async fn same_json(
    servers: [&Server; 2],
    paths: impl Iterator<Item = String>,
) -> anyhow::Result<()> {
    let client = client();
    for path in paths {
        let [ours, theirs] = servers.map(|server| json(&client, server, &path));
        let (ours, theirs) = (ours.await?, theirs.await?);
        ensure!(ours == theirs, "{path}: {ours} is not {theirs}");
    }
    Ok(())
}

fn client() -> reqwest::Client {
    // There is no TLS here, but the client wants to know.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// Connects over gRPC.
pub(crate) async fn grpc(server: &Server) -> anyhow::Result<PriceServiceClient<Channel>> {
    let channel = Channel::from_shared(format!("http://{}", server.address))?.connect().await?;
    Ok(PriceServiceClient::new(channel))
}

async fn json(client: &reqwest::Client, server: &Server, path: &str) -> anyhow::Result<Value> {
    Ok(client
        .get(format!("http://{}{path}", server.address))
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?)
}

async fn over_web(
    client: &reqwest::Client,
    server: &Server,
    request: &GetPriceRequest,
) -> anyhow::Result<GetPriceResponse> {
    let message = request.encode_to_vec();
    let length = u32::try_from(message.len())?.to_be_bytes();
    let answer = client
        .post(format!("http://{}/cryptoprice.v1.PriceService/GetPrice", server.address))
        .header("content-type", "application/grpc-web+proto")
        .header("x-grpc-web", "1")
        .body([&[0], length.as_slice(), &message].concat())
        .send()
        .await?
        .bytes()
        .await?;
    let length = answer.get(1..5).context("an answer without a message")?;
    let length = usize::try_from(u32::from_be_bytes(length.try_into()?))?;
    Ok(GetPriceResponse::decode(answer.get(5..5 + length).context("an answer that is cut off")?)?)
}
