//! logpump's own messages (tracing) on stderr. A thread of its own writes them: what a slow stderr does not take is
//! dropped and counted, never waited for.

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};

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
    _guard: WorkerGuard,
    lost: ErrorCounter,
}

impl Messages {
    /// From here on `tracing`'s macros reach stderr. Starts a thread.
    pub fn start(level: Level, format: Format) -> Messages {
        let (writer, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(OWN_MESSAGES_MAX)
            .lossy(true)
            .thread_name("pump-messages")
            .finish(std::io::stderr());
        let lost = writer.error_counter();
        let filter = match level {
            Level::Off => LevelFilter::OFF,
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
        };
        let builder = tracing_subscriber::fmt().with_max_level(filter).with_writer(writer).with_ansi(false);
        // The SDK and its HTTP client speak through tracing as well: only our own messages are for the user.
        let set = match format {
            Format::Text => builder.with_target(false).try_init(),
            Format::Json => builder.json().flatten_event(true).try_init(),
        };
        // Only a test that runs twice in one process finds another subscriber there.
        drop(set);
        Messages { _guard: guard, lost }
    }

    /// Messages that stderr did not take in time.
    pub fn lost(&self) -> usize {
        self.lost.dropped_lines()
    }
}
