//! A client of HTTP/2 that costs much less than any server: it speaks in prepared frames, and reads no more of an
//! answer than where it ends.
//!
//! The first request of a connection puts its headers into the server's table, the others name them by their number,
//! as ordinary clients do. What the answers hold is checked elsewhere, with an ordinary client, before anything is
//! timed.

use std::{io, net::SocketAddr, time::Instant};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use hdrhistogram::Histogram;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout_at,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// The window of connections and streams: as large as can be, so that it never holds an answer back.
const WINDOW: u32 = 0x7fff_ffff;

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    received: BytesMut,
    out: BytesMut,
    path: &'static str,
    next_stream: u32,
    /// Bytes of data taken since the window was last opened.
    taken: u32,
}

/// What is asked of a server.
#[derive(Debug)]
pub(crate) enum Request {
    /// A call of the connection's path, with one message.
    Call(Vec<u8>),
    /// What is at another path.
    Get(String),
}

/// What a server sent.
#[derive(Debug)]
pub(crate) enum Event {
    /// A part of an answer's body.
    Data { stream: u32, bytes: Bytes, last: bool },
    /// The head or the trailers of an answer.
    Head { stream: u32, last: bool },
    /// A stream was reset.
    Reset { stream: u32 },
    /// The connection is to be left.
    GoAway,
}

impl Connection {
    /// Connects, for calls of one path.
    pub(crate) async fn open(address: SocketAddr, path: &'static str) -> io::Result<Self> {
        Self::open_with_window(address, path, WINDOW).await
    }

    /// Connects with streams that take only so many bytes until more is asked for.
    pub(crate) async fn open_with_window(
        address: SocketAddr,
        path: &'static str,
        window: u32,
    ) -> io::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let mut out = BytesMut::from(PREFACE);
        frame(&mut out, SETTINGS, 0, 0, &{
            let mut settings = BytesMut::new();
            settings.put_u16(2); // No push.
            settings.put_u32(0);
            settings.put_u16(4); // The window of each stream.
            settings.put_u32(window);
            settings
        });
        frame(&mut out, WINDOW_UPDATE, 0, 0, &(WINDOW - 65_535).to_be_bytes());
        Ok(Self { socket, received: BytesMut::with_capacity(1 << 16), out, path, next_stream: 1, taken: 0 })
    }

    /// Asks, which goes out with the next flush; gives the number of the stream.
    fn ask(&mut self, request: &Request) -> u32 {
        match request {
            Request::Call(message) => self.call(message),
            Request::Get(path) => {
                let stream = self.next();
                frame(&mut self.out, HEADERS, END_HEADERS | END_STREAM, stream, &get_head(path));
                stream
            }
        }
    }

    fn next(&mut self) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        stream
    }

    /// Starts a call with one message, which goes out with the next flush; gives the number of its stream.
    pub(crate) fn call(&mut self, message: &[u8]) -> u32 {
        let stream = self.next();
        if stream == 1 {
            frame(&mut self.out, HEADERS, END_HEADERS, stream, &first_head(self.path));
        } else {
            frame(&mut self.out, HEADERS, END_HEADERS, stream, &NEXT_HEAD);
        }
        self.out.put_slice(&frame_head(DATA, END_STREAM, stream, message.len() + 5));
        self.out.put_u8(0);
        self.out.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
        self.out.put_slice(message);
        stream
    }

    /// Sends what is waiting.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.socket.write_all(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    /// Waits for the server to send something.
    pub(crate) async fn receive(&mut self) -> io::Result<()> {
        self.received.reserve(1 << 16);
        match self.socket.read_buf(&mut self.received).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Takes what has come, one frame at a time; answers what has to be answered.
    pub(crate) fn event(&mut self) -> Option<Event> {
        loop {
            let head: [u8; 9] = self.received.get(..9)?.try_into().ok()?;
            let [length @ .., kind, flags, _, _, _, _] = head;
            let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            if self.received.len() < 9 + length {
                return None;
            }
            let stream = u32::from_be_bytes(*head.last_chunk()?) & WINDOW;
            self.received.advance(9);
            let payload = self.received.split_to(length);
            let last = flags & END_STREAM != 0;
            match kind {
                DATA => {
                    self.taken += u32::try_from(length).unwrap_or(u32::MAX);
                    if self.taken > WINDOW / 4 {
                        frame(&mut self.out, WINDOW_UPDATE, 0, 0, &self.taken.to_be_bytes());
                        self.taken = 0;
                    }
                    return Some(Event::Data { stream, bytes: payload.freeze(), last });
                }
                HEADERS => return Some(Event::Head { stream, last }),
                RESET => return Some(Event::Reset { stream }),
                GO_AWAY => return Some(Event::GoAway),
                SETTINGS if flags & ACK == 0 => frame(&mut self.out, SETTINGS, ACK, 0, &[]),
                PING if flags & ACK == 0 => frame(&mut self.out, PING, ACK, 0, &payload),
                _ => {}
            }
        }
    }
}

