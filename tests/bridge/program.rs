//! The program as it is run: with an empty environment of its own, started, killed and started again.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::scene::SECRET;

const DEADLINE: Duration = Duration::from_secs(120);

/// The program with nothing around it.
pub(crate) fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hermes-alert-bridge"));
    command.env_clear().env("HOME", folder).env("TMPDIR", folder).env("TZ", "UTC").current_dir(folder);
    command
}

/// Runs a command of it to its end: its code, and what it wrote. Nothing of the token may be in there.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = program(folder).args(arguments).output().unwrap();
    let (out, error) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(!out.contains(SECRET) && !error.contains(SECRET), "the token is shown");
    (status.code().unwrap(), out, error)
}

/// A serving program, ended with the test.
pub(crate) struct Bridge {
    pub(crate) child: Child,
    log: Arc<Mutex<String>>,
    output: Arc<Mutex<String>>,
}

impl Bridge {
    /// Starts it with `bridge.yml` and waits until it listens.
    pub(crate) fn start(folder: &Path, port: u16) -> Bridge {
        let bridge = Bridge::spawn(program(folder), port, &[]);
        bridge.wait_for_log("address=");
        bridge
    }

    /// Starts it with `bridge.yml`, by a command line that ends with the program, and does not wait for it.
    pub(crate) fn spawn(mut command: Command, port: u16, flags: &[&str]) -> Bridge {
        let address = format!("127.0.0.1:{port}");
        command.args(["serve", "--config.file", "bridge.yml", "--web.listen-address", &address]).args(flags);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (log, output) = (Arc::default(), Arc::default());
        collect(child.stderr.take().unwrap(), &log);
        collect(child.stdout.take().unwrap(), &output);
        Bridge { child, log, output }
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// What it has printed so far.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Waits until it has logged this.
    pub(crate) fn wait_for_log(&self, text: &str) {
        self.wait_until(text, || self.log().contains(text));
    }

    /// Waits until it has printed this.
    pub(crate) fn wait_for_output(&self, text: &str) {
        self.wait_until(text, || self.output().contains(text));
    }

    fn wait_until(&self, what: &str, condition: impl Fn() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < DEADLINE, "still waiting for {what:?}; the log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Kills it; gives what it has logged.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log()
    }

    /// Asks it to end, and waits for that.
    pub(crate) fn end(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.child.wait().unwrap()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("the log of the program:\n{}", self.log());
        } else {
            let told = self.log() + &self.output();
            assert!(!told.contains(SECRET), "the token is shown:\n{told}");
        }
    }
}

/// Reads what a program writes, on a thread, until it has ended.
fn collect(from: impl Read + Send + 'static, to: &Arc<Mutex<String>>) {
    let to = to.clone();
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            to.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
}
