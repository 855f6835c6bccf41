//! Tests of the whole: a store on a disk that crashes.

mod basics;
mod closed;
mod crashes;
mod damage;
mod errors;
mod hostile;
mod order;
mod support;
