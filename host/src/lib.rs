//! What a replog node needs around its core: the bus, the HTTP edge, log lines, the runtime.

pub mod bus;
pub mod config;
pub mod edge;
pub mod pages;
pub mod probes;
pub mod runtime;
pub mod stop;
pub mod storage;
pub mod tail;
pub mod telemetry;
