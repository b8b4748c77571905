//! Calls below HTTP, for doors that are not gRPC: a method by its name, a message by its bytes.
//!
//! What `build.rs` generates for each service ([`DirectService`]) decodes the message, calls the very same
//! implementation as tonic's server does, and encodes what it answers; and [`Calls::direct`] leads through the same
//! limits, deadlines, measures and spans.

use std::{future::poll_fn, time::Duration};

use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use http::HeaderMap;
use prost::Message;
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status, codegen::BoxFuture};

use super::{Calls, deadline, explain, running::Running};
use crate::api::{
    codec,
    measure::Measure,
    replies::{Opened, Own, Replies, Source, Within},
};

/// A service that can be called without HTTP.
pub trait DirectService: Send + Sync {
    /// Calls a method by its name; nothing if there is none of that name.
    fn call(&self, method: &str, request: Request<Bytes>) -> Option<BoxFuture<Response<Outcome>, Status>>;
}

/// What a call gives: encoded messages.
pub enum Outcome {
    /// One.
    One(Bytes),
    /// Any number, one after the other.
    Many(BoxStream<'static, Result<Bytes, Status>>),
}

/// The answer to a call.
#[derive(Debug)]
pub struct Answered {
    /// The metadata that came with it.
    pub headers: HeaderMap,
    /// The prices within it, in their order, whose texts may be there already.
    pub within: Option<Within>,
    /// The messages.
    pub messages: Messages,
}

/// The messages of an answer.
#[derive(Debug)]
pub enum Messages {
    /// The one message.
    One(Bytes),
    /// The replies of a stream.
    Many(Replies),
}

impl Calls {
    /// Calls a method by its path, such as `/package.Service/Method`.
    pub async fn direct(&self, path: &str, request: Request<Bytes>) -> Result<Answered, Status> {
        let mut measure = self.measures().begin(path, self.door);
        let asked = deadline::asked(request.metadata().as_ref()).and_then(|asked| match asked {
            Some(Duration::ZERO) => Err(deadline::exceeded(Duration::ZERO)),
            asked => Ok(asked),
        });
        let called = asked.and_then(|asked| {
            let answer = self.find_direct(path).and_then(|(service, method)| service.call(method, request));
            Ok((answer.ok_or_else(|| explain::unknown_call(path))?, asked))
        });
        let (answer, asked) = called.inspect_err(|status| measure.end(status.code()))?;
        let mut running = Running::new(answer, measure, asked, self.limits());
        let answer = poll_fn(|context| running.poll(context)).await.and_then(|answer| answer);
        let (metadata, outcome, mut extensions) = match answer {
            Ok(answer) => answer.into_parts(),
            Err(status) => {
                running.measure().end(status.code());
                return Err(status);
            }
        };
        let within = extensions.remove();
        let (mut measure, until) = running.into_measure();
        let messages = match (outcome, extensions.remove::<Opened>().and_then(|opened| opened.take())) {
            (Outcome::One(message), _) => {
                measure.end(Code::Ok);
                Messages::One(message)
            }
            (_, Some(shared)) => self.open(shared, until, measure)?,
            (Outcome::Many(own), None) => {
                let own = own.map(|message| message.map(|message| Own::reply(&message))).boxed();
                self.open(own, until, measure)?
            }
        };
        Ok(Answered { headers: metadata.into_headers(), within, messages })
    }

    fn open(&self, source: Source, until: Option<Instant>, measure: Measure) -> Result<Messages, Status> {
        Replies::open(source, &self.connection, self.limits(), until, measure).map(Messages::Many)
    }

    fn find_direct<'p>(&self, path: &'p str) -> Option<(&dyn DirectService, &'p str)> {
        let (service, method) = path.strip_prefix('/')?.split_once('/')?;
        let found = self.shared.direct.iter().find(|(name, _)| *name == service)?;
        Some((&*found.1, method))
    }
}

/// Decodes the message of a request.
pub fn decode<T: Message + Default>(request: Request<Bytes>) -> Result<Request<T>, Status> {
    let (metadata, extensions, message) = request.into_parts();
    Ok(Request::from_parts(metadata, extensions, codec::decode(message)?))
}

/// Encodes the message of a response.
pub fn encode<T: Message>(response: Response<T>) -> Response<Outcome> {
    response.map(|message| Outcome::One(message.encode_to_vec().into()))
}

/// Encodes the messages of a response.
pub fn encode_each<T, S>(response: Response<S>) -> Response<Outcome>
where
    T: Message,
    S: futures::Stream<Item = Result<T, Status>> + Send + 'static,
{
    response.map(|messages| {
        Outcome::Many(messages.map(|message| message.map(|message| message.encode_to_vec().into())).boxed())
    })
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::One(_) => "One",
            Self::Many(_) => "Many",
        })
    }
}
