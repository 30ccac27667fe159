//! Tailscale on this machine, as its daemon says over its socket.
//!
//! Any user may ask it for its status (LocalAPI). The answer is full of names of people and machines; what is kept of
//! it says nothing about anybody. Its peers are not asked for.
//!
//! Without a socket there is no Tailscale here, which is nothing to complain about, unless the configuration names the
//! socket: a daemon that has ended takes its socket with it. A socket that nobody answers at is unknown.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode};
use serde::Deserialize;

use super::problems::Problems;
use super::{MachineAnswering, MachineCollector, MachinePart};
use crate::exporter::snapshot::tailscale::{Tailscale, TailscaleState};
use crate::exporter::snapshot::{Label, Reading, Reason};
use crate::system::http::connect::{ConnectError, Place};
use crate::system::http::{BodyUse, Client, Get, HttpError};
use crate::system::time::Timestamp;

/// Where the daemon's socket is on Linux; `/var/run` is `/run`, except where it is not.
const SOCKETS: [&str; 2] = ["/run/tailscale/tailscaled.sock", "/var/run/tailscale/tailscaled.sock"];

const STATUS: &str = "/localapi/v0/status?peers=false";

/// The daemon answers to no other name, so that no web page can ask it.
const HOST: HeaderValue = HeaderValue::from_static("local-tailscaled.sock");

/// Without peers the status has a few kilobytes; capabilities and certificate domains can make it some more.
const MOST_BODY: usize = 256 * 1024;

/// The most addresses that are kept. A machine has two.
const MOST_ADDRESSES: usize = 16;

/// The daemon answers within milliseconds; this much is kept for what comes after.
const RESERVE: Duration = Duration::from_millis(100);

const SUBJECT: &str = "tailscale";

/// Asks Tailscale's daemon.
#[derive(Debug)]
pub struct TailscaleCollector {
    daemons: Vec<Client>,
    is_configured: bool,
}

impl TailscaleCollector {
    /// A collector that asks at `socket`, or else where the socket usually is.
    pub fn new(socket: Option<&Path>) -> Self {
        let paths = socket.map_or_else(|| SOCKETS.map(PathBuf::from).to_vec(), |socket| vec![socket.to_owned()]);
        TailscaleCollector {
            daemons: paths.into_iter().map(|path| Client::plain(Place::socket(path))).collect(),
            is_configured: socket.is_some(),
        }
    }

    async fn ask(&self, deadline: Instant, problems: &mut Problems) -> Reading<Tailscale> {
        for daemon in &self.daemons {
            let left = deadline.saturating_duration_since(Instant::now()).saturating_sub(RESERVE);
            let get = Get { path: STATUS.to_owned(), host: HOST, body: BodyUse::UpTo(MOST_BODY), timeout: left };
            match daemon.get(&get).await.answer {
                Err(HttpError::Connect(ConnectError::NoSocket(_))) => {}
                Err(error) => return problems.unknown(SUBJECT, &error),
                Ok(answer) => {
                    let read = match answer.status {
                        StatusCode::OK => parse(&answer.body),
                        StatusCode::FORBIDDEN => Err(Reason::Permission),
                        _ => Err(Reason::Http),
                    };
                    return read.map_or_else(
                        |reason| {
                            problems.note(SUBJECT, reason);
                            Reading::Unknown(reason)
                        },
                        Reading::Known,
                    );
                }
            }
        }
        if self.is_configured { Reading::Known(not_there()) } else { Reading::Absent }
    }
}

impl MachineCollector for TailscaleCollector {
    fn collect<'a>(&'a mut self, deadline: Instant, problems: &'a mut Problems) -> MachineAnswering<'a> {
        Box::pin(async move { MachinePart::Tailscale(self.ask(deadline, problems).await.map(Arc::new)) })
    }
}

fn not_there() -> Tailscale {
    Tailscale {
        state: TailscaleState::NotThere,
        online: Reading::Absent,
        version: Reading::Absent,
        key_expiry: Reading::Absent,
        health_warnings: Reading::Absent,
        addresses: Vec::new(),
    }
}

