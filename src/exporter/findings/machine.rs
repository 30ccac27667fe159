//! What is wrong with the machine that the exporter runs on.

use super::wording::duration;
use super::{Code, Finding, Severity};
use crate::exporter::snapshot::tailscale::{Tailscale, TailscaleState};
use crate::exporter::snapshot::{Fleet, Reading, Threshold};

pub(super) fn findings(fleet: &Fleet) -> Vec<Finding> {
    let Reading::Known(tailscale) = &fleet.tailscale else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if !tailscale.is_up() {
        let sentence = format!("The machine is not in its tailnet: {}", why(tailscale));
        found.push(Finding::new(Code::TailscaleDown, Severity::Warning, sentence));
    }
    if let (Some(limit), Reading::Known(expiry)) = (fleet.thresholds.get(Threshold::TokenExpiry), tailscale.key_expiry)
    {
        let left = expiry.seconds_since(fleet.taken_at);
        if left <= 0.0 {
            let sentence = format!("The machine's key to its tailnet expired {} ago", duration(-left));
            let finding = Finding::new(Code::TailscaleKeyExpiring, Severity::Warning, sentence);
            found.push(finding.since(Some(expiry)));
        } else if left < limit {
            let sentence = format!("The machine's key to its tailnet expires in {}", duration(left));
            found.push(Finding::new(Code::TailscaleKeyExpiring, Severity::Warning, sentence));
        }
    }
    found
}

fn why(tailscale: &Tailscale) -> &'static str {
    match tailscale.state {
        TailscaleState::Running => "it is out of touch with the server that coordinates it",
        TailscaleState::Starting | TailscaleState::NoState => "Tailscale is only starting",
        TailscaleState::Stopped => "Tailscale was told to be off",
        TailscaleState::NeedsLogin => "somebody has to log in",
        TailscaleState::NeedsMachineAuth => "an administrator of the tailnet has to let it in",
        TailscaleState::NotThere => "Tailscale's daemon is not there",
        TailscaleState::Other => "Tailscale says something that is not known here",
    }
}
