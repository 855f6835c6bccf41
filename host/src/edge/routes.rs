//! Which route needs what, declared where the route is.

use std::convert::Infallible;

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    response::{IntoResponse as _, Response},
    routing::{MethodFilter, MethodRouter, on},
};
use futures_util::future::{Either, Ready, ready};

use crate::auth::{Gate, Scope};

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing: for probes, which hold no secret and learn none.
    Open,
    /// A token with this scope, where the node knows tokens.
    Needs(Scope),
}

/// The routes of a node. Each is declared with what it asks of its caller; there is no way to add one without.
///
/// [`super::serve`] takes these and nothing else, so that no route escapes the [`Gate`].
pub struct Routes<S = ()> {
    routes: Vec<(&'static str, Bind<S>)>,
}

/// A route that waits for its gate.
type Bind<S> = Box<dyn FnOnce(Gate) -> MethodRouter<S, Infallible> + Send>;

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// None yet.
    pub fn new() -> Self {
        Self { routes: Vec::new() }
    }

    /// `GET` of a path, and `HEAD`.
    #[must_use]
    pub fn get<T: 'static>(self, path: &'static str, access: Access, handler: impl Handler<T, S>) -> Self {
        self.on(MethodFilter::GET, path, access, handler)
    }

    /// `POST` to a path.
    #[must_use]
    pub fn post<T: 'static>(self, path: &'static str, access: Access, handler: impl Handler<T, S>) -> Self {
        self.on(MethodFilter::POST, path, access, handler)
    }

    /// `PUT` to a path.
    #[must_use]
    pub fn put<T: 'static>(self, path: &'static str, access: Access, handler: impl Handler<T, S>) -> Self {
        self.on(MethodFilter::PUT, path, access, handler)
    }

    fn on<T: 'static>(
        mut self,
        method: MethodFilter,
        path: &'static str,
        access: Access,
        handler: impl Handler<T, S>,
    ) -> Self {
        let bind = move |gate| on(method, Guarded { handler, access, gate });
        self.routes.push((path, Box::new(bind)));
        self
    }

    /// The routes with what their handlers share.
    #[must_use]
    pub fn with_state(self, state: S) -> Routes {
        let with_state = |(path, bind): (_, Bind<S>)| {
            let state = state.clone();
            let bind: Bind<()> = Box::new(move |gate| bind(gate).with_state(state));
            (path, bind)
        };
        Routes { routes: self.routes.into_iter().map(with_state).collect() }
    }
}

impl Routes {
    /// What axum serves, each route behind the gate.
    pub(super) fn behind(self, gate: &Gate) -> Router {
        self.routes
            .into_iter()
            .fold(Router::new(), |router, (path, bind)| router.route(path, bind(gate.clone())))
    }
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

/// A handler behind the gate. As a layer of axum's it would cost an allocation a request.
#[derive(Clone)]
struct Guarded<H> {
    handler: H,
    access: Access,
    gate: Gate,
}

impl<T: 'static, S, H: Handler<T, S>> Handler<T, S> for Guarded<H> {
    type Future = Either<Ready<Response>, H::Future>;

    fn call(self, request: Request, state: S) -> Self::Future {
        let checked = match self.access {
            Access::Open => Ok(()),
            Access::Needs(scope) => self.gate.check(request.headers(), scope),
        };
        match checked {
            Ok(()) => Either::Right(self.handler.call(request, state)),
            Err(problem) => Either::Left(ready(problem.into_response())),
        }
    }
}
