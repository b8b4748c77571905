//! One client's connection to one simulated venue.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::broadcast::{self, error::RecvError},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::{
        self, Message, Utf8Bytes,
        handshake::server::{ErrorResponse, Request, Response},
        http::StatusCode,
        protocol::WebSocketConfig,
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    floor::{News, Step},
    trouble::Trouble,
    venues::Server,
    wire::{Dialect, Outbox},
};

/// How long a handshake, a write or a farewell may take: a client that does not read is dropped.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of a request at most.
const MAX_REQUEST: usize = 64 << 10;

/// A connection after its handshake.
struct Session<S> {
    socket: WebSocketStream<S>,
    dialect: Box<dyn Dialect>,
    steps: broadcast::Receiver<Arc<Step>>,
}

/// Why a session ends before its shutdown.
enum End {
    /// The client is gone, or the simulation is.
    Gone,
    /// The client reads more slowly than the venue speaks.
    Slow,
    /// The venue hangs up.
    Cut,
}

/// Serves a connection until either side has had enough.
pub(super) async fn serve<S>(
    stream: S,
    server: &'static Server,
    steps: broadcast::Receiver<Arc<Step>>,
    shutdown: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = timeout(PATIENCE, accept(stream, server.path));
    let Some(Ok(Ok(socket))) = shutdown.run_until_cancelled(handshake).await else {
        return;
    };
    let mut session = Session { socket, dialect: (server.dialect)(), steps };
    match shutdown.run_until_cancelled(session.run()).await {
        Some(End::Gone) => {}
        Some(End::Slow) => tracing::debug!(venue = %server.venue, "a client that does not read is dropped"),
        Some(End::Cut) => tracing::debug!(venue = %server.venue, "a connection is cut"),
        None => {
            // Whether the farewell arrives makes no difference any more.
            let _ = timeout(PATIENCE, session.socket.close(None)).await;
        }
    }
}

impl<S> Session<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Speaks until there is a reason to stop.
    async fn run(&mut self) -> End {
        match self.converse().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn converse(&mut self) -> Result<Infallible, End> {
        // Nothing is said before the first step: it tells what there is to answer with.
        let mut step = self.steps.recv().await?;
        while step.hangs() {
            step = self.steps.recv().await?;
        }
        let mut out = Outbox::default();
        self.dialect.greet(&step, &mut out);
        loop {
            self.send(out, step.trouble).await?;
            out = Outbox::default();
            tokio::select! {
                next = self.steps.recv() => {
                    step = next?;
                    self.tell(&step, &mut out);
                }
                message = self.socket.next(), if !step.hangs() => {
                    if let Some(request) = request(message)? {
                        self.dialect.answer(&request, &step, &mut out);
                    }
                }
            }
        }
    }

    /// Says what happened in a step.
    fn tell(&mut self, step: &Step, out: &mut Outbox) {
        if step.hangs() {
            return;
        }
        self.dialect.beat(step, out);
        for news in &step.news {
            match news {
                News::Quoted(ticker) => self.dialect.quoted(ticker, step, out),
                News::Traded(ticker, trade) => self.dialect.traded(ticker, trade, step, out),
            }
        }
    }

    /// Sends frames, as far as the venue's trouble lets it.
    async fn send(&mut self, mut out: Outbox, trouble: Option<Trouble>) -> Result<(), End> {
        match trouble {
            Some(Trouble::Cut) => return Err(End::Cut),
            Some(Trouble::Malformed) => out.damage(),
            _ => {}
        }
        let sending = async {
            for frame in out.frames {
                self.socket.feed(frame).await?;
            }
            self.socket.flush().await
        };
        match timeout(PATIENCE, sending).await {
            Ok(Ok(())) if out.hang_up => Err(End::Cut),
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Slow),
        }
    }
}

impl From<RecvError> for End {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Lagged(_) => Self::Slow,
            RecvError::Closed => Self::Gone,
        }
    }
}

