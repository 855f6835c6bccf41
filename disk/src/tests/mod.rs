//! Tests of the whole: a store on a disk that crashes.

mod basics;
mod closed;
mod crash_points;
mod crashes;
mod damage;
mod directories;
mod errors;
mod hostile;
mod support;
