//! Tests of the whole: a store on a disk that crashes.

mod basics;
mod batches;
mod closed;
mod crash_points;
mod crashes;
mod damage;
mod directories;
mod errors;
mod format1;
mod hostile;
mod support;
