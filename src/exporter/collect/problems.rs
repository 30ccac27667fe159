//! From an error of the outside world to a reason out of the closed set.

use std::error::Error;

use crate::error_chain::display_chain;
use crate::exporter::snapshot::{Problem, Reading, Reason};
use crate::system::files::FileError;
use crate::system::git::GitError;
use crate::system::http::HttpError;
use crate::system::http::connect::ConnectError;
use crate::system::owner::OwnerError;
use crate::system::processes::ProcessError;
use crate::system::s6::S6Error;
use crate::system::sockets::SocketError;
use crate::system::sqlite::DatabaseError;
use crate::system::systemd::ManagerError;

/// An error that says why a reading is unknown.
pub trait Because: Error {
    /// The reason.
    fn reason(&self) -> Reason;
}

impl Because for FileError {
    fn reason(&self) -> Reason {
        match self {
            FileError::Permission { .. } => Reason::Permission,
            FileError::NotRegular { .. } | FileError::TooLarge { .. } => Reason::Unsupported,
            FileError::Parse { .. } => Reason::Parse,
            FileError::Io { .. } => Reason::Io,
        }
    }
}

impl Because for DatabaseError {
    fn reason(&self) -> Reason {
        match self {
            DatabaseError::File(error) => error.reason(),
            DatabaseError::WalWithoutIndex { .. } | DatabaseError::Changing { .. } => Reason::Stale,
            DatabaseError::Corrupt { .. } => Reason::Parse,
            DatabaseError::Locked { .. } | DatabaseError::TooSlow { .. } => Reason::Timeout,
            DatabaseError::Schema { .. } => Reason::Unsupported,
            DatabaseError::Sqlite { .. } => Reason::Io,
        }
    }
}

impl Because for GitError {
    fn reason(&self) -> Reason {
        match self {
            GitError::Permission { .. } | GitError::Owner { .. } => Reason::Permission,
            GitError::File(error) | GitError::Part { fault: error, .. } => error.reason(),
            GitError::Unsupported { .. } | GitError::TooMuch { .. } | GitError::Endless { .. } => Reason::Unsupported,
            GitError::Damaged { .. } => Reason::Parse,
            GitError::Io { .. } | GitError::Isolation => Reason::Io,
        }
    }
}

impl Because for S6Error {
    fn reason(&self) -> Reason {
        match self {
            S6Error::File(error) => error.reason(),
            S6Error::Length { .. } | S6Error::Content { .. } => Reason::Parse,
            S6Error::Lock { .. } => Reason::Permission,
        }
    }
}

impl Because for ConnectError {
    fn reason(&self) -> Reason {
        match self {
            ConnectError::Refused(_) | ConnectError::Reset(_) => Reason::Http,
            ConnectError::Unreachable(_) | ConnectError::Name(_) => Reason::Http,
            ConnectError::Silent(_) => Reason::Timeout,
            ConnectError::NoSocket(_) => Reason::NotFound,
            ConnectError::Permission(_) => Reason::Permission,
            ConnectError::Ourselves(_) => Reason::Io,
        }
    }
}

impl Because for HttpError {
    fn reason(&self) -> Reason {
        match self {
            HttpError::Connect(error) => error.reason(),
            HttpError::Trust(error) => error.reason(),
            HttpError::NobodyTrusted => Reason::NotFound,
            HttpError::Tls(_) | HttpError::Closed(_) => Reason::Http,
            HttpError::NotHttp(_) => Reason::Parse,
            HttpError::TooLarge => Reason::Unsupported,
            HttpError::Timeout { .. } => Reason::Timeout,
        }
    }
}

impl Because for ProcessError {
    fn reason(&self) -> Reason {
        match self {
            ProcessError::Permission { .. } => Reason::Permission,
            ProcessError::Proc { .. } => Reason::Io,
        }
    }
}

impl Because for OwnerError {
    fn reason(&self) -> Reason {
        match self {
            OwnerError::Refused { .. } => Reason::Permission,
            OwnerError::Thread { .. } | OwnerError::Panicked { .. } => Reason::Io,
        }
    }
}

impl Because for ManagerError {
    fn reason(&self) -> Reason {
        match self {
            ManagerError::NoSystemd { .. } => Reason::Unsupported,
            ManagerError::Permission { .. } => Reason::Permission,
            ManagerError::Owner(error) => error.reason(),
            ManagerError::Timeout => Reason::Timeout,
            ManagerError::Connect { source, .. } if source.kind() == std::io::ErrorKind::WouldBlock => Reason::Timeout,
            ManagerError::NoBus { .. } | ManagerError::Connect { .. } | ManagerError::Bus(_) => Reason::Bus,
        }
    }
}

impl Because for SocketError {
    fn reason(&self) -> Reason {
        match self {
            SocketError::Permission { .. } => Reason::Permission,
            SocketError::TooMany { .. } => Reason::Unsupported,
            SocketError::Parse { .. } => Reason::Parse,
            SocketError::File { source, .. } => source.reason(),
            SocketError::Io { .. } => Reason::Io,
        }
    }
}

/// What one collector could not tell in one look.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Notes that something could not be told.
    pub fn note(&mut self, subject: &str, reason: Reason) {
        let problem = Problem { reason, subject: subject.to_owned() };
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    /// The reading that an attempt gives: what is not there is absent, what failed is unknown and noted.
    pub fn reading<T>(&mut self, subject: &str, attempt: Result<Option<T>, impl Because>) -> Reading<T> {
        match attempt {
            Ok(value) => value.into(),
            Err(error) => self.unknown(subject, &error),
        }
    }

    /// The reading that a failure gives; it is noted.
    pub fn unknown<T>(&mut self, subject: &str, error: &impl Because) -> Reading<T> {
        let reason = error.reason();
        tracing::debug!(subject, reason = reason.as_str(), error = display_chain(error), "a reading failed");
        self.note(subject, reason);
        Reading::Unknown(reason)
    }

    /// The same problems, said to be of something else than the subject of the others.
    pub fn of(self, other: &str) -> Problems {
        let renamed = |problem: Problem| Problem { subject: format!("{other}: {}", problem.subject), ..problem };
        Problems(self.0.into_iter().map(renamed).collect())
    }

    /// Notes what was noted elsewhere.
    pub fn include(&mut self, other: Problems) {
        for problem in other.0 {
            self.note(&problem.subject, problem.reason);
        }
    }

    /// The problems, in order.
    pub fn into_sorted(mut self) -> Vec<Problem> {
        self.0.sort();
        self.0
    }
}
