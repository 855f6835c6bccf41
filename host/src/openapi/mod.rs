//! The description of a node's HTTP API: OpenAPI 3.1 at `GET /openapi.json`, and its page at `GET /docs`.
//!
//! Every route is declared with its [`Operation`]: see [`Routes`](crate::edge::Routes). What the code knows is taken
//! from there and never written twice: paths, methods and scopes from the routes, query parameters and their ranges
//! from what reads them, bodies from the types that serde reads and writes.
//!
//! | file | holds |
//! | --- | --- |
//! | `operation` | what is said of one route |
//! | `answer` | what a route answers with when it does not refuse |
//! | `parameters` | query, path and header parameters in words |
//! | `problems` | every code of every refusal: its status, its members, its reason |
//! | `schemas` | the schemas of bodies |
//! | `plain` | schemas in words that makers of clients understand |
//! | `document` | the whole, put together |
//! | `reads`, `chores` | the operations that both kinds of node have |
//! | `page` | `/docs`: one page of plain HTML, from inside the program |

mod answer;
pub mod chores;
mod document;
mod operation;
mod page;
mod parameters;
mod plain;
pub mod problems;
pub mod reads;
mod schemas;

pub use answer::Answer;
pub use document::Info;
pub(crate) use document::{Described, document};
pub use operation::{Describe, Operation, Tag};
pub(crate) use page::with_pages;
pub use schemas::Schemas;
