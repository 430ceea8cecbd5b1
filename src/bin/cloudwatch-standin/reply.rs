//! What goes back on a connection: a whole answer, half of one, or the connection's end. Knows nothing of why.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

pub type Answer = Response<Reply>;

/// A body whose whole length is stated, and which may break off.
#[derive(Debug)]
pub struct Reply {
    bytes: Bytes,
    stated_bytes: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Whole,
    /// The bytes are a part; then comes the reset.
    Torn,
    /// The part was handed over and is to be written before the error is told.
    Written,
    Reset,
}

/// How a connection ends that is not to go on. As hyper's source error it says what becomes of the socket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ended {
    Closed,
    Reset,
}

impl fmt::Display for Ended {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            Ended::Closed => "closed on purpose",
            Ended::Reset => "reset on purpose",
        })
    }
}

impl std::error::Error for Ended {}

impl Ended {
    /// Whether a connection's end was such a reset.
    pub fn is_reset(error: &hyper::Error) -> bool {
        let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
        source == Some(&Ended::Reset)
    }
}

pub fn plain(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answer {
    let stated_bytes = body.len() as u64;
    let mut answer = Response::new(Reply { bytes: body.into(), stated_bytes, state: State::Whole });
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// The head and half of the body, then a reset.
pub fn torn(answer: Answer) -> Answer {
    answer.map(|reply| {
        let half = reply.bytes.len() / 2;
        Reply { bytes: reply.bytes.slice(..half), state: State::Torn, ..reply }
    })
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Ended;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context) -> Poll<Option<Result<Frame<Bytes>, Ended>>> {
        let reply = self.get_mut();
        match reply.state {
            State::Whole | State::Torn if !reply.bytes.is_empty() => {
                if reply.state == State::Torn {
                    reply.state = State::Written;
                }
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut reply.bytes)))))
            }
            State::Whole => Poll::Ready(None),
            State::Torn | State::Written => {
                // hyper writes what it has when the body lets it wait.
                reply.state = State::Reset;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            State::Reset => Poll::Ready(Some(Err(Ended::Reset))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.state == State::Whole && self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.stated_bytes)
    }
}
