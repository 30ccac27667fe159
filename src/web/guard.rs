//! Who may ask: what `--web.config.file` demands of connections and requests, in the format of Prometheus' exporters.
//!
//! * `raw`, `rules`: the file, as typed and as what follows from it.
//! * `certificates`, `client_certificates`: TLS, as the server shows itself and as clients do.
//! * `passwords`, `rate_limit`: what is asked of a request.
//! * `gate`: the middleware that asks it.
//!
//! The file and those that it names are looked at every second by a thread of their own, so that no connection waits for
//! it. What has changed is read once it rests, and replaces all that was in force, or nothing where it is not valid. What
//! those who started the program rely on does not change: whether connections are encrypted, which certificates clients
//! have to show, and that somebody is asked who they are.

mod certificates;
mod client_certificates;
mod gate;
mod passwords;
mod rate_limit;
mod raw;
mod rules;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use tokio_rustls::rustls::{ServerConfig, ServerConnection};

use crate::config_file::ConfigError;
use crate::error_chain::display_chain;
use crate::system::time::Timestamp;
use gate::Gate;
use passwords::Passwords;
use rate_limit::Bucket;
use rules::{Rules, Sources};

/// How often it is looked whether files have changed.
const PAUSE: Duration = Duration::from_secs(1);

/// What the handshake of a connection has told of who asks; an extension of each of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// Nobody knows.
    Anonymous,
    /// It has shown a certificate that is accepted.
    Certified,
}

/// Why the file can not be used.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// It is not valid, or what it names can not be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It changes what does not change while serving.
    #[error("{what} while serving; restart the program for that")]
    Restart {
        /// What it would change.
        what: &'static str,
    },
    /// There is nobody to look whether it changes.
    #[error("a thread that looks whether {} changes could not be started", path.display())]
    Watch {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

/// How things stand with the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GuardFacts {
    /// Whether what is in force is what the files say now.
    pub is_loaded: bool,
    /// Until when the certificate that is in force is valid; `None` without TLS.
    pub certificate_expiry: Option<Timestamp>,
}

/// What is demanded of who connects and asks; kept up to date with the files that say it.
#[derive(Debug, Default)]
pub struct Guard {
    file: Option<PathBuf>,
    rules: ArcSwap<Rules>,
    /// Held while files are read; nobody who serves waits for it.
    looked: Mutex<Looked>,
    has_problem: AtomicBool,
    passwords: Passwords,
    turns: Mutex<Bucket>,
}

/// What was found at the last look.
#[derive(Debug, Default)]
struct Looked {
    sources: Sources,
    /// What is wrong with it, as it was logged.
    problem: Option<String>,
}

impl Guard {
    /// What the file demands; nothing where there is none.
    pub fn load(file: Option<&Path>) -> Result<Arc<Guard>, GuardError> {
        let Some(path) = file else { return Ok(Arc::default()) };
        let guard = Arc::new(Guard::read(path)?);
        let watched = Arc::downgrade(&guard);
        let watch = move || {
            loop {
                std::thread::sleep(PAUSE);
                let Some(guard) = watched.upgrade() else { return };
                guard.look(SystemTime::now());
            }
        };
        let thread = std::thread::Builder::new().name("web-config".to_owned()).spawn(watch);
        thread.map_err(|source| GuardError::Watch { path: path.to_owned(), source })?;
        Ok(guard)
    }

    /// What a file demands now.
    fn read(path: &Path) -> Result<Guard, GuardError> {
        let mut sources = Vec::new();
        let rules = rules::read(path, &mut sources)?;
        rules.warn();
        Ok(Guard {
            file: Some(path.to_owned()),
            rules: ArcSwap::from_pointee(rules),
            looked: Mutex::new(Looked { sources: settled(sources, SystemTime::now()), problem: None }),
            ..Guard::default()
        })
    }

