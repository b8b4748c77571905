//! What every call passes through, by whichever door it comes in.
//!
//! The doors differ in how a request reaches here and how its answer leaves; [`Calls`] is what they have in common:
//! it finds the service, keeps the call to its deadline and the limits, catches its panics, gives a reason to errors
//! that have none, and measures it. It is one service with one future, not a stack of layers that each box the next:
//! a call costs little more than tonic itself.

pub mod deadline;
pub mod direct;
pub mod explain;
pub mod panic;

mod body;
mod call;
mod running;

use std::{convert::Infallible, sync::Arc, task};

use http::{Request, Response};
use tonic::{codegen::BoxFuture, server::NamedService};
use tower::Service;

pub use self::body::{AnswerBody, RequestBody};
pub use self::call::Call;
use self::direct::DirectService;
use super::{
    limits::Limits,
    measure::{Door, Measures},
    server::connection::Connection,
};

/// A gRPC service, whichever it is.
pub trait GrpcService: Send + Sync {
    /// Answers one call.
    fn answer(&self, request: Request<RequestBody>) -> BoxFuture<Response<tonic::body::Body>, Infallible>;
}

/// All services of the contract, as seen through one door on one connection. Clones lead to the same services.
#[derive(Clone)]
pub struct Calls {
    shared: Arc<Shared>,
    door: Door,
    connection: Connection,
}

struct Shared {
    /// By their names, as they stand in a path.
    services: Vec<(&'static str, Box<dyn GrpcService>)>,
    /// Those that can be called below HTTP, by their names.
    direct: Vec<(&'static str, Box<dyn DirectService>)>,
    limits: Limits,
    measures: Measures,
}

/// Collects the services.
pub struct CallsBuilder(Shared);

impl CallsBuilder {
    /// Starts without any.
    pub fn new(limits: Limits, measures: Measures) -> Self {
        Self(Shared { services: Vec::new(), direct: Vec::new(), limits, measures })
    }

    /// Adds a service.
    #[must_use]
    pub fn with<S: GrpcService + NamedService + 'static>(mut self, service: S) -> Self {
        self.0.services.push((S::NAME, Box::new(service)));
        self
    }

    /// Adds a service that can be called below HTTP, too.
    #[must_use]
    pub fn with_direct<S>(mut self, service: S, direct: impl DirectService + 'static) -> Self
    where
        S: GrpcService + NamedService + 'static,
    {
        self.0.direct.push((S::NAME, Box::new(direct)));
        self.with(service)
    }

    /// Makes the calls of all of them.
    pub fn build(self) -> Calls {
        Calls { shared: Arc::new(self.0), door: Door::Grpc, connection: Connection::default() }
    }
}

impl Calls {
    /// Looks at the same services through another door.
    #[must_use]
    pub fn through(&self, door: Door) -> Self {
        Self { door, ..self.clone() }
    }

    /// Serves the calls of a connection.
    #[must_use]
    pub fn on(&self, connection: Connection) -> Self {
        Self { connection, ..self.clone() }
    }

    /// Gets the door that they are seen through.
    pub fn door(&self) -> Door {
        self.door
    }

    /// Gets what calls are measured by.
    pub fn measures(&self) -> &Measures {
        &self.shared.measures
    }

    /// Gets the connection that they come on.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Gets what is allowed.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Answers a call.
    pub fn answer(&self, request: Request<RequestBody>) -> Call {
        Call::new(self, request)
    }

    fn find(&self, path: &str) -> Option<&dyn GrpcService> {
        let (service, _) = path.strip_prefix('/')?.split_once('/')?;
        let found = self.shared.services.iter().find(|(name, _)| *name == service)?;
        Some(&*found.1)
    }
}

impl<S> GrpcService for S
where
    S: Service<
            Request<RequestBody>,
            Response = Response<tonic::body::Body>,
            Error = Infallible,
            Future = BoxFuture<Response<tonic::body::Body>, Infallible>,
        > + Clone
        + Send
        + Sync,
{
    fn answer(&self, request: Request<RequestBody>) -> BoxFuture<Response<tonic::body::Body>, Infallible> {
        // Generated servers are always ready, and their clones share what is inside.
        self.clone().call(request)
    }
}

impl Service<Request<tonic::body::Body>> for Calls {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Call;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Infallible>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Call {
        self.answer(request.map(RequestBody::Boxed))
    }
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls").field("door", &self.door).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for CallsBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallsBuilder").finish_non_exhaustive()
    }
}
