//! The configuration in force, and changing it while serving.
//!
//! A reload validates first and swaps whole: whoever is at work goes on with what they began with, and a file
//! that is not valid changes nothing but the metric that says so. Reloads wait for each other.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::collect::background::Background;
use super::collect::engine::Crew;
use super::config::{Config, ConfigError};
use super::discovery::{Discovered, Surroundings, discover};
use super::expose::family::ServiceFacts;
use crate::error_chain::display_chain;
use crate::system::processes;
use crate::system::time::Timestamp;
use crate::web::guard::Guard;
use crate::web::service_manager;

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub enum ConfigSource {
    /// A file.
    File(PathBuf),
    /// What is found around the user the exporter runs as.
    Discovery(Surroundings),
}

/// A configuration source and what the command line adds to it.
#[derive(Debug, Clone)]
pub struct Loader {
    /// Where the configuration comes from.
    pub source: ConfigSource,
    /// Collectors that the command line turns on or off.
    pub switches: Vec<(&'static str, bool)>,
}

impl Loader {
    /// Loads the configuration; where nothing was found, says so and what to do.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let mut config = match &self.source {
            ConfigSource::File(path) => {
                let config = Config::from_file(path)?;
                if config.names().next().is_none() {
                    tracing::info!(
                        file = %path.display(),
                        "No instance is configured; `hermes-exporter discover --all-users`, as root, proposes what to write."
                    );
                }
                config
            }
            ConfigSource::Discovery(surroundings) => {
                let found = discover(surroundings);
                report(&found);
                Config::discovered(found.instances)
            }
        };
        config.switch_collectors(&self.switches);
        Ok(config)
    }
}

fn report(found: &Discovered) {
    let places: Vec<_> = found.looked_at.iter().map(|place| place.display().to_string()).collect();
    if found.instances.is_empty() {
        tracing::warn!(
            looked_at = places.join(", "),
            "No Hermes home was found; set HERMES_HOME, or name the homes in a file and pass it with --config.file."
        );
    }
    for instance in &found.instances {
        tracing::info!(instance = instance.name, home = %instance.home.display(), "Found a Hermes home.");
    }
}

/// What is made of one configuration.
#[derive(Debug)]
pub struct InForce {
    /// Its collectors.
    pub crew: Arc<Crew>,
    /// What it says of [`Config::ssh_host`].
    pub ssh_host: Option<String>,
}

impl InForce {
    fn new(config: Config, former: Option<&Crew>, background: Background) -> InForce {
        let crew = Crew::new(&config, former, background);
        crew.report_privileges();
        InForce { crew: Arc::new(crew), ssh_host: config.ssh_host }
    }
}

/// The configuration in force.
#[derive(Debug)]
pub struct Reloader {
    loader: Loader,
    background: Background,
    in_force: ArcSwap<InForce>,
    one_at_a_time: tokio::sync::Mutex<()>,
    facts: Mutex<(bool, Timestamp)>,
    guard: Arc<Guard>,
}

impl Reloader {
    /// Loads the first configuration.
    pub fn new(loader: Loader, background: Background) -> Result<Reloader, ConfigError> {
        let in_force = InForce::new(loader.load()?, None, background.clone());
        Ok(Reloader {
            loader,
            background,
            in_force: ArcSwap::from_pointee(in_force),
            one_at_a_time: tokio::sync::Mutex::new(()),
            facts: Mutex::new((true, Timestamp::now())),
            guard: Arc::default(),
        })
    }

    /// The same, with what its facts tell of who may ask.
    pub fn guarded_by(self, guard: Arc<Guard>) -> Reloader {
        Reloader { guard, ..self }
    }

    /// The collectors of the configuration in force.
    pub fn crew(&self) -> Arc<Crew> {
        Arc::clone(&self.in_force.load().crew)
    }

    /// The same, with what else the configuration says.
    pub fn in_force(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// Loads the configuration again. An error leaves the one in force as it is; both outcomes are logged and
    /// show in [`Reloader::facts`].
    pub async fn reload(&self) -> Result<(), Arc<ConfigError>> {
        let _turn = self.one_at_a_time.lock().await;
        service_manager::reloading();
        let outcome = self.load_again().await;
        service_manager::reloaded(outcome.is_ok());
        outcome
    }

    async fn load_again(&self) -> Result<(), Arc<ConfigError>> {
        let (loader, former, background) = (self.loader.clone(), self.crew(), self.background.clone());
        // Files are read, and users are looked up.
        let load = move || Ok(InForce::new(loader.load()?, Some(&former), background));
        let loaded = match tokio::task::spawn_blocking(load).await {
            Ok(loaded) => loaded,
            // The loader does not panic; the runtime is shutting down, and nothing matters any more.
            Err(_) => return Ok(()),
        };
        match loaded {
            Ok(in_force) => {
                let instances = in_force.crew.instance_names().count();
                self.in_force.store(Arc::new(in_force));
                self.note(true);
                tracing::info!(instances, "The configuration was loaded.");
                Ok(())
            }
            Err(error) => {
                self.note(false);
                tracing::error!(
                    error = display_chain(&error),
                    "The configuration was not loaded; the former one stays in force."
                );
                Err(Arc::new(error))
            }
        }
    }

    fn note(&self, succeeded: bool) {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        facts.0 = succeeded;
        if succeeded {
            facts.1 = Timestamp::now();
        }
    }

    /// How the last attempt went, and what this process uses.
    pub fn facts(&self) -> ServiceFacts {
        let (is_config_loaded, config_loaded_at) = *self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        ServiceFacts {
            is_config_loaded,
            config_loaded_at,
            web: self.guard.facts(),
            process: processes::find(std::process::id()).ok().flatten().map(|process| process.usage()),
        }
    }
}
