//! What the tests of the whole system stand on.
//!
//! | module | holds |
//! | --- | --- |
//! | [`harness`] | clusters of real processes or containers, and the client that talks to them |
//! | [`metrics`] | what `GET /metrics` answers, read strictly |
//! | [`history`] | what clients did and saw during a run, and the rules that it must not break |
//! | [`soak`] | the long run of `cargo xtask soak` |

pub mod harness;
pub mod history;
pub mod metrics;
pub mod soak;
