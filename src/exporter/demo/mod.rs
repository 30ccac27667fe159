//! A demonstration: two sample homes in a temporary folder, and a stand-in for a gateway of one of them.
//!
//! The homes are those of the tests, made by Hermes' own code with invented content, moved in time so that what
//! was "just now" when they were made is just now. Nothing outside of the temporary folder is written, and
//! nothing of it is left when the demonstration ends.

mod backups;
mod homes;
mod stand_in;

use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};

use tempfile::TempDir;

/// Why a demonstration could not be set up.
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
}

/// A demonstration under way.
#[derive(Debug)]
pub struct Demo {
    folder: TempDir,
    gateway: Child,
}

impl Demo {
    /// Unpacks the homes and starts the stand-in.
    pub fn set_up() -> Result<Demo, DemoError> {
        let temporary = std::env::temp_dir();
        let unpack = |path: PathBuf| move |source| DemoError::Unpack { path, source };
        let folder = tempfile::Builder::new().prefix("hermes-exporter-demo-").tempdir().map_err(unpack(temporary))?;
        homes::unpack(folder.path())?;
        backups::make(folder.path())?;
        let vijay = folder.path().join("vijay");
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
        let gateway = start(&vijay).map_err(|source| DemoError::StandIn { source })?;
        Ok(Demo { folder, gateway })
    }

    /// The configuration that names the sample homes.
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("hermes-exporter.yml")
    }

    /// What to try, for the person who has started it.
    pub fn introduction(&self, address: &str) -> String {
        let process = self.gateway.id();
        let program = std::env::current_exe().map_or("hermes-exporter".into(), |path| path.display().to_string());
        format!(
            "
Two sample homes in {folder}:
  vijay   its gateway runs (a stand-in, process {process})
  bheem   its gateway was stopped by its operator

Serving on http://{address}/  Open it in a browser: the page, and the runbooks of what is wrong. Try, in another terminal:

  curl -s http://{address}/metrics | grep hermes_gateway
  curl -s 'http://{address}/metrics?instance=bheem&collect[]=cron'
  curl -s http://{address}/metrics | grep hermes_backup    # bheem's newest commit has not been pushed for days
  curl -s http://{address}/api/v1/instances/vijay
  curl -s http://{address}/api/v1/findings
  {program} check --config.file {file}
  kill -STOP {process}    # vijay's gateway freezes: hermes_gateway_up turns 0, the state frozen
  kill -CONT {process}    # and is back
  kill -KILL {process}    # and crashes

Ctrl-C ends it and removes everything.

",
            folder = self.folder.path().display(),
            file = self.config_file().display(),
        )
    }

    /// Ends the stand-in and removes the homes.
    pub fn tear_down(mut self) {
        // It may have been killed already, as the introduction invites to.
        let _ = self.gateway.kill();
        let _ = self.gateway.wait();
        if let Err(error) = self.folder.close() {
            tracing::warn!(%error, "The sample homes could not be removed.");
        }
    }
}

/// Starts this program again under the name and with the arguments of a gateway.
fn start(home: &std::path::Path) -> std::io::Result<Child> {
    use std::os::unix::process::CommandExt;
    Command::new(std::env::current_exe()?)
        .arg0("hermes")
        .args(["gateway", "run"])
        .env_clear()
        .env("HERMES_HOME", home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
}

/// Runs as the stand-in, until it is killed.
pub fn stand_in_gateway() -> Result<ExitCode, DemoError> {
    stand_in::run()
}
