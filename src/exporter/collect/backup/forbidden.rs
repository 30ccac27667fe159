//! What should not be in a backup that goes to a server: what looks like a secret or a live database, by its path and
//! where that is not enough by how it begins.
//!
//! * `database`: the live databases of Hermes, and the files that SQLite keeps beside a database while it is open. A copy
//!   of such a file that is taken while Hermes writes is torn. A dump (`*.sql`) is what a backup should have.
//! * `env`: `.env`, `.env.*`, `*.env`, but not those that only show what belongs in it (`.example`, `.sample`,
//!   `.template`, `.dist`, also before `.env`).
//! * `auth`: credentials by which one logs in, of Hermes (`auth.json`, `credential_pool*.json`) and of others
//!   (`.netrc`, `.aws/credentials`).
//! * `token`: tokens and what belongs to them: `*token*.json`, `*oauth*.json`, `client_secret*.json`, everything in
//!   `mcp-tokens/`, `webhook_subscriptions.json`, which has the secrets of webhooks in it, and an `.npmrc` with a token.
//! * `private_key`: keys by their usual names and endings; a `.pem` only where a private key is in it, because most hold
//!   certificates, and so the JSON of a service account.
//! * `configured`: what the configuration forbids besides.
//!
//! A copy that was set aside (`.bak`, `.old`, `~`) looks like what it is a copy of, and a packed secret (`.gz`) like a
//! secret; a packed database is no live one. Case does not matter. Empty files have nothing in them, and encrypted ones nothing that is known.

use glob::{MatchOptions, Pattern};

/// What a file looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A live database.
    Database,
    /// A file of environment variables.
    Env,
    /// Credentials.
    Auth,
    /// A token.
    Token,
    /// A private key.
    PrivateKey,
    /// What the configuration says.
    Configured,
}

impl Kind {
    /// Every kind, in the order of the words.
    pub(super) const ALL: [Kind; 6] =
        [Kind::Auth, Kind::Configured, Kind::Database, Kind::Env, Kind::PrivateKey, Kind::Token];

    /// The word used in labels and JSON.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::Database => "database",
            Kind::Env => "env",
            Kind::Auth => "auth",
            Kind::Token => "token",
            Kind::PrivateKey => "private_key",
            Kind::Configured => "configured",
        }
    }
}

/// The databases that Hermes has open while it runs.
const DATABASES: [&str; 7] = [
    "state.db",
    "response_store.db",
    "kanban.db",
    "executions.db",
    "projects.db",
    "verification_evidence.db",
    "memory_store.db",
];

/// What SQLite keeps beside a database that is open.
const BESIDE_DATABASES: [&str; 3] = ["-wal", "-shm", "-journal"];
const ENDINGS_OF_DATABASES: [&str; 4] = [".db", ".sqlite", ".sqlite3", ".db3"];

const EXAMPLES: [&str; 4] = [".example", ".sample", ".template", ".dist"];

const CREDENTIALS: [&str; 7] =
    ["auth.json", "credentials.json", ".credentials.json", ".git-credentials", ".netrc", ".pgpass", ".htpasswd"];

/// Models of language have files that speak of tokens and mean words.
const WORDS_OF_MODELS: [&str; 3] = ["tokenizer", "special_tokens_map", "added_tokens"];

const KEYS: [&str; 6] = ["id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_ecdsa_sk", "id_ed25519_sk"];
const ENDINGS_OF_KEYS: [&str; 6] = [".key", ".p12", ".pfx", ".ppk", ".jks", ".keystore"];

/// What stands behind the name of a copy that was set aside.
const COPIES: [&str; 7] = [".bak", ".backup", ".old", ".orig", ".save", ".copy", "~"];

const PACKED: [&str; 5] = [".gz", ".xz", ".bz2", ".zst", ".zip"];

const ENCRYPTED: [&str; 3] = [".gpg", ".pgp", ".age"];

/// How files begin whose content is encrypted: by git-crypt, age and GnuPG.
const ENCRYPTED_BEGINNINGS: [&[u8]; 4] =
    [b"\0GITCRYPT\0", b"age-encryption.org/v1", b"-----BEGIN AGE ENCRYPTED FILE-----", b"-----BEGIN PGP MESSAGE-----"];

const PRIVATE_KEY: &[u8] = b"PRIVATE KEY-----";

/// What an `.npmrc` has in it besides its settings, if anything.
const NPM_CREDENTIALS: [&[u8]; 2] = [b":_auth", b":_password"];

/// How archives begin: a `.key` that is one is a presentation.
const ARCHIVE: &[u8] = b"PK\x03\x04";

/// As a shell has it, except that hidden files are found as well.
const MATCHING: MatchOptions =
    MatchOptions { case_sensitive: false, require_literal_separator: true, require_literal_leading_dot: false };

