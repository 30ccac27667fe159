//! `auth.json`: what providers granted, and the pools of credentials that Hermes takes turns with.
//!
//! A profile sees what its own file says, and of the root home's file the providers that its own says nothing
//! of. Labels, fingerprints and error texts in the file are not kept: labels can be e-mail addresses.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::SeqAccess;

use super::field::{self, Field, Flag, FromField, Milliseconds, Moment, Object, Secret};
use super::grant::Grant;
use crate::exporter::collect::problems::{Because, Problems};
use crate::exporter::snapshot::{Label, OTHER, Reading, Reason, Tally};
use crate::system::files::{ParseFault, Watched};

const SUBJECT: &str = "auth.json";
const ROOT_SUBJECT: &str = "auth.json of the root home";

/// The most providers, and the most pools, that are shown.
const MOST_PROVIDERS: usize = 100;

/// The statuses of a pool's entries; one that was never used has none, and is as good as any.
const STATUSES: [&str; 3] = ["ok", "exhausted", "dead"];

/// What a file says.
#[derive(Debug, Default)]
struct AuthFile {
    grants: BTreeMap<String, Grant>,
    pools: Option<BTreeMap<String, Tally>>,
}

/// What is in force for an instance.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// What providers granted.
    pub(super) grants: BTreeMap<Label, Grant>,
    /// Entries by status, by provider.
    pub(super) pools: Reading<BTreeMap<Label, Tally>>,
    /// Why there may be more than this.
    pub(super) unread: Option<Reason>,
}

/// The file of an instance, and the one of its root home where it is a profile.
#[derive(Debug)]
pub(super) struct Store {
    own: Watched<AuthFile>,
    root: Option<Watched<AuthFile>>,
}

impl Store {
    pub(super) fn new(own: PathBuf, root: Option<PathBuf>) -> Self {
        Store { own: Watched::new(own), root: root.map(Watched::new) }
    }

    /// What is in force now.
    pub(super) fn read(&mut self, problems: &mut Problems) -> Stored {
        let root = self.root.as_mut().map_or(Ok(None), |root| root.get(parse));
        let root = root.map_err(|error| {
            problems.unknown::<()>(ROOT_SUBJECT, &error);
            error.reason()
        });
        let nothing = |reason| Stored { pools: Reading::Unknown(reason), unread: Some(reason), ..Stored::default() };
        let (files, mut unread) = match (self.own.get(parse), root) {
            (Ok(own), Ok(root)) => ([own, root], None),
            (Ok(Some(own)), Err(reason)) => ([Some(own), None], Some(reason)),
            (Ok(None), Err(reason)) => return nothing(reason),
            (Err(error), _) => {
                problems.unknown::<()>(SUBJECT, &error);
                return nothing(error.reason());
            }
        };
        let files = || files.into_iter().flatten();

        let mut grants = BTreeMap::new();
        for (provider, grant) in files().flat_map(|file| &file.grants) {
            grants.entry(provider.as_str()).or_insert(*grant);
        }
        let mut pools: BTreeMap<&str, &Tally> = BTreeMap::new();
        for (provider, pool) in files().filter_map(|file| file.pools.as_ref()).flatten() {
            let shown = pools.entry(provider).or_insert(pool);
            if shown.total() == 0 {
                *shown = pool;
            }
        }
        if grants.len().max(pools.len()) > MOST_PROVIDERS {
            problems.note(SUBJECT, Reason::Unsupported);
            unread = Some(Reason::Unsupported);
        }
        let has_pools = files().any(|file| file.pools.is_some());
        let pools = labelled(pools).into_iter().map(|(provider, pool)| (provider, pool.clone())).collect();
        Stored { grants: labelled(grants), pools: has_pools.then_some(pools).into(), unread }
    }
}

fn labelled<V>(entries: BTreeMap<&str, V>) -> BTreeMap<Label, V> {
    entries.into_iter().take(MOST_PROVIDERS).map(|(name, value)| (Label::new(name), value)).collect()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    providers: Field<Object<BTreeMap<String, Field<Object<Provider>>>>>,
    credential_pool: Field<Object<BTreeMap<String, Field<Pool>>>>,
}

