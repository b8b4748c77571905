//! Connections whose traffic is recorded.

use super::*;
use crate::feed::recording::{OwnedFrame, RecordKind, Recording, Writer, WriterOptions};

#[tokio::test]
async fn what_is_said_is_recorded_before_it_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, mut taps) = writer(folder.path(), 1 << 20);
    let (listener, address) = listen().await;
    let mut running =
        Running::start_with(&Gate, format!("ws://user:secret@{address}/?token=secret"), |options| {
            options.tap = taps.pop();
        });
    let mut socket = accept(&listener).await;
    let mut expected = vec![RecordKind::Connect(format!("ws://{address}/"))];
    for _ in 0..3 {
        let heard = socket.next().await.unwrap().unwrap();
        expected.push(RecordKind::Sent(heard.to_text().unwrap().to_owned()));
    }
    assert!(matches!(running.delivered().await, DeliveryKind::Connected(_)));
    for (message, frame) in [
        (Message::text(TRADE), OwnedFrame::Text(TRADE.to_owned())),
        (Message::text("?"), OwnedFrame::Text("?".to_owned())),
        (Message::binary(vec![0xff, 0x00]), OwnedFrame::Binary(vec![0xff, 0x00])),
    ] {
        socket.send(message).await.unwrap();
        running.delivered().await;
        expected.push(RecordKind::Frame(frame));
    }
    running.stop().await;
    writer.run().unwrap();
    let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let recording = Recording::open(file).unwrap();
    assert_eq!(recording.protocol().venue(), Gate.venue());
    let recorded: Vec<_> = recording.map(|record| record.unwrap().kind).collect();
    assert_eq!(recorded, expected);
}

#[tokio::test]
async fn a_connection_whose_recording_falls_behind_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody writes yet. There is room for a connection and its subscriptions, and not for what follows.
    let (writer, mut taps) = writer(folder.path(), 4_000);
    let (listener, address) = listen().await;
    let mut running =
        Running::start_with(&Gate, format!("ws://{address}"), |options| options.tap = taps.pop());
    let mut socket = accept(&listener).await;
    assert!(matches!(running.delivered().await, DeliveryKind::Connected(_)));
    socket.send(Message::text("x".repeat(4_000))).await.unwrap();
    let error = running.disconnected().await;
    assert!(error.contains("the disk is too slow"), "{error}");
    let progress = writer.progress();
    assert_eq!(progress.overruns(), 1);
    let writing = tokio::task::spawn_blocking(|| writer.run());
    let mut socket = accept(&listener).await;
    while !matches!(running.delivered().await, DeliveryKind::Connected(_)) {}
    socket.send(Message::text(TRADE)).await.unwrap();
    assert!(matches!(running.delivered().await, DeliveryKind::Trade { .. }));
    running.stop().await;
    writing.await.unwrap().unwrap();
    assert_eq!((progress.messages(), progress.overruns()), (1, 1));
}

/// Makes a writer for Gate that lets so many bytes wait.
fn writer(folder: &std::path::Path, room: usize) -> (Writer, Vec<Tap>) {
    let options = WriterOptions {
        folder: folder.to_owned(),
        rotate_size: 1 << 20,
        rotate_every: chrono::TimeDelta::hours(1),
        flush_every: Duration::from_secs(1),
        room,
    };
    Writer::create(options, [Gate.venue()], Clock::system().now()).unwrap()
}
