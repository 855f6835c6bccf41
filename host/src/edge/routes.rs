//! Which route needs what, and what it does in words, declared where the route is.

use std::convert::Infallible;

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    response::{IntoResponse as _, Response},
    routing::{MethodFilter, MethodRouter, on},
};
use futures_util::future::{Either, Ready, ready};
use http::Method;
use serde_json::Value;

use crate::{
    auth::{Gate, Scope},
    openapi::{self, Describe, Described, Info},
};

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing: for probes, which hold no secret and learn none.
    Open,
    /// A token with this scope, where the node knows tokens.
    Needs(Scope),
}

/// The routes of a node. Each is declared with what it asks of its caller and with its description; there is no way
/// to add one without.
///
/// [`super::serve`] takes these and nothing else, so that no route escapes the [`Gate`].
pub struct Routes<S = ()> {
    routes: Vec<(Described, Bind<S>)>,
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
    pub fn get<T: 'static>(
        self,
        path: &'static str,
        access: Access,
        describe: Describe,
        handler: impl Handler<T, S>,
    ) -> Self {
        self.on(MethodFilter::GET, Described { method: Method::GET, path, access, describe }, handler)
    }

    /// `POST` to a path.
    #[must_use]
    pub fn post<T: 'static>(
        self,
        path: &'static str,
        access: Access,
        describe: Describe,
        handler: impl Handler<T, S>,
    ) -> Self {
        self.on(MethodFilter::POST, Described { method: Method::POST, path, access, describe }, handler)
    }

    /// `PUT` to a path.
    #[must_use]
    pub fn put<T: 'static>(
        self,
        path: &'static str,
        access: Access,
        describe: Describe,
        handler: impl Handler<T, S>,
    ) -> Self {
        self.on(MethodFilter::PUT, Described { method: Method::PUT, path, access, describe }, handler)
    }

    fn on<T: 'static>(
        mut self,
        method: MethodFilter,
        described: Described,
        handler: impl Handler<T, S>,
    ) -> Self {
        let access = described.access;
        let bind = move |gate| on(method, Guarded { handler, access, gate });
        self.routes.push((described, Box::new(bind)));
        self
    }

    /// The routes and those of their own description, `/openapi.json` and `/docs`.
    #[must_use]
    pub fn described(self, info: Info) -> Self {
        openapi::with_pages(self, info)
    }

    /// The description of these routes, as OpenAPI.
    pub fn document(&self, info: Info) -> Value {
        openapi::document(info, &self.descriptions())
    }

    pub(crate) fn descriptions(&self) -> Vec<Described> {
        self.routes.iter().map(|(described, _)| described.clone()).collect()
    }

    /// The routes with what their handlers share.
    #[must_use]
    pub fn with_state(self, state: S) -> Routes {
        let with_state = |(described, bind): (_, Bind<S>)| {
            let state = state.clone();
            let bind: Bind<()> = Box::new(move |gate| bind(gate).with_state(state));
            (described, bind)
        };
        Routes { routes: self.routes.into_iter().map(with_state).collect() }
    }
}

impl Routes {
    /// What axum serves, each route behind the gate.
    pub(super) fn behind(self, gate: &Gate) -> Router {
        self.routes
            .into_iter()
            .fold(Router::new(), |router, (route, bind)| router.route(route.path, bind(gate.clone())))
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
