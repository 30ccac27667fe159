//! The exporter itself.

use super::put;
use crate::exporter::expose::family::{ExporterFacts, Family, Number, counter, gauge, info};
use crate::system::processes::Usage;
use crate::web::guard::GuardFacts;

pub(super) static FAMILIES: &[Family] = &[
    info("hermes_exporter_build_info", &["version"], "The exporter's version")
        .exporter(|_, sink| sink.sample(&[env!("CARGO_PKG_VERSION")], Number::Whole(1))),
    gauge(
        "hermes_exporter_config_last_reload_successful",
        &[],
        "1 when the last attempt to load the exporter's configuration succeeded",
    )
    .exporter(|facts, sink| facts.service.iter().for_each(|service| sink.sample(&[], service.is_config_loaded.into()))),
    gauge(
        "hermes_exporter_config_last_reload_success_timestamp_seconds",
        &[],
        "When the exporter's configuration in force was loaded",
    )
    .exporter(|facts, sink| facts.service.iter().for_each(|service| sink.sample(&[], service.config_loaded_at.into()))),
    gauge(
        "hermes_exporter_web_config_last_reload_successful",
        &[],
        "1 when what is in force is what --web.config.file and the files that it names say; only where there is such a file",
    )
    .exporter(|facts, sink| of_web(facts).iter().for_each(|web| sink.sample(&[], web.is_loaded.into()))),
    gauge(
        "hermes_exporter_web_certificate_expiry_timestamp_seconds",
        &[],
        "Until when the certificate is valid that the exporter shows to clients; only with TLS",
    )
    .exporter(|facts, sink| {
        let expiry = of_web(facts).and_then(|web| web.certificate_expiry);
        expiry.iter().for_each(|expiry| sink.sample(&[], (*expiry).into()));
    }),
    counter("process_cpu_seconds_total", &[], "Processor time of the exporter, user and system")
        .exporter(|facts, sink| of_process(facts, |process| sink.sample(&[], process.cpu_seconds.into()))),
    gauge("process_resident_memory_bytes", &[], "Resident memory of the exporter")
        .exporter(|facts, sink| of_process(facts, |process| sink.sample(&[], process.memory_bytes.into()))),
    gauge("process_open_fds", &[], "Open file descriptors of the exporter")
        .exporter(|facts, sink| of_process(facts, |process| put(sink, &[], &process.open_fds.into()))),
    gauge("process_threads", &[], "Threads of the exporter")
        .exporter(|facts, sink| of_process(facts, |process| sink.sample(&[], process.threads.into()))),
    gauge("process_start_time_seconds", &[], "When the exporter was started")
        .exporter(|facts, sink| of_process(facts, |process| put(sink, &[], &process.start_time.into()))),
];

fn of_web(facts: &ExporterFacts) -> Option<GuardFacts> {
    facts.service.and_then(|service| service.web)
}

fn of_process(facts: &ExporterFacts, put: impl FnOnce(&Usage)) {
    if let Some(process) = facts.service.as_ref().and_then(|service| service.process.as_ref()) {
        put(process);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::exporter::expose::family::{ExporterFacts, ServiceFacts};
    use crate::exporter::expose::metrics::Exposition;
    use crate::exporter::snapshot::Fleet;
    use crate::system::time::Timestamp;
    use crate::web::guard::GuardFacts;
    use crate::web::metrics_text::Format;

    #[test]
    fn how_the_web_configuration_stands_is_told_where_there_is_one() {
        let told = |web: Option<GuardFacts>| {
            let at = Timestamp::from_seconds(1.0).unwrap();
            let service = ServiceFacts { is_config_loaded: true, config_loaded_at: at, web, process: None };
            let exposition = Exposition::new(Arc::new(Fleet::at(at)), Some(ExporterFacts { service: Some(service) }));
            let text = exposition.encode(Format::of_accept(None)).unwrap();
            text.lines().filter(|line| line.starts_with("hermes_exporter_web_")).map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(told(None).is_empty());
        let certificate_expiry = Timestamp::from_seconds(7_258_118_400.0);
        assert_eq!(
            told(Some(GuardFacts { is_loaded: false, certificate_expiry })),
            [
                "hermes_exporter_web_config_last_reload_successful 0",
                "hermes_exporter_web_certificate_expiry_timestamp_seconds 7258118400.0"
            ]
        );
        let without_tls = GuardFacts { is_loaded: true, certificate_expiry: None };
        assert_eq!(told(Some(without_tls)), ["hermes_exporter_web_config_last_reload_successful 1"]);
    }
}
