//! The runbooks of alerts about the watching itself: of `alerts/rules/watching.yml`, and of no finding.

use super::Runbook;

/// Runbooks, each from the file that is called as it is.
macro_rules! runbooks {
    ($($name:literal => $title:literal,)*) => {
        [$(Runbook {
            name: $name,
            title: $title,
            text: include_str!(concat!("../../../../docs/runbooks/", $name, ".md")),
        },)*]
    };
}

/// All of them, in the order of the index.
pub(super) static WATCHING: [Runbook; 19] = runbooks! {
    "exporter_down" => "Exporter down",
    "honor_labels_missing" => "Instances under the wrong name",
    "instance_name_taken" => "Two instances of one name",
    "instance_gone" => "Instance gone",
    "exporter_config_reload_failed" => "Exporter could not load its configuration",
    "bridge_down" => "Bridge down",
    "bridge_not_ready" => "Bridge not ready",
    "bridge_late" => "Alerts come late",
    "bridge_chat_unreachable" => "Chat can not be written to",
    "bridge_unrouted" => "Alerts without a route",
    "bridge_truncated" => "Alerts were cut off",
    "bridge_buttons_off" => "Buttons do not work",
    "bridge_config_reload_failed" => "Bridge could not load its configuration",
    "alertmanager_down" => "Alertmanager not reached",
    "notifications_failing" => "Notifications fail",
    "web_config_reload_failed" => "Web configuration not loaded",
    "web_certificate_expiring" => "Certificate expires",
    "rules_failing" => "Prometheus or Alertmanager does not do as configured",
    "watchdog" => "Watchdog",
};
