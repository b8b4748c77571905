//! Streams of replies as lines and as events.

use super::*;

/// A message of a stream, and its place.
fn update(sequence: u64) -> (Vec<u8>, Option<price::Cursor>) {
    let cursor = Some(Cursor { epoch: 7, sequence });
    let message = StreamPricesResponse { cursor, ..StreamPricesResponse::default() };
    (message.encode_to_vec(), Some(price::Cursor { epoch: 7, sequence }))
}

fn events() -> Request<Body> {
    Request::get("/v1/prices:stream")
        .header(header::ACCEPT, "text/html, Text/Event-Stream; q=0.9")
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn a_stream_is_one_record_a_line() {
    let gateway =
        gateway(&contract(), |_, _| many([1, 2, 3].map(update), Some(Status::unavailable("stopping"))));
    let response = gateway.handle(get("/v1/prices:stream")).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/x-ndjson");
    let body = text(response).await;
    let lines: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sequences: Vec<&Value> = lines.iter().map(|line| &line["cursor"]["sequence"]).collect();
    assert_eq!(sequences, [&json!("1"), &json!("2"), &json!("3"), &Value::Null]);
    assert_eq!(lines[3]["error"]["status"], "UNAVAILABLE");
    assert!(body.ends_with('\n'));
}

#[tokio::test]
async fn a_stream_of_events_carries_its_cursor() {
    let gateway =
        gateway(&contract(), |_, _| many([update(41), (Vec::new(), None)], Some(Status::data_loss("cut"))));
    let response = gateway.handle(events()).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let body = text(response).await;
    let events: Vec<&str> = body.split_terminator("\n\n").collect();
    let [retry, first, second, error] = events[..] else { panic!("{body}") };
    assert_eq!(retry, "retry: 2000");
    let data = first.strip_prefix("id: 7-41\ndata: ").unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(data).unwrap()["cursor"],
        json!({"epoch": "7", "sequence": "41"})
    );
    assert!(second.starts_with("data: {"), "{second}");
    let error = error.strip_prefix("event: error\ndata: ").unwrap();
    assert_eq!(serde_json::from_str::<Value>(error).unwrap()["error"]["status"], "DATA_LOSS");
}

#[tokio::test]
async fn an_error_before_the_first_message_is_an_ordinary_answer() {
    for request in [get("/v1/prices:stream"), events()] {
        let gateway = gateway(&contract(), |_, _| many([], Some(Status::not_found("no such pair"))));
        let response = gateway.handle(request).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(json_of(response).await["error"]["message"], "no such pair");
    }
}

#[tokio::test]
async fn a_stream_may_end_without_a_message() {
    let gateway = gateway(&contract(), |_, _| many([], None));
    assert_eq!(text(gateway.handle(get("/v1/prices:stream")).await).await, "");
    assert_eq!(text(gateway.handle(events()).await).await, "retry: 2000\n\n");
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_of_events_is_kept_alive() {
    let (send, receive) = mpsc::channel(1);
    let receive = Arc::new(Mutex::new(Some(receive)));
    let gateway = gateway(&contract(), move |_, _| {
        many_in(ReceiverStream::new(receive.lock().unwrap().take().unwrap()).map(Ok))
    });
    let start = tokio::time::Instant::now();
    let mut body = gateway.handle(events()).await.into_body();
    let mut next = async || body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(next().await, "retry: 2000\n\n");
    for _ in 0..3 {
        assert_eq!(next().await, ": keep-alive\n\n");
    }
    assert!(start.elapsed() <= Duration::from_secs(4 * 15));
    send.send(update(1)).await.unwrap();
    assert!(next().await.starts_with(b"id: 7-1\ndata: {"));
}

#[tokio::test]
async fn when_the_caller_goes_the_call_is_dropped() {
    let (send, receive) = mpsc::channel(1);
    let receive = Arc::new(Mutex::new(Some(receive)));
    let gateway = gateway(&contract(), move |_, _| {
        many_in(ReceiverStream::new(receive.lock().unwrap().take().unwrap()).map(Ok))
    });
    send.send(update(1)).await.unwrap();
    let mut body = gateway.handle(get("/v1/prices:stream")).await.into_body();
    assert!(body.frame().await.is_some());
    assert!(send.closed().now_or_never().is_none());
    drop(body);
    send.closed().await;
}
