//! Gathers what a connection has to say in one turn of its task, and says it with one write.
//!
//! HTTP/2 flushes after every frame of more than some hundred bytes. With many streams on a connection, that is a
//! system call for each of their messages, which costs more than everything else that is done for them.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{connection::Connection, linger::Linger};

/// Bytes that are gathered at most: whoever writes more waits until they have been sent.
const LIMIT: usize = 64 << 10;

thread_local! {
    /// Room for what is gathered. It is free between two turns, unless a reader is slow.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A socket whose writes are gathered during a turn.
#[derive(Debug)]
pub(super) struct Gathering {
    reader: OwnedReadHalf,
    turns: Turns,
    connection: Connection,
    linger: Option<Linger>,
}

/// Says when a turn begins and ends.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Mutex<Out>>);

#[derive(Debug)]
struct Out {
    writer: OwnedWriteHalf,
    waiting: Vec<u8>,
    in_turn: bool,
}

impl Gathering {
    /// Gathers for a socket.
    pub(super) fn new(socket: TcpStream, connection: Connection) -> (Self, Turns) {
        let (reader, writer) = socket.into_split();
        let turns = Turns(Arc::new(Mutex::new(Out { writer, waiting: Vec::new(), in_turn: false })));
        (Self { reader, turns: turns.clone(), connection, linger: None }, turns)
    }
}

impl Turns {
    /// Begins a turn: nothing has to be sent before its end.
    pub(super) fn begin(&self) {
        self.out().in_turn = true;
    }

    /// Ends a turn: sends what has been gathered. The task is woken to send what the socket does not take now.
    pub(super) fn end(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut out = self.out();
        out.in_turn = false;
        out.send(context)
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Out {
    /// Takes bytes, once there is room.
    fn take(&mut self, context: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length = parts.iter().map(|part| part.len()).sum();
        if self.waiting.len() + length > LIMIT {
            ready!(self.send(context))?;
        }
        if length > LIMIT {
            return Pin::new(&mut self.writer).poll_write_vectored(context, parts);
        }
        if self.waiting.capacity() == 0 {
            self.waiting = SPARE.take();
        }
        for part in parts {
            self.waiting.extend_from_slice(part);
        }
        Poll::Ready(Ok(length))
    }

    /// Sends all that is waiting.
    fn send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let sent = ready!(Pin::new(&mut self.writer).poll_write(context, &self.waiting))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.waiting.drain(..sent);
        }
        if self.waiting.capacity() > 0 {
            SPARE.set(std::mem::take(&mut self.waiting));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Gathering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(context, buffer)
    }
}

impl AsyncWrite for Gathering {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.turns.out().take(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.turns.out().take(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Leaves it to the end of the turn, if there is one.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut out = self.turns.out();
        if out.in_turn { Poll::Ready(Ok(())) } else { out.send(context) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(linger) = &mut this.linger {
            return linger.poll(&mut this.reader, context);
        }
        {
            let mut out = this.turns.out();
            ready!(out.send(context))?;
            ready!(Pin::new(&mut out.writer).poll_shutdown(context))?;
        }
        if !this.connection.may_still_send() {
            return Poll::Ready(Ok(()));
        }
        this.linger.insert(Linger::new()).poll(&mut this.reader, context)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        time::timeout,
    };

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    #[tokio::test]
    async fn a_turn_is_said_with_one_write() {
        let (near, mut far) = pair().await;
        let (mut near, turns) = Gathering::new(near, Connection::default());
        turns.begin();
        for part in [b"one ".as_slice(), b"two ", b"three"] {
            near.write_all(part).await.unwrap();
            near.flush().await.unwrap();
        }
        let mut heard = [0; 100];
        let early = timeout(Duration::from_millis(50), far.read(&mut heard)).await;
        assert!(early.is_err(), "{early:?}: {heard:?}");
        poll_fn(|context| turns.end(context)).await.unwrap();
        let length = far.read(&mut heard).await.unwrap();
        assert_eq!(&heard[..length], b"one two three");
        assert_eq!(turns.out().waiting.capacity(), 0, "the room is given back");

        // Without turns, as after an upgrade, each flush sends.
        near.write_all(b"four").await.unwrap();
        near.flush().await.unwrap();
        let length = far.read(&mut heard).await.unwrap();
        assert_eq!(&heard[..length], b"four");
    }

    #[tokio::test]
    async fn nothing_is_lost_where_the_reader_is_slow() {
        const PARTS: usize = 3_000;
        let (near, mut far) = pair().await;
        let (mut near, turns) = Gathering::new(near, Connection::default());
        let part = |number: usize| vec![u8::try_from(number % 251).unwrap(); 1 + number * 37 % 5_000];
        let writer = tokio::spawn(async move {
            for number in 0..PARTS {
                let bytes = if number == 1_000 { vec![7; LIMIT * 3] } else { part(number) };
                turns.begin();
                near.write_all(&bytes).await.unwrap();
                assert!(turns.out().waiting.len() <= LIMIT);
                poll_fn(|context| turns.end(context)).await.unwrap();
            }
            near.shutdown().await.unwrap();
        });
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).await.unwrap();
        writer.await.unwrap();
        let expected = (0..PARTS).flat_map(|n| if n == 1_000 { vec![7; LIMIT * 3] } else { part(n) });
        assert!(expected.eq(heard));
    }

    #[tokio::test]
    async fn a_reader_that_has_stopped_stops_the_writer() {
        let (near, _far) = pair().await;
        let (mut near, turns) = Gathering::new(near, Connection::default());
        turns.begin();
        let mut taken = 0_usize;
        let endless = async {
            loop {
                taken += near.write(&[0; 1_000]).await.unwrap();
            }
        };
        assert!(timeout(Duration::from_millis(300), endless).await.is_err());
        assert!(turns.out().waiting.len() <= LIMIT, "{taken}");
    }
}
