//! What holds for any configuration of Prometheus, also for one that nobody has meant.

use proptest::prelude::*;

use super::*;
use crate::config_file::mutation::{assert_tells_where, cases, mutated, samples};

/// More of what matters here than the file that is shipped has.
const MORE: &str = "global: {scrape_interval: 15s, scrape_timeout: 10s}
scrape_config_files: [jobs/*.yml]
scrape_configs:
  - job_name: hermes
    honor_labels: true
    scrape_interval: 1m
    metrics_path: /federate
    params: {'match[]': ['{job=\"hermes\"}'], instance: [bheem], 'collect[]': [cron]}
    basic_auth: {username: uma, password: hunter2hunter2}
    http_sd_configs: [{url: 'http://uma:hunter2hunter2@vm:10119/sd'}]
    file_sd_configs: [{files: [targets.yml]}]
    static_configs:
      - targets: [vm:10119]
        labels: {instance: bheem, __param_instance: bheem, box: vm}
    relabel_configs:
      - {source_labels: [__address__], regex: '(.*):(\\d+)', target_label: instance, replacement: '$1', action: replace}
    metric_relabel_configs:
      - {action: labeldrop, regex: 'inst.*|box'}
      - {action: keep, source_labels: [__name__], regex: 'hermes_(up|gateway.*)[^x]?'}
";

/// Files of targets.
const TARGETS: &str = "- targets: ['vm:10119', \"other:10119\"]\n  labels: {instance: vijay, box: vm}\n- targets: []\n";

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_configuration_is_judged_or_refused_in_plain_words(
        text in mutated([samples(&["alerts"]), vec![MORE.to_owned(); 4]].concat()),
        targets in mutated(vec![TARGETS.to_owned()]),
        job in prop::option::of("hermes|prometheus|\\PC{0,5}"),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (path, targets_path) = (folder.path().join("prometheus.yml"), folder.path().join("targets.yml"));
        std::fs::write(&path, &text).unwrap();
        std::fs::write(&targets_path, &targets).unwrap();
        match check(&path, job.as_slice()) {
            Ok(verdict) => for remark in verdict.remarks {
                let said = remark.to_string();
                prop_assert!(said.len() < 6_000 && !said.contains("hunter2hunter2"), "{said}");
                prop_assert!(said.chars().all(|letter| letter == '\n' || !letter.is_control()), "{said:?}");
            },
            Err(PrometheusError::NoSuchJob { .. }) => prop_assert!(job.is_some()),
            Err(PrometheusError::Config(error @ ConfigError::Read { .. })) => {
                prop_assert!(error.to_string().contains(&*folder.path().to_string_lossy()));
            }
            Err(PrometheusError::Config(error)) => {
                let in_targets = error.to_string().starts_with(&*targets_path.to_string_lossy());
                let (path, text) = if in_targets { (&targets_path, &targets) } else { (&path, &text) };
                assert_tells_where(&error, path, text);
            }
        }
    }
}
