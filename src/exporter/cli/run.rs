//! What each command does.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::arguments::{
    Arguments, Command, DemoArguments, DiscoverArguments, ScrapeArguments, ScrapeFormat, ServeArguments,
};
use super::check::check;
use super::check_prometheus::check_prometheus;
use super::output::write_atomically;
use super::report::report;
use super::targets::targets;
use super::{CommandError, OutputError};
use crate::command_line;
use crate::exporter::collect::background::Background;
use crate::exporter::collect::engine::{Crew, Selection};
use crate::exporter::collect::report;
use crate::exporter::config::Config;
use crate::exporter::demo::{self, Demo};
use crate::exporter::discovery::{self, Surroundings};
use crate::exporter::expose::family::ExporterFacts;
use crate::exporter::expose::metrics::Exposition;
use crate::exporter::expose::runbooks::Runbook;
use crate::exporter::reload::{ConfigSource, Loader, Reloader};
use crate::exporter::serve;
use crate::exporter::snapshot::Fleet;
use crate::system::descriptors;
use crate::system::users::PASSWD;
use crate::web::guard::Guard;
use crate::web::listen::{Address, ListenError, Listener};
use crate::web::metrics_text::Format;
use crate::web::{healthcheck, lifetime, listen};

/// What is asked by who only wants to know whether it serves.
const OPEN_PATHS: [&str; 2] = ["/-/healthy", "/-/ready"];

/// Threads for collectors; more than the engine ever runs at once, unless some of them hang.
const MOST_BLOCKING_THREADS: usize = 64;

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, CommandError> {
    match arguments.command.unwrap_or(Command::Serve(arguments.serve)) {
        Command::Serve(arguments) => serve(arguments),
        Command::Check(arguments) => check(&arguments),
        Command::Runbook { name } => runbook(name.as_deref()),
        Command::Scrape(arguments) => scrape(&arguments),
        Command::Report(arguments) => report(&arguments),
        Command::Discover(arguments) => discover(&arguments),
        Command::CheckConfig { file, prometheus, jobs } => {
            let code = file.map_or(Ok(ExitCode::SUCCESS), |file| check_config(&file))?;
            prometheus.map_or(Ok(code), |prometheus| check_prometheus(&prometheus, &jobs))
        }
        Command::Targets(arguments) => targets(arguments),
        Command::Healthcheck(arguments) => {
            print(&format!("{}\n", healthcheck::ask(&arguments)?)).map(|()| ExitCode::SUCCESS)
        }
        Command::Demo(arguments) => demonstrate(arguments),
        Command::Gateway { .. } => Ok(demo::stand_in_gateway()?),
        Command::WithParent { parent, program, arguments } => {
            Err(demo::run_with_parent(parent, &program, &arguments).into())
        }
    }
}

fn serve(arguments: ServeArguments) -> Result<ExitCode, CommandError> {
    let loader = loader(arguments.config_file, arguments.collectors.0);
    let runtime = runtime()?;
    let stop = listening_for_signals(&runtime, lifetime::termination)?;
    let guard = {
        let _entered = runtime.enter();
        Guard::load(arguments.web.web_config_file.as_deref())?
    };
    let web = arguments.web;
    let listen = async |guard: &Guard| web.listen(guard).await;
    serve_until(runtime, stop, loader, guard, listen, &arguments.telemetry_path, async |_| ())
}

fn demonstrate(arguments: DemoArguments) -> Result<ExitCode, CommandError> {
    let runtime = runtime()?;
    // Before anything is there that would be left behind.
    let stop = listening_for_signals(&runtime, lifetime::termination_or_hangup)?;
    let mut demo = Demo::set_up()?;
    let loader = loader(Some(demo.config_file()), Vec::new());
    let play = async |address: SocketAddr| demo.play(address, !arguments.no_incident).await;
    let listen = async |guard: &Guard| {
        // Its homes are invented: everybody may see them.
        let listeners = listen::bind(&arguments.listen_addresses, true).await?;
        listen::announce(&listeners, guard);
        Ok(listeners)
    };
    let outcome = serve_until(runtime, stop, loader, Arc::default(), listen, "/metrics", play);
    demo.tear_down();
    outcome
}

