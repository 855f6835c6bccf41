//! The vocabulary of replog: what both nodes, the wire and the disk speak of.
//!
//! Nothing here starts a task, opens a socket or reads a clock. A reader new to the project starts with
//! [`Order`], [`Entry`](entry::EntryLine), [`Epoch`], [`Mark`] and [`Lines`], then [`wire`] and [`store`].
//!
//! | module | holds |
//! | --- | --- |
//! | [`order`], [`epoch`], [`names`] | numbers and identities, each a type of its own |
//! | [`identity`] | what a node must never forget besides its log |
//! | [`message`], [`entry`], [`mark`], [`lines`], [`digest`] | what a log is made of, as the bytes that are stored and sent |
//! | [`write_concern`], [`durability`] | what a caller and an operator may ask for |
//! | [`same_value`] | whether two texts are one JSON value |
//! | `code`, `applied` | why a request is refused, and whether it took effect all the same |
//! | [`outline`] | what nodes tell each other of their logs, and where two logs part |
//! | [`wire`], [`subjects`] | every envelope and every NATS subject |
//! | [`store`] | the log behind its trait, and the log in memory |
//! | [`moment`], [`wall_time`], [`backoff`], [`limits`] | time as a value, retries, every maximum with its reason |
//! | [`byte_order_mark`] | what some editors put before a text |
//! | [`trace`] | which trace an append belongs to |
//! | [`histogram`] | observations, counted by size |
//! | `schemas` | how these words look in the description of the HTTP API |

mod applied;
pub mod backoff;
pub mod byte_order_mark;
mod code;
pub mod digest;
pub mod durability;
pub mod entry;
pub mod epoch;
pub mod histogram;
pub mod identity;
pub mod json;
pub mod limits;
pub mod lines;
pub mod mark;
pub mod message;
pub mod moment;
pub mod names;
pub mod order;
pub mod outline;
pub mod place;
pub mod same_value;
mod schemas;
pub mod store;
pub mod subjects;
pub mod trace;
pub mod wall_time;
pub mod wire;
pub mod write_concern;

pub use applied::Applied;
pub use code::Code;
pub use digest::Digest;
pub use durability::Durability;
pub use epoch::{Epoch, EpochNumber};
pub use histogram::Histogram;
pub use identity::Identity;
pub use lines::Lines;
pub use mark::{Mark, MarkKind, PlacedMark};
pub use message::{Message, MessageError, MessageId};
pub use moment::Moment;
pub use names::{Incarnation, LogId, LogName, NodeName};
pub use order::{Order, OrderRange};
pub use outline::{BriefMark, Outline};
pub use place::Place;
pub use wall_time::WallTime;
pub use write_concern::WriteConcern;