/// What is read of the status.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    backend_state: String,
    #[serde(default)]
    version: Option<String>,
    /// `null` where there are none.
    #[serde(default)]
    health: Option<Vec<serde::de::IgnoredAny>>,
    #[serde(default, rename = "TailscaleIPs")]
    addresses: Option<Vec<String>>,
    #[serde(default, rename = "Self")]
    own: Option<OwnStatus>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OwnStatus {
    #[serde(default)]
    online: Option<bool>,
    /// Left out where the key does not expire.
    #[serde(default)]
    key_expiry: Option<String>,
}

fn parse(body: &[u8]) -> Result<Tailscale, Reason> {
    let status: Status = serde_json::from_slice(body).map_err(|_| Reason::Parse)?;
    let own = status.own.as_ref();
    let addresses = status.addresses.iter().flatten().filter_map(|address| address.parse::<IpAddr>().ok());
    Ok(Tailscale {
        state: match status.backend_state.as_str() {
            "Running" => TailscaleState::Running,
            "Starting" => TailscaleState::Starting,
            "Stopped" => TailscaleState::Stopped,
            "NeedsLogin" => TailscaleState::NeedsLogin,
            "NeedsMachineAuth" => TailscaleState::NeedsMachineAuth,
            "NoState" => TailscaleState::NoState,
            _ => TailscaleState::Other,
        },
        online: own.and_then(|own| own.online).into(),
        version: status.version.as_deref().map(Label::new).into(),
        // Go writes the year 1 for "never", which is no time here either.
        key_expiry: own.and_then(|own| own.key_expiry.as_deref()).and_then(Timestamp::from_text).into(),
        health_warnings: Reading::Known(status.health.map_or(0, |warnings| warnings.len() as u64)),
        addresses: addresses.take(MOST_ADDRESSES).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::snapshot::Problem;
    use crate::system::http::scripted::{Script, Server, answer};

    /// As the daemon writes it: indented with tabs, and full of names.
    fn status(state: &str, own: &str, rest: &str) -> String {
        format!(
            "{{\n\t\"Version\": \"1.90.2-tabcdef012-g345678901\",\n\t\"TUN\": true,\n\t\"BackendState\": \"{state}\",\n\t\"AuthURL\": \"\",\n\t\"TailscaleIPs\": [\n\t\t\"100.101.102.103\",\n\t\t\"fd7a:115c:a1e0::1\"\n\t],\n\t\"Self\": {{\n\t\t\"ID\": \"n1234CNTRL\",\n\t\t\"HostName\": \"anns-laptop\",\n\t\t\"DNSName\": \"anns-laptop.tail1234.ts.net.\",\n\t\t\"UserID\": 1234567890,\n\t\t\"Addrs\": null{own}\n\t}},\n\t\"MagicDNSSuffix\": \"tail1234.ts.net\",\n\t\"CurrentTailnet\": {{\"Name\": \"ann@example.com\"}},\n\t\"Peer\": null,\n\t\"User\": {{\"1234567890\": {{\"LoginName\": \"ann@example.com\"}}}}{rest}\n}}"
        )
    }

    /// A daemon with the checks of the real one.
    fn daemon(path: &Path, answer: Vec<u8>) -> Server {
        let begin = format!("GET {STATUS} HTTP/1.1\r\nhost: local-tailscaled.sock\r\n");
        Server::unix(path, Script::Routes(vec![(begin, answer)]))
    }

    async fn ask(path: &Path, left: Duration) -> (Reading<Arc<Tailscale>>, Vec<Problem>) {
        let mut problems = Problems::default();
        let mut collector = TailscaleCollector::new(Some(path));
        let part = collector.collect(Instant::now() + left, &mut problems).await;
        let MachinePart::Tailscale(reading) = part else { panic!("another part") };
        (reading, problems.into_sorted())
    }

    const LONG: Duration = Duration::from_secs(60);

    async fn asked(body: &str) -> Arc<Tailscale> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tailscaled.sock");
        let _daemon = daemon(&path, answer("200 OK", body));
        let (reading, problems) = ask(&path, LONG).await;
        assert_eq!(problems, []);
        reading.known().cloned().unwrap()
    }

    #[tokio::test]
    async fn a_machine_in_its_tailnet_is_up() {
        let own = ",\n\t\t\"Online\": true,\n\t\t\"KeyExpiry\": \"2027-01-02T03:04:05Z\"";
        let tailscale = asked(&status("Running", own, ",\n\t\"Health\": [\"one\", \"two\"]")).await;
        assert!(tailscale.is_up());
        assert_eq!(tailscale.key_expiry, Timestamp::from_text("2027-01-02T03:04:05Z").into());
        assert_eq!(tailscale.health_warnings, Reading::Known(2));
        assert_eq!(tailscale.version, Reading::Known(Label::new("1.90.2-tabcdef012-g345678901")));
        let addresses: [IpAddr; 2] = ["100.101.102.103".parse().unwrap(), "fd7a:115c:a1e0::1".parse().unwrap()];
        assert_eq!(tailscale.addresses, addresses);
        let json = serde_json::to_string(&*tailscale).unwrap();
        for personal in ["ann", "tail1234", "1234567890", "n1234CNTRL"] {
            assert!(!json.contains(personal), "{json}");
        }
    }

    #[tokio::test]
    async fn what_it_is_at_says_whether_it_is_up() {
        use TailscaleState as State;
        for (word, own, state, is_up) in [
            // It does not say.
            ("Running", "", State::Running, true),
            ("Running", ",\"Online\": false", State::Running, false),
            ("Stopped", ",\"Online\": true", State::Stopped, false),
            ("NeedsLogin", "", State::NeedsLogin, false),
            ("NeedsMachineAuth", "", State::NeedsMachineAuth, false),
            ("Starting", "", State::Starting, false),
            ("NoState", "", State::NoState, false),
            ("InUseOtherUser", "", State::Other, false),
        ] {
            let tailscale = asked(&status(word, own, ",\"Health\": null")).await;
            assert_eq!((tailscale.state, tailscale.is_up()), (state, is_up), "{word} {own}");
            assert_eq!((tailscale.key_expiry, tailscale.health_warnings), (Reading::Absent, Reading::Known(0)));
        }
        let never = ",\"KeyExpiry\": \"0001-01-01T00:00:00Z\"";
        assert_eq!(asked(&status("Running", never, "")).await.key_expiry, Reading::Absent);
        // Before the first login there is next to nothing.
        assert!(!asked(r#"{"BackendState": "NeedsLogin", "Self": null, "TailscaleIPs": null}"#).await.is_up());
    }

    #[tokio::test]
    async fn without_a_socket_there_is_no_tailscale_unless_it_is_configured() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tailscaled.sock");
        let (reading, problems) = ask(&path, LONG).await;
        assert_eq!((reading.known().unwrap().is_up(), problems), (false, vec![]));
        assert_eq!(reading.known().unwrap().state, TailscaleState::NotThere);
        let collector = TailscaleCollector {
            daemons: [&path, &path].map(|path| Client::plain(Place::socket(path.clone()))).into(),
            is_configured: false,
        };
        let mut problems = Problems::default();
        assert_eq!(collector.ask(Instant::now() + LONG, &mut problems).await, Reading::Absent);
        assert_eq!(problems.into_sorted(), []);
    }

    #[tokio::test]
    async fn a_daemon_that_does_not_answer_well_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tailscaled.sock");
        let unknown = |reason| {
            let problem = Problem { reason, subject: SUBJECT.to_owned() };
            (Reading::Unknown(reason), vec![problem])
        };
        // Nobody listens any more.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert_eq!(ask(&path, LONG).await, unknown(Reason::Http));
        for (wire, reason) in [
            (answer("200 OK", "<html>"), Reason::Parse),
            (answer("200 OK", r#"{"Version": "1"}"#), Reason::Parse),
            (answer("200 OK", &" ".repeat(MOST_BODY + 1)), Reason::Unsupported),
            (answer("403 Forbidden", "invalid localapi request"), Reason::Permission),
            (answer("500 Internal Server Error", ""), Reason::Http),
            (b"no HTTP at all\r\n".to_vec(), Reason::Parse),
            (Vec::new(), Reason::Http),
        ] {
            std::fs::remove_file(&path).unwrap();
            let _daemon = daemon(&path, wire);
            assert_eq!(ask(&path, LONG).await, unknown(reason));
        }
        std::fs::remove_file(&path).unwrap();
        let _silent = Server::unix(&path, Script::Hang(Vec::new()));
        assert_eq!(ask(&path, RESERVE + Duration::from_millis(20)).await, unknown(Reason::Timeout));
    }
}
