//! What a replog node needs around its core: the bus, the HTTP edge, log lines, metrics, the runtime.

pub mod bus;
pub mod commands;
pub mod config;
pub mod edge;
pub mod held;
pub mod metrics;
pub mod pages;
pub mod probes;
pub mod runtime;
pub mod stop;
pub mod storage;
pub mod telemetry;
pub mod traces;
