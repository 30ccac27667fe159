//! What Alertmanager would post to the bridge about a crash, for where there is no Alertmanager.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::rules::Alert;
use crate::exporter::findings::Code;

/// How Alertmanager writes that an alert has no end yet.
const NO_END: &str = "0001-01-01T00:00:00Z";

/// A notification in version 4 of the webhook's format, with one alert.
pub(super) fn notification(
    alert: &Alert,
    finding: Code,
    instance: &str,
    began: Timestamp,
    ended: Option<Timestamp>,
    exporter: SocketAddr,
) -> Value {
    let status = if ended.is_some() { "resolved" } else { "firing" };
    let group = json!({"alertname": alert.name, "instance": instance});
    let labels = json!({
        "alertname": alert.name, "instance": instance, "job": "hermes",
        "severity": alert.severity, "finding": finding.as_str(),
    });
    json!({
        "version": "4",
        "groupKey": format!("{{}}:{{alertname={:?}, instance={instance:?}}}", alert.name),
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "bridge",
        "groupLabels": group,
        "commonLabels": labels,
        "commonAnnotations": alert.annotations,
        // Neither Alertmanager nor Prometheus is there to be linked to.
        "externalURL": "",
        "alerts": [{
            "status": status,
            "labels": labels,
            "annotations": alert.annotations,
            "startsAt": began.to_string(),
            "endsAt": ended.map_or_else(|| NO_END.to_owned(), |ended| ended.to_string()),
            "generatorURL": format!("http://{exporter}/api/v1/findings?instance={instance}"),
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_alertmanager_posts() {
        let recorded: Value =
            serde_json::from_str(include_str!("../../../tests/fixtures/alertmanager/resolved_single.json")).unwrap();
        let exporter = SocketAddr::from(([127, 0, 0, 1], 7));
        let alert = Alert::about(Code::GatewayCrashed, "bheem", exporter).unwrap();
        let began = Timestamp::from_second(1_795_165_255).unwrap();
        let of = |ended| notification(&alert, Code::GatewayCrashed, "bheem", began, ended, exporter);
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let resolved = of(Timestamp::from_second(1_795_165_265).ok());
        assert_eq!(keys(&resolved), keys(&recorded));
        assert_eq!(resolved["alerts"][0]["endsAt"], "2026-11-20T09:01:05Z");
        let firing = of(None);
        assert_eq!((&firing["status"], &firing["alerts"][0]["endsAt"]), (&json!("firing"), &json!(NO_END)));
        let of_alert = &firing["alerts"][0];
        assert_eq!(of_alert["labels"]["instance"], "bheem");
        assert_eq!(of_alert["labels"]["finding"], "gateway_crashed");
        // The bridge computes a fingerprint where there is none.
        let mut of_recorded = keys(&recorded["alerts"][0]);
        of_recorded.retain(|key| key != "fingerprint");
        assert_eq!(keys(of_alert), of_recorded);
        assert_eq!(firing["groupKey"], r#"{}:{alertname="HermesGatewayCrashed", instance="bheem"}"#);
    }
}