/// What completes when the program is told to end, from now on.
pub(super) fn listening_for_signals<F>(
    runtime: &Runtime,
    listen: fn() -> std::io::Result<F>,
) -> Result<F, CommandError> {
    let _entered = runtime.enter();
    listen().map_err(system("waiting for signals"))
}

pub(super) fn loader(config_file: Option<std::path::PathBuf>, switches: Vec<(&'static str, bool)>) -> Loader {
    let source = match config_file {
        Some(path) => ConfigSource::File(path),
        None => ConfigSource::Discovery(Surroundings::of_this_process()),
    };
    Loader { source, switches }
}

/// The configuration for one look, without the collectors that mean nothing in it, unless a flag asks for them.
pub(super) fn load_without(
    collectors: &[&'static str],
    config_file: Option<std::path::PathBuf>,
    switches: &[(&'static str, bool)],
) -> Result<Config, CommandError> {
    let mut config = loader(config_file, switches.to_vec()).load()?;
    for collector in collectors {
        if !switches.iter().any(|(name, _)| name == collector) {
            config.switch_collectors(&[(collector, false)]);
        }
    }
    Ok(config)
}

/// That metrics can be served under this path.
pub(super) fn assert_own_path(path: &str) -> Result<(), CommandError> {
    let is_own_path = path.starts_with('/')
        && path.len() > 1
        && !path.contains(['{', '}', ':', '?', '#', '*', ' '])
        && !["api", "-", "sd", "runbooks"].iter().any(|taken| path.split('/').nth(1) == Some(taken));
    if is_own_path { Ok(()) } else { Err(CommandError::TelemetryPath { path: path.to_owned() }) }
}

/// Serves until `stop` completes. What happens `beside` it is begun when it serves, on the thread that has called this,
/// and is dropped with it.
fn serve_until(
    runtime: Runtime,
    stop: impl Future<Output = &'static str>,
    loader: Loader,
    guard: Arc<Guard>,
    listen: impl AsyncFnOnce(&Guard) -> Result<Vec<Listener>, ListenError>,
    telemetry_path: &str,
    beside: impl AsyncFnOnce(SocketAddr),
) -> Result<ExitCode, CommandError> {
    assert_own_path(telemetry_path)?;
    raise_descriptor_limit();
    let background = Background::start().map_err(system("starting a thread"))?;
    let reloader = Arc::new(Reloader::new(loader, background)?.guarded_by(Arc::clone(&guard)));
    let served = runtime.block_on(async {
        let reloading = Arc::clone(&reloader);
        let hangups = lifetime::on_hangup(move || {
            let reloader = Arc::clone(&reloading);
            // The outcome is logged, and shows in the metrics.
            async move { drop(reloader.reload().await) }
        });
        tokio::spawn(hangups.map_err(system("waiting for signals"))?);
        let listeners = listen(&guard).await?;
        let first = listeners.iter().find_map(|listener| match listener.address() {
            Address::Internet(address) => Some(*address),
            Address::Unix(_) => None,
        });
        // The first look is begun before it is asked for; a scrape that comes meanwhile shares it.
        let crew = reloader.crew();
        tokio::spawn(async move { crew.look(&Selection::default(), Instant::now() + Duration::from_secs(60)).await });
        let router = guard.protect(serve::router(reloader, telemetry_path), &OPEN_PATHS, &[], || false);
        let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
        let stop = async {
            let signal = stop.await;
            tracing::info!(signal, "Stopping.");
            drop(stopping);
        };
        let beside = async {
            let beside = async {
                if let Some(address) = first {
                    beside(address).await;
                }
            };
            tokio::select! {
                () = beside => {}
                _ = stopped => {}
            }
        };
        tokio::join!(lifetime::serve(listeners, guard, router, stop), beside);
        Ok(())
    });
    // A collector that hangs must not keep the program from ending.
    runtime.shutdown_background();
    served.map(|()| ExitCode::SUCCESS)
}

/// Counts from look to look, and there is but one: what it would show is a counter that never moves.
const NOT_SCRAPED: [&str; 1] = ["logs"];

fn scrape(arguments: &ScrapeArguments) -> Result<ExitCode, CommandError> {
    let config = load_without(&NOT_SCRAPED, arguments.config_file.clone(), &arguments.collectors.0)?;
    let fleet = look_once(config, arguments.timeout)?;
    let format = match arguments.format {
        ScrapeFormat::Text => Format::Text,
        ScrapeFormat::Openmetrics => Format::OpenMetrics,
    };
    let exposition = Exposition::new(fleet, Some(ExporterFacts { service: None }));
    let text = exposition
        .encode(format)
        .map_err(|error| CommandError::System { what: "encoding the metrics", source: std::io::Error::other(error) })?;
    match &arguments.output {
        None => print(&text)?,
        Some(path) => write_atomically(path, &text)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// One look at everything, which is over after `timeout` at the latest.
pub(super) fn look_once(config: Config, timeout: Duration) -> Result<Arc<Fleet>, CommandError> {
    let runtime = runtime()?;
    let crew = crew_for_once(config, timeout);
    let fleet = runtime.block_on(crew.look(&Selection::default(), Instant::now() + timeout));
    runtime.shutdown_background();
    Ok(fleet)
}

/// Collectors for one look, which is over after `timeout` at the latest.
pub(super) fn crew_for_once(mut config: Config, timeout: Duration) -> Crew {
    // There is no second look that could have what the first one was too short for. Half, so that one that hangs
    // leaves time for the others.
    for settings in config.collectors.values_mut() {
        settings.timeout = settings.timeout.max(timeout / 2);
    }
    raise_descriptor_limit();
    Crew::new(&config, None, Background::inline())
}

/// The names of all runbooks, with what each is about.
fn runbook_names() -> String {
    let longest = Runbook::all().map(|runbook| runbook.name.len()).max().unwrap_or_default();
    let lines: String =
        Runbook::all().map(|Runbook { name, title, .. }| format!("{name:longest$}  {title}\n")).collect();
    format!("{lines}\n`hermes-exporter runbook NAME` prints one.\n")
}

/// The text of a runbook as it is written, which is made to be read in a terminal too.
fn runbook(name: Option<&str>) -> Result<ExitCode, CommandError> {
    let text = match name.and_then(Runbook::named) {
        Some(runbook) => runbook.text.to_owned(),
        None => runbook_names(),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// A large fleet has many files and connections open at once; where there are fewer, each has to wait for its turn.
fn raise_descriptor_limit() {
    if let Err(error) = descriptors::raise_limit() {
        tracing::debug!(%error, "the limit of descriptors could not be raised");
    }
}

fn discover(arguments: &DiscoverArguments) -> Result<ExitCode, CommandError> {
    let found = discovery::discover(&Surroundings::of_this_process());
    let (found, hidden) = if arguments.all_users {
        let (mut all, hidden) = discovery::discover_all_users(Path::new(PASSWD));
        all.include(found);
        (all, hidden)
    } else {
        (found, Vec::new())
    };
    if found.instances.is_empty() {
        let places: Vec<_> = found.looked_at.iter().map(|place| place.display().to_string()).collect();
        let _ = writeln!(
            std::io::stderr(),
            "hermes-exporter: no Hermes home was found (looked at: {}); run this as the user who runs Hermes, or set HERMES_HOME",
            places.join(", ")
        );
    }
    print(&discovery::as_configuration(&found, &hidden))?;
    Ok(ExitCode::SUCCESS)
}

fn check_config(file: &Path) -> Result<ExitCode, CommandError> {
    let config = Config::from_file(file)?;
    let count = config.instances.len() + config.reported.len();
    print(&format!("{}: valid, {count} {}\n", file.display(), if count == 1 { "instance" } else { "instances" }))?;
    for instance in &config.instances {
        if let (None, Some(user)) = (instance.user_id(), &instance.user) {
            print(&format!(
                "{}: note: there is no user {user:?} here, as whom {:?} would be read\n",
                file.display(),
                instance.name
            ))?;
        }
        if !instance.home.join(".").exists() {
            print(&format!(
                "{}: note: the home {} of {:?} is not there, or can not be seen by this user\n",
                file.display(),
                instance.home.display(),
                instance.name
            ))?;
        }
    }
    for reported in &config.reported {
        if let Some(problem) = report::note(reported) {
            print(&format!("{}: note: {problem}\n", file.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn print(text: &str) -> Result<(), CommandError> {
    command_line::print(text).map_err(|source| OutputError::Write { path: "standard output".to_owned(), source }.into())
}

pub(super) fn runtime() -> Result<Runtime, CommandError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(MOST_BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(system("starting threads"))
}

fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> CommandError {
    move |source| CommandError::System { what, source }
}
