//! Subscribers: streams of prices over HTTP/2, of which every message is read and every price is timed.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::{Buf as _, Bytes, BytesMut};
use hdrhistogram::Histogram;
use tokio::task::{JoinHandle, spawn_local};

use crate::{
    exchange::Quotes,
    http2::{Connection, Event},
};

/// The call.
pub(crate) const PATH: &str = "/cryptoprice.v1.PriceService/StreamPrices";

/// What the subscribers have got.
#[derive(Debug)]
pub(crate) struct Got {
    /// Streams that have got their first message.
    pub(crate) started: usize,
    /// Messages and prices that came after it.
    pub(crate) messages: u64,
    pub(crate) prices: u64,
    /// Updates that were superseded before they could be sent.
    pub(crate) skipped: u64,
    /// Streams that have ended.
    pub(crate) ended: usize,
    /// From the quote at the exchange to here, in microseconds.
    pub(crate) took: Histogram<u64>,
}

/// Subscribers that read as fast as they can.
#[derive(Debug)]
pub(crate) struct Subscribers {
    got: Rc<RefCell<Got>>,
    tasks: Vec<JoinHandle<anyhow::Result<()>>>,
    count: usize,
}

impl Subscribers {
    /// Subscribes so many times, spread over some connections, and waits until all have their first message if one
    /// comes without an update.
    pub(crate) async fn open(
        address: SocketAddr,
        request: &[u8],
        count: usize,
        connections: usize,
        quotes: &Rc<Quotes>,
        snapshot: bool,
    ) -> anyhow::Result<Self> {
        let got = Rc::new(RefCell::new(Got::new()?));
        let mut tasks = Vec::new();
        for connection in 0..connections {
            let streams = count / connections + usize::from(connection < count % connections);
            let mut connection = Connection::open(address, PATH).await?;
            for _ in 0..streams {
                connection.call(request);
            }
            connection.flush().await?;
            tasks.push(spawn_local(read(connection, Rc::clone(&got), Rc::clone(quotes), snapshot)));
        }
        let subscribers = Self { got, tasks, count };
        if snapshot {
            let deadline = Instant::now() + Duration::from_secs(60);
            while subscribers.got.borrow().started < count {
                anyhow::ensure!(Instant::now() < deadline, "not all streams start: {:?}", subscribers.got);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(subscribers)
    }

    /// Counts what they get within a time.
    pub(crate) async fn watch(&self, time: Duration) -> anyhow::Result<Got> {
        *self.got.borrow_mut() = Got { started: self.count, ..Got::new()? };
        tokio::time::sleep(time).await;
        let got = std::mem::replace(&mut *self.got.borrow_mut(), Got::new()?);
        anyhow::ensure!(got.ended == 0, "{} streams have ended", got.ended);
        Ok(got)
    }
}

impl Drop for Subscribers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Got {
    fn new() -> anyhow::Result<Self> {
        let took = Histogram::new(3)?;
        Ok(Self { started: 0, messages: 0, prices: 0, skipped: 0, ended: 0, took })
    }
}

async fn read(
    mut connection: Connection,
    got: Rc<RefCell<Got>>,
    quotes: Rc<Quotes>,
    snapshot: bool,
) -> anyhow::Result<()> {
    let mut parts: HashMap<u32, BytesMut> = HashMap::new();
    let mut started = HashSet::new();
    let mut take = |event, got: &mut Got, now| match event {
        Event::Data { stream, mut bytes, last } => {
            got.ended += usize::from(last);
            if let Some(mut part) = parts.remove(&stream) {
                part.extend_from_slice(&bytes);
                bytes = part.freeze();
            }
            while let Some(message) = whole(&mut bytes) {
                if snapshot && started.insert(stream) {
                    got.started += 1;
                    continue;
                }
                count(&message, got, &quotes, now);
            }
            if !bytes.is_empty() {
                parts.insert(stream, bytes.into());
            }
        }
        Event::Head { last, .. } => got.ended += usize::from(last),
        Event::Reset { .. } | Event::GoAway => got.ended += 1,
    };
    loop {
        connection.receive().await?;
        let now = Instant::now();
        while let Some(event) = connection.event() {
            take(event, &mut got.borrow_mut(), now);
        }
        connection.flush().await?;
    }
}

/// Takes a whole message, if there is one.
fn whole(bytes: &mut Bytes) -> Option<Bytes> {
    let prefix: [u8; 5] = bytes.get(..5)?.try_into().ok()?;
    let length = usize::try_from(u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]])).ok()?;
    if bytes.len() < 5 + length {
        return None;
    }
    bytes.advance(5);
    Some(bytes.split_to(length))
}

/// Counts a message: its prices (field 2), how old each is by its number (field 2 of a price), and what was skipped
/// (field 4).
fn count(message: &[u8], got: &mut Got, quotes: &Quotes, now: Instant) {
    got.messages += 1;
    each_field(message, |field, value| match (field, value) {
        (2, Value::Bytes(price)) => {
            got.prices += 1;
            each_field(price, |field, value| {
                if let (2, Value::Bytes(text)) = (field, value) {
                    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
                    let number = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
                    let took = now.saturating_duration_since(quotes.sent(number));
                    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                    got.took.record(micros).expect("it grows as it has to");
                }
            });
        }
        (4, Value::Number(skipped)) => got.skipped += skipped,
        _ => {}
    });
}

enum Value<'w> {
    Number(u64),
    Bytes(&'w [u8]),
}

fn each_field<'w>(mut wire: &'w [u8], mut each: impl FnMut(u64, Value<'w>)) {
    while !wire.is_empty() {
        let tag = varint(&mut wire);
        let number = varint(&mut wire);
        if tag & 7 == 2 {
            let (bytes, rest) = wire.split_at(usize::try_from(number).unwrap().min(wire.len()));
            wire = rest;
            each(tag >> 3, Value::Bytes(bytes));
        } else {
            each(tag >> 3, Value::Number(number));
        }
    }
}

fn varint(wire: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let Some((byte, rest)) = wire.split_first() else { break };
        *wire = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
