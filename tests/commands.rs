//! The program as it is run: commands, exit codes, signals. Every run has an empty environment of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::homes::Homes;

fn program(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hermes-exporter"));
    command.env_clear().env("HOME", home).env("TMPDIR", home).current_dir(home);
    command
}

fn run(home: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = program(home).args(arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn empty() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A serving program, ended with the test.
struct Serving {
    child: Child,
    address: String,
    log: BufReader<std::process::ChildStderr>,
}

impl Serving {
    fn start(home: &Path, arguments: &[&str]) -> Serving {
        let mut command = program(home);
        command.args(arguments).args(["--web.listen-address", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut address = None;
        while address.is_none() {
            let line = next_line(&mut log);
            address = line.split("address=").nth(1).map(|rest| rest.split_whitespace().next().unwrap().to_owned());
        }
        Serving { child, address: address.unwrap(), log }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn next_line(log: &mut impl BufRead) -> String {
    let mut line = String::new();
    assert!(log.read_line(&mut line).unwrap() > 0, "the log ended");
    line
}

#[test]
fn bad_usage_exits_with_64() {
    let home = empty();
    for arguments in [
        &["--nonsense"][..],
        &["nonsense"],
        &["scrape", "--format", "xml"],
        &["scrape", "--timeout", "5"],
        &["report", "--timeout", "0s"],
    ] {
        let (code, out, error) = run(home.path(), arguments);
        assert_eq!((code, out.as_str()), (64, ""), "{arguments:?}");
        assert!(error.contains("error:"), "{error}");
    }
    assert_eq!(run(home.path(), &["--help"]).0, 0);
    assert_eq!(run(home.path(), &["--version"]).1, format!("hermes-exporter {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_configuration_that_is_not_valid_exits_with_64_before_anything_is_bound() {
    let home = empty();
    std::fs::write(home.path().join("bad.yml"), "instances:\n  - {name: a, hom: /a}\n").unwrap();
    for arguments in
        [&["--config.file", "bad.yml"][..], &["scrape", "--config.file", "bad.yml"], &["check-config", "bad.yml"]]
    {
        let (code, out, error) = run(home.path(), arguments);
        assert_eq!((code, out.as_str()), (64, ""));
        assert_eq!(error, "hermes-exporter: bad.yml:2:15: unknown key `hom`; did you mean `home`?\n");
    }
    let (code, _, error) = run(home.path(), &["check-config", "missing.yml"]);
    assert_eq!(code, 64);
    assert!(
        error.starts_with("hermes-exporter: the configuration missing.yml could not be read: No such file"),
        "{error}"
    );
    for path in ["metrics", "/", "/:x", "/{x}", "/sd", "/api/metrics", "/-/metrics"] {
        let (code, _, error) = run(home.path(), &["--web.telemetry-path", path]);
        assert_eq!(code, 64, "{path}: {error}");
        assert!(error.contains("is not a path of its own"), "{error}");
    }
    assert_eq!(run(home.path(), &["--web.listen-address", "10119"]).0, 64);
}

#[test]
fn an_address_that_is_taken_exits_with_1_and_says_what_to_do() {
    let home = empty();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let keep = std::net::TcpListener::bind(taken);
    let (code, _, error) = run(home.path(), &["--log.level", "error", "--web.listen-address", &taken.to_string()]);
    drop(keep);
    assert_eq!(code, 1);
    assert!(error.contains("is it running twice? --web.listen-address chooses another one"), "{error}");
}

#[test]
fn a_healthcheck_says_by_its_code_how_the_program_is_that_runs() {
    let home = empty();
    std::fs::write(home.path().join("none.yml"), "instances: []\n").unwrap();
    let serving = Serving::start(home.path(), &["--config.file", "none.yml"]);
    let ask = |address: &str| run(home.path(), &["healthcheck", "--web.listen-address", address]);
    assert_eq!(ask(&serving.address), (0, "healthy\n".to_owned(), String::new()));
    let address = serving.address.clone();
    drop(serving);
    let (code, out, error) = ask(&address);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(error.contains(&format!("http://{address}/-/healthy can not be asked")), "{error}");
    let (code, _, error) = ask("nonsense");
    assert_eq!(code, 64);
    assert!(error.contains("\"nonsense\" is not an address to ask; write host:port"), "{error}");
}

#[test]
fn what_is_discovered_is_a_valid_configuration() {
    let homes = Homes::unpack();
    std::fs::rename(homes.vijay(), homes.vijay().with_file_name(".hermes")).unwrap();
    let home = homes.vijay().parent().unwrap().to_owned();
    let (code, out, _) = run(&home, &["discover"]);
    assert_eq!(code, 0);
    std::fs::write(home.join("found.yml"), &out).unwrap();
    let (code, out, error) = run(&home, &["check-config", "found.yml"]);
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(out, "found.yml: valid, 2 instances\n");
}

#[test]
fn an_empty_machine_is_told_what_to_do_and_served_all_the_same() {
    let home = empty();
    let (code, out, error) = run(home.path(), &["discover"]);
    assert_eq!(code, 0);
    assert!(out.ends_with("instances: []\n") && error.contains("run this as the user who runs Hermes"), "{error}");
    let serving = Serving::start(home.path(), &[]);
    assert!(serving.get("/").contains("No Hermes home was found"));
    assert!(serving.get("/metrics").contains("hermes_exporter_build_info"));
}

#[test]
fn a_scrape_goes_to_a_file_in_one_step_for_everybody_to_read() {
    let homes = Homes::unpack();
    let home = homes.vijay().parent().unwrap().to_owned();
    std::fs::write(home.join("two.yml"), homes.config_text("")).unwrap();
    let (code, out, error) =
        run(&home, &["scrape", "--config.file", "two.yml", "--output", "hermes.prom", "--no-collector.host"]);
    assert_eq!((code, out.as_str(), error.as_str()), (0, "", ""));
    let text = std::fs::read_to_string(home.join("hermes.prom")).unwrap();
    assert!(text.contains("hermes_stored_messages{instance=\"vijay\"} 5225\n"));
    assert!(text.contains("hermes_turns_total{instance=\"vijay\"}"), "a one-shot run waits for the first pass");
    // These belong to whoever reads the file.
    assert!(!text.contains("process_") && !text.contains("hermes_host_"));
    assert_eq!(std::fs::metadata(home.join("hermes.prom")).unwrap().permissions().mode() & 0o777, 0o644);
    let left: Vec<_> = std::fs::read_dir(&home).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".hermes-exporter")), "{left:?}");

    let (code, _, error) = run(&home, &["scrape", "--config.file", "two.yml", "--output", "no/such/folder.prom"]);
    assert_eq!(code, 1);
    assert!(error.contains("no/such/folder.prom could not be written"), "{error}");

    let (_, out, _) = run(&home, &["scrape", "--config.file", "two.yml", "--format", "openmetrics"]);
    assert!(out.ends_with("# EOF\n"));
}

#[test]
fn a_hangup_loads_the_configuration_and_a_term_ends_in_order() {
    let homes = Homes::unpack();
    let home = homes.vijay().parent().unwrap().to_owned();
    let file = home.join("two.yml");
    std::fs::write(&file, homes.config_text("")).unwrap();
    let mut serving = Serving::start(&home, &["--config.file", "two.yml"]);
    assert!(serving.get("/metrics").contains("hermes_gateway_up{instance=\"bheem\"} 0\n"));

    std::fs::write(&file, "nonsense").unwrap();
    serving.signal(rustix::process::Signal::HUP);
    while !next_line(&mut serving.log).contains("the former one stays in force") {}
    assert!(serving.get("/metrics").contains("hermes_exporter_config_last_reload_successful 0\n"));

    std::fs::write(&file, format!("instances:\n  - {{name: only, home: {}}}\n", homes.bheem().display())).unwrap();
    serving.signal(rustix::process::Signal::HUP);
    while !next_line(&mut serving.log).contains("The configuration was loaded.") {}
    let metrics = serving.get("/metrics");
    assert!(metrics.contains("hermes_gateway_up{instance=\"only\"} 0\n") && !metrics.contains("bheem\""));

    serving.signal(rustix::process::Signal::TERM);
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_runbook_is_printed_by_the_name_that_a_check_gives() {
    let home = empty();
    let (code, text, _) = run(home.path(), &["runbook", "backup_stale"]);
    assert_eq!((code, text.lines().next()), (0, Some("# Backup stale")));
    let (code, text, _) = run(home.path(), &["runbook"]);
    assert!(code == 0 && text.contains("\ncollector_unknown              Something can not be told\n"));
    assert!(text.contains("\nbridge_down                    Bridge down\n"), "{text}");
    let (code, text, _) = run(home.path(), &["runbook", "bridge_down"]);
    assert_eq!((code, text.lines().next()), (0, Some("# Bridge down")));
    let (code, _, error) = run(home.path(), &["runbook", "backup_stail"]);
    assert!(code == 64 && error.contains("'backup_stale'"), "{error}");
}

#[test]
fn the_stand_in_refuses_a_real_home() {
    let homes = Homes::unpack();
    let before = std::fs::read(homes.vijay().join("gateway_state.json")).unwrap();
    let output = program(&homes.vijay()).env("HERMES_HOME", homes.vijay()).args(["gateway", "run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read(homes.vijay().join("gateway_state.json")).unwrap(), before);
}

#[test]
fn the_way_of_prometheus_to_the_exporter_is_checked_with_the_configuration_or_alone() {
    let home = empty();
    let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
    write("none.yml", "instances: []\n");
    write("well.yml", "scrape_configs:\n- job_name: hermes\n  honor_labels: true\n");
    write("wrong.yml", "scrape_configs:\n- job_name: hermes\n");
    let rightly = "well.yml: scrapes the exporter rightly, by the job \"hermes\"\n";
    let (code, out, error) = run(home.path(), &["check-config", "--prometheus", "well.yml"]);
    assert_eq!((code, out.as_str(), error.as_str()), (0, rightly, ""));
    let (code, out, _) = run(home.path(), &["check-config", "none.yml", "--prometheus", "well.yml"]);
    assert_eq!((code, out), (0, format!("none.yml: valid, 0 instances\n{rightly}")));
    let (code, out, _) = run(home.path(), &["check-config", "--prometheus", "wrong.yml"]);
    assert_eq!(code, 64);
    assert!(out.starts_with("wrong.yml:2: fault: job \"hermes\": honor_labels is missing: "), "{out}");
    let (code, out, error) = run(home.path(), &["check-config", "--prometheus", "well.yml", "--job", "hermse"]);
    assert_eq!((code, out.as_str()), (64, ""));
    assert!(error.contains("there is no scrape job called \"hermse\"; did you mean \"hermes\"?"), "{error}");
    assert_eq!(run(home.path(), &["check-config"]).0, 64);
    assert_eq!(run(home.path(), &["check-config", "none.yml", "--job", "hermes"]).0, 64);
}

#[test]
fn targets_are_those_that_are_served_and_written_whole() {
    let home = empty();
    std::fs::write(home.path().join("two.yml"), "instances: [{name: a, home: /a}, {name: b c, home: /b}]\n").unwrap();
    assert_eq!(run(home.path(), &["targets", "--address", "one:1", "--config.file", "two.yml"]).0, 64);
    std::fs::write(home.path().join("two.yml"), "instances: [{name: a, home: /a}, {name: ä, home: /b}]\n").unwrap();
    let serving = Serving::start(home.path(), &["--config.file", "two.yml", "--web.telemetry-path", "/m"]);
    let served = serving.get("/sd");
    let served: serde_json::Value = serde_json::from_str(served.split_once("\r\n\r\n").unwrap().1).unwrap();
    let line = ["targets", "--address", "x:1", "--config.file", "two.yml", "--web.telemetry-path", "/m"];
    let (code, out, error) = run(home.path(), &line);
    assert_eq!((code, error.as_str()), (0, ""));
    let printed: serde_json::Value = serde_json::from_str(&out.replace("x:1", "x")).unwrap();
    assert_eq!(printed, served);

    let to = home.path().join("box.json");
    std::fs::write(&to, "former").unwrap();
    let written = [&line[..], &["--output", "box.json", "--label", "box=one", "--label", "rack=7"]].concat();
    assert_eq!(run(home.path(), &written), (0, String::new(), String::new()));
    let groups: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&to).unwrap()).unwrap();
    assert_eq!(groups.as_array().unwrap().len(), 3);
    for group in groups.as_array().unwrap() {
        assert_eq!((&group["labels"]["box"], &group["labels"]["rack"]), (&"one".into(), &"7".into()));
    }
    assert_eq!(to.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    let (code, _, error) = run(home.path(), &[&line[..], &["--output", "nowhere/box.json"]].concat());
    assert_eq!(code, 1);
    assert!(error.contains("nowhere/box.json could not be written: No such file"), "{error}");
    for wrong in [["--output", "box.prom"], ["--label", "instance=a"], ["--web.telemetry-path", "m"]] {
        assert_eq!(run(home.path(), &[&["targets", "--address", "x:1"][..], &wrong].concat()).0, 64, "{wrong:?}");
    }
    assert_eq!(run(home.path(), &["targets"]).0, 64);
    assert_eq!(run(home.path(), &["targets", "--address", "http://x:1"]).0, 64);
}
