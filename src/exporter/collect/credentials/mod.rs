//! Credentials: whether tokens and keys are there and would work, and nothing of what they are.
//!
//! * `field`: reads a field so that a secret becomes "there is one" at once.
//! * `grant`: access and refresh tokens, however they are stored.
//! * `expected`: which of them somebody counts on.
//! * `google`, `store`, `mcp`, `environment`: one file or folder of the home each.
//!
//! Everything is told from the files alone: nobody is asked whether a token was revoked, and nothing is
//! refreshed.

mod environment;
mod expected;
mod field;
mod google;
mod grant;
mod mcp;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;

use environment::Environment;
use expected::{Expected, Unread};
use google::GoogleToken;
use grant::Grant;
use mcp::McpTokens;
use store::Store;

use super::problems::{Because, Problems};
use super::{Collector, Look, Part};
use crate::exporter::instance::Instance;
use crate::exporter::snapshot::credentials::{Credentials, Token};
use crate::exporter::snapshot::{Label, Reading, Reason};
use crate::system::files::{self, Watched};
use crate::system::time::Timestamp;

const GOOGLE: &str = "google_token.json";
const ANTHROPIC: &str = ".anthropic_oauth.json";

/// Reads the credentials of one instance.
#[derive(Debug)]
pub struct CredentialsCollector {
    google: Watched<GoogleToken>,
    anthropic: Watched<Grant>,
    store: Store,
    mcp: McpTokens,
    environment: Environment,
    expected: Expected,
}

impl CredentialsCollector {
    /// A collector for `instance`.
    pub fn new(instance: &Instance) -> Self {
        let root_store = instance.root_home().map(|root| root.join("auth.json"));
        CredentialsCollector {
            google: Watched::new(instance.path(GOOGLE)),
            anthropic: Watched::new(instance.path(ANTHROPIC)),
            store: Store::new(instance.path("auth.json"), root_store),
            mcp: McpTokens::new(instance.path("mcp-tokens")),
            environment: Environment::new(instance.path(".env"), instance.env_keys.clone()),
            expected: Expected::new(instance.expected_tokens.as_deref(), instance.path(expected::GOOGLE_CLIENT)),
        }
    }

    fn read(&mut self, now: Timestamp, problems: &mut Problems) -> Credentials {
        let stored = self.store.read(problems);
        let mut tokens: BTreeMap<Label, Token> =
            stored.grants.into_iter().map(|(provider, grant)| (provider, grant.at(now))).collect();
        // After the providers, so that none of them takes the name of a file's own token.
        let (mcp, mcp_unread) = self.mcp.read(now, problems);
        tokens.extend(mcp);
        let mut unread = Unread { store: stored.unread, mcp: mcp_unread, anthropic: None };
        match self.anthropic(now, problems) {
            Ok(Some(token)) => {
                tokens.insert(Label::new("anthropic"), token);
            }
            Ok(None) => {}
            Err(reason) => unread.anthropic = Some(reason),
        }
        tokens.insert(Label::new("google"), self.google(now, problems));
        self.expected.mark(&mut tokens, unread);
        Credentials { tokens, pools: stored.pools, env_keys: self.environment.read(problems) }
    }

    fn google(&mut self, now: Timestamp, problems: &mut Problems) -> Token {
        match self.google.get(google::parse) {
            Ok(stored) => stored.map_or(Token::MISSING, |stored| stored.at(now)),
            Err(error) => {
                problems.unknown::<()>(GOOGLE, &error);
                grant::unreadable(files::exists(self.google.path()).unwrap_or_default(), error.reason())
            }
        }
    }

    /// The error is why it can not be told whether there is such a token.
    fn anthropic(&mut self, now: Timestamp, problems: &mut Problems) -> Result<Option<Token>, Reason> {
        match self.anthropic.get(grant::parse_anthropic) {
            Ok(stored) => Ok(stored.map(|grant| grant.at(now))),
            Err(error) => {
                problems.unknown::<()>(ANTHROPIC, &error);
                // Most homes have no such file, and in one that may not be entered it can not be seen.
                let is_there = files::exists(self.anthropic.path()).unwrap_or_default();
                if is_there { Ok(Some(grant::unreadable(true, error.reason()))) } else { Err(error.reason()) }
            }
        }
    }
}

