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
//! * [`loopback`]: asking the programs over HTTP, and waiting for them.

mod backups;
mod bridge;
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

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tempfile::TempDir;

use crate::command_line::print;
use crate::error_chain::display_chain;
use bridge::Bridge;
use incident::Incident;
use monitoring::Monitoring;
use processes::Process;
pub use processes::run_with_parent;

/// How often is looked for new messages while nothing else happens.
const LOOK: Duration = Duration::from_millis(500);

/// Why a demonstration could not be set up, or a part of it does not go on.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A sample home could not be written.
    #[error("the sample homes could not be unpacked into {}", path.display())]
    Unpack {
        /// The folder.
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
        let unpack = |path: PathBuf| move |source| DemoError::Unpack { path, source };
        let folder = tempfile::Builder::new().prefix("hermes-exporter-demo-").tempdir().map_err(unpack(temporary))?;
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
        let file = folder.path().join("hermes-exporter.yml");
        std::fs::write(&file, config).map_err(unpack(file.clone()))?;
        let vijay = stand_in::start(folder.path(), "vijay")?;
        let bheem = stand_in::start(folder.path(), "bheem")?;
        Ok(Demo { monitoring: None, bridge: None, vijay, bheem, folder })
    }

    /// The configuration that names the sample homes.
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("hermes-exporter.yml")
    }

    /// Starts the rest of the chain behind the exporter that serves at `listening`, plays the incident, and then shows
    /// what arrives in the chats, for ever. What fails is told, and the rest goes on.
    pub async fn play(&mut self, listening: SocketAddr, with_incident: bool) {
        let exporter = reachable(listening);
        say(&introduction::homes(self.folder.path(), exporter));
        if let Err(error) = self.start_bridge().await {
            say(&introduction::trouble(&display_chain(&error).to_string()));
        }
        if let Some(bridge) = &self.bridge {
            match Monitoring::start(self.folder.path(), exporter, bridge.address()).await {
                Ok(monitoring) => self.monitoring = monitoring,
                Err(error) => say(&introduction::trouble(&display_chain(&error).to_string())),
            }
        }
        say(&introduction::chain(self.bridge.as_ref(), self.monitoring.as_ref()));
        if with_incident && let Some(bridge) = &mut self.bridge {
            let incident = Incident {
                exporter,
                folder: self.folder.path(),
                gateway: &mut self.bheem,
                bridge,
                monitoring: self.monitoring.as_mut(),
            };
            if let Err(error) = incident.play().await {
                say(&introduction::trouble(&display_chain(&error).to_string()));
            }
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

    async fn start_bridge(&mut self) -> Result<(), DemoError> {
        if let Some(program) = processes::beside_or_on_path(&["hermes-alert-bridge"]) {
            self.bridge = Some(Bridge::start(&program, self.folder.path(), Monitoring::is_installed()).await?);
        }
        Ok(())
    }

    /// What arrives, until it is ended; and once, should a program end by itself.
    async fn show_messages(&mut self) {
        let mut outcome = Ok(());
        while let (Ok(()), Some(bridge)) = (&outcome, &mut self.bridge) {
            tokio::time::sleep(LOOK).await;
            outcome = bridge.messages().more().map(|messages| {
                // That an older message says something else now is told by the new one that comes with it.
                for message in messages.iter().filter(|message| message.changes.is_none()) {
                    say(&message.in_a_line());
                }
            });
            outcome = outcome.and_then(|()| bridge.process().still_runs());
            if let Some(monitoring) = &mut self.monitoring {
                outcome = outcome.and_then(|()| monitoring.still_run());
            }
        }
        if let Err(error) = outcome {
            say(&introduction::trouble(&display_chain(&error).to_string()));
        }
        std::future::pending().await
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

/// Where somebody on this machine reaches what listens at an address.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

/// Writes a file of a program that is about to be started.
fn write(path: &Path, content: &str) -> Result<(), DemoError> {
    std::fs::write(path, content).map_err(|source| DemoError::Unpack { path: path.to_owned(), source })
}
