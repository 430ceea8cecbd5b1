//! The arguments as they are written: names, defaults, units, environment twins. What they mean is `resolve`'s business.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::mwaa::{Preset, Role};
use crate::report::messages::{Format, Level};

#[derive(Debug, Parser)]
#[command(
    name = "logpump",
    version,
    about = "Runs commands and carries their output to CloudWatch Logs, without slowing them down",
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Arguments {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run one or several commands, each with a log stream of its own
    Run(Box<RunArguments>),
    /// Say all that is wrong in a configuration file
    Check {
        /// A configuration file, as for logpump run --config
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Be the entrypoint of an Amazon MWAA container: what runs, and where its lines go, is in the service's variables
    Mwaa(Box<MwaaArguments>),
    /// Look whether a run with the same options could work here, and say what is missing
    Doctor(Box<DoctorArguments>),
    /// Print a script that completes logpump's arguments in a shell
    Completions {
        /// Which shell's
        shell: Shell,
    },
    /// Print the manual page (roff)
    Man,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// io_uring where it works, else epoll
    Auto,
    /// io_uring, or exit 69 before the command starts
    Uring,
    Epoll,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ClassChoice {
    #[value(name = "STANDARD")]
    Standard,
    #[value(name = "INFREQUENT_ACCESS")]
    InfrequentAccess,
    #[value(name = "DELIVERY")]
    Delivery,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SinkChoice {
    /// cloudwatch with --log-group, else dir
    Auto,
    Cloudwatch,
    /// Files
    Dir,
    /// Frame and encode, then discard: for benchmarks
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum JoinChoice {
    /// Each line is an event
    None,
    /// A Python traceback is one event, with the line above it if that has a level
    Traceback,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhenFullChoice {
    /// Lines are dropped and counted; a marker stands in the stream where they are missing
    Drop,
    /// The command waits in write()
    Block,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SpoolSyncChoice {
    /// The kernel writes when it likes
    Never,
    /// After every 1 MiB or 1 s
    Interval,
    /// Before a batch counts as stored
    Always,
}

const AFTER_HELP: &str = "\
Exit code: the command's own; 128+n if signal n killed it; 127 not found; 126 not executable; of several commands, the \
first that is not 0. If one of several cannot be started, those that run are stopped as by SIGTERM, and the code is 127 or \
126. 70 in place of a 0 of a process that was stopped for its health or timeout (docs/CONFIG.md). logpump itself, at start only: 64 wrong usage, 69 --engine uring refused, 71 system error or the port of a health condition taken, 73 --dir or --report not writable, 78 --config wrong.

Signals go to the commands' process groups. SIGTERM and SIGINT also start the stop clock: SIGKILL after --grace, or at a \
second SIGTERM or SIGINT; once all commands have ended, a second one ends the delivery, and what is left goes to the spool, \
or is counted as dropped. logpump ends at most --grace + --eof-grace + --drain-timeout + 2s after the first, whatever the endpoint does.

At a terminal, the process group of a single command is the foreground group: Ctrl-C reaches the command and not logpump, and \
starts no stop clock. A SIGTERM to logpump does. stdin is inherited, and several commands share it.

An outage: while CloudWatch Logs cannot be reached, lines are kept in memory first (a few batches), then in the spool, up to \
--spool-max on disk, then in memory up to --memory-max. When both are full, --when-full decides. Sizes are bytes, or a number with a unit: 500MB (1000s), 1GiB (1024s).

Python and C's stdio hold output back when it goes into a pipe, and lose that when they are killed: set PYTHONUNBUFFERED=1 \
for Python; for others, begin the command with stdbuf -oL.

A lone -- between commands separates them; a command that needs a -- of its own goes into sh -c '...'.

Credentials, region, endpoint, FIPS and dual-stack settings are the AWS SDK's: AWS_REGION, AWS_ENDPOINT_URL, \
AWS_ENDPOINT_URL_CLOUDWATCH_LOGS (AWS_ENDPOINT_URL_LOGS is taken as well), AWS_PROFILE, web identity, container and \
instance credentials all work. IAM: logs:CreateLogStream and logs:PutLogEvents; logs:CreateLogGroup with --create-group.

Examples:
  logpump run --log-group /my/app -- python3 app.py
  logpump run --log-group arn:aws:logs:eu-west-1:123456789012:log-group:/my/app -- airflow scheduler -- airflow triggerer
  logpump run --dir ./logs --report report.json -- make test";

#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP, override_usage = "logpump run [OPTIONS] -- COMMAND [ARGS]... [-- COMMAND [ARGS]...]...")]
pub struct RunArguments {
    /// Run the processes that FILE names, each with settings of its own, in place of commands behind a -- (docs/CONFIG.md has them all)
    #[arg(long, env = "LOGPUMP_CONFIG", value_name = "FILE", help_heading = "What to run", conflicts_with = "command")]
    pub config: Option<PathBuf>,

    /// Print what would be run, with each setting's source, and end
    #[arg(long, env = "LOGPUMP_PRINT_CONFIG", value_parser = FalseyValueParser::new(), help_heading = "What to run")]
    pub print_config: bool,

    /// CloudWatch Logs group, by name or ARN; an ARN also gives the region. Without it lines go into files (--dir)
    #[arg(
        long,
        env = "LOGPUMP_LOG_GROUP",
        value_name = "NAME-or-ARN",
        help_heading = "Where to",
        hide_env_values = true
    )]
    pub log_group: Option<String>,

    /// Name of each command's log stream. {name}: --name or the command's base name; {hostname}; {start}: epoch seconds with six decimals.
    /// Characters that AWS forbids become _
    #[arg(
        long,
        env = "LOGPUMP_LOG_STREAM",
        value_name = "TEMPLATE",
        default_value = "{name}_{hostname}_{start}.log",
        help_heading = "Where to"
    )]
    pub log_stream: String,

    /// {name} in the template; further commands get NAME-2, NAME-3 [default: the command's base name]
    #[arg(long, env = "LOGPUMP_NAME", value_name = "NAME", help_heading = "Where to")]
    pub name: Option<String>,

    /// AWS region, beside AWS_REGION and profiles
    #[arg(long, env = "LOGPUMP_REGION", value_name = "REGION", help_heading = "Where to")]
    pub region: Option<String>,

    /// Another endpoint than AWS's, such as http://127.0.0.1:4580
    #[arg(long, env = "LOGPUMP_ENDPOINT_URL", value_name = "URL", help_heading = "Where to")]
    pub endpoint_url: Option<String>,

    /// Certificates (PEM) to trust beside the system's [also: AWS_CA_BUNDLE]
    #[arg(long, env = "LOGPUMP_CA_BUNDLE", value_name = "FILE", help_heading = "Where to")]
    pub ca_bundle: Option<PathBuf>,

    /// Also create a missing log group (log streams are always created)
    #[arg(long, env = "LOGPUMP_CREATE_GROUP", value_parser = FalseyValueParser::new(), help_heading = "Where to")]
    pub create_group: bool,

    /// With --create-group: days until a created group's lines are deleted (1, 3, 5, 7, 14, 30, 60, 90, ... 3653) [default: never]
    #[arg(long, env = "LOGPUMP_RETENTION_DAYS", value_name = "DAYS", help_heading = "Where to")]
    pub retention_days: Option<i32>,

    /// With --create-group: the KMS key that a created group is encrypted with
    #[arg(long, env = "LOGPUMP_KMS_KEY_ID", value_name = "ARN", help_heading = "Where to")]
    pub kms_key_id: Option<String>,

    /// With --create-group: a tag of a created group; may be repeated, in the variable separated by commas (at most 50)
    #[arg(long, env = "LOGPUMP_TAG", value_name = "KEY=VALUE", value_delimiter = ',', help_heading = "Where to")]
    pub tag: Vec<String>,

    /// With --create-group: the class of a created group [default: STANDARD]
    #[arg(
        long,
        env = "LOGPUMP_LOG_GROUP_CLASS",
        value_enum,
        value_name = "CLASS",
        ignore_case = true,
        help_heading = "Where to"
    )]
    pub log_group_class: Option<ClassChoice>,

    /// Where lines go
    #[arg(long, env = "LOGPUMP_SINK", value_enum, default_value_t = SinkChoice::Auto, help_heading = "Where to")]
    pub sink: SinkChoice,

    /// Directory for one file per stream with the command's raw bytes; the files are made at start [default: ./logpump-logs, or where that cannot be written, logpump-logs in the temporary directory, or where neither can, lines are dropped and counted]
    #[arg(long, env = "LOGPUMP_DIR", value_name = "PATH", help_heading = "Where to")]
    pub dir: Option<PathBuf>,

    /// Also copy the commands' lines to logpump's own stdout, never waiting for it
    #[arg(long, env = "LOGPUMP_TEE", value_parser = FalseyValueParser::new(), help_heading = "Where to")]
    pub tee: bool,

    /// Which lines become one event: see docs/CONFIG.md
    #[arg(long, env = "LOGPUMP_JOIN", value_enum, value_name = "WHAT", default_value_t = JoinChoice::None, help_heading = "Sending")]
    pub join: JoinChoice,

    /// The longest a line waits for its batch to fill (10ms to 1h)
    #[arg(long, env = "LOGPUMP_FLUSH_INTERVAL", value_name = "TIME", default_value = "1s", value_parser = duration, help_heading = "Sending")]
    pub flush_interval: Duration,

    /// PutLogEvents calls in flight, over all streams (1 to 256)
    #[arg(long, env = "LOGPUMP_MAX_IN_FLIGHT", value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256), help_heading = "Sending")]
    pub max_in_flight: u16,

    /// Calls in flight per stream; 1 keeps strict arrival order for live tails [default: --max-in-flight]
    #[arg(long, env = "LOGPUMP_STREAM_WINDOW", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256), help_heading = "Sending")]
    pub stream_window: Option<u16>,

    /// Compress bodies (gzip level 1): about twice the CPU for several times less traffic
    #[arg(long, env = "LOGPUMP_GZIP", value_parser = FalseyValueParser::new(), help_heading = "Sending")]
    pub gzip: bool,

    /// Memory for what is read and not yet sent or stored, all streams together (16MiB to 64GiB); where it is short, fewer calls are in flight [default: 64MiB]
    #[arg(long, env = "LOGPUMP_MEMORY_MAX", value_name = "SIZE", value_parser = size, help_heading = "Sending")]
    pub memory_max: Option<ByteSize>,

    /// How pipes are read
    #[arg(long, env = "LOGPUMP_ENGINE", value_enum, default_value_t = EngineChoice::Auto, help_heading = "Sending")]
    pub engine: EngineChoice,

    /// What happens to lines that find neither memory nor spool free [default: drop; with --sink null: block]
    #[arg(long, env = "LOGPUMP_WHEN_FULL", value_enum, value_name = "WHAT", help_heading = "Outages")]
    pub when_full: Option<WhenFullChoice>,

    /// Directory for lines that cannot be sent yet; each run has a subdirectory of its own, and takes over what ended runs left [default: logpump-spool in the temporary directory]
    #[arg(long, env = "LOGPUMP_SPOOL_DIR", value_name = "PATH", help_heading = "Outages")]
    pub spool_dir: Option<PathBuf>,

    /// Disk space for them (8MiB to 64TiB), for each run that goes on; 0 means no spool [default: 1GiB]
    #[arg(long, env = "LOGPUMP_SPOOL_MAX", value_name = "SIZE", value_parser = size, help_heading = "Outages")]
    pub spool_max: Option<ByteSize>,

    /// When the disk is made to store them, against power loss; the death of logpump alone needs none [default: interval]
    #[arg(long, env = "LOGPUMP_SPOOL_SYNC", value_enum, value_name = "WHEN", help_heading = "Outages")]
    pub spool_sync: Option<SpoolSyncChoice>,

    /// Store every batch in the spool before it is sent, so that little is lost when logpump is killed
    #[arg(long, env = "LOGPUMP_DURABLE", value_parser = FalseyValueParser::new(), help_heading = "Outages")]
    pub durable: bool,

    /// From the first SIGTERM or SIGINT to SIGKILL (0s to 24h)
    #[arg(long, env = "LOGPUMP_GRACE", value_name = "TIME", default_value = "80s", value_parser = duration, help_heading = "Ending")]
    pub grace: Duration,

    /// How long lines are delivered after the last pipe has ended, or was closed after --eof-grace (0s to 24h)
    #[arg(long, env = "LOGPUMP_DRAIN_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = duration, help_heading = "Ending")]
    pub drain_timeout: Duration,

    /// How long grandchildren may hold an ended command's output open (0s to 24h)
    #[arg(long, env = "LOGPUMP_EOF_GRACE", value_name = "TIME", default_value = "2s", value_parser = duration, help_heading = "Ending")]
    pub eof_grace: Duration,

    /// Count known Airflow errors, and what becomes of lines, for StatsD at ADDRESS:PORT (UDP), of processes that have a name for it: see docs/CONFIG.md
    #[arg(long, env = "LOGPUMP_STATSD", value_name = "ADDRESS:PORT", help_heading = "Telling")]
    pub statsd: Option<SocketAddr>,

    /// Tell on stdout what the health of processes comes to, in the JSON lines that Amazon MWAA reads (mwaa_plog_v1), never waiting for it
    #[arg(long, env = "LOGPUMP_PLOGS", value_parser = FalseyValueParser::new(), help_heading = "Telling")]
    pub plogs: bool,

    /// At the end, write what became of every line to FILE, as JSON
    #[arg(long, env = "LOGPUMP_REPORT", value_name = "FILE", help_heading = "Telling")]
    pub report: Option<PathBuf>,

    /// Which of its own messages logpump writes to stderr
    #[arg(long, env = "LOGPUMP_LOG_LEVEL", value_enum, default_value_t = Level::Info, help_heading = "Telling")]
    pub log_level: Level,

    /// Their form: lines for people, or JSON
    #[arg(long, env = "LOGPUMP_LOG_FORMAT", value_enum, default_value_t = Format::Text, help_heading = "Telling")]
    pub log_format: Format,

    /// The command and its arguments; a lone -- begins the next command
    #[arg(last = true, required_unless_present = "config", value_name = "COMMAND")]
    pub command: Vec<OsString>,

    /// In place of commands.
    #[arg(skip)]
    pub preset: Option<Preset>,
}