impl Collector for CredentialsCollector {
    fn collect(&mut self, look: &Look<'_>, problems: &mut Problems) -> Part {
        Part::Credentials(Reading::Known(Arc::new(self.read(look.now, problems))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample_homes;
    use super::*;
    use crate::exporter::instance::tests::instance_at;
    use crate::exporter::snapshot::Problem;
    use std::path::Path;
    use tempfile::TempDir;

    const NOW: f64 = 1_795_165_255.233391;

    fn home_with(files: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        folder
    }

    fn look_at(home: &Path) -> (Credentials, Vec<Problem>) {
        look_with(&mut CredentialsCollector::new(&instance_at(home)), NOW)
    }

    fn look_with(collector: &mut CredentialsCollector, now: f64) -> (Credentials, Vec<Problem>) {
        let mut problems = Problems::default();
        let credentials = collector.read(Timestamp::from_seconds(now).unwrap(), &mut problems);
        (credentials, problems.into_sorted())
    }

    fn problem(reason: Reason, subject: &str) -> Problem {
        Problem { reason, subject: subject.to_owned() }
    }

    fn token(credentials: &Credentials, name: &str) -> Token {
        credentials.tokens[&Label::new(name)]
    }

    fn names<V>(entries: &BTreeMap<Label, V>) -> Vec<&str> {
        entries.keys().map(Label::as_str).collect()
    }

    #[test]
    fn a_busy_home_is_read_as_hermes_wrote_it() {
        let (_folder, vijay, _) = sample_homes::unpack();
        let (credentials, problems) = look_at(&vijay);
        assert_eq!(problems, []);
        assert_eq!(names(&credentials.tokens), ["google", "openai-codex", "spotify"]);
        let google = token(&credentials, "google");
        assert_eq!(
            (google.present, google.valid, google.refreshable),
            (Reading::Known(true), Reading::Known(true), Reading::Known(true))
        );
        assert_eq!(google.scopes, Reading::Known(8));
        assert_eq!(google.expiry, Timestamp::from_text("2026-11-20T09:40:55.123456Z").into());
        let codex = token(&credentials, "openai-codex");
        assert_eq!(
            (codex.present, codex.valid, codex.expiry),
            (Reading::Known(true), Reading::Known(true), Reading::Absent)
        );
        let spotify = token(&credentials, "spotify");
        assert_eq!(
            (spotify.valid, spotify.refreshable),
            (Reading::Known(true), Reading::Known(true)),
            "expired, and that is normal"
        );
        assert_eq!(spotify.expiry, Timestamp::from_text("2026-11-20T09:00:54.233391Z").into());

        let pools = credentials.pools.known().unwrap();
        let count = |provider: &str, status: &str| pools[&Label::new(provider)].get(status);
        assert_eq!(names(pools), ["anthropic", "openrouter"]);
        assert_eq!((count("anthropic", "ok"), count("anthropic", "exhausted")), (1, 1));
        assert_eq!((count("openrouter", "ok"), count("openrouter", "dead")), (1, 0));
        let keys = credentials.env_keys.known().unwrap();
        assert_eq!(names(keys), ["API_SERVER_KEY", "DISCORD_BOT_TOKEN", "OPENROUTER_API_KEY", "TELEGRAM_BOT_TOKEN"]);
        assert!(keys.values().all(|is_set| *is_set));
    }

    #[test]
    fn a_withdrawn_login_is_told_from_one_that_never_was() {
        let (_folder, _, bheem) = sample_homes::unpack();
        let (credentials, problems) = look_at(&bheem);
        assert_eq!(problems, []);
        assert_eq!(token(&credentials, "google"), Token::MISSING);
        let nous = token(&credentials, "nous");
        assert_eq!((nous.present, nous.valid), (Reading::Known(false), Reading::Known(false)));
        assert_eq!(names(credentials.pools.known().unwrap()), ["openrouter"]);
    }

    #[test]
    fn a_profile_without_a_login_of_its_own_uses_that_of_its_root() {
        let (_folder, vijay, _) = sample_homes::unpack();
        let (credentials, problems) = look_at(&vijay.join("profiles/coder"));
        assert_eq!(problems, []);
        assert_eq!(names(&credentials.tokens), ["google", "openai-codex", "spotify"]);
        assert_eq!(token(&credentials, "google"), Token::MISSING, "only logins are shared");
        assert_eq!(names(credentials.pools.known().unwrap()), ["anthropic", "openrouter"]);
    }

    #[test]
    fn an_empty_home_has_only_a_missing_google_token() {
        let folder = tempfile::tempdir().unwrap();
        let (credentials, problems) = look_at(folder.path());
        assert_eq!(credentials.tokens, BTreeMap::from([(Label::new("google"), Token::MISSING)]));
        assert_eq!((credentials.pools, credentials.env_keys), (Reading::Absent, Reading::Absent));
        assert_eq!(problems, []);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_file_takes_nothing_else_with_it() {
        let (_folder, vijay, _) = sample_homes::unpack();
        std::fs::write(vijay.join(GOOGLE), "{\"token\": \"hunter2").unwrap();
        std::fs::write(vijay.join(ANTHROPIC), "").unwrap();
        let (credentials, problems) = look_at(&vijay);
        let damaged = Token { is_expected: true, ..grant::unreadable(true, Reason::Parse) };
        assert_eq!((token(&credentials, "google"), token(&credentials, "anthropic")), (damaged, damaged));
        assert_eq!(token(&credentials, "spotify").valid, Reading::Known(true));
        assert!(credentials.pools.known().is_some());
        assert_eq!(problems, [problem(Reason::Parse, ANTHROPIC), problem(Reason::Parse, GOOGLE)]);
    }

    #[test]
    fn every_kind_of_token_has_its_name_and_no_provider_takes_it() {
        let home = home_with(&[
            ("auth.json", r#"{"providers": {"google": {"access_token": "a"}, "mcp:calendar": {}, "anthropic": {}}}"#),
            (".anthropic_oauth.json", r#"{"accessToken": "a", "expiresAt": 1795165256000}"#),
            ("mcp-tokens/calendar.json", r#"{"access_token": "a", "refresh_token": "r"}"#),
            ("mcp-tokens/calendar.client.json", "{}"),
        ]);
        let (credentials, _) = look_at(home.path());
        assert_eq!(names(&credentials.tokens), ["anthropic", "google", "mcp:calendar"]);
        assert_eq!(token(&credentials, "google"), Token::MISSING);
        assert_eq!(token(&credentials, "anthropic").valid, Reading::Known(true));
        assert_eq!(token(&credentials, "mcp:calendar").refreshable, Reading::Known(true));
    }

    fn expected(credentials: &Credentials) -> Vec<&str> {
        credentials.tokens.iter().filter(|(_, token)| token.is_expected).map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn what_somebody_has_set_up_is_expected_also_when_it_is_lost() {
        let (_folder, vijay, bheem) = sample_homes::unpack();
        std::fs::remove_file(vijay.join(GOOGLE)).unwrap();
        let (credentials, _) = look_at(&vijay);
        assert_eq!(expected(&credentials), ["google", "openai-codex", "spotify"]);
        assert_eq!(token(&credentials, "google").present, Reading::Known(false));
        let (credentials, _) = look_at(&bheem);
        assert_eq!(expected(&credentials), ["nous"], "withdrawn, and nobody has ever set up the Google token");
        let home = home_with(&[("auth.json", r#"{"providers": {"qwen": {}}}"#), (ANTHROPIC, "{}")]);
        assert_eq!(expected(&look_at(home.path()).0), [""; 0]);
    }

    #[test]
    fn what_the_configuration_names_is_expected_and_nothing_else() {
        let (_folder, vijay, _) = sample_homes::unpack();
        let look = |names: &[&str]| {
            let mut instance = instance_at(&vijay);
            instance.expected_tokens = Some(names.iter().map(|name| (*name).to_owned()).collect());
            look_with(&mut CredentialsCollector::new(&instance), NOW).0
        };
        let every = ["anthropic", "google", "mcp:calendar", "xai"];
        let credentials = look(&every);
        assert_eq!(expected(&credentials), every);
        assert_eq!(
            names(&credentials.tokens),
            ["anthropic", "google", "mcp:calendar", "openai-codex", "spotify", "xai"]
        );
        let missing = Token { is_expected: true, ..Token::MISSING };
        for name in ["anthropic", "mcp:calendar", "xai"] {
            assert_eq!(token(&credentials, name), missing, "{name}");
        }
        assert_eq!(expected(&look(&[])), [""; 0]);
        // Nobody can say what is missing from what can not be read.
        for name in ["auth.json", "mcp-tokens", ANTHROPIC] {
            let _ = std::fs::remove_file(vijay.join(name));
            let nowhere = "x".repeat(300);
            std::os::unix::fs::symlink(nowhere, vijay.join(name)).unwrap();
        }
        let credentials = look(&every);
        for name in ["anthropic", "mcp:calendar", "xai"] {
            assert_eq!(token(&credentials, name).present, Reading::Unknown(Reason::Io), "{name}");
        }
    }

    #[test]
    fn time_alone_makes_a_token_invalid() {
        let home = home_with(&[
            (".anthropic_oauth.json", r#"{"accessToken": "a", "expiresAt": 1795165256000}"#),
            (GOOGLE, r#"{"token": "t", "expiry": "2026-11-20T09:40:55Z"}"#),
        ]);
        let mut collector = CredentialsCollector::new(&instance_at(home.path()));
        let mut valid = |now: f64| {
            let (credentials, _) = look_with(&mut collector, now);
            ["anthropic", "google"].map(|name| *token(&credentials, name).valid.known().unwrap())
        };
        assert_eq!(valid(NOW), [true, true]);
        assert_eq!(valid(NOW + 10.0), [false, true]);
        assert_eq!(valid(NOW + 2_400.0), [false, false]);
        assert_eq!(valid(NOW), [true, true], "a clock that is set back");
    }

    #[test]
    fn no_secret_is_kept_or_told() {
        let (_folder, vijay, _) = sample_homes::unpack();
        let secret = "hunter2";
        std::fs::create_dir(vijay.join("mcp-tokens")).unwrap();
        for name in ["mcp-tokens/a.json", ".anthropic_oauth.json"] {
            let content =
                format!(r#"{{"access_token": "{secret}", "accessToken": "{secret}", "{secret}": "{secret}"}}"#);
            std::fs::write(vijay.join(name), content).unwrap();
        }
        std::fs::write(vijay.join("mcp-tokens/b.json"), format!("{{\"access_token\": {secret}")).unwrap();
        let mut collector = CredentialsCollector::new(&instance_at(&vijay));
        let (credentials, problems) = look_with(&mut collector, NOW);
        let told = format!("{collector:?} {problems:?} {}", serde_json::to_string(&credentials).unwrap());
        for fragment in [secret, "FAKE", "not-a-secret", "sha256:", "work key", "fake.apps", "100000001"] {
            assert!(!told.contains(fragment), "{fragment}");
        }
    }
}
