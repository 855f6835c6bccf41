//! What a replog node needs around its core: the bus, the HTTP edge and who may use it, log lines, metrics, spans, the runtime.

pub mod auth;
pub mod bus;
pub mod commands;
pub mod config;
pub mod console;
pub mod descriptors;
pub mod edge;
pub mod held;
pub mod history;
mod limits;
pub mod message_ids;
pub mod metrics;
pub mod openapi;
pub mod opening;
pub mod pages;
pub mod probes;
pub mod reads;
pub mod refused;
pub mod reload;
pub mod runtime;
pub mod spans;
pub mod stop;
pub mod storage;
pub mod tail;
pub mod telemetry;
pub mod traces;
