//! The log of every program here: its flags, and one line per event on standard error.

use clap::{Args, ValueEnum};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[derive(Debug, Args)]
pub(crate) struct Logging {
    /// Log nothing less important than this [default: info; for commands that say it themselves: error]
    #[arg(id = "log.level", long = "log.level", value_name = "LEVEL", value_enum, global = true)]
    pub(crate) level: Option<LogLevel>,
    /// The form of the log lines on standard error
    #[arg(
        id = "log.format",
        long = "log.format",
        value_name = "FORMAT",
        value_enum,
        default_value = "logfmt",
        global = true
    )]
    pub(crate) format: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<LogLevel> for tracing::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => tracing::Level::ERROR,
            LogLevel::Warn => tracing::Level::WARN,
            LogLevel::Info => tracing::Level::INFO,
            LogLevel::Debug => tracing::Level::DEBUG,
            LogLevel::Trace => tracing::Level::TRACE,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    Logfmt,
    Json,
}

/// Starts to log to standard error; to be called once.
pub(crate) fn start(level: LogLevel, format: LogFormat) {
    let level = tracing_subscriber::filter::LevelFilter::from_level(level.into());
    let registry = tracing_subscriber::registry().with(level);
    let stderr = std::io::stderr;
    match format {
        LogFormat::Logfmt => {
            registry.with(tracing_logfmt::builder().with_target(false).layer().with_writer(stderr)).init();
        }
        LogFormat::Json => registry
            .with(tracing_subscriber::fmt::layer().json().flatten_event(true).with_target(false).with_writer(stderr))
            .init(),
    }
}
