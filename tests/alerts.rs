//! The alert rules in `alerts/` against what they speak of: the findings, their limits, the metrics, the runbooks, the
//! tests of the rules and `docs/alerts.md`. Whether they say the same as the findings is tried in `tests/end_to_end`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hermes_exporter::exporter::expose::families;
use hermes_exporter::exporter::findings::{Code, Severity};
use hermes_exporter::exporter::snapshot::Threshold;
use hermes_exporter::exporter::snapshot::thresholds::Measure;
use serde::Deserialize;
use serde::de::DeserializeOwned;

const RUNBOOKS: &str = "http://127.0.0.1:10119/runbooks/";

/// What Prometheus and Alertmanager have of their own.
const OF_PROMETHEUS: [&str; 10] = [
    "up",
    "ALERTS",
    "ALERTS_FOR_STATE",
    "scrape_samples_scraped",
    "prometheus_notifications_alertmanagers_discovered",
    "prometheus_notifications_dropped_total",
    "prometheus_config_last_reload_successful",
    "prometheus_rule_evaluation_failures_total",
    "alertmanager_notifications_failed_total",
    "alertmanager_config_last_reload_successful",
];

/// Limits that are not in a rule as such: who says so instead, and why.
const LIMITS_BY_ANOTHER_NAME: [(Threshold, &str); 4] = [
    // The exporter judges the heartbeat, and this is what it says.
    (Threshold::GatewayHeartbeat, "hermes_gateway_state{state=\"frozen\"}"),
    // Each of these may have a limit of its own.
    (Threshold::BackupAge, "hermes_backup_max_age_seconds"),
    (Threshold::RestoreDrillAge, "hermes_restore_drill_max_age_seconds"),
    (Threshold::EmergencyBundleAge, "hermes_emergency_bundle_max_age_seconds"),
];

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    alert: Option<String>,
    record: Option<String>,
    expr: String,
    #[serde(rename = "for")]
    patience: Option<String>,
    keep_firing_for: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Rule {
    fn name(&self) -> &str {
        self.alert.as_deref().or(self.record.as_deref()).unwrap()
    }

    fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

#[derive(Deserialize)]
struct TestFile {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    #[serde(default)]
    alert_rule_test: Vec<AlertTest>,
}

#[derive(Deserialize)]
struct AlertTest {
    alertname: String,
    eval_time: String,
    #[serde(default)]
    exp_alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    exp_labels: AlertLabels,
}

#[derive(Deserialize)]
struct AlertLabels {
    severity: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn parse<T: DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rules(file: &str) -> Vec<Rule> {
    let file: RuleFile = parse(&root().join("alerts/rules").join(file));
    file.groups.into_iter().flat_map(|group| group.rules).collect()
}

/// The files of YAML in a folder of `alerts`, in order.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("alerts").join(folder)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

fn all_rules() -> Vec<Rule> {
    files("rules").iter().flat_map(|path| rules(path.file_name().unwrap().to_str().unwrap())).collect()
}

fn rules_of(rules: &[Rule], code: Code) -> impl Iterator<Item = &Rule> {
    rules.iter().filter(move |rule| rule.label("finding") == code.as_str())
}

/// `gateway_down` as `HermesGatewayDown`.
fn alert_name(code: Code) -> String {
    let capitalized = |word: &str| format!("{}{}", word[..1].to_uppercase(), &word[1..]);
    format!("Hermes{}", code.as_str().split('_').map(capitalized).collect::<String>())
}

#[test]
fn every_finding_has_a_rule_for_each_of_its_severities_and_no_rule_is_about_anything_else() {
    let rules = rules("findings.yml");
    for rule in &rules {
        let code = Code::named(rule.label("finding")).unwrap_or_else(|| panic!("{} has no finding", rule.name()));
        assert_eq!(rule.name(), alert_name(code));
    }
    for code in Code::ALL {
        let mut severities: Vec<_> = rules_of(&rules, code).map(|rule| rule.label("severity")).collect();
        severities.sort_unstable();
        let mut expected: Vec<_> = code.severities().iter().copied().map(Severity::as_str).collect();
        expected.sort_unstable();
        assert_eq!(severities, expected, "{}", code.as_str());
    }
}

#[test]
fn a_rule_judges_by_the_limits_of_its_finding_and_leaves_out_what_is_ignored() {
    let rules = rules("findings.yml");
    for code in Code::ALL {
        let limits: Vec<String> = code.thresholds().iter().map(|threshold| limit(*threshold)).collect();
        for limit in &limits {
            assert!(
                rules_of(&rules, code).any(|rule| rule.expr.contains(limit.as_str())),
                "no rule of {} asks for {limit}",
                code.as_str()
            );
        }
        for rule in rules_of(&rules, code) {
            assert!(
                limits.is_empty() || limits.iter().any(|limit| rule.expr.contains(limit.as_str())),
                "{} ({}) has no limit",
                rule.name(),
                rule.label("severity")
            );
            let ignored =
                format!("unless on (job, instance) hermes_finding_ignored{{finding=\"{}\"}} == 1", code.as_str());
            assert!(rule.expr.trim_end().ends_with(&ignored), "{} does not end in {ignored}", rule.name());
        }
    }
}

fn limit(threshold: Threshold) -> String {
    if let Some((_, text)) = LIMITS_BY_ANOTHER_NAME.iter().find(|(other, _)| *other == threshold) {
        return (*text).to_owned();
    }
    let measure = match threshold.measure() {
        Measure::Seconds => "seconds",
        Measure::Ratio => "ratio",
        Measure::Count => "count",
    };
    format!("hermes_threshold_{measure}{{threshold=\"{}\"}}", threshold.as_str())
}

#[test]
fn every_alert_says_what_it_means_and_where_its_runbook_is() {
    let mut seen = BTreeSet::new();
    for rule in all_rules().iter().filter(|rule| rule.alert.is_some()) {
        let name = rule.name();
        assert!(seen.insert((name.to_owned(), rule.label("severity").to_owned())), "{name} stands twice");
        assert!(["critical", "warning", "info", "none"].contains(&rule.label("severity")), "{name}");
        for annotation in ["summary", "description", "runbook_url"] {
            assert!(
                rule.annotations.get(annotation).is_some_and(|text| !text.trim().is_empty()),
                "{name}: {annotation}"
            );
        }
        let word = rule.annotations["runbook_url"].strip_prefix(RUNBOOKS);
        let word = word.unwrap_or_else(|| panic!("the runbook of {name} is not below {RUNBOOKS}"));
        if let Some(code) = Code::named(rule.label("finding")) {
            assert_eq!(word, code.as_str(), "{name}");
            assert!(root().join("docs").join(code.runbook()).is_file(), "{name} has no runbook");
            assert!(rule.annotations["summary"].contains("$labels.instance"), "{name} does not say of which instance");
        }
    }
}

#[test]
fn every_metric_that_is_asked_for_is_there() {
    let rules = all_rules();
    let mut known: BTreeSet<String> = families::all().map(|family| family.name.to_owned()).collect();
    // The names of the parts of a histogram.
    for family in families::all() {
        known.extend(["_bucket", "_sum", "_count"].map(|part| format!("{}{part}", family.name)));
    }
    known.extend(of_bridge());
    known.extend(rules.iter().filter_map(|rule| rule.record.clone()));
    known.extend(OF_PROMETHEUS.map(str::to_owned));
    let mut asked = 0;
    for rule in &rules {
        for metric in metrics(&rule.expr) {
            assert!(known.contains(&metric), "{} asks for {metric}, which nobody has", rule.name());
            asked += 1;
        }
    }
    assert!(asked > 100, "only {asked} metrics are asked for");
}

/// The metrics of the bridge by its reference, which a test of the bridge keeps up to date.
fn of_bridge() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("docs/bridge-metrics.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let names: Vec<_> = rows.filter_map(|row| row.split_once('`')).map(|(name, _)| name.to_owned()).collect();
    assert!(names.iter().any(|name| name == "hermes_alert_bridge_ready"));
    names
}

/// The metrics that an expression of PromQL asks for: its words without those of the language, labels and texts.
fn metrics(expression: &str) -> BTreeSet<String> {
    const LANGUAGE: &str = "and or unless bool by without on ignoring group_left group_right offset inf nan \
                            sum min max avg count group stddev stdvar topk bottomk quantile count_values";
    let mut found = BTreeSet::new();
    let mut rest = without(&without(&without_texts(expression), '{', '}'), '[', ']');
    for grouping in ["by", "without", "on", "ignoring", "group_left", "group_right"] {
        rest = without_labels_of(&rest, grouping);
    }
    let is_of_word = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == ':';
    let mut left = rest.as_str();
    while let Some(start) = left.find(is_of_word) {
        let end = left[start..].find(|character| !is_of_word(character)).map_or(left.len(), |length| start + length);
        let (word, after) = (&left[start..end], left[end..].trim_start());
        let is_function = after.starts_with('(');
        let is_number = word.starts_with(|character: char| character.is_ascii_digit());
        if !is_function && !is_number && !LANGUAGE.split(' ').any(|known| known == word) {
            found.insert(word.to_owned());
        }
        left = &left[end..];
    }
    found
}

fn without_texts(expression: &str) -> String {
    expression.split('"').step_by(2).collect()
}

fn without(text: &str, from: char, to: char) -> String {
    let mut depth = 0;
    let mut kept = String::new();
    for character in text.chars() {
        depth += i32::from(character == from);
        if depth == 0 {
            kept.push(character);
        }
        depth -= i32::from(character == to);
    }
    kept
}

/// Takes out the labels in parentheses behind a word such as `by`, wherever it stands.
fn without_labels_of(text: &str, grouping: &str) -> String {
    let mut kept = String::new();
    let mut left = text;
    while let Some(at) = left.find(grouping) {
        let (before, after) = (&left[..at], &left[at + grouping.len()..]);
        kept.push_str(before);
        kept.push_str(grouping);
        let begins = before.ends_with(|character: char| character.is_whitespace() || character == ')');
        left = match after.trim_start().strip_prefix('(').and_then(|labels| labels.split_once(')')) {
            Some((_, behind)) if begins => behind,
            _ => after,
        };
    }
    kept + left
}

#[test]
fn metrics_are_told_from_the_other_words_of_an_expression() {
    let expression = "max without (state) (one{a=\"b or c\"} == 1) unless on (job, instance) group_left () two[5m] \
                      and rate(three:four_total[1h] offset 5m) > bool 2e3 or label_replace(five, \"a\", \"$1\", \"b\", \"\")";
    assert_eq!(metrics(expression), ["five", "one", "three:four_total", "two"].map(str::to_owned).into());
}

#[test]
fn every_rule_about_a_finding_is_tried_firing_and_silent() {
    let tried: Vec<AlertTest> = files("tests")
        .iter()
        .flat_map(|path| parse::<TestFile>(path).tests)
        .flat_map(|test| test.alert_rule_test)
        .collect();
    for rule in rules("findings.yml") {
        let (name, severity) = (rule.name(), rule.label("severity"));
        let of_rule = || tried.iter().filter(|test| test.alertname == name);
        assert!(
            of_rule().any(|test| test.exp_alerts.iter().any(|alert| alert.exp_labels.severity == severity)),
            "no test has {name} firing as {severity}"
        );
        // At the very beginning nothing that has to last fires.
        assert!(
            of_rule().any(|test| test.exp_alerts.is_empty() && test.eval_time != "0m"),
            "no test has {name} silent"
        );
    }
}

#[test]
fn the_runbook_of_a_finding_names_its_alert_and_how_long_it_waits() {
    for rule in rules("findings.yml") {
        let page = root().join(format!("docs/runbooks/{}.md", rule.label("finding")));
        let text = std::fs::read_to_string(&page).unwrap();
        let opening = text.split("\n\n").nth(1).unwrap().replace('\n', " ");
        let patience = rule.patience.as_ref().map_or("at once".to_owned(), |patience| format!("after {patience}"));
        assert!(
            opening.contains(&format!("Alert `{}`", rule.name())) && opening.contains(&patience),
            "{} fires {patience}, and {} begins with: {opening}",
            rule.name(),
            page.display()
        );
    }
}

const TABLE_BEGINS: &str =
    "<!-- What follows is made from alerts/rules by tests/alerts.rs (UPDATE_GOLDEN=1 cargo test). -->\n";
const TABLE_ENDS: &str = "<!-- What was made ends here. -->\n";

#[test]
fn the_documentation_has_every_alert() {
    let path = root().join("docs/alerts.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(TABLE_BEGINS).unwrap();
    let (_, after) = rest.split_once(TABLE_ENDS).unwrap();
    let made = format!("{before}{TABLE_BEGINS}{}{TABLE_ENDS}{after}", table());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &made).unwrap();
        return;
    }
    assert!(text == made, "docs/alerts.md is stale: run UPDATE_GOLDEN=1 cargo test");
}

fn table() -> String {
    let mut text = String::new();
    for (title, file) in
        [("About instances and machines", "findings.yml"), ("About the watching itself", "watching.yml")]
    {
        text.push_str(&format!("\n### {title}\n\n| alert | severity | says | for |\n|---|---|---|---|\n"));
        for rule in rules(file) {
            let runbook = rule.annotations["runbook_url"].strip_prefix(RUNBOOKS).unwrap();
            let name = format!("[`{}`](runbooks/{runbook}.md)", rule.name());
            let mut patience = rule.patience.clone().unwrap_or_else(|| "at once".to_owned());
            if let Some(longer) = &rule.keep_firing_for {
                patience.push_str(&format!(", and {longer} longer"));
            }
            let says = without_template(&rule.annotations["summary"]);
            text.push_str(&format!("| {name} | {} | {says} | {patience} |\n", rule.label("severity")));
        }
    }
    text + "\n"
}

/// A summary for people: labels by their names, values as an ellipsis.
fn without_template(summary: &str) -> String {
    let mut says = String::new();
    let mut left = summary;
    while let Some((before, (inside, after))) =
        left.split_once("{{").and_then(|(before, rest)| Some((before, rest.split_once("}}")?)))
    {
        says.push_str(before);
        match inside.trim().strip_prefix("$labels.") {
            Some(label) => says.push_str(&format!("*{label}*")),
            None if inside.trim() == "else" => says.push_str(" / "),
            None if inside.contains("$value |") || [".", "$value"].contains(&inside.trim()) => says.push('…'),
            None => {}
        }
        left = after;
    }
    says + left
}
