//! Tests of the whole: a store on a disk that crashes.

mod basics;
mod batches;
mod closed;
mod crashes;
mod damage;
mod errors;
mod format1;
mod hostile;
mod support;
