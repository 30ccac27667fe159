//! What `check-config --prometheus` says of configurations of Prometheus: of wrong ones what is wrong, in which line, and
//! never a secret; of those that are shipped, and of those in the documents, nothing.

use std::fs;
use std::path::Path;

use hermes_exporter::error_chain::display_chain;
use hermes_exporter::exporter::prometheus::{self, Weight};

/// Puts files into a folder and says of the first one what is said of it, with the names of its files alone.
fn said_of(files: &[(&str, &str)], named: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let named: Vec<_> = named.iter().map(|name| (*name).to_owned()).collect();
    let said = match prometheus::check(&folder.path().join(files[0].0), &named) {
        Ok(verdict) => verdict.remarks.iter().map(ToString::to_string).collect(),
        Err(error) => vec![display_chain(&error).to_string()],
    };
    let folder = format!("{}/", folder.path().display());
    said.into_iter().map(|line: String| line.replace(&folder, "")).collect()
}

/// What is said of a configuration with these jobs.
fn said(jobs: &str) -> Vec<String> {
    said_of(&[("p.yml", &format!("scrape_configs:\n{jobs}"))], &[])
}

#[track_caller]
fn assert_said(said: &[String], expected: &[&str]) {
    let fits = |(line, expected): (&String, &&str)| line.contains(expected);
    assert!(said.len() == expected.len() && said.iter().zip(expected).all(fits), "{said:#?} is not {expected:#?}");
}

const WELL: &str = "- job_name: hermes\n  honor_labels: true\n";
const BOTH: &str = "- targets: [\"one:10119\"]\n";

#[test]
fn a_job_that_takes_the_names_as_they_are_is_right() {
    for job in [
        "static_configs: [{targets: [\"one:10119\"]}]",
        "static_configs: [{targets: [\"one:10119\"], labels: {box: one}}, {targets: [\"two:10119\"], labels: {box: 2}}]",
        "http_sd_configs: [{url: \"http://one:10119/sd\"}]",
        "static_configs: [{targets: [\"one:10119\", \"two:10119\"]}]\n  relabel_configs:\n  \
         - {source_labels: [__address__], target_label: box}",
        "metric_relabel_configs: [{action: labeldrop, regex: \"exported_.*|pod\"}, {action: labelkeep, regex: \"[a-z]+\"}, \
         {source_labels: [instance], regex: \"(.+):.*\", target_label: instance}, \
         {source_labels: [__name__], action: drop, regex: \"go_.*\"}, {source_labels: [__name__], action: keep, regex: \"hermes_.*|up\"}]",
        "scrape_interval: 2m\n  scrape_timeout: 1m30s",
    ] {
        assert_said(&said(&format!("{WELL}  {job}\n")), &[]);
    }
}

#[test]
fn honor_labels_missing_is_a_fault_unless_something_else_keeps_the_names() {
    let missing = "p.yml:2: fault: job \"hermes\": honor_labels is missing: instances arrive as exported_instance";
    let head = "- job_name: hermes\n";
    assert_said(&said(&format!("{head}  static_configs: [{{targets: [\"one:10119\"]}}]\n")), &[missing]);
    // A name for all instances of the target is no name of theirs; nor are other lists of targets than the exporter's.
    let one_name = "  static_configs: [{targets: [\"one:10119\"], labels: {instance: vijay}}]\n";
    assert_said(&said(&format!("{head}{one_name}")), &[missing]);
    assert_said(&said(&format!("{head}  http_sd_configs: [{{url: \"http://one:10119/others\"}}]\n")), &[missing]);
    assert_said(
        &said(&format!("{head}  static_configs: [{{targets: [\"one:10119\"]}}]\n  honor_labels: false\n")),
        &["p.yml:4: fault: job \"hermes\": honor_labels is false: "],
    );
    let note = "p.yml:2: note: job \"hermes\": honor_labels is missing: each target has the name of its instance";
    assert_said(&said(&format!("{head}  http_sd_configs: [{{url: \"http://one:10119/sd\"}}]\n")), &[note]);
    let back =
        "  metric_relabel_configs: [{source_labels: [exported_instance], regex: (.+), target_label: instance}]\n";
    assert_said(&said(&format!("{head}{back}")), &[]);
    assert_said(&said(&format!("{head}  metric_relabel_configs: [{{action: labelmap, regex: exported_(.*)}}]\n")), &[]);
}

