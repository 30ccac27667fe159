//! The demonstration as it is run: what it prints, and that nothing of it is left, however it ends. Prometheus and
//! Alertmanager are not there, or are not what they should be; with the real ones it is in `tests/end_to_end`.
#![cfg(feature = "bridge")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpgid, kill_process};

/// How long anything may take; only ever waited out by a failure.
const PATIENCE: Duration = Duration::from_secs(90);

/// In the environment that it is started in, and nobody else's business.
const SECRET: &str = "correct horse";

/// What it prints last, when it has nothing more to say by itself.
const END: &str = "Ctrl-C ends it and removes everything.\n";

/// A demonstration in a folder of its own, ended with the test.
struct Demonstration {
    folder: tempfile::TempDir,
    child: Child,
    lines: Receiver<String>,
    said: String,
}

impl Demonstration {
    fn start(arguments: &[&str]) -> Demonstration {
        Demonstration::of(Path::new(env!("CARGO_BIN_EXE_hermes-exporter")), None, arguments)
    }

    fn of(program: &Path, path: Option<&Path>, arguments: &[&str]) -> Demonstration {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        command.args(["demo", "--web.listen-address", "127.0.0.1:0"]).args(arguments);
        command.env_clear().env("HOME", folder.path()).env("TMPDIR", folder.path()).current_dir(folder.path());
        command.envs(path.map(|path| ("PATH", path))).env("TOKEN", SECRET);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (said, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().try_for_each(|line| said.send(line.unwrap())));
        Demonstration { folder, child, lines, said: String::new() }
    }

    /// Waits until it has printed something with this in it; all of it up to the end of that line.
    fn until(&mut self, end: &str) -> &str {
        let deadline = Instant::now() + PATIENCE;
        while !self.said.contains(end) {
            let line = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            self.said += &line.unwrap_or_else(|error| panic!("no {end:?} ({error}):\n{}", self.said));
            self.said.push('\n');
        }
        &self.said
    }

    fn get(&self, path: &str) -> String {
        let address = self.said.split("http://").nth(1).unwrap().split('/').next().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn children(&self) -> Vec<u32> {
        let id = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        children.split_whitespace().map(|id| id.parse().unwrap()).collect()
    }

    /// Ends it with a signal, and looks for what is left.
    fn ends_without_a_trace(mut self, signal: Signal) {
        let children = self.children();
        assert!(!children.is_empty());
        for id in &children {
            // One that has been killed has none any more.
            let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&environment).contains(SECRET), "{id} knows it");
            let child = Pid::from_raw(i32::try_from(*id).unwrap());
            assert_eq!(getpgid(child).unwrap(), child.unwrap(), "Ctrl-C in a terminal would reach {id}");
        }
        self.signal(signal);
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert_eq!(log, "", "what goes on is in what it prints");
        assert_eq!(children.into_iter().filter(|id| is_alive(*id)).collect::<Vec<_>>(), [0_u32; 0]);
        assert_eq!(std::fs::read_dir(self.folder.path()).unwrap().count(), 0, "nothing is left");
    }
}