const AFTER_DOCTOR_HELP: &str = "\
Takes every option of logpump run, and its command, which is not started: put doctor in the place of run. What a run would use \
is used: a ring, pipes, the spool's directory, credentials, the endpoint. Nothing is left behind; --try alone writes an event.

Each line is ok, warn or fail, with what to do about it. Exit code: 0; 69 when a line fails; 64 wrong usage; 78 --config wrong. Every wait is \
bounded. A secret is never printed.

IAM: none but a run's. If logs:DescribeLogStreams is granted, the service also tells whether the group is there.";

/// Everything that `run` takes; see `cli::grammar` for what of it is shown.
#[derive(Debug, Args)]
#[command(after_help = AFTER_DOCTOR_HELP, override_usage = "logpump doctor [OPTIONS] [-- COMMAND [ARGS]...]")]
pub struct DoctorArguments {
    #[command(flatten)]
    pub run: RunArguments,

    /// Look at what logpump mwaa ROLE would run, and where the environment says that its lines go
    #[arg(long, value_enum, value_name = "ROLE", help_heading = "What to run")]
    pub mwaa: Option<Role>,

    /// Also write one event into the log group and stream, for which it creates the stream
    #[arg(long = "try", help_heading = "Looking")]
    pub tries: bool,

    /// Print JSON
    #[arg(long, help_heading = "Looking")]
    pub json: bool,
}