/// A load: connections that each keep so many requests on their way.
#[derive(Debug)]
pub(crate) struct Load {
    connections: Vec<(Connection, usize)>,
    requests: Vec<Request>,
    next: usize,
    depth: usize,
}

impl Load {
    /// Connects so many times, to ask these requests in turn.
    pub(crate) async fn open(
        address: SocketAddr,
        path: &'static str,
        requests: Vec<Request>,
        connections: usize,
        depth: usize,
    ) -> io::Result<Self> {
        let mut open = Vec::with_capacity(connections);
        for _ in 0..connections {
            open.push((Connection::open(address, path).await?, 0));
        }
        Ok(Self { connections: open, requests, next: 0, depth })
    }

    /// Asks as fast as answers come until then; gives how long each answer took, in microseconds.
    pub(crate) async fn run(&mut self, until: Instant) -> anyhow::Result<Histogram<u64>> {
        let share = self.requests.len().div_ceil(self.connections.len());
        let (requests, depth, start) = (&self.requests, self.depth, self.next);
        self.next = (self.next + 1) % requests.len();
        let runs = self
            .connections
            .iter_mut()
            .enumerate()
            .map(|(at, (connection, _))| run(connection, requests, start + at * share, depth, until));
        let mut all = Histogram::new(3)?;
        for one in futures::future::try_join_all(runs).await? {
            all.add(one)?;
        }
        Ok(all)
    }
}

async fn run(
    connection: &mut Connection,
    requests: &[Request],
    start: usize,
    depth: usize,
    until: Instant,
) -> anyhow::Result<Histogram<u64>> {
    let mut took = Histogram::new(3)?;
    let mut turn = requests.iter().cycle().skip(start % requests.len());
    // When each stream began, by the last bits of its number.
    let mut began = vec![Instant::now(); 4_096];
    let mut waiting = 0;
    let mut ask = |connection: &mut Connection, began: &mut Vec<Instant>| {
        if let Some(request) = turn.next() {
            began[slot(connection.ask(request))] = Instant::now();
        }
    };
    while waiting < depth {
        ask(connection, &mut began);
        waiting += 1;
    }
    while waiting > 0 {
        connection.flush().await?;
        let patience = until + std::time::Duration::from_secs(10);
        timeout_at(patience.into(), connection.receive()).await??;
        let now = Instant::now();
        while let Some(event) = connection.event() {
            match event {
                Event::Data { stream, last: true, .. } | Event::Head { stream, last: true } => {
                    took.record(u64::try_from((now - began[slot(stream)]).as_micros())?)?;
                    if now < until {
                        ask(connection, &mut began);
                    } else {
                        waiting -= 1;
                    }
                }
                Event::Reset { stream } => anyhow::bail!("stream {stream} was reset"),
                Event::GoAway => anyhow::bail!("the server ends the connection"),
                _ => {}
            }
        }
    }
    Ok(took)
}

fn slot(stream: u32) -> usize {
    usize::try_from(stream / 2).unwrap_or_default() % 4_096
}

fn frame(out: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.put_slice(&frame_head(kind, flags, stream, payload.len()));
    out.put_slice(payload);
}

fn frame_head(kind: u8, flags: u8, stream: u32, length: usize) -> [u8; 9] {
    let mut head = [0; 9];
    let [_, length @ ..] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    head[..3].copy_from_slice(&length);
    head[3..5].copy_from_slice(&[kind, flags]);
    head[5..].copy_from_slice(&stream.to_be_bytes());
    head
}

/// The headers of a call, each put into the table: `:path` becomes 65, `:authority` 64, `content-type` 63, `te` 62.
fn first_head(path: &str) -> Vec<u8> {
    let mut head = vec![0x83, 0x86];
    let mut literal = |name: &[u8], value: &str| {
        head.extend_from_slice(name);
        head.push(u8::try_from(value.len()).unwrap_or(0x7f));
        head.extend_from_slice(value.as_bytes());
    };
    literal(&[0x40 | 4], path);
    literal(&[0x40 | 1], "127.0.0.1");
    literal(&[0x40 | 31], "application/grpc");
    literal(&[0x40, 2, b't', b'e'], "trailers");
    head
}

/// The headers of a request for what is at a path, none of them put into the table.
fn get_head(path: &str) -> Vec<u8> {
    let mut head = vec![0x82, 0x86];
    for (name, value) in [(4, path), (1, "127.0.0.1")] {
        head.push(name);
        head.push(u8::try_from(value.len()).unwrap_or(0x7f));
        head.extend_from_slice(value.as_bytes());
    }
    head
}

/// The same headers by their numbers.
const NEXT_HEAD: [u8; 6] = [0x83, 0x86, 0xc1, 0xc0, 0xbf, 0xbe];
