//! One connection to a loopback venue: a question over REST, or a WebSocket.

use std::{sync::Arc, time::Duration, time::Instant};

use chrono::{DateTime, Utc};
use futures::{SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
    time::{interval, sleep},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role},
    },
};

use super::{
    tongue::{Deal, Quote, Spoken},
    venue::{Answer, Shared},
};

/// How often a WebSocket is pinged: a connection that stands and says nothing.
const PING_EVERY: Duration = Duration::from_millis(100);

/// At every so manieth of these, a venue pings in words of its own, if it does.
const BEAT_EVERY: u32 = 5;

/// What is said on a WebSocket.
#[derive(Debug, Clone)]
pub(super) enum Said {
    /// These subscriptions of a message are taken.
    Taken(String, Vec<(String, String)>),
    /// Best bid and ask, and when.
    Quote(String, Quote, DateTime<Utc>),
    /// The last 24 hours, with best bid and ask, and when.
    Day(String, Quote, DateTime<Utc>),
    /// The book of a market begins anew.
    Anew(String),
    /// A trade.
    Deal(String, Deal),
    /// A trade that was before the subscription.
    Past(String, Deal),
    /// A message of a market that is lost on its way.
    Lost(String),
    /// A text as it is.
    Text(String),
    /// Bytes as they are, past all framing.
    Bytes(Vec<u8>),
    /// A frame whose bytes come one by one and never end.
    Drip,
    /// Goodbye, with a code and a reason.
    Close(u16, &'static str),
    /// The end, without a word.
    Cut,
}

/// Takes a connection: reads the head of the request, and answers.
pub(super) async fn take(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let Some(head) = head(&mut stream).await else { return };
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
    });
    let Some(key) = key else {
        let answer = shared.answer(method, target);
        answer_with(&mut stream, &answer).await;
        return;
    };
    let (instead, wait, cuts, date) = {
        let mut state = shared.state();
        state.handshakes.push(Instant::now());
        state.pending += 1;
        state.most_pending = state.most_pending.max(state.pending);
        (
            state.instead.clone(),
            state.handshake,
            state.cuts,
            state.clock().format("%a, %d %b %Y %H:%M:%S GMT"),
        )
    };
    if !wait.is_zero() {
        sleep(wait).await;
    }
    shared.state().pending -= 1;
    let stranger = || (!shared.admits(target)).then(|| (401, "", String::new()));
    let instead = instead.or_else(stranger);
    if let Some(answer) = instead {
        answer_with(&mut stream, &answer).await;
        return;
    }
    let accepted = format!(
        "HTTP/1.1 101 Switching Protocols\r\ndate: {date}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    if stream.write_all(accepted.as_bytes()).await.is_err() || cuts {
        return;
    }
    talk(WebSocketStream::from_raw_socket(stream, Role::Server, None).await, &shared).await;
}

/// Talks to the end of the connection.
async fn talk(mut socket: WebSocketStream<impl AsyncRead + AsyncWrite + Unpin>, shared: &Shared) {
    let tongue = shared.tongue;
    let (say, mut said) = mpsc::unbounded_channel();
    let number = shared.stands(say);
    let mut spoken = Spoken::default();
    let mut pings = interval(PING_EVERY);
    let (mut pinged, mut drips) = (0, false);
    loop {
        let sent = tokio::select! {
            _ = pings.tick() => {
                pinged += 1;
                let ping = Utc::now().timestamp_millis();
                let beat = if pinged % BEAT_EVERY == 0 { tongue.beats(&mut spoken, ping) } else { None };
                match beat {
                    // One byte of a text that never ends.
                    _ if drips => socket.get_mut().write_all(b"x").await.is_ok(),
                    Some(beat) if shared.beat(number, ping) => socket.send(tongue.pack(beat)).await.is_ok(),
                    Some(_) => false,
                    None => socket.send(Message::Ping(Vec::new().into())).await.is_ok(),
                }
            }
            heard = socket.next() => match heard {
                Some(Ok(Message::Text(text))) => {
                    shared.hear(number, &text);
                    true
                }
                Some(Ok(_)) => true,
                Some(Err(_)) | None => false,
            },
            Some(said) = said.recv(), if !drips => {
                let texts = match said {
                    Said::Taken(asked, taken) => tongue.takes(&mut spoken, &asked, &taken),
                    Said::Quote(symbol, quote, time) => vec![tongue.quote(&mut spoken, &symbol, quote, time)],
                    Said::Day(symbol, quote, time) => vec![tongue.day(&mut spoken, &symbol, quote, time)],
                    Said::Deal(symbol, deal) => vec![tongue.deal(&mut spoken, &symbol, &deal)],
                    Said::Past(symbol, deal) => tongue.past(&mut spoken, &symbol, &deal).into_iter().collect(),
                    Said::Text(text) => vec![text],
                    Said::Anew(symbol) => {
                        spoken.forget(&symbol);
                        continue;
                    }
                    Said::Lost(symbol) => {
                        spoken.lose(&symbol);
                        continue;
                    }
                    Said::Bytes(bytes) => {
                        if socket.get_mut().write_all(&bytes).await.is_err() {
                            break;
                        }
                        continue;
                    }
                    Said::Drip => {
                        // The head of a text frame of 4,096 bytes.
                        drips = true;
                        if socket.get_mut().write_all(&[0x81, 126, 0x10, 0]).await.is_err() {
                            break;
                        }
                        continue;
                    }
                    Said::Close(code, reason) => {
                        let close = CloseFrame { code: code.into(), reason: reason.into() };
                        let _ = socket.close(Some(close)).await;
                        break;
                    }
                    Said::Cut => break,
                };
                let mut sent = Ok(());
                for text in texts {
                    sent = sent.and(socket.send(tongue.pack(text)).await);
                }
                sent.is_ok()
            }
        };
        if !sent {
            break;
        }
    }
    shared.ended(number);
}

/// Reads the head of a request; nothing if the caller is gone.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

async fn answer_with(stream: &mut (impl AsyncWrite + Unpin), (status, headers, body): &Answer) {
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} Status\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    // Whoever asked may be gone.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}
