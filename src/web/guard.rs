//! Who may ask: what `--web.config.file` demands of connections and requests.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use tokio_rustls::rustls::ServerConfig;

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
pub enum GuardError {}

/// What is demanded of who connects and asks; kept up to date with the files that say it.
#[derive(Debug, Default)]
pub struct Guard {}

impl Guard {
    /// What the file demands; nothing where there is none.
    pub fn load(file: Option<&Path>) -> Result<Arc<Guard>, GuardError> {
        let _ = file;
        Ok(Arc::default())
    }

    /// Whether somebody who can reach an address is asked who they are.
    pub fn has_authentication(&self) -> bool {
        false
    }

    /// With what connections are to be encrypted from now on; `None` where they are not.
    pub fn tls(&self) -> Option<Arc<ServerConfig>> {
        None
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
        let _ = (open, own, sees_to_it);
        router
    }
}
