//! The stand-in for a gateway: a process that looks like one and writes what one writes about itself.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, SystemTime};

use super::homes::MARK;
use super::processes::{self, Process};
use super::{DemoError, write as write_file};

/// A real gateway beats every 30 s; this one more often, so that a visitor need not wait.
const BEAT: Duration = Duration::from_secs(5);

const CLEAN_SHUTDOWN: &str = ".clean_shutdown";

/// In the mark of a home: its gateway has no trouble with any platform.
const UNTROUBLED: &str = "untroubled";

/// Starts the gateway of a sample home: this program again, under the name and with the arguments of a gateway. That of
/// bheem has no trouble but what is made in front of the visitor's eyes.
pub(super) fn start(folder: &Path, instance: &str) -> Result<Process, DemoError> {
    let home = folder.join(instance);
    if instance == "bheem" {
        write_file(&home.join(MARK), UNTROUBLED)?;
    }
    let as_gateway = |command: &mut Command| {
        command.arg0("hermes").args(["gateway", "run"]).env("HERMES_HOME", &home);
    };
    Process::start_own("gateway", as_gateway, folder)
}

pub(super) fn run() -> Result<ExitCode, DemoError> {
    let home = std::env::var_os("HERMES_HOME").map(PathBuf::from).ok_or(DemoError::NotADemo)?;
    let mark = std::fs::read_to_string(home.join(MARK)).map_err(|_| DemoError::NotADemo)?;
    let failed = |source| DemoError::StandIn { source };
    // When the demonstration is killed there is nobody left to end this process.
    processes::end_with_parent().map_err(failed)?;
    // What the one before it has left, had it been stopped in order.
    match std::fs::remove_file(home.join(CLEAN_SHUTDOWN)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let id = std::process::id();
    let start_ticks = crate::system::processes::find(id).ok().flatten().map(|process| process.start_ticks);
    let started = seconds();
    let record = serde_json::json!({
        "pid": id, "kind": "hermes-gateway", "argv": ["hermes", "gateway", "run"], "start_time": start_ticks,
    });
    let connected = serde_json::json!({"state": "connected", "error_code": null, "updated_at": started});
    let mut state = record.clone();
    state["gateway_state"] = "running".into();
    state["restart_requested"] = false.into();
    state["active_agents"] = 1.into();
    state["platforms"] = serde_json::json!({
        "telegram": connected, "webhook": connected, "api_server": connected,
    });
    if mark != UNTROUBLED {
        state["platforms"]["discord"] =
            serde_json::json!({"state": "fatal", "error_code": "discord_gateway_task_exited", "updated_at": started});
    }
    state["updated_at"] = started.into();
    write(&home.join("gateway.pid"), &record.to_string()).map_err(failed)?;
    write(&home.join("gateway_state.json"), &state.to_string()).map_err(failed)?;
    let mut starts =
        std::fs::File::options().append(true).create(true).open(home.join("gateway-starts.log")).map_err(failed)?;
    writeln!(starts, "{started}").map_err(failed)?;
    loop {
        let now = seconds();
        let beat = serde_json::json!({"pid": id, "updated_at": now, "start_time": started});
        write(&home.join("state/gateway.heartbeat"), &beat.to_string()).map_err(failed)?;
        for ticker in ["cron/ticker_heartbeat", "cron/ticker_last_success"] {
            write(&home.join(ticker), &now.to_string()).map_err(failed)?;
        }
        std::thread::sleep(BEAT);
    }
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Replaces a file in one step, as the gateway does.
fn write(path: &Path, content: &str) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    std::fs::write(&beside, content)?;
    std::fs::rename(beside, path)
}
