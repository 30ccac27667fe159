//! Where a test plays: a folder, a Bot API server with chats in it, a configuration, and a client to post with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bot_api::{BotApi, ChatFacts, ChatKind, Message};
use crate::program::Bridge;

/// The token of the bot; the part after the colon must never be seen anywhere.
pub(crate) const TOKEN: &str = "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawX";

/// The part of it that is secret.
pub(crate) const SECRET: &str = "AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawX";

/// The chats that are there from the beginning.
pub(crate) const ROOT: i64 = 1001;
pub(crate) const UMA: i64 = 1002;
pub(crate) const OPS: i64 = 1003;

/// How long anything may take that has no reason to take long; only ever waited out by a failure.
const DEADLINE: Duration = Duration::from_secs(240);

/// Where a test plays.
pub(crate) struct Scene {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) api: BotApi,
    pub(crate) client: reqwest::Client,
    pub(crate) port: u16,
}

/// A configuration, in pieces that tests replace.
pub(crate) struct Configuration {
    /// More keys of `telegram`, with a comma at the end.
    pub(crate) telegram: String,
    pub(crate) limits: String,
    pub(crate) chats: String,
    pub(crate) routes: String,
    /// More keys at the top, as lines.
    pub(crate) more: String,
}

impl Default for Configuration {
    fn default() -> Self {
        Configuration {
            telegram: "timeout: 2s,".to_owned(),
            limits: "{chat_interval: 0s, group_per_minute: 100000, bot_per_second: 100000}".to_owned(),
            chats: format!("{{root: {{chat_id: {ROOT}}}, uma: {{chat_id: {UMA}}}, ops: {{chat_id: {OPS}}}}}"),
            routes: "[{match: 'instance = \"vijay\"', chat: root}, {match: 'instance = \"bheem\"', chat: uma}]"
                .to_owned(),
            more: String::new(),
        }
    }
}

impl Configuration {
    /// The default one with these lines at the end.
    pub(crate) fn with(more: &str) -> Configuration {
        Configuration { more: more.to_owned(), ..Configuration::default() }
    }

    /// The text of the file.
    pub(crate) fn text(&self, scene: &Scene) -> String {
        let folder = scene.folder.path().display();
        let Configuration { telegram, limits, chats, routes, more } = self;
        let api = scene.api.url();
        format!(
            "store: {folder}/bridge.db\n\
             telegram: {{token_file: {folder}/bot.token, api_url: '{api}', {telegram} limits: {limits}}}\n\
             chats: {chats}\nroutes: {routes}\ndefault_chat: root\noperations_chat: ops\n{more}\n"
        )
    }
}

impl Scene {
    /// An empty one with the usual chats.
    pub(crate) fn new() -> Scene {
        let scene = Scene {
            folder: tempfile::tempdir().unwrap(),
            api: BotApi::start(),
            client: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap(),
            port: free_port(),
        };
        for id in [ROOT, UMA, OPS] {
            scene.api.chat(ChatFacts { id, ..ChatFacts::default() });
        }
        scene.api.world().tokens = [TOKEN.to_owned()].into();
        scene.write("bot.token", TOKEN);
        scene
    }

    /// One with a chat more.
    pub(crate) fn chat(&self, id: i64, kind: ChatKind) {
        self.api.chat(ChatFacts { id, kind, ..ChatFacts::default() });
    }

    /// A file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes the configuration.
    pub(crate) fn configure(&self, configuration: &Configuration) -> PathBuf {
        self.write("bridge.yml", &configuration.text(self))
    }

    /// Writes the configuration and starts the program with it; it answers when this is done.
    pub(crate) fn start(&self, configuration: &Configuration) -> Bridge {
        self.configure(configuration);
        self.start_again()
    }

    /// Starts the program with the configuration that is there, at the same port.
    pub(crate) fn start_again(&self) -> Bridge {
        Bridge::start(self.folder.path(), self.port)
    }

    /// A URL of the program.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Posts a notification; the status, and what was said.
    pub(crate) async fn post(&self, body: &Value) -> (u16, String) {
        self.post_to("/alertmanager", body.to_string()).await.unwrap()
    }

