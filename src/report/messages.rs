//! logpump's own messages (tracing) on stderr. A thread of its own writes them: what a slow stderr does not take is
//! dropped and counted, never waited for.

use std::io;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::ValueEnum;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::PIPE_BUF;
use rustix::stdio::stderr;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::limits::OWN_MESSAGES_MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// Dropped at the end, it waits a moment (about a second at most) for the last messages to be written.
pub struct Messages {
    _guard: Option<WorkerGuard>,
    lost: Lost,
}

enum Lost {
    InThread(ErrorCounter),
    Here(AtOnce),
}

impl Messages {
    /// From here on `tracing`'s macros reach stderr. Starts a thread; without one, a message is written at once or lost.
    pub fn start(level: Level, format: Format) -> Messages {
        let builder = NonBlockingBuilder::default()
            .buffered_lines_limit(OWN_MESSAGES_MAX)
            .lossy(true)
            .thread_name("pump-messages");
        // It panics when it cannot start its thread.
        match catch_unwind(|| builder.finish(io::stderr())) {
            Ok((writer, guard)) => {
                let lost = Lost::InThread(writer.error_counter());
                subscribe(level, format, writer);
                Messages { _guard: Some(guard), lost }
            }
            Err(_) => {
                let writer = AtOnce::default();
                subscribe(level, format, writer.clone());
                tracing::warn!("cannot start the thread pump-messages: what stderr does not take at once is lost");
                Messages { _guard: None, lost: Lost::Here(writer) }
            }
        }
    }

    /// Messages that stderr did not take in time.
    pub fn lost(&self) -> usize {
        match &self.lost {
            Lost::InThread(counter) => counter.dropped_lines(),
            Lost::Here(writer) => writer.lost.load(Ordering::Relaxed),
        }
    }
}

fn subscribe(level: Level, format: Format, writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) {
    let filter = match level {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    // The SDK and its HTTP client speak through tracing as well, at length: what matters of it the ship core says.
    let others = if level == Level::Debug { LevelFilter::WARN } else { LevelFilter::OFF };
    let targets = Targets::new().with_target("logpump", filter).with_default(others);
    let builder = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(writer).with_ansi(false);
    let set = match format {
        Format::Text => builder.with_target(false).finish().with(targets).try_init(),
        Format::Json => builder.json().flatten_event(true).finish().with(targets).try_init(),
    };
    // Only a test that runs twice in one process finds another subscriber there.
    drop(set);
}

/// stderr, for as much as it takes without a wait: it may be a pipe that nobody reads.
#[derive(Clone, Default)]
struct AtOnce {
    lost: Arc<AtomicUsize>,
}

impl io::Write for AtOnce {
    /// A message comes in one write. A pipe that is writable has room for PIPE_BUF bytes in one piece.
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        let stderr = stderr();
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let writable = poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&now)).is_ok_and(|ready| ready > 0);
        if !writable || rustix::io::write(stderr, &message[..message.len().min(PIPE_BUF)]).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for AtOnce {
    type Writer = AtOnce;

    fn make_writer(&self) -> AtOnce {
        self.clone()
    }
}
