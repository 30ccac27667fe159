//! The program as it is served: where it listens and where it does not, what systemd hands over and is told, and that it
//! goes on where there is nothing left to serve with.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// What fails then would hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that is ended with the test, its configuration, and the socket on which it tells how it is.
struct Served {
    child: Child,
    told: UnixDatagram,
}

impl Served {
    /// Starts it by a line of the shell, which has the program and its arguments in `"$@"`.
    fn start(folder: &Path, shell: &str, files: Option<(OwnedFd, OwnedFd)>, arguments: &[&str]) -> Served {
        let address = folder.join("notify.sock");
        let told = UnixDatagram::bind(&address).unwrap();
        told.set_read_timeout(Some(PATIENCE)).unwrap();
        std::fs::write(folder.join("none.yml"), "instances: []\n").unwrap();
        let mut command = Command::new("/bin/sh");
        command.env_clear().env("HOME", folder).env("NOTIFY_SOCKET", &address).current_dir(folder);
        command.args(["-c", shell, "sh", env!("CARGO_BIN_EXE_hermes-exporter"), "--config.file", "none.yml"]);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some((first, second)) = files {
            command.stdin(first).stdout(second);
        }
        Served { child: command.spawn().unwrap(), told }
    }

    /// The next thing that it tells.
    fn tells(&self) -> String {
        let mut message = [0; 1024];
        let length = self.told.recv(&mut message).expect("nothing is told");
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// Where it says that it serves, once it does.
    fn addresses(&self) -> Vec<String> {
        let told = self.tells();
        let addresses = told.strip_prefix("READY=1\nSTATUS=Serving at ").and_then(|rest| rest.strip_suffix(".\n"));
        addresses.unwrap_or_else(|| panic!("{told}")).split(", ").map(str::to_owned).collect()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_healthy(mut stream: impl Read + Write) -> bool {
    stream.write_all(b"GET /-/healthy HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("healthy\n")
}

/// How it ends that is not to serve: its code, and what it says.
fn refused(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hermes-exporter"));
    command.env_clear().env("HOME", folder).current_dir(folder).args(["--log.level", "error"]).args(arguments);
    let ended = command.output().unwrap();
    (ended.status.code().unwrap(), String::from_utf8(ended.stderr).unwrap())
}

const PLAIN: &str = r#"exec "$@""#;

#[test]
fn systemd_is_told_that_it_serves_loads_again_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let unix = format!("unix:{}", folder.path().join("exporter.sock").display());
    let flags = ["--web.listen-address", "127.0.0.1:0", "--web.listen-address", &unix];
    let mut served = Served::start(folder.path(), PLAIN, None, &flags);
    let addresses = served.addresses();
    assert!(addresses.len() == 2 && addresses[1] == unix, "{addresses:?}");
    assert!(is_healthy(TcpStream::connect(&addresses[0]).unwrap()));
    assert!(is_healthy(UnixStream::connect(folder.path().join("exporter.sock")).unwrap()));

    for (configuration, status) in [
        ("instances: []\n", "Serving."),
        ("nonsense\n", "Serving with the former configuration: the new one was not loaded."),
    ] {
        std::fs::write(folder.path().join("none.yml"), configuration).unwrap();
        served.signal(Signal::HUP);
        let told = served.tells();
        let time = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{told}"));
        assert!(time.trim_end().parse::<u64>().unwrap() > 0);
        assert_eq!(served.tells(), format!("READY=1\nSTATUS={status}\n"));
    }

    served.signal(Signal::TERM);
    assert!(served.tells().starts_with("STOPPING=1\n"));
    assert!(served.child.wait().unwrap().success());
    assert!(!folder.path().join("exporter.sock").exists());
}

#[test]
fn what_systemd_hands_over_is_served_and_stays_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("activated.sock");
    let (tcp, unix) = (TcpListener::bind("127.0.0.1:0").unwrap(), UnixListener::bind(&path).unwrap());
    let address = tcp.local_addr().unwrap();
    let handing_over = r#"exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_FDS=2 LISTEN_PID=$$ exec "$@""#;
    let files = Some((tcp.into(), unix.into()));
    let mut served = Served::start(folder.path(), handing_over, files, &["--web.systemd-socket"]);
    assert_eq!(served.addresses(), [address.to_string(), format!("unix:{}", path.display())]);
    assert!(is_healthy(TcpStream::connect(address).unwrap()) && is_healthy(UnixStream::connect(&path).unwrap()));
    served.signal(Signal::TERM);
    assert!(served.child.wait().unwrap().success() && path.exists());

    let (code, said) = refused(folder.path(), &["--web.systemd-socket"]);
    assert!(code == 64 && said.contains("--web.systemd-socket") && said.contains(".socket unit"), "{code}: {said}");
    let both = refused(folder.path(), &["--web.systemd-socket", "--web.listen-address", "127.0.0.1:0"]);
    assert_eq!(both.0, 64, "{}", both.1);
}

#[test]
fn what_systemd_hands_over_for_everybody_is_refused_too() {
    let folder = tempfile::tempdir().unwrap();
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    let handing_over = r#"exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@""#;
    let files = || Some((socket.try_clone().unwrap().into(), std::fs::File::open("/dev/null").unwrap().into()));
    let mut refused = Served::start(folder.path(), handing_over, files(), &["--web.systemd-socket"]);
    assert_eq!(refused.child.wait().unwrap().code(), Some(64));
    let other = tempfile::tempdir().unwrap();
    let flags = ["--web.systemd-socket", "--web.allow-public-without-auth"];
    let served = Served::start(other.path(), handing_over, files(), &flags);
    assert_eq!(served.addresses(), [socket.local_addr().unwrap().to_string()]);
}

#[test]
fn what_everybody_could_reach_is_refused_unless_it_is_said_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0", "[::]:0", ":0"] {
        let (code, said) = refused(folder.path(), &["--web.listen-address", address]);
        assert!(code == 64 && said.contains("can be reached from everywhere"), "{address}: {code}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let flags = ["--web.listen-address", "0.0.0.0:0", "--web.allow-public-without-auth"];
    let served = Served::start(folder.path(), PLAIN, None, &flags);
    assert!(served.addresses()[0].starts_with("0.0.0.0:"));
}

#[test]
fn without_descriptors_it_waits_and_serves_on() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(
        folder.path(),
        r#"ulimit -n 48; exec "$@""#,
        None,
        &["--web.listen-address", "127.0.0.1:0", "--no-collector.host", "--no-collector.tailscale"],
    );
    let address = served.addresses().remove(0);
    // More than it has descriptors; each is silent, and idle ones have to make room.
    let crowd: Vec<_> = (0..100).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let last = TcpStream::connect(&address).unwrap();
    last.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(is_healthy(last));
    drop(crowd);
    assert!(is_healthy(TcpStream::connect(&address).unwrap()));
}
