//! What is wrong with who can reach an instance, and with what keeps it from doing or telling what it should not.

use std::collections::{BTreeMap, BTreeSet};

use super::{Code, Finding, Severity};
use crate::exporter::snapshot::exposure::Scope;
use crate::exporter::snapshot::{Label, Reading, Snapshot};
use crate::system::time::Timestamp;

pub(super) fn findings(snapshot: &Snapshot, _: Timestamp) -> Vec<Finding> {
    let mut found = public_listeners(snapshot);
    let Reading::Known(guardrails) = &snapshot.guardrails else {
        return found;
    };
    let guards = [
        (
            &guardrails.approvals_enforced,
            Code::ApprovalsBypassed,
            Severity::Warning,
            "Dangerous commands are run without anybody's approval",
        ),
        (
            &guardrails.secrets_redacted,
            Code::SecretsUnredacted,
            Severity::Warning,
            "Secrets are not masked in logs, in the output of tools and for the model",
        ),
        (
            &guardrails.home_private,
            Code::HomeExposed,
            Severity::Warning,
            "Other accounts of the machine can get into the home, or write to it",
        ),
        (
            &guardrails.secrets_private,
            Code::SecretsExposed,
            Severity::Critical,
            "Other accounts of the machine can read or write files that hold secrets",
        ),
    ];
    let broken = guards.into_iter().filter(|(is_in_place, ..)| **is_in_place == Reading::Known(false));
    found.extend(broken.map(|(_, code, severity, sentence)| Finding::new(code, severity, sentence)));
    found
}

fn public_listeners(snapshot: &Snapshot) -> Vec<Finding> {
    let Reading::Known(exposure) = &snapshot.exposure else {
        return Vec::new();
    };
    let mut by_port: BTreeMap<u16, BTreeSet<&Label>> = BTreeMap::new();
    let listeners = exposure.listeners.known().into_iter().flatten();
    for listener in listeners.filter(|listener| listener.scope == Scope::Public) {
        by_port.entry(listener.port).or_default().insert(&listener.program);
    }
    // One that is known is enough, also where others could not be looked at.
    if by_port.is_empty() && exposure.private_listeners == Reading::Known(false) {
        let sentence = "A process of the installation listens where everybody may reach it";
        return vec![Finding::new(Code::PublicListener, Severity::Critical, sentence)];
    }
    let of_port = |(port, programs): (u16, BTreeSet<&Label>)| {
        let programs: Vec<_> = programs.into_iter().map(|program| format!("\"{program}\"")).collect();
        let verb = if programs.len() == 1 { "listens" } else { "listen" };
        let sentence = format!("{} {verb} on port {port}, where everybody may reach it", programs.join(" and "));
        Finding::new(Code::PublicListener, Severity::Critical, sentence).about(&Label::new(&port.to_string()))
    };
    by_port.into_iter().map(of_port).collect()
}
