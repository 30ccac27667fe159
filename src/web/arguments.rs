//! The flags by which a program is told where it listens and who may ask it; the same for both programs.

use std::path::PathBuf;

use clap::Args;

use super::guard::Guard;
use super::listen::{self, ListenError, Listener};

/// Where to listen, and who may ask; `PORT` is the one that the program listens on where nothing else is said.
#[derive(Debug, Clone, Args)]
pub struct WebArguments<const PORT: u16> {
    /// Listen on this address: host:port, :port for all addresses, or unix:/path/of/a/socket; may be given several times
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_values_t = [format!("127.0.0.1:{PORT}")])]
    pub listen_addresses: Vec<String>,
    /// Take TLS, passwords and client certificates from this file, in the format of Prometheus' exporters
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub web_config_file: Option<PathBuf>,
    /// Listen on the sockets that systemd has opened, instead of on addresses
    #[arg(long = "web.systemd-socket", conflicts_with = "listen_addresses")]
    pub systemd_socket: bool,
    /// Listen on a public address even where nobody is asked who they are
    #[arg(long = "web.allow-public-without-auth")]
    pub allow_public_without_auth: bool,
}

impl<const PORT: u16> WebArguments<PORT> {
    /// Listens where it was said. What everybody can reach is refused where nobody is asked who they are.
    pub async fn listen(&self, guard: &Guard) -> Result<Vec<Listener>, ListenError> {
        let may_be_public = guard.has_authentication() || self.allow_public_without_auth;
        let listeners = match self.systemd_socket {
            true => listen::inherit(may_be_public)?,
            false => listen::bind(&self.listen_addresses, may_be_public).await?,
        };
        listen::announce(&listeners, guard);
        Ok(listeners)
    }
}
