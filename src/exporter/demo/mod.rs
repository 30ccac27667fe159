//! A demonstration of the whole chain: two sample homes in a temporary folder, stand-ins for their gateways, the bridge,
//! Prometheus and Alertmanager where they are installed, and an incident that goes through all of them.
//!
//! The homes are those of the tests, made by Hermes' own code with invented content, moved in time so that what
//! was "just now" when they were made is just now. Nothing outside of the temporary folder is written, and
//! nothing of it is left when the demonstration ends.
//!
//! In the direction data flows:
//!
//! * [`homes`], [`backups`]: what is looked at;
//! * [`stand_in`]: the gateways;
//! * [`processes`]: programs that are started, and end with this one;
//! * [`rules`], [`monitoring`]: the shipped alert rules, and Prometheus and Alertmanager with them;
//! * [`notification`]: what is posted where there is no Alertmanager;
//! * [`bridge`], [`messages`]: the bridge, and what it would send;
//! * [`incident`]: what is played; [`introduction`]: what is said of all this;
//! * [`loopback`]: asking the programs over HTTP, and waiting for them; [`error`]: why a part does not go on.

mod backups;
mod bridge;
mod error;
mod homes;
mod incident;
mod introduction;
mod loopback;
mod messages;
mod monitoring;
mod notification;
mod processes;
mod rules;
mod stand_in;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tempfile::TempDir;

use crate::command_line::print;
use crate::error_chain::display_chain;
use crate::web::listen::as_reached_from_here;
use bridge::Bridge;
pub use error::DemoError;
use incident::Incident;
use monitoring::Monitoring;
use processes::Process;
pub use processes::run_with_parent;

/// How often is looked for new messages while nothing else happens.
const LOOK: Duration = Duration::from_millis(500);

/// The configuration of the exporter, in the folder.
const CONFIG_FILE: &str = "hermes-exporter.yml";

/// A demonstration under way.
#[derive(Debug)]
pub struct Demo {
    // In this order they are ended: the folder when nobody writes into it any more.
    monitoring: Option<Monitoring>,
    bridge: Option<Bridge>,
    vijay: Process,
    bheem: Process,
    folder: TempDir,
}

impl Demo {
    /// Unpacks the homes and starts their gateways. The thread that calls this, and [`Demo::play`], has to live as long
    /// as the demonstration: what is started ends with it.
    pub fn set_up() -> Result<Demo, DemoError> {
        let temporary = std::env::temp_dir();
        let unpack = |source| DemoError::Unpack { path: temporary.clone(), source };
        let folder = tempfile::Builder::new().prefix("hermes-exporter-demo-").tempdir_in(&temporary).map_err(unpack)?;
        homes::unpack(folder.path())?;
        backups::make(folder.path())?;
        let instance = |name: &str| {
            format!(
                "  - name: {name}\n    home: {home}\n    backups: [{{name: vm, path: {home}-backup, payload: {}}}]\n",
                backups::PAYLOAD,
                home = folder.path().join(name).display(),
            )
        };
        let config = format!("instances:\n{}{}", instance("vijay"), instance("bheem"));
        write(&folder.path().join(CONFIG_FILE), &config)?;
        let vijay = stand_in::start(folder.path(), "vijay")?;
        let bheem = stand_in::start(folder.path(), "bheem")?;
        Ok(Demo { monitoring: None, bridge: None, vijay, bheem, folder })
    }

    /// The configuration that names the sample homes.
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join(CONFIG_FILE)
    }

    /// Starts the rest of the chain behind the exporter that serves at `listening`, plays the incident, and then shows
    /// what arrives in the chats, for ever. What fails is told, and the rest goes on.
    pub async fn play(&mut self, listening: SocketAddr, with_incident: bool) {
        let exporter = as_reached_from_here(listening);
        say(&introduction::homes(self.folder.path(), exporter));
        tell(self.start_chain(exporter).await);
        say(&introduction::chain(self.bridge.as_ref(), self.monitoring.as_ref()));
        if with_incident {
            tell(self.play_incident(exporter).await);
        }
        say(&introduction::to_try(&introduction::Facts {
            exporter,
            folder: self.folder.path(),
            config_file: &self.config_file(),
            gateway: self.vijay.id(),
            bridge: self.bridge.as_ref(),
            monitoring: self.monitoring.as_ref(),
        }));
        self.show_messages().await;
    }

    /// Starts the bridge where it is there, and where it runs Prometheus and Alertmanager, which tell it.
    async fn start_chain(&mut self, exporter: SocketAddr) -> Result<(), DemoError> {
        let Some(program) = processes::beside_or_on_path(&["hermes-alert-bridge"]) else { return Ok(()) };
        let folder = self.folder.path();
        let bridge = self.bridge.insert(Bridge::start(&program, folder, Monitoring::is_installed()).await?);
        self.monitoring = Monitoring::start(folder, exporter, bridge.address()).await?;
        Ok(())
    }

    /// Plays the incident where there is a bridge to tell of it.
    async fn play_incident(&mut self, exporter: SocketAddr) -> Result<(), DemoError> {
        let Some(bridge) = &mut self.bridge else { return Ok(()) };
        let incident = Incident {
            exporter,
            folder: self.folder.path(),
            gateway: &mut self.bheem,
            bridge,
            monitoring: self.monitoring.as_mut(),
        };
        incident.play().await
    }

    /// What arrives, until it is ended; and once, should a program end by itself.
    async fn show_messages(&mut self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = self.look_for_messages() {
                tell(Err(error));
                return std::future::pending().await;
            }
        }
    }

    /// Shows what has come since the last time; an error where a program has ended by itself.
    fn look_for_messages(&mut self) -> Result<(), DemoError> {
        let Some(bridge) = &mut self.bridge else { return Ok(()) };
        // That an older message says something else now is told by the new one that comes with it.
        for message in bridge.messages().more()?.iter().filter(|message| message.changes.is_none()) {
            say(&message.in_a_line());
        }
        bridge.process().still_runs()?;
        self.monitoring.as_mut().map_or(Ok(()), Monitoring::still_run)
    }

    /// Ends what was started and removes the homes.
    pub fn tear_down(self) {
        let Demo { monitoring, bridge, vijay, bheem, folder } = self;
        drop((monitoring, bridge, vijay, bheem));
        let path = folder.path().to_owned();
        if let Err(error) = folder.close() {
            tracing::warn!(%error, folder = %path.display(), "The sample homes could not be removed.");
        }
    }
}

/// Runs as the stand-in, until it is killed.
pub fn stand_in_gateway() -> Result<ExitCode, DemoError> {
    stand_in::run()
}

/// The demonstration goes on also where nobody can be told.
fn say(text: &str) {
    let _ = print(text);
}

/// What does not go on is told, and the rest goes on.
fn tell(outcome: Result<(), DemoError>) {
    if let Err(error) = outcome {
        say(&introduction::trouble(&display_chain(&error).to_string()));
    }
}

/// Writes a file of a program that is about to be started.
fn write(path: &Path, content: &str) -> Result<(), DemoError> {
    std::fs::write(path, content).map_err(|source| DemoError::Write { path: path.to_owned(), source })
}
