//! What the demonstration says of itself: what is started, what happens, and what to try.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::bridge::{self, Bridge};
use super::monitoring::Monitoring;
use super::processes::printed;

/// At once, before anything else is waited for.
pub(super) fn homes(folder: &Path, exporter: SocketAddr) -> String {
    format!(
        "
Two sample homes in {folder}:
vijay, whose alerts go to the chat `root`, and bheem, whose go to `uma`.

  hermes-exporter      http://{exporter}/
",
        folder = folder.display(),
    )
}

/// When the rest is ready: where it is, or how to get it.
pub(super) fn chain(bridge: Option<&Bridge>, monitoring: Option<&Monitoring>) -> String {
    let mut text = String::new();
    let Some(bridge) = bridge else {
        return "  hermes-alert-bridge  is not beside this program, nor on the PATH: `cargo build --release --locked` builds both.
                       Without it there is nobody to tell; the homes are served all the same.\n"
            .to_owned();
    };
    let _ =
        writeln!(text, "  hermes-alert-bridge  http://{}/metrics  (prints its messages, sends none)", bridge.address());
    match monitoring {
        Some(monitoring) => {
            let _ = writeln!(text, "  Prometheus           http://{}/alerts", monitoring.prometheus());
            let _ = writeln!(text, "  Alertmanager         http://{}/", monitoring.alertmanager());
        }
        None if Monitoring::is_installed() => {}
        None => text.push_str(
            "  Prometheus and Alertmanager are not both on the PATH:
                       apt install prometheus prometheus-alertmanager
  Without them this demonstration stands in, and posts to the bridge what they would.\n",
        ),
    }
    text
}

/// Before the incident.
pub(super) fn prologue(is_monitored: bool) -> String {
    let rules = if is_monitored {
        "The alert rules are those in alerts/rules,\nwith minutes made seconds. It begins when Prometheus has had a first look."
    } else {
        "The texts are those in alerts/rules."
    };
    format!("\nAn incident, from beginning to end. {rules}\n\n")
}

/// Something that happens, so long after the beginning.
pub(super) fn step(after: Duration, what: &str) -> String {
    format!("  {:5.1} s  {what}\n", after.as_secs_f64())
}

/// After the incident.
pub(super) fn epilogue(others: usize) -> String {
    match others {
        0 => String::new(),
        1 => "  One other message came meanwhile, about what else is wrong in the sample homes.\n".to_owned(),
        _ => format!("  {others} other messages came meanwhile, about what else is wrong in the sample homes.\n"),
    }
}

/// What does not go on, with the reason.
pub(super) fn trouble(what: &str) -> String {
    format!("\n  This part ends here: {}\n  The rest goes on.\n", what.replace('\n', "\n  "))
}

/// What to try depends on.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) exporter: SocketAddr,
    pub(super) folder: &'a Path,
    pub(super) config_file: &'a Path,
    /// The process of vijay's gateway.
    pub(super) gateway: u32,
    pub(super) bridge: Option<&'a Bridge>,
    pub(super) monitoring: Option<&'a Monitoring>,
}

/// What to try, for the person who has started it.
pub(super) fn to_try(facts: &Facts<'_>) -> String {
    let Facts { exporter, folder, config_file, gateway, bridge, monitoring } = facts;
    let program = std::env::current_exe().map_or("hermes-exporter".into(), |path| path.display().to_string());
    let (frozen, crashed) = match monitoring {
        Some(_) => ("freezes: root's chat gets a message", "crashes, for good: another one"),
        None => ("freezes: hermes_gateway_up turns 0, the state frozen", "crashes, for good"),
    };
    let mut text = format!(
        "
Serving on http://{exporter}/
Open it in a browser: the status page, and the runbooks of what is wrong.
Try, in another terminal:

  curl -s http://{exporter}/metrics | grep hermes_gateway
  curl -s http://{exporter}/metrics | grep hermes_backup    # bheem's is days old
  curl -s http://{exporter}/api/v1/findings
  {program} check --config.file {file}
  kill -STOP {gateway}    # vijay's gateway {frozen}
  kill -CONT {gateway}    # and is back
  kill -KILL {gateway}    # and {crashed}
",
        file = config_file.display(),
    );
    if let Some(bridge) = bridge {
        let notify = format!("http://{}/notify?chat=root", bridge.address());
        let messages = printed(folder, bridge::NAME);
        let _ = write!(
            text,
            "  curl '{notify}' -d 'It works'    # a message from a script

New messages are shown here in a line each. All of them stand in full in
{}
",
            messages.display()
        );
    }
    if let Some(monitoring) = monitoring {
        let _ = writeln!(
            text,
            "While a gateway is down nothing is said of its platforms: what was told of them ends
meanwhile, and comes back with it.

For dashboards, give a Grafana the data source http://{}/
and import dashboards/*.json.",
            monitoring.prometheus()
        );
    }
    text.push_str("\nCtrl-C ends it and removes everything.\n\n");
    text
}