    /// Reads again what has changed and rests. What is not valid leaves what is in force as it is.
    fn look(&self, now: SystemTime) {
        let Some(path) = &self.file else { return };
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = |(path, former): &(PathBuf, _)| (rules::stamp(path) != *former).then(|| rules::stamp(path));
        let changed: Vec<_> = looked.sources.iter().filter_map(changed).collect();
        // What is written at this moment would be read half.
        if changed.is_empty() || changed.iter().flatten().any(|stamp| !stamp.is_settled_at(now)) {
            return;
        }
        let mut sources = Vec::new();
        let read = rules::read(path, &mut sources).map_err(GuardError::from);
        match read.and_then(|rules| self.may_replace(&rules).map(|()| rules)) {
            Ok(rules) => {
                rules.warn();
                self.rules.store(Arc::new(rules));
                looked.problem = None;
                self.has_problem.store(false, Ordering::Relaxed);
                tracing::info!("The web configuration was read again, and is in force.");
            }
            Err(error) => {
                let problem = display_chain(&error);
                if looked.problem.as_ref() != Some(&problem) {
                    tracing::error!(
                        error = problem,
                        "The web configuration has changed and was not loaded; the former one stays in force."
                    );
                }
                looked.problem = Some(problem);
                self.has_problem.store(true, Ordering::Relaxed);
                // What the file names may not have been reached; it is looked at all the same.
                for (path, _) in &looked.sources {
                    if !sources.iter().any(|(reached, _)| reached == path) {
                        sources.push((path.clone(), rules::stamp(path)));
                    }
                }
            }
        }
        looked.sources = settled(sources, now);
    }

    /// Whether rules differ from those in force only in what may change while serving.
    fn may_replace(&self, rules: &Rules) -> Result<(), GuardError> {
        let former = self.rules.load();
        let what = if rules.tls.is_some() != former.tls.is_some() {
            "connections do not begin or cease to be encrypted"
        } else if rules.client_auth() != former.client_auth() {
            "client_auth_type does not change"
        } else if former.has_authentication() && !rules.has_authentication() {
            "it does not come to pass that nobody is asked who they are"
        } else {
            return Ok(());
        };
        Err(GuardError::Restart { what })
    }

    /// Whether somebody who can reach an address is asked who they are.
    pub fn has_authentication(&self) -> bool {
        self.rules.load().has_authentication()
    }

    /// With what connections are to be encrypted from now on; `None` where they are not.
    pub fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.rules.load().tls.as_ref().map(|tls| Arc::clone(&tls.config))
    }

    /// What a handshake that has succeeded tells of who connects.
    pub fn client(&self, connection: &ServerConnection) -> Client {
        // What is shown to who only asks for it proves nothing.
        let rules = self.rules.load();
        let is_judged = rules.client_auth().is_required() || rules.client_auth().is_verified();
        match connection.peer_certificates() {
            Some([_, ..]) if is_judged => Client::Certified,
            _ => Client::Anonymous,
        }
    }

    /// How things stand with the file; `None` where there is none.
    pub fn facts(&self) -> Option<GuardFacts> {
        self.file.as_ref()?;
        let is_loaded = !self.has_problem.load(Ordering::Relaxed);
        Some(GuardFacts { is_loaded, certificate_expiry: self.rules.load().tls.as_ref().and_then(|tls| tls.expiry) })
    }

    /// The same routes, for those who may ask. Paths in `open` are for everybody; those in `own` see to it themselves who
    /// may, as long as `sees_to_it` says so.
    pub fn protect(
        self: &Arc<Self>,
        router: Router,
        open: &'static [&'static str],
        own: &'static [&'static str],
        sees_to_it: impl Fn() -> bool + Clone + Send + Sync + 'static,
    ) -> Router {
        if self.file.is_none() {
            return router;
        }
        let gate = Gate { guard: Arc::clone(self), open, own, sees_to_it };
        router.layer(from_fn(move |request: Request, next: Next| gate.clone().pass(request, next)))
    }

    /// Whether there is a turn for one more request.
    fn takes_turn(&self, rules: &Rules, now: Instant) -> bool {
        let Some(limit) = rules.rate_limit else { return true };
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).take(limit, now)
    }
}

/// Whether connections to a program that has this file are encrypted; for who asks such a program.
pub(super) fn is_encrypted(file: &Path) -> Result<bool, ConfigError> {
    rules::is_encrypted(file)
}

/// What was still being written when it was read has no stamp, and so is read again.
fn settled(mut sources: Sources, now: SystemTime) -> Sources {
    for (_, stamp) in &mut sources {
        *stamp = stamp.filter(|stamp| stamp.is_settled_at(now));
    }
    sources
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trial;
