//! Which engine a run uses, and why: as it was asked for, or as the probe finds.

use super::{EngineWish, Plan};
use crate::intake::Kind;
use crate::refusal::{EXIT_UNAVAILABLE, Refusal};
use crate::sys::probe;

pub struct Engine {
    pub kind: Kind,
    pub reason: String,
    /// Why the spool's files are not on io_uring, though it was tried.
    pub files: Result<(), probe::Refusal>,
}

impl Engine {
    fn uring(works: probe::Works, reason: &str) -> Engine {
        Engine { kind: Kind::Uring, reason: reason.into(), files: works.files }
    }

    fn epoll(reason: String) -> Engine {
        Engine { kind: Kind::Epoll, reason, files: Ok(()) }
    }

    /// Whether the spool may use io_uring.
    pub fn takes_files(&self) -> bool {
        self.kind == Kind::Uring && self.files.is_ok()
    }
}

pub fn insist(plan: &Plan) -> Result<Engine, Refusal> {
    let refused = |refusal| Refusal { code: EXIT_UNAVAILABLE, message: format!("--engine uring: {refusal}") };
    probe::io_uring_works(plan.wanted()).map(|works| Engine::uring(works, "asked for")).map_err(refused)
}

/// After the children were spawned and before any thread exists.
pub fn choose(plan: &Plan) -> Engine {
    if plan.engine == EngineWish::Epoll {
        return Engine::epoll("asked for".into());
    }
    match probe::io_uring_works(plan.wanted()) {
        Ok(works) => Engine::uring(works, "io_uring works here"),
        Err(refusal) => Engine::epoll(format!("{refusal}; using epoll (silence with --engine epoll)")),
    }
}
