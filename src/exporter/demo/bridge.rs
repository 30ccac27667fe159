//! The bridge of the demonstration: it prints to a file what it would send to Telegram.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;

use super::loopback::{is_ready, post, wait_for};
use super::messages::Messages;
use super::processes::{Process, printed};
use super::{DemoError, write};

/// What its files are called.
pub(super) const NAME: &str = "bridge";

const WATCHDOG: &str = "watchdog: {match: 'alertname = \"Watchdog\"', max_silence: 5m}\n";

/// The bridge, under way.
#[derive(Debug)]
pub(super) struct Bridge {
    process: Process,
    address: SocketAddr,
    messages: Messages,
}

impl Bridge {
    /// Starts it, and waits until it is ready. With a heartbeat, it complains when there is none any more.
    pub(super) async fn start(program: &Path, folder: &Path, has_heartbeat: bool) -> Result<Bridge, DemoError> {
        let file = folder.join("bridge.yml");
        write(&file, &configuration(folder, has_heartbeat))?;
        let arguments = ["--config.file".to_owned(), file.display().to_string()];
        // It chooses a port, and tells it.
        let address = ["--web.listen-address".to_owned(), "127.0.0.1:0".to_owned()];
        let mut process = Process::start(NAME, program, &[arguments, address].concat(), folder)?;
        let address = wait_for("the bridge to be ready", async || {
            process.still_runs()?;
            match address_in(&process.log()) {
                Some(address) => Ok(is_ready(address).await.map(|()| address)),
                None => Ok(None),
            }
        })
        .await?;
        Ok(Bridge { process, address, messages: Messages::of(printed(folder, NAME)) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    pub(super) fn messages(&mut self) -> &mut Messages {
        &mut self.messages
    }

    /// Posts what Alertmanager would.
    pub(super) async fn take(&self, notification: &Value) -> Result<(), DemoError> {
        match post(self.address, "/alertmanager", notification).await {
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(answer) => Err(DemoError::Refused { answer: String::from_utf8_lossy(&answer.body).trim().to_owned() }),
            Err(error) => Err(DemoError::Refused { answer: error.to_string() }),
        }
    }
}

/// One chat for each instance. The limits are Telegram's, which is not asked here; the section wants a file for the token,
/// which is not read.
fn configuration(folder: &Path, has_heartbeat: bool) -> String {
    let folder = folder.display();
    let watchdog = if has_heartbeat { WATCHDOG } else { "" };
    format!(
        r#"store: {folder}/bridge.db
delivery: console
telegram:
  token_file: {folder}/no-token
  limits: {{chat_interval: 0s, group_per_minute: 10000, bot_per_second: 10000}}
chats: {{root: {{}}, uma: {{}}}}
routes:
  - {{match: 'instance = "vijay"', chat: root}}
  - {{match: 'instance = "bheem"', chat: uma}}
default_chat: root
{watchdog}"#
    )
}

/// The address in the line that the bridge logs when it listens.
fn address_in(log: &str) -> Option<SocketAddr> {
    let (line, _) = log.split_once(" address=")?.1.split_once('\n')?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_when_it_is_whole() {
        assert_eq!(address_in("ts=1 level=info message=Listening."), None);
        assert_eq!(address_in("ts=1 level=info message=Listening. address=127.0.0.1:42"), None);
        let log = "ts=1 level=info message=Listening. address=127.0.0.1:42425\nts=2 message=More.\n";
        assert_eq!(address_in(log), Some(SocketAddr::from(([127, 0, 0, 1], 42425))));
    }

    #[cfg(feature = "bridge")]
    #[test]
    fn the_bridge_understands_its_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bridge.yml");
        for has_heartbeat in [false, true] {
            std::fs::write(&file, configuration(folder.path(), has_heartbeat)).unwrap();
            let config = crate::bridge::config::Config::from_file(&file).unwrap();
            let chats: Vec<_> = config.chats.keys().map(ToString::to_string).collect();
            assert_eq!(chats, ["root", "uma"]);
            assert_eq!(config.watchdog.is_some(), has_heartbeat);
        }
    }
}