/// Everything that `run` takes beside commands.
#[derive(Debug, Args)]
#[command(after_help = AFTER_MWAA_HELP, override_usage = "logpump mwaa [OPTIONS] ROLE")]
pub struct MwaaArguments {
    /// What the container is started as
    #[arg(value_enum, value_name = "ROLE")]
    pub role: Role,

    /// Ask once a minute whether Airflow's database can be reached, with airflow db check, and tell the service. Each time a Python starts, which costs seconds of CPU
    #[arg(long, env = "LOGPUMP_DATABASE_CHECK", value_parser = FalseyValueParser::new(), help_heading = "What to run")]
    pub database_check: bool,

    #[command(flatten)]
    pub run: RunArguments,
}

const AFTER_MWAA_HELP: &str = "\
Groups, levels and whether logs are wanted: MWAA__LOGGING__AIRFLOW_<SOURCE>_LOG_GROUP_ARN, _LOG_LEVEL and _LOGS_ENABLED, for \
DAGPROCESSOR, SCHEDULER, TRIGGERER, WEBSERVER and WORKER. What logpump cannot do is refused with exit 78. docs/MWAA.md has it all.";

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write a number with a unit, such as 250ms, 2s or 1m"))
}

fn size(text: &str) -> Result<ByteSize, String> {
    text.parse().map_err(|_| "write bytes, or a number with a unit, such as 64MiB, 500MB or 1GiB".to_owned())
}
