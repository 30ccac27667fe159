//! The program as it is run: commands, exit codes, signals. Every run has an empty environment of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

fn program(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hermes-alert-bridge"));
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

/// A bridge that prints, with a chat for one instance and one for the rest.
fn configuration(home: &Path) -> PathBuf {
    let token = home.join("webhook.token");
    std::fs::write(&token, "secret\n").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let file = home.join("bridge.yml");
    let text = format!(
        "store: {0}/bridge.db\nauth: {{bearer_token_file: {0}/webhook.token}}\ndelivery: console\n\
         chats: {{root: {{}}, uma: {{}}}}\nroutes: [{{match: 'instance = \"bheem\"', chat: uma}}]\ndefault_chat: root\n",
        home.display()
    );
    std::fs::write(&file, text).unwrap();
    file
}

struct Serving {
    child: Child,
    address: String,
    log: BufReader<ChildStderr>,
}

impl Serving {
    fn start(home: &Path, arguments: &[&str]) -> Serving {
        let mut command = program(home);
        command.args(arguments).args(["--web.listen-address", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut serving = Serving { child, address: String::new(), log };
        let line = serving.line_with("address=");
        serving.address = line.split("address=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
        serving
    }

    fn line_with(&mut self, part: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "the log ended before {part:?}");
            if line.contains(part) {
                return line;
            }
        }
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer secret\r\n\r\n")
            .unwrap();
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

#[test]
fn a_healthcheck_says_by_its_code_how_the_bridge_is_that_runs() {
    let home = empty();
    let file = configuration(home.path());
    let serving = Serving::start(home.path(), &["serve", "--config.file", file.to_str().unwrap()]);
    let ask = |address: &str, flags: &[&str]| {
        run(home.path(), &[&["healthcheck", "--web.listen-address", address], flags].concat())
    };
    assert_eq!(ask(&serving.address, &[]), (0, "healthy\n".to_owned(), String::new()));
    let address = serving.address.clone();
    drop(serving);
    let (code, out, error) = ask(&address, &["--ready"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(error.contains(&format!("http://{address}/-/ready can not be asked")), "{error}");
    assert_eq!(ask("nonsense", &[]).0, 64);
}

#[test]
fn bad_usage_exits_with_64() {
    let home = empty();
    for arguments in [
        &["--nonsense"][..],
        &["nonsense"],
        &["check-config"],
        &["render", "--format", "xml", "--payload", "a"],
        &["send-test"],
        &["queue"],
        &["queue", "drop"],
        &["--config.file", "a", "chats"],
    ] {
        let (code, out, error) = run(home.path(), arguments);
        assert_eq!((code, out.as_str()), (64, ""), "{arguments:?}");
        assert!(error.contains("error:") || error.contains("Usage:"), "{error}");
    }
    assert_eq!(run(home.path(), &["--version"]).1, format!("hermes-alert-bridge {}\n", env!("CARGO_PKG_VERSION")));
    let (code, out, _) = run(home.path(), &["--help"]);
    assert_eq!(code, 0);
    for word in ["check-config", "render", "send-test", "queue", "chats", "--web.listen-address", "127.0.0.1:10120"] {
        assert!(out.contains(word), "{word} is not in:\n{out}");
    }
}

#[test]
fn a_configuration_that_is_not_valid_exits_with_64_before_anything_is_bound_or_made() {
    let home = empty();
    std::fs::write(home.path().join("bad.yml"), "store: /a\nchats: {root: {chatid: 7}}\n").unwrap();
    for arguments in [
        &["--config.file", "bad.yml"][..],
        &["check-config", "bad.yml"],
        &["chats", "--config.file", "bad.yml"],
        &["queue", "list", "--config.file", "bad.yml"],
        &["send-test", "--chat", "root", "--config.file", "bad.yml"],
    ] {
        let (code, out, error) = run(home.path(), arguments);
        assert_eq!((code, out.as_str()), (64, ""));
        assert_eq!(error, "hermes-alert-bridge: bad.yml:2:16: unknown key `chatid`; did you mean `chat_id`?\n");
    }
    let (code, _, error) = run(home.path(), &["--config.file", "missing.yml"]);
    assert!(code == 64 && error.contains("missing.yml could not be read: No such file"), "{error}");
    configuration(home.path());
    assert_eq!(run(home.path(), &["--config.file", "bridge.yml", "--web.listen-address", "10120"]).0, 64);
    assert!(!home.path().join("bridge.db").exists());
}

#[test]
fn a_check_finds_what_can_not_be_used_and_what_is_hardly_meant() {
    let home = empty();
    configuration(home.path());
    let (code, out, error) = run(home.path(), &["check-config", "bridge.yml"]);
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(out, "bridge.yml: valid, 2 chats, 1 route\n");

    let token = home.path().join("webhook.token");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, out, _) = run(home.path(), &["check-config", "bridge.yml"]);
    assert_eq!(code, 0);
    let warning = format!("everybody on this machine can read {}; chmod o-r it", token.display());
    assert_eq!(
        out,
        format!("bridge.yml: warning: auth.bearer_token_file: {warning}\nbridge.yml: valid, 2 chats, 1 route\n")
    );

    std::fs::remove_file(&token).unwrap();
    let text = std::fs::read_to_string(home.path().join("bridge.yml")).unwrap();
    std::fs::write(home.path().join("bridge.yml"), text.replace("/bridge.db", "/none/bridge.db")).unwrap();
    let (code, out, _) = run(home.path(), &["check-config", "bridge.yml"]);
    assert_eq!(code, 64);
    assert!(out.contains("error: auth.bearer_token_file: ") && out.contains("webhook.token is not there"), "{out}");
    assert!(
        out.contains("error: store: there is no folder ") && out.ends_with("can not be used, 2 chats, 1 route\n"),
        "{out}"
    );
    assert!(!out.contains("secret\n"));
}

#[test]
fn what_each_chat_would_get_is_printed() {
    let home = empty();
    configuration(home.path());
    let alert = |name: &str, instance: &str| {
        format!(
            r#"{{"status":"firing","labels":{{"alertname":"{name}","instance":"{instance}"}},"annotations":{{}},
            "startsAt":"2026-01-01T00:00:00Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"{name}"}}"#
        )
    };
    let payload = format!(
        r#"{{"version":"4","groupKey":"a","truncatedAlerts":0,"status":"firing","receiver":"hermes","groupLabels":{{}},
        "commonLabels":{{}},"commonAnnotations":{{}},"externalURL":"http://am:9093","alerts":[{},{}]}}"#,
        alert("GatewayDown", "vijay"),
        alert("BackupStale", "bheem")
    );
    std::fs::write(home.path().join("payload.json"), payload).unwrap();
    let render = |more: &[&str]| {
        let arguments = [&["render", "--config.file", "bridge.yml", "--payload", "payload.json"][..], more].concat();
        run(home.path(), &arguments)
    };
    let (code, out, error) = render(&["--format", "json"]);
    assert_eq!((code, error.as_str()), (0, ""));
    let messages: serde_json::Value = serde_json::from_str(&out).unwrap();
    let text = |place: usize| messages[place]["parts"][0]["plain"].as_str().unwrap_or_default().to_owned();
    assert_eq!((messages[0]["chat"].as_str(), messages[1]["chat"].as_str()), (Some("root"), Some("uma")));
    assert!(text(0).contains("GatewayDown") && !text(0).contains("BackupStale"), "{out}");
    assert!(text(1).contains("BackupStale") && !text(1).contains("GatewayDown"), "{out}");

    let (code, out, _) = render(&["--chat", "uma"]);
    assert!(code == 0 && out.starts_with("== uma\n") && !out.contains("== root"), "{out}");
    let (code, _, error) = render(&["--chat", "umma"]);
    assert_eq!(
        (code, error.as_str()),
        (64, "hermes-alert-bridge: there is no chat called \"umma\"; did you mean \"uma\"?\n")
    );
    std::fs::write(home.path().join("payload.json"), "[{}]").unwrap();
    let (code, _, error) = render(&[]);
    assert!(code == 64 && error.starts_with("hermes-alert-bridge: payload.json: "), "{error}");
}

#[test]
fn an_operator_looks_before_anything_was_ever_stored() {
    let home = empty();
    configuration(home.path());
    let asked = |arguments: &[&str]| run(home.path(), &[arguments, &["--config.file", "bridge.yml"]].concat());
    assert_eq!(asked(&["queue", "list"]), (0, "nothing waits\n".to_owned(), String::new()));
    assert_eq!(asked(&["queue", "retry"]).0, 0);
    assert_eq!(asked(&["queue", "retry", "7"]), (1, "7 does not wait\n".to_owned(), String::new()));
    assert_eq!(asked(&["queue", "drop", "7", "--yes"]).0, 1);
    let (code, out, _) = asked(&["chats"]);
    assert_eq!(code, 0);
    assert_eq!(
        out,
        "chat  number   topic  waiting  state\n\
         root  printed         0        nothing is known against it\n\
         uma   printed         0        nothing is known against it\n"
    );
    assert!(!home.path().join("bridge.db").exists(), "the store belongs to who serves");
    assert_eq!(asked(&["send-test", "--chat", "rot"]).0, 64);
    let (code, out, error) = asked(&["send-test", "--chat", "root"]);
    assert!(code == 0 && out.starts_with("→ root: #1\n") && out.ends_with("sent to root\n"), "{out}{error}");
}

#[test]
fn it_serves_loads_its_configuration_again_and_ends_in_order() {
    let home = empty();
    let file = configuration(home.path());
    let mut serving = Serving::start(home.path(), &["--config.file", "bridge.yml"]);
    assert!(serving.ask("GET /-/ready").ends_with("ready\n"));
    assert!(serving.ask("GET /metrics").contains("hermes_alert_bridge_chat_reachable{chat=\"uma\"} 1"));
    let (code, _, error) = run(
        home.path(),
        &["--config.file", "bridge.yml", "--log.level", "error", "--web.listen-address", "127.0.0.1:0"],
    );
    assert!(code == 1 && error.contains("in use by another hermes-alert-bridge"), "{error}");
    assert_eq!(run(home.path(), &["queue", "list", "--config.file", "bridge.yml"]).1, "nothing waits\n");

    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "nonsense").unwrap();
    serving.signal(rustix::process::Signal::HUP);
    serving.line_with("the former one stays in force");
    assert!(serving.ask("GET /metrics").contains("hermes_alert_bridge_config_last_reload_successful 0"));
    std::fs::write(&file, text.replace("bridge.db", "other.db")).unwrap();
    assert!(serving.ask("POST /-/reload").contains("restart hermes-alert-bridge"));
    std::fs::write(&file, text.replace("uma", "radha")).unwrap();
    assert!(serving.ask("POST /-/reload").ends_with("the configuration was loaded\n"));
    assert!(serving.ask("GET /metrics").contains("chat=\"radha\""));

    serving.signal(rustix::process::Signal::TERM);
    serving.line_with("Stopped.");
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_token_that_is_not_there_keeps_nobody_from_accepting_alerts() {
    let home = empty();
    let text = format!(
        "store: {0}/bridge.db\ntelegram: {{token_file: {0}/bot.token}}\nchats: {{root: {{chat_id: 7}}}}\ndefault_chat: root\n",
        home.path().display()
    );
    std::fs::write(home.path().join("bridge.yml"), text).unwrap();
    let serving = Serving::start(home.path(), &["--config.file", "bridge.yml"]);
    let answer = serving.ask("GET /-/ready");
    assert!(answer.contains("503") && answer.contains("bot.token is not there"), "{answer}");
    assert!(serving.ask("GET /metrics").contains("hermes_alert_bridge_config_problems 1"));
    assert!(!serving.ask("POST /alertmanager").contains("503"), "an empty request is refused, but not for that");
}
