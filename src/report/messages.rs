//! logpump's own messages (tracing) on stderr. A thread of its own writes them: what a slow stderr does not take is
//! dropped and counted, never waited for.

use std::io;
use std::panic::catch_unwind;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
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
    _guard: WorkerGuard,
    lost: ErrorCounter,
}

impl Messages {
    /// From here on `tracing`'s macros reach stderr. Starts a thread.
    pub fn start(level: Level, format: Format) -> io::Result<Messages> {
        let builder = NonBlockingBuilder::default()
            .buffered_lines_limit(OWN_MESSAGES_MAX)
            .lossy(true)
            .thread_name("pump-messages");
        // It panics when it cannot start its thread.
        let (writer, guard) = catch_unwind(|| builder.finish(std::io::stderr()))
            .map_err(|_| io::Error::from_raw_os_error(libc::EAGAIN))?;
        let lost = writer.error_counter();
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
        Ok(Messages { _guard: guard, lost })
    }

    /// Messages that stderr did not take in time.
    pub fn lost(&self) -> usize {
        self.lost.dropped_lines()
    }
}