#[test]
fn what_the_program_itself_writes_keeps_the_names() {
    let targets = serde_json::to_string(&hermes_exporter::exporter::expose::targets::groups(
        ["vijay", "bheem"].into_iter(),
        "one:10119",
        "/metrics",
        &[],
    ));
    let job = "scrape_configs:\n- job_name: hermes\n  file_sd_configs: [{files: [\"targets/*.json\"]}]\n";
    let files = [("p.yml", job), ("targets/one.json", &targets.unwrap())];
    assert_said(
        &said_of(&files, &[]),
        &["p.yml:2: note: job \"hermes\": honor_labels is missing: each target has the name"],
    );
    assert_said(
        &said_of(&files[..1], &[]),
        &[
            "honor_labels is missing: instances arrive",
            "p.yml:3: note: job \"hermes\": no file is called as \"targets/*.json\" yet",
        ],
    );
}

#[test]
fn series_whose_names_are_taken_away_are_a_fault() {
    for rule in [
        "{action: labeldrop, regex: inst.+}",
        "{action: LabelDrop, regex: (pod|instance)}",
        "{action: labelkeep, regex: job|__name__}",
        "{target_label: instance, replacement: box}",
        "{source_labels: [job], target_label: instance}",
        "{source_labels: [instance], target_label: instance, replacement: \"\"}",
        "{source_labels: [__name__], regex: hermes_.+, action: drop}",
        "{source_labels: [__name__], regex: up, action: keep}",
    ] {
        let said = said(&format!("{WELL}  metric_relabel_configs:\n  - {rule}\n"));
        assert_said(&said, &["p.yml:5: fault: job \"hermes\": metric_relabel_configs "]);
    }
}

#[test]
fn times_that_do_not_fit_are_told_by_what_follows() {
    for (times, expected) in [
        (
            "scrape_interval: 3m",
            "p.yml:4: note: job \"hermes\": with a scrape_interval of 3m rules and dashboards may see too few",
        ),
        (
            "scrape_interval: 5m",
            "p.yml:4: fault: job \"hermes\": with a scrape_interval of 5m there is nothing to be seen between",
        ),
        (
            "scrape_timeout: 61s",
            "p.yml:4: fault: job \"hermes\": a scrape_timeout of 1m 1s is longer than the scrape_interval of 1m",
        ),
        ("scrape_timeout: 5s", "p.yml:4: note: job \"hermes\": with a scrape_timeout of 5s what takes longer"),
        ("scrape_interval: 5s", "p.yml:2: note: job \"hermes\": with a scrape_timeout of 5s what takes longer"),
        ("scrape_interval: soon", "p.yml:4:20: \"soon\" is not a duration"),
    ] {
        assert_said(&said(&format!("{WELL}  {times}\n")), &[expected]);
    }
    let global = "global: {scrape_interval: 10m, scrape_timeout: 20s}\nscrape_configs:\n";
    let well = format!("{global}{WELL}");
    assert_said(&said_of(&[("p.yml", &well)], &[]), &["p.yml:3: fault: job \"hermes\": with a scrape_interval of 10m"]);
    assert_said(&said_of(&[("p.yml", &format!("{well}  scrape_interval: 15s\n"))], &[]), &[]);
}

#[test]
fn what_is_scraped_twice_is_a_fault_and_parts_of_it_are_not() {
    let other = "- job_name: hermes\n  honor_labels: true\n  static_configs:\n  - targets: [\"one:10119\"]\n- job_name: b\n  honor_labels: true\n";
    let twice = "fault: job \"b\": \"one:10119\" is scraped twice, also by the job \"hermes\" (p.yml:5)";
    let name = "p.yml:6: note: job \"b\": the rules of alerts/rules/watching.yml look at a job called \"hermes\"";
    assert_said(&said(&format!("{other}  static_configs:\n  {BOTH}")), &[name, twice]);
    assert_said(&said(&format!("{other}  http_sd_configs:\n  - url: http://one:10119/sd\n")), &[name, twice]);
    let instance = "labels: {__param_instance: vijay, instance: vijay}";
    assert_said(
        &said(&format!("{other}  static_configs: [{{targets: [\"one:10119\"], {instance}}}]\n")),
        &[name, twice],
    );
    for part in [
        "params: {\"collect[]\": [cron]}\n  static_configs:\n  - targets: [\"one:10119\"]\n",
        "static_configs: [{targets: [\"one:10119\"], labels: {__param_collect: host}}]\n",
        "metrics_path: /probe\n  static_configs: [{targets: [\"one:10119\"]}]\n",
    ] {
        let said = said(&format!("{other}  {part}"));
        assert!(said.iter().all(|line| !line.contains("twice")), "{said:#?}");
    }
    let two = format!(
        "{WELL}  static_configs: [{{targets: [\"one:10119\"], {instance}}}, {{targets: [\"one:10119\"], {instance}}}]\n"
    );
    assert_said(&said(&two), &["is scraped twice, also by the job \"hermes\" (p.yml:4)"]);
}