/// Shakes hands, on the venue's path only.
#[expect(clippy::result_large_err, reason = "the answer's type is tungstenite's")]
async fn accept<S>(stream: S, path: &'static str) -> tungstenite::Result<WebSocketStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let check = move |request: &Request, response: Response| {
        if request.uri().path() == path {
            return Ok(response);
        }
        let mut refusal = ErrorResponse::new(None);
        *refusal.status_mut() = StatusCode::NOT_FOUND;
        Err(refusal)
    };
    let config = WebSocketConfig::default().max_message_size(Some(MAX_REQUEST));
    accept_hdr_async_with_config(stream, check, Some(config)).await
}

/// Takes the text of a message, if it has one. Pings are answered by the socket itself.
fn request(message: Option<tungstenite::Result<Message>>) -> Result<Option<Utf8Bytes>, End> {
    match message {
        Some(Ok(Message::Text(text))) => Ok(Some(text)),
        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(End::Gone),
        Some(Ok(_)) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::client_async;

    use super::*;
    use crate::sim::venues::SERVERS;

    fn step(trouble: Option<Trouble>) -> Arc<Step> {
        Arc::new(Step { time: chrono::DateTime::UNIX_EPOCH, tickers: Vec::new(), news: Vec::new(), trouble })
    }

    /// Lets Kraken say that it is online while it has this trouble, and gives what the client hears.
    async fn hear(trouble: Option<Trouble>) -> Vec<String> {
        let (client, stream) = tokio::io::duplex(4_096);
        let (steps, receiver) = broadcast::channel(4);
        for _ in 0..2 {
            steps.send(step(trouble)).unwrap();
        }
        drop(steps);
        let serving = serve(stream, &SERVERS[2], receiver, CancellationToken::new());
        let hearing = async {
            let (mut socket, _) = client_async("ws://localhost/v2", client).await.unwrap();
            let mut heard = Vec::new();
            while let Some(Ok(Message::Text(text))) = socket.next().await {
                heard.push(text.to_string());
            }
            heard
        };
        tokio::join!(serving, hearing).1
    }

    #[tokio::test]
    async fn a_healthy_venue_is_heard() {
        let heard = hear(None).await;
        assert!(heard.len() == 1 && heard[0].ends_with("}]}"), "{heard:?}");
    }

    #[tokio::test]
    async fn a_silent_or_cut_venue_is_not() {
        assert!(hear(Some(Trouble::Silence)).await.is_empty());
        assert!(hear(Some(Trouble::Cut)).await.is_empty());
    }

    #[tokio::test]
    async fn a_malformed_frame_breaks_off() {
        let heard = hear(Some(Trouble::Malformed)).await;
        assert!(heard.len() == 1 && !heard[0].ends_with('}'), "{heard:?}");
        assert!(heard[0].starts_with(r#"{"channel":"status""#), "{heard:?}");
    }

    #[tokio::test]
    async fn another_path_is_refused() {
        let (client, stream) = tokio::io::duplex(4_096);
        let (_steps, receiver) = broadcast::channel(4);
        let serving = serve(stream, &SERVERS[0], receiver, CancellationToken::new());
        let ((), answer) = tokio::join!(serving, client_async("ws://localhost/nonsense", client));
        let Err(tungstenite::Error::Http(response)) = answer else { panic!("{answer:?}") };
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn a_client_that_falls_behind_is_dropped() {
        let (client, stream) = tokio::io::duplex(4_096);
        let (steps, receiver) = broadcast::channel(2);
        for _ in 0..5 {
            steps.send(step(None)).unwrap();
        }
        let serving = serve(stream, &SERVERS[0], receiver, CancellationToken::new());
        let ((), client) = tokio::join!(serving, client_async("ws://localhost/stream", client));
        let (mut socket, _) = client.unwrap();
        assert!(matches!(socket.next().await, Some(Err(_)) | None));
    }

    #[tokio::test]
    async fn shutdown_says_farewell() {
        let (client, stream) = tokio::io::duplex(4_096);
        let (_steps, receiver) = broadcast::channel(4);
        let shutdown = CancellationToken::new();
        let serving = serve(stream, &SERVERS[2], receiver, shutdown.clone());
        let asking = async {
            let (mut socket, _) = client_async("ws://localhost/v2", client).await.unwrap();
            shutdown.cancel();
            socket.next().await
        };
        let ((), last) = tokio::join!(serving, asking);
        assert!(matches!(last, Some(Ok(Message::Close(_)))), "{last:?}");
    }
}
