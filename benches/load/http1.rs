//! A client of HTTP/1.1 that sends prepared requests and reads no more of an answer than where it ends.

use std::{io, net::SocketAddr, time::Instant};

use anyhow::{Context as _, ensure};
use bytes::BytesMut;
use hdrhistogram::Histogram;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout_at,
};

/// A load: connections that each send the next request when the last is answered.
#[derive(Debug)]
pub(crate) struct Load {
    connections: Vec<(TcpStream, BytesMut)>,
    requests: Vec<Vec<u8>>,
    next: usize,
}

/// Writes a request.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}{length}\r\n").into_bytes();
    request.extend_from_slice(body);
    request
}

impl Load {
    /// Connects so many times, to send these requests in turn.
    pub(crate) async fn open(
        address: SocketAddr,
        requests: Vec<Vec<u8>>,
        connections: usize,
    ) -> io::Result<Self> {
        let mut open = Vec::with_capacity(connections);
        for _ in 0..connections {
            let socket = TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            open.push((socket, BytesMut::with_capacity(1 << 16)));
        }
        Ok(Self { connections: open, requests, next: 0 })
    }

    /// Asks as fast as answers come until then; gives how long each answer took, in microseconds.
    pub(crate) async fn run(&mut self, until: Instant) -> anyhow::Result<Histogram<u64>> {
        let share = self.requests.len().div_ceil(self.connections.len());
        let (requests, start) = (&self.requests, self.next);
        self.next = (self.next + 1) % requests.len();
        let runs = self
            .connections
            .iter_mut()
            .enumerate()
            .map(|(at, (socket, received))| run(socket, received, requests, start + at * share, until));
        let mut all = Histogram::new(3)?;
        for one in futures::future::try_join_all(runs).await? {
            all.add(one)?;
        }
        Ok(all)
    }
}

async fn run(
    socket: &mut TcpStream,
    received: &mut BytesMut,
    requests: &[Vec<u8>],
    start: usize,
    until: Instant,
) -> anyhow::Result<Histogram<u64>> {
    let mut took = Histogram::new(3)?;
    for request in requests.iter().cycle().skip(start % requests.len()) {
        let began = Instant::now();
        if began >= until {
            break;
        }
        socket.write_all(request).await?;
        received.clear();
        loop {
            let patience = until + std::time::Duration::from_secs(10);
            let read = timeout_at(patience.into(), socket.read_buf(received)).await??;
            ensure!(read > 0, "the server ends the connection");
            if is_whole(received)? {
                break;
            }
        }
        took.record(u64::try_from(began.elapsed().as_micros())?)?;
    }
    Ok(took)
}

/// Tells whether an answer has come to its end.
fn is_whole(answer: &[u8]) -> anyhow::Result<bool> {
    let Some(end) = memchr::memmem::find(answer, b"\r\n\r\n") else { return Ok(false) };
    let (head, body) = answer.split_at(end + 4);
    ensure!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(answer));
    if let Some(length) = header(head, b"content-length:") {
        return Ok(body.len() >= length.trim().parse::<usize>()?);
    }
    header(head, b"transfer-encoding:").context("an answer of no known length")?;
    // The last chunk is empty, and what we measure has no trailers outside of its body.
    Ok(body.ends_with(b"0\r\n\r\n"))
}

fn header<'h>(head: &'h [u8], name: &[u8]) -> Option<&'h str> {
    let at = memchr::memmem::find(head, name)? + name.len();
    let rest = head.get(at..)?;
    let length = rest.iter().position(|byte| *byte == b'\r')?;
    std::str::from_utf8(rest.get(..length)?).ok()
}