/// What is forbidden in one repository.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    /// Besides what looks like a secret or a live database.
    pub(super) forbidden: Vec<Pattern>,
    /// In spite of everything else.
    pub(super) allowed: Vec<Pattern>,
}

impl Rules {
    /// What a file at this path looks like; whether it is that, its content says.
    pub(super) fn suspect(&self, path: &str) -> Option<Kind> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let matches = |pattern: &Pattern| {
            let whole = pattern.as_str().contains('/');
            pattern.matches_with(if whole { path } else { name }, MATCHING)
        };
        let kind = || self.forbidden.iter().any(matches).then_some(Kind::Configured).or_else(|| looks_like(path));
        kind().filter(|_| !self.allowed.iter().any(matches))
    }
}

/// Whether a file that looks like this is it.
pub(super) fn is_confirmed(kind: Kind, path: &str, content: &[u8]) -> bool {
    if content.is_empty() || ENCRYPTED_BEGINNINGS.iter().any(|beginning| content.starts_with(beginning)) {
        return false;
    }
    if kind == Kind::PrivateKey && content.starts_with(ARCHIVE) && path.to_ascii_lowercase().ends_with(".key") {
        return false;
    }
    proofs(kind, path).is_none_or(|proofs| {
        proofs.iter().any(|proof| content.windows(proof.len()).any(|window| window.eq_ignore_ascii_case(proof)))
    })
}

/// Whether one that is too large to be read is taken for what it looks like.
pub(super) fn is_confirmed_unread(kind: Kind, path: &str) -> bool {
    proofs(kind, path).is_none()
}

/// What has to stand in a file of this name for it to be what it looks like; `None` where the name is enough.
fn proofs(kind: Kind, path: &str) -> Option<&'static [&'static [u8]]> {
    let path = path.to_ascii_lowercase();
    let name = without(path.rsplit('/').next().unwrap_or(&path), &COPIES);
    match kind {
        Kind::PrivateKey if name.ends_with(".pem") || is_of_service_account(name) => Some(&[PRIVATE_KEY]),
        Kind::Token if name == ".npmrc" => Some(&NPM_CREDENTIALS),
        _ => None,
    }
}

fn is_of_service_account(name: &str) -> bool {
    name.ends_with(".json") && ["service_account", "service-account"].iter().any(|word| name.contains(word))
}

/// A name without what stands behind it.
fn without<'a>(name: &'a str, endings: &[&str]) -> &'a str {
    endings.iter().find_map(|ending| name.strip_suffix(ending)).filter(|rest| !rest.is_empty()).unwrap_or(name)
}

fn looks_like(path: &str) -> Option<Kind> {
    let path = path.to_ascii_lowercase();
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", &path));
    if ENCRYPTED.iter().any(|ending| name.ends_with(ending)) {
        return None;
    }
    let name = without(name, &COPIES);
    if EXAMPLES.iter().any(|ending| name.ends_with(ending)) {
        return None;
    }
    if is_database(name) {
        Some(Kind::Database)
    } else {
        looks_like_secret(folders, without(without(name, &PACKED), &COPIES))
    }
}

fn is_database(name: &str) -> bool {
    let of_database = BESIDE_DATABASES.iter().find_map(|suffix| name.strip_suffix(suffix));
    DATABASES.contains(&name)
        || of_database.is_some_and(|name| ENDINGS_OF_DATABASES.iter().any(|ending| name.ends_with(ending)))
}