impl Drop for Demonstration {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process is there, and not only waits for somebody to take note of its end.
fn is_alive(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "still waiting: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The incident: uma is told what has happened, and that it is over, in this order.
fn assert_uma_is_told(said: &str) {
    let mut rest = said;
    for part in [
        "The gateway of bheem dies",
        "What uma's chat gets:\n",
        "│ 🔴 Critical · bheem · HermesGatewayCrashed\n",
        "The gateway of bheem is started again",
        "What uma's chat gets, in answer to its message #",
        "│ ✅ Resolved · bheem · HermesGatewayCrashed\n",
        "Serving on ",
    ] {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("{part:?} is not there, or too early:\n{said}")).1;
    }
}

#[test]
fn an_incident_is_played_and_the_homes_are_served() {
    let mut demo = Demonstration::start(&[]);
    let said = demo.until(END).to_owned();
    assert!(said.contains("apt install prometheus prometheus-alertmanager"), "{said}");
    assert_uma_is_told(&said);
    assert!(said.contains("What Alertmanager would post about it is posted to the bridge."), "it stands in: {said}");

    let metrics = demo.get("/metrics");
    assert!(metrics.contains("hermes_gateway_up{instance=\"vijay\"} 1\n"));
    assert!(metrics.contains("hermes_gateway_up{instance=\"bheem\"} 1\n"));
    assert!(metrics.contains("hermes_sessions_active{instance=\"vijay\"} 2\n"), "it was moved to the present");
    assert!(metrics.contains("hermes_platform_up{instance=\"vijay\",platform=\"discord\"} 0\n"));
    assert!(!metrics.contains("hermes_platform_up{instance=\"bheem\",platform=\"discord\"} 0\n"));
    assert!(!metrics.contains("hermes_collector_failure_info{"));

    // What is offered to try.
    let number = said.split("kill -STOP ").nth(1).unwrap().split_whitespace().next().unwrap();
    let gateway = Pid::from_raw(number.parse().unwrap()).unwrap();
    let is = |state: &str| {
        let sample = format!("hermes_gateway_state{{instance=\"vijay\",state=\"{state}\"}} 1\n");
        demo.get("/metrics?instance=vijay").contains(&sample)
    };
    kill_process(gateway, Signal::STOP).unwrap();
    wait_until("frozen", || is("frozen"));
    assert!(demo.get("/metrics").contains("hermes_gateway_up{instance=\"vijay\"} 0\n"));
    kill_process(gateway, Signal::CONT).unwrap();
    wait_until("running", || is("running"));
    kill_process(gateway, Signal::KILL).unwrap();
    wait_until("crashed", || is("crashed"));
    let metrics = demo.get("/metrics");
    assert!(!metrics.contains("hermes_platform_up{instance=\"vijay\""), "what it says of its platforms once was");

    // What a script posts is shown, too.
    let notify = said.split("curl 'http://").nth(1).unwrap().split('/').next().unwrap();
    let mut stream = TcpStream::connect(notify).unwrap();
    write!(
        stream,
        "POST /notify?chat=root HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 8\r\n\r\nIt works"
    )
    .unwrap();
    assert!(demo.until("It works\n").ends_with("\n  root's chat: 🔵 It works\n"));
    demo.ends_without_a_trace(Signal::TERM);
}

#[test]
fn without_the_bridge_the_homes_are_served() {
    let elsewhere = tempfile::tempdir().unwrap();
    let alone = elsewhere.path().join("hermes-exporter");
    let program = Path::new(env!("CARGO_BIN_EXE_hermes-exporter"));
    // A link can not lead to another filesystem.
    std::fs::hard_link(program, &alone).or_else(|_| std::fs::copy(program, &alone).map(drop)).unwrap();
    let mut demo = Demonstration::of(&alone, None, &[]);
    let said = demo.until(END).to_owned();
    assert!(said.contains("`cargo build --release --locked` builds both"), "{said}");
    assert!(!said.contains("An incident") && !said.contains("chat gets"), "{said}");
    wait_until("up", || demo.get("/metrics").contains("hermes_gateway_up{instance=\"vijay\"} 1\n"));
    demo.ends_without_a_trace(Signal::INT);
}

/// Programs called like the real ones, which fail.
fn broken_programs(folder: &Path) -> PathBuf {
    for name in ["prometheus", "prometheus-alertmanager"] {
        let program = folder.join(name);
        std::fs::write(&program, "#!/bin/sh\necho 'no room on the disk' >&2\nexit 3\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder.to_owned()
}

#[test]
fn what_fails_in_the_middle_says_why_and_the_rest_goes_on() {
    let broken = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_hermes-exporter"));
    let mut demo = Demonstration::of(program, Some(&broken_programs(broken.path())), &[]);
    let said = demo.until(END).to_owned();
    assert!(said.contains("has ended by itself (exit status: 3)"), "{said}");
    assert!(said.contains("no room on the disk\n"), "{said}");
    assert_uma_is_told(&said);
    demo.ends_without_a_trace(Signal::HUP);
}

#[test]
fn ended_in_the_middle_it_leaves_nothing() {
    let mut demo = Demonstration::start(&[]);
    demo.until("The gateway of bheem dies");
    demo.ends_without_a_trace(Signal::INT);
}

#[test]
fn what_it_has_started_ends_also_when_it_is_killed() {
    let mut demo = Demonstration::start(&["--no-incident"]);
    assert!(!demo.until(END).contains("An incident"));
    let children = demo.children();
    assert_eq!(children.len(), 3, "two gateways and the bridge");
    // Also what is stopped, as the introduction invites to.
    kill_process(Pid::from_raw(children[0] as i32).unwrap(), Signal::STOP).unwrap();
    demo.signal(Signal::KILL);
    demo.child.wait().unwrap();
    wait_until("all are gone", || !children.iter().any(|id| is_alive(*id)));
}

#[test]
fn a_port_that_is_taken_is_told_and_nothing_is_left() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hermes-exporter"));
    command.args(["demo", "--web.listen-address", &address]).env_clear().env("TMPDIR", folder.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(&format!("something listens on {address} already")), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
}