#[test]
fn exporters_that_nothing_tells_apart_are_told() {
    let two = format!("{WELL}  static_configs: [{{targets: [\"one:10119\", \"two:10119\"], labels: {{rack: 1}}}}]\n");
    assert_said(&said(&two), &["p.yml:2: note: job \"hermes\": 2 exporters, and not each has a label `box`"]);
}

#[test]
fn the_jobs_of_the_exporter_are_found_by_port_list_or_name_and_may_be_named() {
    let none = "p.yml:1: fault: no job scrapes the exporter, as far as can be seen";
    for jobs in [
        "",
        "- job_name: node\n  static_configs: [{targets: [\"one:9100\"]}]\n",
        "- job_name: hermes-alert-bridge\n  static_configs: [{targets: [\"one:10120\"]}]\n",
    ] {
        assert_said(&said(jobs), &[none]);
    }
    let textfile = "scrape_configs:\n- job_name: node\n  static_configs: [{targets: [\"one:9100\"]}]\n";
    let named = said_of(&[("p.yml", textfile)], &["node"]);
    assert_said(
        &named,
        &["p.yml:2: fault: job \"node\": honor_labels is missing", "p.yml:2: note: job \"node\": the rules"],
    );
    assert_said(
        &said_of(&[("p.yml", textfile)], &["nod"]),
        &["p.yml: there is no scrape job called \"nod\"; did you mean \"node\"?"],
    );
    // By its name alone only where nothing else is found: this is a machine's.
    let machine = "- job_name: hermes-machines\n  static_configs: [{targets: [\"one:9100\"]}]\n";
    assert_said(&said(&format!("{WELL}{machine}")), &[]);
    let elsewhere = "- job_name: hermes-agents\n  static_configs: [{targets: [\"one:8080\"]}]\n";
    assert_said(&said(elsewhere), &["honor_labels is missing", "look at a job called \"hermes\""]);
}

#[test]
fn who_federates_keeps_the_names_too() {
    let job = "- job_name: federate\n  metrics_path: /federate\n  params:\n    match[]: ['{__name__=~\"job:hermes_.+\"}']\n  \
               static_configs: [{targets: [\"below:9090\"]}]\n";
    assert_said(
        &said(job),
        &["p.yml:2: fault: job \"federate\": honor_labels is missing: the instances of another Prometheus"],
    );
    assert_said(&said(&format!("{job}  honor_labels: true\n  scrape_interval: 10m\n")), &[]);
}

#[test]
fn jobs_in_other_files_are_read_and_told_with_their_lines() {
    let files = [
        ("p.yml", "scrape_config_files: [\"jobs/*.yml\"]\n"),
        ("jobs/one.yml", "scrape_configs:\n- job_name: hermes\n  file_sd_configs: [{files: [one.json]}]\n"),
        ("jobs/one.json", "[{\"targets\": [\"one:10119\",\n\"one:10119\"]}]"),
    ];
    assert_said(
        &said_of(&files, &[]),
        &[
            "jobs/one.yml:2: fault: job \"hermes\": honor_labels is missing",
            "jobs/one.json:2: fault: job \"hermes\": \"one:10119\" is scraped twice",
        ],
    );
    let broken = [files[0], files[1], ("jobs/one.json", "{\"targets\": []}")];
    assert_said(&said_of(&broken, &[]), &["jobs/one.json:1:1: a list is expected here"]);
}

#[test]
fn anchors_are_followed_and_keys_of_others_passed_over() {
    let text = "x-common: &common {honor_labels: true, scrape_interval: 3m}\nremote_write: [{url: a, anything: {at: [all]}}]\n\
                scrape_configs:\n- <<: *common\n  job_name: hermes\n  scrape_interval: 30s\n  static_configs: &both\n  \
                - targets: [\"one:10119\"]\n- job_name: 7\n  <<: *common\n  static_configs: *both\n";
    assert_said(
        &said_of(&[("p.yml", text)], &[]),
        &[
            "p.yml:10: note: job \"7\": with a scrape_interval of 3m",
            "p.yml:9: note: job \"7\": the rules",
            "is scraped twice",
        ],
    );
}

