//! What each command does, and serving: everything is opened, started and listened to in this order, and ended in the
//! opposite one.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::arguments::{Arguments, Command, ConfigFile, ServeArguments};
use super::{CommandError, chats, check_config, print, queue, render, send_test};
use crate::bridge::config::{Auth, Config};
use crate::bridge::readiness::Readiness;
use crate::bridge::reload::{self, Reloader};
use crate::bridge::service::{Service, Stop};
use crate::bridge::store::{Store, outside};
use crate::bridge::tasks::{Patience, Task, Tasks};
use crate::bridge::{auth, buttons, deliver, ends, housekeeping, ping, serve as server, watchdog};
use crate::web::arguments::WebArguments;
use crate::web::guard::Guard;
use crate::web::{healthcheck, lifetime};

/// What is asked by who only wants to know how it is.
const OPEN_PATHS: [&str; 2] = ["/-/healthy", "/-/ready"];

/// What demands `auth` of the configuration, where there is one.
const OWN_PATHS: [&str; 3] = ["/alertmanager", "/notify", "/-/reload"];

/// How long tasks get to end, above the time that a call to Telegram may take: one that is under way has an outcome that
/// is better known.
const GRACE: Duration = Duration::from_secs(5);

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, CommandError> {
    match arguments.command.unwrap_or(Command::Serve(arguments.serve)) {
        Command::Serve(arguments) => serve(arguments),
        Command::CheckConfig(arguments) => check_config::check_config(&arguments),
        Command::Render(arguments) => render::render(&arguments),
        Command::SendTest(arguments) => send_test::send_test(&arguments),
        Command::Queue(command) => queue::queue(command),
        Command::Chats(file) => chats::chats(&file),
        Command::Healthcheck(arguments) => {
            print(&format!("{}\n", healthcheck::ask(&arguments)?)).map(|()| ExitCode::SUCCESS)
        }
    }
}

fn serve(arguments: ServeArguments) -> Result<ExitCode, CommandError> {
    let reloader = Arc::new(Reloader::start(arguments.config.config_file)?);
    let runtime = runtime()?;
    let served = runtime.block_on(serve_until_stopped(reloader, &arguments.web));
    // What hangs must not keep the program from ending.
    runtime.shutdown_background();
    served.map(|()| ExitCode::SUCCESS)
}

async fn serve_until_stopped(reloader: Arc<Reloader>, web: &WebArguments<10120>) -> Result<(), CommandError> {
    let guard = Guard::load(web.web_config_file.as_deref())?;
    let termination = lifetime::termination().map_err(system("waiting for signals"))?;
    let reloading = Arc::clone(&reloader);
    let hangups = lifetime::on_hangup(move || {
        let reloader = Arc::clone(&reloading);
        // The outcome is logged, and shows in the metrics.
        async move { drop(reloader.reload().await) }
    });
    tokio::spawn(hangups.map_err(system("waiting for signals"))?);

    // Before anything is started: a wrong address must not send anything.
    let current = reloader.current();
    // `auth` of the configuration keeps strangers from posting, and not from reading.
    let listeners = web.listen(&guard).await?;
    let store = Store::open(&current.load().config.store)?;
    let service = Service { store: store.clone(), current, metrics: Arc::default(), health: Arc::default() };
    let (stopping, stop) = watch::channel(false);
    let tasks = Tasks::start(tasks(&reloader), &service, &stop, Patience::default());
    if let Some(problem) = auth::problem(&service.in_force().config.auth) {
        tracing::error!(problem, "Requests are answered with 503 until this is mended.");
    }
    let readiness = Readiness::of(service.clone(), reloader, tasks.down());
    let in_force = service.clone();
    let sees_to_it = move || in_force.in_force().config.auth != Auth::Open;
    let router = server::router(service.clone(), readiness, Arc::clone(&guard));
    let router = guard.protect(router, &OPEN_PATHS, &OWN_PATHS, sees_to_it);
    let terminated = async {
        let signal = termination.await;
        tracing::info!(signal, "Stopping: no more alerts are taken.");
    };
    lifetime::serve(listeners, guard, router, terminated).await;
    // Whoever was told that an alert is taken has it in the store; what was not sent is sent after the next start.
    stopping.send_replace(true);
    let call = service.in_force().config.telegram.as_ref().map_or(Duration::ZERO, |telegram| telegram.timeout);
    if !tasks.finish(call + GRACE).await {
        tracing::warn!("Something did not end in time; a message that was under way may be sent again.");
    }
    drop(service);
    // Waits for the disk.
    let closed = tokio::task::spawn_blocking(move || store.close()).await;
    closed.map_err(|error| CommandError::System { what: "closing the store", source: std::io::Error::other(error) })?;
    tracing::info!("Stopped.");
    Ok(())
}

/// What runs beside the server.
fn tasks(reloader: &Arc<Reloader>) -> Vec<Task> {
    vec![
        Task::new("deliver", deliver::run),
        Task::new("buttons", buttons::run),
        Task::new("watchdog", watchdog::run),
        Task::new("ping", ping::run),
        Task::new("housekeeping", housekeeping::run),
        Task::new("ends", ends::run),
        Task::new("outside", outside::run),
        Task::new("configuration", mending(Arc::clone(reloader))),
    ]
}

fn mending(reloader: Arc<Reloader>) -> impl Fn(Service, Stop) -> reload::Mending + Send + 'static {
    move |_, stop| Arc::clone(&reloader).mend(stop)
}

/// Opens the store of a configuration, beside a bridge that may be serving from it. `None` where there is none yet: it is
/// made by the user who serves, so that it is theirs.
pub(super) fn store_beside(config: &Config) -> Result<Option<Store>, CommandError> {
    match config.store.try_exists() {
        Ok(false) => Ok(None),
        Ok(true) | Err(_) => Ok(Some(Store::open_beside(&config.store)?)),
    }
}

/// The configuration of a command.
pub(super) fn config_of(file: &ConfigFile) -> Result<Config, CommandError> {
    config_at(&file.config_file)
}

pub(super) fn config_at(path: &Path) -> Result<Config, CommandError> {
    Ok(Config::from_file(path)?)
}

pub(super) fn runtime() -> Result<Runtime, CommandError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(system("starting threads"))
}

fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> CommandError {
    move |source| CommandError::System { what, source }
}