fn looks_like_secret(folders: &str, name: &str) -> Option<Kind> {
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let is_in = |wanted: &str| folders.split('/').any(|folder| folder == wanted);
    if let Some(called) = name.strip_suffix(".env") {
        // As in `example.env` and `app.sample.env`.
        let is_example = |example: &&str| called == example.trim_start_matches('.') || called.ends_with(*example);
        return (!EXAMPLES.iter().any(is_example)).then_some(Kind::Env);
    }
    if name.starts_with(".env.") {
        return Some(Kind::Env);
    }
    let is_json = name.ends_with(".json");
    if CREDENTIALS.contains(&name)
        || name.starts_with("auth.json.")
        || (is_json && name.starts_with("credential_pool"))
        || (name == "credentials" && is_in(".aws"))
    {
        return Some(Kind::Auth);
    }
    if KEYS.contains(&name) || ends(&ENDINGS_OF_KEYS) || ends(&[".pem"]) || is_of_service_account(name) {
        return Some(Kind::PrivateKey);
    }
    let is_of_tokens = is_in("mcp-tokens")
        || [".npmrc", "webhook_subscriptions.json"].contains(&name)
        || name.ends_with(".token")
        || (is_json && ["token", "oauth", "client_secret"].iter().any(|word| name.contains(word)));
    (is_of_tokens && !WORDS_OF_MODELS.iter().any(|word| name.starts_with(word))).then_some(Kind::Token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_live_databases_are_known_by_their_paths() {
        let rules = Rules::default();
        for (path, kind) in [
            ("state.db", Kind::Database),
            ("home/State.DB", Kind::Database),
            ("state.db-wal", Kind::Database),
            ("x/other.sqlite3-shm", Kind::Database),
            ("kanban/boards/a/kanban.db", Kind::Database),
            ("cron/executions.db", Kind::Database),
            (".env", Kind::Env),
            ("home/.env.production", Kind::Env),
            ("prod.env", Kind::Env),
            ("auth.json", Kind::Auth),
            ("auth.json.bak", Kind::Auth),
            ("credential_pool.json", Kind::Auth),
            ("google_token.json", Kind::Token),
            ("google_client_secret.json", Kind::Token),
            ("google_oauth_pending.json", Kind::Token),
            (".anthropic_oauth.json", Kind::Token),
            ("mcp-tokens/github.client.json", Kind::Token),
            ("a/mcp-tokens/github", Kind::Token),
            ("webhook_subscriptions.json", Kind::Token),
            (".ssh/id_ed25519", Kind::PrivateKey),
            ("tls/server.key", Kind::PrivateKey),
            ("tls/server.P12", Kind::PrivateKey),
            ("tls/server.pem", Kind::PrivateKey),
            ("google_token.json.old", Kind::Token),
            ("google_token.json.bak.gz", Kind::Token),
            (".env~", Kind::Env),
            ("home/.env.bak", Kind::Env),
            ("state.db.bak", Kind::Database),
            ("state.db-journal", Kind::Database),
            (".netrc", Kind::Auth),
            (".aws/credentials", Kind::Auth),
            (".npmrc", Kind::Token),
            ("drive-service-account.json", Kind::PrivateKey),
        ] {
            assert_eq!(rules.suspect(path), Some(kind), "{path}");
        }
    }

    #[test]
    fn what_belongs_into_a_backup_is_left_alone() {
        let rules = Rules::default();
        for path in [
            "state.sql",
            "dump/state.db.sql",
            "state.db.gpg",
            "notes.db",
            "write-wal",
            ".env.example",
            ".env.sample",
            "home/.env.template",
            ".env.age",
            "environment",
            ".envrc",
            "config.yaml",
            "cron/jobs.json",
            "model/tokenizer.json",
            "model/tokenizer_config.json",
            "id_rsa.pub",
            "author.json",
            "monkey",
            "tls/server.crt",
            "token.md",
            "example.env",
            "app.sample.env",
            ".env.example.bak",
            "state.db.gz",
            "docs/credentials",
            "~",
        ] {
            assert_eq!(rules.suspect(path), None, "{path}");
        }
    }

    #[test]
    fn the_configuration_forbids_more_and_allows_more() {
        let pattern = |text: &str| Pattern::new(text).unwrap();
        let rules = Rules {
            forbidden: vec![pattern("*.kdbx"), pattern("private/*.md")],
            allowed: vec![pattern("state.db"), pattern("test/**/.env"), pattern("private/public.md")],
        };
        assert_eq!(rules.suspect("a/keys.KDBX"), Some(Kind::Configured));
        assert_eq!(rules.suspect("private/diary.md"), Some(Kind::Configured));
        assert_eq!(rules.suspect("private/public.md"), None);
        assert_eq!(rules.suspect("other/private/diary.md"), None);
        assert_eq!(rules.suspect("any/state.db"), None);
        assert_eq!(rules.suspect("test/a/b/.env"), None);
        assert_eq!(rules.suspect(".env"), Some(Kind::Env));
    }

    #[test]
    fn content_tells_a_key_from_a_certificate_and_what_is_encrypted() {
        let key = b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n-----BEGIN RSA PRIVATE KEY-----\n";
        assert!(is_confirmed(Kind::PrivateKey, "a.pem", key));
        assert!(!is_confirmed(Kind::PrivateKey, "a.pem", b"-----BEGIN CERTIFICATE-----\n"));
        assert!(is_confirmed(Kind::PrivateKey, "a.key", b"anything"));
        assert!(!is_confirmed(Kind::PrivateKey, "slides.key", b"PK\x03\x04rest"));
        assert!(!is_confirmed(Kind::PrivateKey, "service-account.json", b"{}"));
        assert!(is_confirmed(
            Kind::PrivateKey,
            "service-account.json",
            b"{\"private_key\": \"-----BEGIN PRIVATE KEY-----"
        ));
        assert!(!is_confirmed(Kind::Token, ".npmrc", b"fund=false\n"));
        assert!(is_confirmed(Kind::Token, "a/.npmrc", b"//registry.example/:_authToken=x\n"));
        assert!(!is_confirmed(Kind::Env, ".env", b"\0GITCRYPT\0rest"));
        assert!(!is_confirmed(Kind::Env, ".env", b""));
        assert!(is_confirmed(Kind::Env, ".env", b"KEY=value"));
        assert!(!is_confirmed_unread(Kind::PrivateKey, "a.pem") && is_confirmed_unread(Kind::Database, "state.db"));
    }
}
