//! PutLogEvents: the request read (`parse`), held against the limits (`check`). Pure: no store, no clock.

pub mod check;
mod fast;
pub mod parse;
