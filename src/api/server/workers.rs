//! Threads that serve connections, each with a runtime of its own.
//!
//! A connection stays on one thread from its first byte to its last, and so do all of its calls: nothing is stolen, no
//! other thread is woken, and what many calls answer goes out in one write. Measured against tokio's runtime of many
//! threads, one core answers more than half as many calls again.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use futures::future::join_all;
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
};
use tracing::{debug, warn};

/// Sockets that wait for a thread at most.
const WAITING: usize = 1_024;

/// The threads.
#[derive(Debug)]
pub struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    sockets: mpsc::Sender<Socket>,
    open: Arc<AtomicUsize>,
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

/// A socket on its way to a thread, or served there; counted while it lives.
#[derive(Debug)]
pub struct Socket {
    socket: std::net::TcpStream,
    counted: Open,
}

/// Counts a socket while it lives.
#[derive(Debug)]
pub struct Open(Arc<AtomicUsize>);

impl Workers {
    /// Starts a thread for each front. It runs what `work` makes of the front and of its sockets, to the end.
    pub fn start<T, W>(
        fronts: impl IntoIterator<Item = T>,
        work: impl Fn(T, mpsc::Receiver<Socket>) -> W,
    ) -> io::Result<Self>
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let workers = fronts.into_iter().enumerate().map(|(number, front)| {
            let (sockets, receiver) = mpsc::channel(WAITING);
            let (end, ended) = oneshot::channel();
            let work = work(front, receiver);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let thread = std::thread::Builder::new().name(format!("doors-{number}")).spawn(move || {
                runtime.block_on(work);
                // Nobody waits any more if everything goes down.
                let _ = end.send(());
            })?;
            Ok(Worker { sockets, open: Arc::default(), ended, thread })
        });
        workers.collect::<io::Result<_>>().map(Self)
    }

    /// Hands a socket to the thread that has the fewest.
    pub fn hand_over(&self, socket: TcpStream) {
        let Some(worker) = self.0.iter().min_by_key(|worker| worker.open.load(Ordering::Relaxed)) else {
            return;
        };
        let socket = match socket.into_std() {
            Ok(socket) => Socket { socket, counted: Open::new(&worker.open) },
            Err(error) => return debug!(%error, "a socket cannot be handed over"),
        };
        if worker.sockets.try_send(socket).is_err() {
            warn!(waiting = WAITING, "a connection is refused: too many wait to be served");
        }
    }

    /// Lets no more sockets in, and waits for the threads to end.
    pub async fn end(self) {
        join_all(self.0.into_iter().map(Worker::end)).await;
    }
}

impl Worker {
    async fn end(self) {
        drop(self.sockets);
        // Nothing comes if the thread has panicked.
        let _ = self.ended.await;
        if self.thread.join().is_err() {
            warn!("a thread that serves connections has panicked");
        }
    }
}

impl Socket {
    /// Takes the socket into the runtime of this thread.
    pub fn take(self) -> io::Result<(TcpStream, Open)> {
        Ok((TcpStream::from_std(self.socket)?, self.counted))
    }
}

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