    /// Posts anything anywhere.
    pub(crate) async fn post_to(&self, path: &str, body: String) -> Result<(u16, String), reqwest::Error> {
        let request = self.client.post(self.url(path)).header("content-type", "application/json").body(body);
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// Posts a notification that has to be accepted.
    pub(crate) async fn accept(&self, body: &Value) {
        let (status, text) = self.post(body).await;
        assert_eq!(status, 200, "{text}");
    }

    /// What is at a path.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let response = self.client.get(self.url(path)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The sum of the samples of a metric that have these labels.
    pub(crate) async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let (_, text) = self.get("/metrics").await;
        let wanted: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let samples = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']))
                && wanted.iter().all(|label| line.contains(label))
        });
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// The messages of a chat, as people see them.
    pub(crate) fn texts(&self, chat_id: i64) -> Vec<String> {
        self.api.messages(chat_id).into_iter().map(|message| message.text).collect()
    }

    /// All that can be read in a chat, with what is in documents.
    pub(crate) fn everything_in(&self, chat_id: i64) -> String {
        let read = |message: Message| {
            let document = message.document.map(|document| document.content).unwrap_or_default();
            format!("{}\n{document}\n", message.text)
        };
        self.api.messages(chat_id).into_iter().map(read).collect()
    }

    /// Waits until a chat has so many messages, and gives them.
    pub(crate) async fn messages(&self, chat_id: i64, count: usize) -> Vec<Message> {
        wait_for(&format!("{count} messages in {chat_id}"), async || {
            let messages = self.api.messages(chat_id);
            (messages.len() >= count).then_some(messages)
        })
        .await
    }

    fn store(&self) -> rusqlite::Connection {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connection = rusqlite::Connection::open_with_flags(self.path("bridge.db"), flags).unwrap();
        connection.busy_timeout(DEADLINE).unwrap();
        connection
    }

    /// Looks into the store, where nobody may be writing for long.
    pub(crate) fn count(&self, query: &str) -> i64 {
        self.store().query_row(query, [], |row| row.get(0)).unwrap()
    }

    /// All that a query gives, as text.
    pub(crate) fn column(&self, query: &str) -> BTreeSet<String> {
        let connection = self.store();
        let mut statement = connection.prepare(query).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// Waits until there is nothing to do.
    pub(crate) async fn settled(&self) {
        wait_for("nothing to be left to do", async || {
            let left = self.count("SELECT count(*) FROM card WHERE urgency IS NOT NULL OR in_flight IS NOT NULL");
            (left == 0).then_some(())
        })
        .await;
    }
}

/// Asks until there is an answer.
pub(crate) async fn wait_for<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "still waiting for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A port that nobody listens at, below those that connections are given: a client that asks again and again for a port
/// of its own kind would one day be connected with itself.
fn free_port() -> u16 {
    let mut random = Random::new();
    loop {
        let port = 20_000 + random.below(12_000) as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Numbers that nobody foresees, and that can be had again by their seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Other ones each time.
    pub(crate) fn new() -> Random {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).unwrap();
        Random(u64::from_le_bytes(seed) | 1)
    }

    /// One below this.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// The smallest value that at least this share of all values does not exceed.
pub(crate) fn percentile(values: &[Duration], share: f64) -> Duration {
    let mut ordered = values.to_vec();
    ordered.sort();
    let place = ((ordered.len() as f64 * share).ceil() as usize).clamp(1, ordered.len());
    ordered[place - 1]
}

/// Whether nothing in a folder has the secret part of the token in it, but for the file that it is in.
pub(crate) fn has_secret(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let others = entries.filter(|path| path.is_file() && !path.ends_with("bot.token"));
    others.filter(|path| std::fs::read(path).is_ok_and(|content| contains(&content, SECRET.as_bytes()))).collect()
}

fn contains(content: &[u8], wanted: &[u8]) -> bool {
    content.windows(wanted.len()).any(|window| window == wanted)
}
