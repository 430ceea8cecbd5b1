//! What logpump says: its own messages on stderr, the copy of the children's lines on stdout, the ledger at the end.
//! None of it may ever hold up a child.

pub mod hang;
pub mod health;
pub mod ledgers;
pub mod messages;
pub mod tee;
