//! Who can reach an instance, and which guardrails hold.

use super::put;
use crate::exporter::expose::family::{Family, Number, gauge};
use crate::exporter::snapshot::Reading;

pub(super) static FAMILIES: &[Family] = &[
    gauge(
        "hermes_listener",
        &["port", "scope", "program"],
        "1 for a TCP port that a process of the installation listens on; scope: loopback, private, tailscale or public, the last also for every address",
    )
    .instance(|snapshot, sink| {
        let exposure = snapshot.exposure.known();
        for listener in exposure.and_then(|exposure| exposure.listeners.known()).into_iter().flatten() {
            sink.sample(&[&listener.port.to_string(), listener.scope.as_str(), listener.program.as_str()], Number::Whole(1));
        }
    }),
    gauge(
        "hermes_guardrail_ok",
        &["guardrail"],
        "1 when the guardrail is in place: private_listeners, approvals_enforced, secrets_redacted, pii_redacted, home_private, secrets_private or backup_clean_of_secrets",
    )
    .instance(|snapshot, sink| {
        if let Reading::Known(exposure) = &snapshot.exposure {
            put(sink, &["private_listeners"], &exposure.private_listeners);
        }
        for (name, reading) in snapshot.guardrails.known().into_iter().flat_map(|guardrails| guardrails.named()) {
            put(sink, &[name], reading);
        }
        if let Reading::Known(backups) = &snapshot.backups {
            put(sink, &["backup_clean_of_secrets"], &backups.are_clean_of_secrets());
        }
    }),
];