#[test]
fn what_is_no_configuration_is_said_and_no_secret_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| display_chain(&prometheus::check(&folder.path().join(name), &[]).unwrap_err()).to_string();
    assert!(at("").ends_with("is not a regular file"), "{}", at(""));
    assert!(at("missing.yml").contains("could not be read: No such file"), "{}", at("missing.yml"));
    for (text, expected) in [
        ("# nothing\n", "p.yml:1:1: the file is empty; it needs at least `scrape_configs`"),
        ("- hunter2\n", "p.yml:1:1: keys and values are expected here, as in {key: value}"),
        (
            "scrape_configs: [{job_name: hermes, honor_labels: hunter2}]\n",
            "p.yml:1:51: `true` or `false` is expected here",
        ),
        ("scrape_configs: [{job_name: hermes, static_configs: hunter2}]\n", "a list is expected here"),
        ("scrape_configs: [{honor_labels: true}]\n", "the key `job_name` is missing"),
        ("scrape_configs: [", "p.yml:1:17: "),
        ("a: 1\n---\nb: 2\n", "one document is expected"),
    ] {
        let said = said_of(&[("p.yml", text)], &[]);
        assert_said(&said, &[expected]);
        assert!(!said[0].contains("hunter2"), "{said:?}");
    }
    let secrets = "- job_name: hermes\n  basic_auth: {username: uma, password: hunter2}\n  params: {token: [hunter2]}\n  \
                   http_sd_configs:\n  - url: http://uma:hunter2@one:10119/sd?token=hunter2\n  - url: http://uma:hunter2@one:10119/sd\n";
    let said = said(secrets);
    assert_said(&said, &["honor_labels is missing: each target", "\"one:10119\" is scraped twice"]);
    assert!(said.iter().all(|line| !line.contains("hunter2") && !line.contains("uma")), "{said:?}");
    // What is within each other is read by functions within each other, which was more than a thread's stack takes.
    let deep = format!("scrape_configs: {}{}\n", "[".repeat(60), "]".repeat(60));
    std::fs::write(folder.path().join("p.yml"), deep).unwrap();
    assert!(at("p.yml").contains("or more within each other, than is understood"), "{}", at("p.yml"));
}

/// The blocks of YAML in a document that have scrape jobs, each as a whole configuration.
fn configurations(document: &str) -> Vec<String> {
    let blocks = document.split("\n```yaml\n").skip(1).map(|rest| rest.split("\n```").next().unwrap());
    let whole = |block: &str| {
        let begins = block.lines().find(|line| !line.starts_with('#')).unwrap_or_default();
        match () {
            () if block.contains("\nscrape_configs:") || begins.starts_with("scrape_configs:") => {
                Some(block.to_owned())
            }
            () if begins.trim_start().starts_with("- job_name:") => Some(format!("scrape_configs:\n{block}")),
            () if begins.starts_with("    http_sd_configs:") || begins.starts_with("    file_sd_configs:") => {
                Some(format!("scrape_configs:\n  - job_name: hermes\n    honor_labels: true\n{block}"))
            }
            () => None,
        }
    };
    blocks.filter_map(whole).collect()
}

#[test]
fn what_is_shipped_and_what_the_documents_say_is_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.push(root.join("README.md"));
    files.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    let texts = files.iter().map(|path| fs::read_to_string(path).unwrap());
    let mut all: Vec<_> = texts.flat_map(|text| configurations(&text)).collect();
    assert!(all.len() > 5, "only {} were found", all.len());
    all.push(fs::read_to_string(root.join("alerts/prometheus.yml")).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prometheus.yml");
    for text in &all {
        fs::write(&path, text).unwrap();
        let verdict = prometheus::check(&path, &[]).unwrap_or_else(|error| panic!("{error}:\n{text}"));
        let faults: Vec<_> = verdict.remarks.iter().filter(|remark| remark.weight == Weight::Fault).collect();
        // A job that pushes to the others, or scrapes something else, is shown by itself.
        let is_about_another = verdict.jobs.is_empty() && !text.contains("hermes");
        assert!(faults.is_empty() || is_about_another, "{faults:#?} in:\n{text}");
    }
}
