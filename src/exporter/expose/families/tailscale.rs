//! The Tailscale of the machine.

use super::{put, put_state};
use crate::exporter::expose::family::{Family, Number, gauge, info};
use crate::exporter::snapshot::tailscale::{Tailscale, TailscaleState};
use crate::exporter::snapshot::{Fleet, Reading};

pub(super) static FAMILIES: &[Family] = &[
    gauge(
        "hermes_tailscale_up",
        &[],
        "1 when this machine is in its tailnet: Tailscale runs, and does not say that it has lost touch",
    )
    .host(|fleet, sink| of_tailscale(fleet, |tailscale| sink.sample(&[], tailscale.is_up().into()))),
    gauge("hermes_tailscale_state", &["state"], "1 for what Tailscale on this machine is at").host(|fleet, sink| {
        of_tailscale(fleet, |tailscale| {
            put_state(
                sink,
                &[],
                TailscaleState::ALL.into_iter().map(|state| (state.as_str(), state == tailscale.state)),
            );
        });
    }),
    gauge(
        "hermes_tailscale_key_expiry_timestamp_seconds",
        &[],
        "When this machine has to log in to its tailnet again; none where its key does not expire",
    )
    .host(|fleet, sink| of_tailscale(fleet, |tailscale| put(sink, &[], &tailscale.key_expiry))),
    gauge("hermes_tailscale_health_warnings", &[], "Warnings of Tailscale on this machine about itself")
        .host(|fleet, sink| of_tailscale(fleet, |tailscale| put(sink, &[], &tailscale.health_warnings))),
    info("hermes_tailscale_info", &["version"], "Tailscale's version on this machine").host(|fleet, sink| {
        of_tailscale(fleet, |tailscale| {
            if let Reading::Known(version) = &tailscale.version {
                sink.sample(&[version.as_str()], Number::Whole(1));
            }
        });
    }),
];

fn of_tailscale(fleet: &Fleet, put: impl FnOnce(&Tailscale)) {
    if let Reading::Known(tailscale) = &fleet.tailscale {
        put(tailscale);
    }
}
