//! The end of a connection on which a body may still be coming.
//!
//! A request that is refused early is answered before its body has come. If the socket were closed then, the system would
//! answer the rest of the body with a reset, and the reset would take the answer with it before the caller has read it.
//! So what comes is read away for a moment.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// For how long.
const MOMENT: Duration = Duration::from_millis(500);

/// How many bytes at most.
const MOST: usize = 1 << 20;

/// Bytes that are read at a time.
const PIECE: usize = 4 << 10;

/// Reads away what still comes.
#[derive(Debug)]
pub(super) struct Linger {
    until: Pin<Box<Sleep>>,
    left: usize,
}

impl Linger {
    /// Begins.
    pub(super) fn new() -> Self {
        Self { until: Box::pin(sleep_until(Instant::now() + MOMENT)), left: MOST }
    }

    /// Reads until the other side has closed, or for as long as it is worth it.
    pub(super) fn poll(
        &mut self,
        mut reader: impl AsyncRead + Unpin,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut piece = [0; PIECE];
        while self.left > 0 {
            let mut buffer = ReadBuf::new(&mut piece);
            match Pin::new(&mut reader).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.left = self.left.saturating_sub(buffer.filled().len());
                }
                Poll::Ready(_) => break,
                Poll::Pending => {
                    ready!(self.until.as_mut().poll(context));
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
