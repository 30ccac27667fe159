//! Why a demonstration could not be set up, or a part of it does not go on.

use std::path::PathBuf;
use std::time::Duration;

/// Why a demonstration could not be set up, or a part of it does not go on.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A sample home could not be written.
    #[error("the sample homes could not be unpacked into {}; TMPDIR chooses another folder", path.display())]
    Unpack {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// What a program is started with could not be written.
    #[error("{} could not be written", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A sample home could not be moved to the present.
    #[error("the sample database {} could not be moved to the present", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A sample repository could not be made.
    #[error("the sample repository {} could not be made", path.display())]
    Repository {
        /// The repository.
        path: PathBuf,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
    /// The stand-in could not be started, or could not write.
    #[error("the stand-in gateway failed")]
    StandIn {
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The stand-in was started by hand.
    #[error(
        "`gateway run` is the stand-in that `hermes-exporter demo` starts; it runs in a sample home only, never in a real one"
    )]
    NotADemo,
    /// A program could not be started.
    #[error("{} could not be started", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A program that was started has ended by itself.
    #[error("{program} has ended by itself ({status}); the last of what it said:\n{last_lines}")]
    Ended {
        /// The program.
        program: &'static str,
        /// Its exit code or signal.
        status: String,
        /// The end of its log.
        last_lines: String,
    },
    /// Something that has no reason to take long did not come about.
    #[error("after {} s still waiting for {what}", after.as_secs())]
    NotInTime {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
    },
    /// The bridge would not take a notification.
    #[error("the bridge did not take the notification: {answer}")]
    Refused {
        /// What it answered, or why it did not.
        answer: String,
    },
    /// What the bridge prints could not be read.
    #[error("the messages in {} could not be read", path.display())]
    Messages {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The shipped rules do not say what to tell of a crashed gateway.
    #[error("there is no alert rule for {finding}")]
    NoRule {
        /// The finding.
        finding: &'static str,
    },
}
