//! What is wrong with the addresses that an instance answers at.

use super::wording::duration;
use super::{Code, Finding, Severity, gateway};
use crate::exporter::snapshot::endpoints::{EndpointKind, Failure, Probe, Verdict};
use crate::exporter::snapshot::{Label, Reading, Snapshot, Threshold};
use crate::system::time::Timestamp;

pub(super) fn findings(snapshot: &Snapshot, now: Timestamp) -> Vec<Finding> {
    let Reading::Known(endpoints) = &snapshot.endpoints else {
        return Vec::new();
    };
    let is_gateway_down = gateway::is_up(snapshot) == Some(false);
    let expiry_limit = snapshot.thresholds.get(Threshold::CertificateExpiry);
    let mut found = Vec::new();
    for (name, endpoint) in &endpoints.0 {
        let Reading::Known(probe) = &endpoint.probe else {
            continue;
        };
        // These are served by the gateway, and go down with it.
        let is_of_gateway = matches!(endpoint.kind, EndpointKind::HermesApiServer | EndpointKind::HermesWebhook);
        if let Verdict::Down(failure) = probe.verdict
            && !(is_of_gateway && is_gateway_down)
        {
            let sentence = format!("The endpoint \"{name}\" is down: {}", how(failure, probe));
            found.push(Finding::new(Code::EndpointDown, Severity::Warning, sentence).about(name));
        }
        if let (Some(limit), Reading::Known(expiry)) = (expiry_limit, probe.certificate_expiry) {
            found.extend(certificate(name, expiry, limit, now));
        }
    }
    found
}

fn certificate(name: &Label, expiry: Timestamp, limit: f64, now: Timestamp) -> Option<Finding> {
    let left = expiry.seconds_since(now);
    let finding = if left <= 0.0 {
        let sentence = format!("The certificate of the endpoint \"{name}\" expired {} ago", duration(-left));
        Finding::new(Code::CertificateExpiring, Severity::Critical, sentence).since(Some(expiry))
    } else if left < limit {
        let sentence = format!("The certificate of the endpoint \"{name}\" expires in {}", duration(left));
        Finding::new(Code::CertificateExpiring, Severity::Warning, sentence)
    } else {
        return None;
    };
    Some(finding.about(name))
}

fn how(failure: Failure, probe: &Probe) -> String {
    let how = match failure {
        Failure::Refused => "nobody listens there",
        Failure::Unreachable => "its machine can not be reached",
        Failure::Dns => "its name can not be looked up",
        Failure::Timeout => "no whole answer came in time",
        Failure::Reset => "the connection was closed before the answer was whole",
        Failure::Tls => "TLS failed; its certificate may have expired, or not be trusted",
        Failure::Protocol => "what answers does not speak HTTP",
        Failure::TooLarge => "the answer is longer than is read",
        Failure::Status => match probe.status_code {
            Reading::Known(status) => return format!("it answers with the status {status}"),
            Reading::Absent | Reading::Unknown(_) => "it answers with the wrong status",
        },
        Failure::Content => "something else answers there",
    };
    how.to_owned()
}
