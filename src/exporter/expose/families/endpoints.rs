//! Whether endpoints answer.

use super::put;
use crate::exporter::expose::family::{Family, Number, gauge, info};
use crate::exporter::snapshot::endpoints::{Access, Endpoint, Probe, Verdict};
use crate::exporter::snapshot::{Reading, Snapshot};

pub(super) static FAMILIES: &[Family] = &[
    info("hermes_endpoint_info", &["endpoint", "kind"], "A configured endpoint, and what is expected to answer there")
        .instance(|snapshot, sink| {
            of_endpoints(snapshot, |name, endpoint| sink.sample(&[name, endpoint.kind.as_str()], Number::Whole(1)));
        }),
    gauge("hermes_endpoint_up", &["endpoint"], "1 when the endpoint answers, and is what it should be").instance(
        |snapshot, sink| of_probes(snapshot, |name, probe| sink.sample(&[name], (probe.verdict == Verdict::Up).into())),
    ),
    info(
        "hermes_endpoint_failure_info",
        &["endpoint", "reason"],
        "How an endpoint that is down fails to answer as it should",
    )
    .instance(|snapshot, sink| {
        of_probes(snapshot, |name, probe| {
            if let Verdict::Down(failure) = probe.verdict {
                sink.sample(&[name, failure.as_str()], Number::Whole(1));
            }
        });
    }),
    gauge(
        "hermes_endpoint_duration_seconds",
        &["endpoint"],
        "How long it took to find out whether the endpoint answers",
    )
    .instance(|snapshot, sink| of_probes(snapshot, |name, probe| sink.sample(&[name], probe.duration_seconds.into()))),
    gauge(
        "hermes_endpoint_status_code",
        &["endpoint"],
        "The HTTP status that the endpoint answered with; a dashboard refuses the probe with 401 when all is well",
    )
    .instance(|snapshot, sink| {
        of_probes(snapshot, |name, probe| put(sink, &[name], &probe.status_code.map(u64::from)));
    }),
    gauge(
        "hermes_endpoint_certificate_expiry_timestamp_seconds",
        &["endpoint"],
        "Until when the endpoint's certificate is valid, also of one that is not trusted",
    )
    .instance(|snapshot, sink| of_probes(snapshot, |name, probe| put(sink, &[name], &probe.certificate_expiry))),
    gauge(
        "hermes_endpoint_login_required",
        &["endpoint"],
        "1 when people log in to the dashboard, 0 when whoever can reach it may use it",
    )
    .instance(|snapshot, sink| {
        of_probes(snapshot, |name, probe| {
            put(sink, &[name], &probe.access.map(|access| access == Access::Login));
        });
    }),
];

fn of_endpoints(snapshot: &Snapshot, mut put: impl FnMut(&str, &Endpoint)) {
    for (name, endpoint) in snapshot.endpoints.known().into_iter().flat_map(|endpoints| &endpoints.0) {
        put(name.as_str(), endpoint);
    }
}

fn of_probes(snapshot: &Snapshot, mut put: impl FnMut(&str, &Probe)) {
    of_endpoints(snapshot, |name, endpoint| {
        if let Reading::Known(probe) = &endpoint.probe {
            put(name, probe);
        }
    });
}
