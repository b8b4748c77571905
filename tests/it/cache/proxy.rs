//! A way to a server that can be slow, or cut.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
    time::sleep,
};

/// A running proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    way: Way,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct Way {
    delay: Arc<AtomicU64>,
    open: Arc<AtomicBool>,
    cuts: watch::Sender<u64>,
    swallow: Arc<AtomicBool>,
}

impl Proxy {
    /// Leads to a port of this machine.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let way = Way {
            delay: Arc::default(),
            open: Arc::new(AtomicBool::new(true)),
            cuts: watch::Sender::new(0),
            swallow: Arc::default(),
        };
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(accept(listener, port, way.clone()));
        Self { address, way, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Lets everything take so much longer, each way.
    pub(crate) fn delay(&self, delay: Duration) {
        self.way.delay.store(u64::try_from(delay.as_millis()).unwrap(), Ordering::Relaxed);
    }

    /// Cuts all connections, and makes no more.
    pub(crate) fn cut(&self) {
        self.way.open.store(false, Ordering::Relaxed);
        self.way.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts all connections, but makes new ones.
    pub(crate) fn interrupt(&self) {
        self.way.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts the connection on which the next answer comes, in place of the answer: what was asked for was done.
    pub(crate) fn swallow_an_answer(&self) {
        self.way.swallow.store(true, Ordering::Relaxed);
    }

    /// Makes connections again.
    pub(crate) fn mend(&self) {
        self.way.open.store(true, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, port: u16, way: Way) {
    loop {
        let (near, _) = listener.accept().await.unwrap();
        if !way.open.load(Ordering::Relaxed) {
            continue;
        }
        let way = way.clone();
        tokio::spawn(async move {
            let mut cuts = way.cuts.subscribe();
            let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else {
                return;
            };
            let (near, far) = (near.into_split(), far.into_split());
            let never = AtomicBool::new(false);
            tokio::select! {
                () = carry(near.0, far.1, &way, &never) => {}
                () = carry(far.0, near.1, &way, &way.swallow) => {}
                _ = cuts.changed() => {}
            }
        });
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: &Way, swallow: &AtomicBool) {
    let mut piece = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        sleep(Duration::from_millis(way.delay.load(Ordering::Relaxed))).await;
        if swallow.swap(false, Ordering::Relaxed) || to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
