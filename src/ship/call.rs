//! A call on its way, and its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use super::answer::{Answer, Rejected};
use super::telling::Told;

/// A call's end.
pub struct Done {
    pub of: Of,
    pub answer: Answer,
    pub told: Option<Told>,
}

/// What was called for: a body in this slot, this stream, this group.
#[derive(Clone, Copy)]
pub enum Of {
    Put(usize),
    Stream(usize),
    Group(usize),
}

/// A panic in the SDK costs its call alone, of which nobody knows how far it came. The panic itself has been said.
pub async fn answered(call: impl Future<Output = Answer>) -> Answer {
    let mut call = pin!(call);
    std::future::poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)));
        polled.unwrap_or_else(|_| {
            let detail = "the AWS SDK, or what is around it, panicked".to_owned();
            Poll::Ready(Answer::Unavailable { detail, lost: true })
        })
    })
    .await
}

/// What the null sink says to everything.
pub fn accepted() -> Answer {
    Answer::Accepted(Rejected::default())
}