/// What one provider granted. Which of the fields there are depends on the provider.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Provider {
    tokens: Field<Object<Tokens>>,
    access_token: Field<Secret>,
    refresh_token: Field<Secret>,
    expires_at: Field<Moment>,
    expires_at_ms: Field<Milliseconds>,
    expiry_date: Field<Milliseconds>,
    agent_key: Field<Secret>,
    agent_key_expires_at: Field<Moment>,
    last_auth_error: Field<Object<AuthError>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tokens {
    access_token: Field<Secret>,
    refresh_token: Field<Secret>,
    expires_at: Field<Moment>,
    expires_at_ms: Field<Milliseconds>,
    expiry_date: Field<Milliseconds>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuthError {
    relogin_required: Field<Flag>,
}

fn parse(content: &[u8]) -> Result<AuthFile, ParseFault> {
    let document: Document = field::document(content)?;
    let providers = document.providers.0.0.unwrap_or_default();
    let grants = providers.into_iter().filter_map(|(id, Field(Object(provider)))| Some((id, provider?.grant())));
    let pools = document.credential_pool.0.0;
    let pools = pools.map(|pools| pools.into_iter().filter_map(|(id, Field(Pool(pool)))| Some((id, pool?))).collect());
    Ok(AuthFile { grants: grants.collect(), pools })
}

impl Provider {
    fn grant(self) -> Grant {
        let tokens = self.tokens.0.0.unwrap_or_default();
        let access = tokens.access_token.0.or(self.access_token.0);
        let expiries = [
            tokens.expires_at.0.0,
            tokens.expires_at_ms.0.0,
            tokens.expiry_date.0.0,
            self.expires_at.0.0,
            self.expires_at_ms.0.0,
            self.expiry_date.0.0,
        ];
        let (access, expiry) = if access.is_present {
            (access, expiries.into_iter().flatten().next())
        } else {
            (self.agent_key.0, self.agent_key_expires_at.0.0)
        };
        Grant {
            has_access: access.is_present,
            has_refresh: tokens.refresh_token.0.or(self.refresh_token.0).is_present,
            expiry: expiry.or(access.expiry),
            is_withdrawn: self.last_auth_error.0.0.unwrap_or_default().relogin_required.0.0,
        }
    }
}

/// The entries of a pool by status; `None` for what is no list.
#[derive(Debug, Default)]
struct Pool(Option<Tally>);

impl FromField for Pool {
    fn from_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut entries = Tally::of_known(&STATUSES);
        while let Some(Field(Object(entry))) = list.next_element::<Field<Object<PoolEntry>>>()? {
            if let Some(entry) = entry {
                entries.add(entry.last_status.0.0, 1);
            }
        }
        Ok(Pool(Some(entries)))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PoolEntry {
    last_status: Field<Status>,
}

struct Status(&'static str);

impl Default for Status {
    fn default() -> Self {
        Status("ok")
    }
}

impl FromField for Status {
    fn from_text(text: &str) -> Self {
        let known = STATUSES.into_iter().find(|status| *status == text);
        if text.is_empty() { Status::default() } else { Status(known.unwrap_or(OTHER)) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::tests::token_with;
    use super::*;
    use crate::exporter::snapshot::Problem;
    use crate::exporter::snapshot::credentials::Token;
    use crate::system::time::Timestamp;
    use std::path::Path;
    use tempfile::TempDir;

    const NOW: f64 = 1_795_165_255.0;

    fn token(provider: &str) -> Token {
        let file = parse(format!(r#"{{"providers": {{"p": {provider}}}}}"#).as_bytes()).unwrap();
        file.grants["p"].at(Timestamp::from_seconds(NOW).unwrap())
    }

    fn pool(entries: &str) -> Vec<(String, u64)> {
        let file = parse(format!(r#"{{"credential_pool": {{"p": {entries}}}}}"#).as_bytes()).unwrap();
        let pools = file.pools.unwrap();
        pools.get("p").into_iter().flat_map(Tally::iter).map(|(status, count)| (status.to_string(), count)).collect()
    }

    /// A root home and a profile in it, each with its file where there is one.
    fn profile(own: Option<&str>, root: Option<&str>) -> (TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let (own_path, root_path) = (folder.path().join("own.json"), folder.path().join("root.json"));
        let put = |path: &Path, content: Option<&str>| {
            if let Some(content) = content {
                std::fs::write(path, content).unwrap();
            }
        };
        put(&own_path, own);
        put(&root_path, root);
        (folder, Store::new(own_path, Some(root_path)))
    }

    fn look(store: &mut Store) -> (Stored, Vec<Problem>) {
        let mut problems = Problems::default();
        let stored = store.read(&mut problems);
        (stored, problems.into_sorted())
    }

    fn names<V>(entries: &BTreeMap<Label, V>) -> Vec<&str> {
        entries.keys().map(Label::as_str).collect()
    }

    #[test]
    fn a_token_that_names_its_expiry_needs_no_other() {
        let jwt = token_with(r#"{"exp": 1795165000}"#);
        let codex = token(&format!(r#"{{"tokens": {{"access_token": "{jwt}", "refresh_token": "r"}}}}"#));
        assert_eq!((codex.valid, codex.refreshable), (Reading::Known(true), Reading::Known(true)));
        assert_eq!(codex.expiry, Timestamp::from_seconds(1_795_165_000.0).into());
        let without_refresh = token(&format!(r#"{{"tokens": {{"access_token": "{jwt}"}}}}"#));
        assert_eq!(without_refresh.valid, Reading::Known(false));
        let opaque = token(r#"{"tokens": {"access_token": "a"}}"#);
        assert_eq!((opaque.valid, opaque.expiry), (Reading::Known(true), Reading::Absent));
    }

    #[test]
    fn an_expiry_is_found_wherever_a_provider_puts_it() {
        for fields in [
            r#""access_token": "a", "expires_at": "2026-11-20T09:00:54+00:00""#,
            r#""access_token": "a", "expires_at": "2026-11-20T09:00:54""#,
            r#""access_token": "a", "expires_at": 1795165254"#,
            r#""access_token": "a", "expires_at_ms": 1795165254000"#,
            r#""access_token": "a", "expiry_date": 1795165254000"#,
            r#""tokens": {"access_token": "a", "expires_at": 1795165254}"#,
            r#""tokens": {"access_token": "a", "expiry_date": 1795165254000}"#,
            r#""tokens": {"access_token": "a"}, "expires_at": 1795165254"#,
            r#""agent_key": "k", "agent_key_expires_at": "2026-11-20T09:00:54Z", "expires_at": 1"#,
        ] {
            let token = token(&format!("{{{fields}}}"));
            assert_eq!(token.expiry, Timestamp::from_seconds(1_795_165_254.0).into(), "{fields}");
            assert_eq!((token.present, token.valid), (Reading::Known(true), Reading::Known(false)), "{fields}");
        }
    }

    #[test]
    fn a_withdrawn_grant_is_invalid_until_somebody_logs_in_again() {
        let error = r#""last_auth_error": {"code": "invalid_grant", "relogin_required": true}"#;
        let withdrawn = token(&format!("{{{error}}}"));
        assert_eq!((withdrawn.present, withdrawn.valid), (Reading::Known(false), Reading::Known(false)));
        let again = token(&format!(r#"{{{error}, "tokens": {{"access_token": "a", "refresh_token": "r"}}}}"#));
        assert_eq!((again.present, again.valid), (Reading::Known(true), Reading::Known(true)));
        assert_eq!(token(r#"{"last_auth_error": {"relogin_required": false}}"#), Token::MISSING);
        assert_eq!(token(r#"{"last_auth_error": "invalid_grant", "client_id": "c"}"#), Token::MISSING);
    }

    #[test]
    fn fields_of_another_type_count_as_missing() {
        for fields in [r#""tokens": []"#, r#""access_token": 7"#, r#""refresh_token": {"a": 1}"#, r#""tokens": null"#] {
            assert_eq!(token(&format!("{{{fields}}}")), Token::MISSING, "{fields}");
        }
        let file = parse(br#"{"providers": {"a": null, "b": [], "c": "x", "d": {}}, "credential_pool": 7}"#).unwrap();
        assert_eq!(file.grants.keys().collect::<Vec<_>>(), ["d"]);
        assert!(file.pools.is_none());
        assert!(parse(br#"{"providers": []}"#).unwrap().grants.is_empty());
    }

    #[test]
    fn an_entry_of_a_pool_counts_under_its_status() {
        let entries = r#"[{"last_status": null}, {"last_status": "ok"}, {}, {"last_status": 7}, {"last_status": "dead"},
                          {"last_status": "exhausted"}, {"last_status": "resting"}, {"last_status": "OK"}, "odd", null]"#;
        let counts = [("dead", 1), ("exhausted", 1), ("ok", 4), ("other", 2)];
        assert_eq!(pool(entries), counts.map(|(status, count)| (status.to_owned(), count)));
        assert_eq!(pool("[]").len(), 3, "each known status, at zero");
        assert_eq!(pool("{}"), []);
    }

    #[test]
    fn a_profile_sees_of_its_root_what_it_has_not_itself() {
        let own = r#"{"providers": {"nous": {"access_token": "a"}}, "credential_pool": {"x": [{}], "y": []}}"#;
        let root = r#"{"providers": {"nous": {}, "spotify": {"refresh_token": "r"}},
                       "credential_pool": {"x": [{}, {}], "y": [{}, {}], "z": [{}]}}"#;
        let (_folder, mut store) = profile(Some(own), Some(root));
        let (stored, problems) = look(&mut store);
        assert_eq!(names(&stored.grants), ["nous", "spotify"]);
        assert!(stored.grants[&Label::new("nous")].has_access);
        let totals: Vec<_> = stored.pools.known().unwrap().values().map(Tally::total).collect();
        assert_eq!(totals, [1, 2, 1]);
        assert_eq!(problems, []);

        let (_folder, mut store) = profile(None, Some(root));
        assert_eq!(names(&look(&mut store).0.grants), ["nous", "spotify"]);
        let (_folder, mut store) = profile(None, None);
        let (stored, problems) = look(&mut store);
        assert_eq!((stored.grants.len(), stored.pools, problems), (0, Reading::Absent, vec![]));
    }

    #[test]
    fn a_damaged_file_is_unknown_and_does_not_take_the_other_with_it() {
        let sound = r#"{"providers": {"nous": {}}, "credential_pool": {"x": [{}]}}"#;
        let problem = |subject: &str| vec![Problem { reason: Reason::Parse, subject: subject.to_owned() }];
        let damaged = &sound[..sound.len() / 2];

        let (_folder, mut store) = profile(Some(damaged), Some(sound));
        let (stored, problems) = look(&mut store);
        assert_eq!((stored.pools, problems), (Reading::Unknown(Reason::Parse), problem(SUBJECT)));
        assert!(stored.grants.is_empty());

        let (_folder, mut store) = profile(Some(sound), Some(damaged));
        let (stored, problems) = look(&mut store);
        assert_eq!((names(&stored.grants), problems), (vec!["nous"], problem(ROOT_SUBJECT)));
        assert!(stored.pools.known().is_some());

        let (_folder, mut store) = profile(None, Some(damaged));
        let (stored, problems) = look(&mut store);
        assert_eq!((stored.pools, problems), (Reading::Unknown(Reason::Parse), problem(ROOT_SUBJECT)));
    }

    #[test]
    fn a_flood_of_hostile_names_is_cut_and_that_is_noted() {
        let entries: Vec<_> = (0..200).map(|n| format!(r#""{n:03}{}": {{}}"#, "\\n".repeat(500))).collect();
        let (_folder, mut store) = profile(Some(&format!(r#"{{"providers": {{{}}}}}"#, entries.join(","))), None);
        let (stored, problems) = look(&mut store);
        assert_eq!(stored.grants.len(), MOST_PROVIDERS);
        assert!(stored.grants.keys().all(|label| label.as_str().chars().count() == 100));
        assert_eq!(problems, [Problem { reason: Reason::Unsupported, subject: SUBJECT.to_owned() }]);
    }
}
