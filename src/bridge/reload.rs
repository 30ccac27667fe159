//! The configuration in force, and changing it while serving.
//!
//! A reload validates first and swaps whole: whoever is at work goes on with what they began with, and what is not valid
//! changes nothing but the metric that says so. At the start there is nothing to go on with, and alerts must be accepted
//! all the same: a template or a token that can not be used is a [`Problem`] then, which is told and looked at again, while
//! a file that is not valid is an error.

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::auth;
use super::config::{Auth, Config, ConfigError, Delivery};
use super::render::Renderer;
use super::service::Stop;
use super::telegram::Telegram;
use super::telegram::bot::{Bot, BotError};
use super::telegram::console::Console;
use super::telegram::unavailable::Unavailable;
use super::trial;
use crate::error_chain::display_chain;
use crate::system::time::Timestamp;
use crate::web::service_manager;

/// How often it is looked whether problems are gone.
const PAUSE: Duration = Duration::from_secs(10);

/// What follows from a configuration: changed as a whole.
#[derive(Debug)]
pub struct InForce {
    /// The configuration.
    pub config: Config,
    /// Its templates.
    pub renderer: Renderer,
    /// The way to people.
    pub telegram: Arc<dyn Telegram>,
}

/// Where everybody finds what is in force now.
pub type Current = Arc<ArcSwap<InForce>>;

/// Something that a valid configuration names and that can not be used, which keeps nobody from accepting alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(pub String);

/// Why a configuration was not loaded.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReloadError {
    /// The file is not valid.
    #[error(transparent)]
    Config(Arc<ConfigError>),
    /// Something that it names can not be used.
    #[error("{}", told(problems))]
    Problems {
        /// All of it.
        problems: Vec<Problem>,
    },
    /// It names another store.
    #[error(
        "the store can not be changed from {} to {} while serving; restart hermes-alert-bridge for that, after what is waiting has been sent",
        from.display(), to.display()
    )]
    OtherStore {
        /// The one that is open.
        from: PathBuf,
        /// The one that is named.
        to: PathBuf,
    },
}

fn told(problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.0.as_str()).collect::<Vec<_>>().join("; ")
}

/// Looking whether problems are gone, until it is told to stop.
pub type Mending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How loading the configuration went.
#[derive(Debug, Clone, PartialEq)]
pub struct ReloadFacts {
    /// Whether the last attempt succeeded.
    pub is_loaded: bool,
    /// When the one in force was loaded.
    pub loaded_at: Timestamp,
    /// What is wrong with what is in force.
    pub problems: Vec<Problem>,
}

/// The configuration in force.
pub struct Reloader {
    file: PathBuf,
    current: Current,
    one_at_a_time: tokio::sync::Mutex<()>,
    facts: Mutex<ReloadFacts>,
}

