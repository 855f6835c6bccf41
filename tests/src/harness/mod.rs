//! Clusters of real nodes, with faults from outside.
//!
//! | module | holds |
//! | --- | --- |
//! | [`browser`] | a browser without a screen |
//! | [`client`] | what a node answers over HTTP |
//! | [`clients`] | clients that others make of the description of the API |
//! | [`cluster`] | nats-server, master and secondaries as processes of this machine |
//! | [`containers`] | the same as containers on a network of their own |
//! | [`disk`] | data directories from outside: read, damaged, restored |
//! | [`follower`] | one who follows a log over server-sent events |
//! | [`front_door`] | a client that appends over NATS |
//! | [`load`] | clients at work while a test breaks the cluster, and their history |
//! | [`process`] | one of those processes: start, kill, stop, pause |
//! | [`programs`] | where their programs are |
//! | [`proxy`] | wires to nats-server that are cut, slowed down, broken within a frame |
//! | [`raw`] | HTTP as bytes, for requests that no client would send |
//! | [`small_disk`] | disks that are full soon |
//! | [`strace`] | system calls that fail |
//! | [`wait`] | waiting for a condition, with a deadline |

pub mod browser;
pub mod client;
pub mod clients;
pub mod cluster;
pub mod containers;
pub mod disk;
pub mod follower;
pub mod front_door;
pub mod load;
mod ports;
pub mod process;
pub mod programs;
pub mod proxy;
pub mod raw;
pub mod small_disk;
pub mod strace;
pub mod wait;

pub use browser::Browser;
pub use client::{Answer, Client, Entry};
pub use cluster::{Cluster, Node, Options, equal_logs};
pub use follower::Follower;
pub use front_door::FrontDoor;
pub use load::{Load, Pace, add_logs};
pub use process::Process;
pub use wait::{SOON, eventually, wait_until};