impl fmt::Debug for Reloader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reloader").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Reloader {
    /// Loads the first configuration.
    pub fn start(file: PathBuf) -> Result<Reloader, ConfigError> {
        let (in_force, problems) = in_force(Config::from_file(&file)?, None);
        for Problem(problem) in &problems {
            tracing::error!(
                problem,
                "Something in the configuration can not be used; alerts are accepted all the same, and it is looked at again."
            );
        }
        Ok(Reloader {
            file,
            current: Arc::new(ArcSwap::from_pointee(in_force)),
            one_at_a_time: tokio::sync::Mutex::new(()),
            facts: Mutex::new(ReloadFacts { is_loaded: true, loaded_at: Timestamp::now(), problems }),
        })
    }

    /// Where everybody finds what is in force now.
    pub fn current(&self) -> Current {
        Arc::clone(&self.current)
    }

    /// How loading went.
    pub fn facts(&self) -> ReloadFacts {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Loads the configuration again. An error leaves the one in force as it is; both outcomes are logged and show in
    /// [`Reloader::facts`].
    pub async fn reload(&self) -> Result<(), ReloadError> {
        let _turn = self.one_at_a_time.lock().await;
        service_manager::reloading();
        let outcome = self.load_again().await;
        service_manager::reloaded(outcome.is_ok());
        outcome
    }

    async fn load_again(&self) -> Result<(), ReloadError> {
        let (file, former) = (self.file.clone(), self.current.load_full());
        // Files are read, and templates are tried.
        let loaded = match tokio::task::spawn_blocking(move || load(&file, &former)).await {
            Ok(loaded) => loaded,
            // Nothing in it panics; the runtime is shutting down, and nothing matters any more.
            Err(_) => return Ok(()),
        };
        match loaded {
            Ok(in_force) => {
                let chats = in_force.config.chats.len();
                let is_open = in_force.config.auth == Auth::Open;
                let was_open = self.current.swap(Arc::new(in_force)).config.auth == Auth::Open;
                if is_open && !was_open {
                    tracing::warn!(
                        "There is no authentication any more: whoever reaches the bridge can tell people things."
                    );
                }
                self.note(|facts| {
                    *facts = ReloadFacts { is_loaded: true, loaded_at: Timestamp::now(), problems: Vec::new() };
                });
                tracing::info!(chats, "The configuration was loaded.");
                Ok(())
            }
            Err(error) => {
                self.note(|facts| facts.is_loaded = false);
                tracing::error!(
                    error = display_chain(&error),
                    "The configuration was not loaded; the former one stays in force."
                );
                Err(error)
            }
        }
    }

    /// Looks whether what was wrong at the start is right now, until `stop`.
    pub fn mend(self: Arc<Self>, mut stop: Stop) -> Mending {
        Box::pin(async move {
            // It is the end as well when nobody can say stop any more.
            while tokio::time::timeout(PAUSE, stop.wait_for(|stop| *stop)).await.is_err() {
                self.look_again().await;
            }
        })
    }

    async fn look_again(&self) {
        let _turn = self.one_at_a_time.lock().await;
        let known = self.facts().problems;
        if known.is_empty() {
            return;
        }
        let former = self.current.load_full();
        let again = move || in_force(former.config.clone(), None);
        let Ok((in_force, problems)) = tokio::task::spawn_blocking(again).await else { return };
        if problems == known {
            return;
        }
        match problems.as_slice() {
            [] => tracing::info!("What the configuration names can be used now."),
            left => tracing::error!(problem = told(left), "Something in the configuration can not be used."),
        }
        self.current.store(Arc::new(in_force));
        self.note(|facts| facts.problems = problems);
    }

    fn note(&self, change: impl FnOnce(&mut ReloadFacts)) {
        change(&mut self.facts.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn load(file: &Path, former: &InForce) -> Result<InForce, ReloadError> {
    let config = Config::from_file(file).map_err(|error| ReloadError::Config(Arc::new(error)))?;
    if config.store != former.config.store {
        return Err(ReloadError::OtherStore { from: former.config.store.clone(), to: config.store });
    }
    let shut_out = auth::problem(&config.auth).map(Problem);
    let (in_force, mut problems) = in_force(config, Some(former));
    problems.extend(shut_out);
    if problems.is_empty() { Ok(in_force) } else { Err(ReloadError::Problems { problems }) }
}

/// How a configuration's messages are brought to people.
pub fn way_to_people(config: &Config) -> Result<Arc<dyn Telegram>, BotError> {
    match &config.telegram {
        Some(settings) => Ok(Arc::new(Bot::new(settings)?)),
        None => Ok(Arc::new(Console::new().with_names_of(config))),
    }
}

/// What follows from a configuration, and what of it can not be used. The bot of `former` is kept where nothing about it
/// has changed, with its connections.
pub fn in_force(config: Config, former: Option<&InForce>) -> (InForce, Vec<Problem>) {
    let mut problems = Vec::new();
    let is_same = |former: &&InForce| {
        former.config.delivery == config.delivery
            && former.config.telegram == config.telegram
            // The console knows chats by their names.
            && (config.delivery == Delivery::Telegram || former.config.chats.keys().eq(config.chats.keys()))
    };
    let telegram = match former.filter(is_same) {
        Some(former) => Arc::clone(&former.telegram),
        None => way_to_people(&config).unwrap_or_else(|error| {
            let why = display_chain(&error);
            problems.push(Problem(why.clone()));
            Arc::new(Unavailable::because(why))
        }),
    };
    let renderer = Renderer::new(&config);
    let now = Timestamp::now();
    for name in config.chats.keys() {
        if let Some(problem) = trial::template_problem(&renderer, name, now) {
            problems.push(Problem(format!("the template of the chat {:?}: {problem}", name.as_str())));
        }
    }
    (InForce { config, renderer, telegram }, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_valid_leaves_the_former_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let file = trial::configuration(folder.path(), "");
        let reloader = Reloader::start(file.clone()).unwrap();
        let count = || reloader.current().load().config.routes.len();
        assert_eq!(count(), 1);

        std::fs::write(&file, "nonsense: true\n").unwrap();
        let error = reloader.reload().await.unwrap_err();
        assert!(error.to_string().contains("unknown key `nonsense`"), "{error}");
        assert!(!reloader.facts().is_loaded && count() == 1);

        let text = std::fs::read_to_string(trial::configuration(folder.path(), "")).unwrap();
        std::fs::write(&file, text.replace("bridge.db", "other.db")).unwrap();
        let error = reloader.reload().await.unwrap_err();
        assert!(error.to_string().contains("restart hermes-alert-bridge"), "{error}");

        let shut = format!("{text}auth: {{bearer_token_file: {}}}\n", folder.path().join("none.token").display());
        std::fs::write(&file, shut).unwrap();
        let error = reloader.reload().await.unwrap_err();
        assert!(error.to_string().contains("none.token is not there") && count() == 1, "{error}");

        std::fs::write(&file, text.replace("routes: ", "late_firing: 1m\n#")).unwrap();
        reloader.reload().await.unwrap();
        assert!(reloader.facts().is_loaded && count() == 0);
    }

    #[tokio::test]
    async fn a_token_that_can_not_be_read_is_waited_for_at_the_start_and_refused_in_a_reload() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("bot.token");
        let text = |token: &Path| {
            format!(
                "store: {}\ntelegram: {{token_file: {}}}\nchats: {{root: {{chat_id: 7}}}}\ndefault_chat: root\n",
                folder.path().join("bridge.db").display(),
                token.display()
            )
        };
        let file = folder.path().join("bridge.yml");
        std::fs::write(&file, text(&token)).unwrap();
        let reloader = Reloader::start(file.clone()).unwrap();
        let problems = reloader.facts().problems;
        assert!(problems.len() == 1 && problems[0].0.contains("bot.token is not there"), "{problems:?}");
        let failure = reloader.current().load().telegram.me().await.unwrap_err();
        assert_eq!(failure.class(), "unauthorized");

        std::fs::write(&token, "123456:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n").unwrap();
        reloader.look_again().await;
        assert_eq!(reloader.facts().problems, []);

        // The bot stays, with its connections, as long as nothing about it is changed.
        let bot = || Arc::clone(&reloader.current().load().telegram);
        let former = bot();
        std::fs::write(&file, text(&token) + "late_firing: 1m\n").unwrap();
        reloader.reload().await.unwrap();
        assert!(Arc::ptr_eq(&former, &bot()));
        let slower = text(&token).replace("telegram: {", "telegram: {timeout: 9s, ");
        std::fs::write(&file, slower).unwrap();
        reloader.reload().await.unwrap();
        assert!(!Arc::ptr_eq(&former, &bot()));

        std::fs::write(&file, text(&folder.path().join("none.token"))).unwrap();
        let error = reloader.reload().await.unwrap_err();
        assert!(matches!(error, ReloadError::Problems { .. }), "{error}");
        let in_force = reloader.current().load_full();
        assert_eq!(in_force.config.telegram.as_ref().unwrap().token.path(), token);
    }
}
