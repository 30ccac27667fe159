//! People who may talk to a gateway, and people who have asked to: counted by platform, nothing else of them.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::exporter::collect::problems::Problems;
use crate::exporter::instance::Instance;
use crate::exporter::snapshot::{Label, MOST_ENTRIES, Reading, Tally};
use crate::system::files::{self, FileError, ParseFault, Watched};
use crate::system::time::Timestamp;

/// A request that is older than this has expired (gateway/pairing.py). Hermes removes it only when it looks.
const REQUEST_LIVES_SECONDS: f64 = 3600.0;

const SUBJECT: &str = "platforms/pairing";

/// The pairing files of one instance.
#[derive(Debug)]
pub(super) struct Pairings {
    /// The folder of old versions, which Hermes goes on using where it has something in it.
    legacy: PathBuf,
    current: PathBuf,
    files: HashMap<PathBuf, Watched<Vec<Option<Timestamp>>>>,
}

impl Pairings {
    pub(super) fn new(instance: &Instance) -> Self {
        Pairings {
            legacy: instance.path("pairing"),
            current: instance.path("platforms/pairing"),
            files: HashMap::new(),
        }
    }

    /// Approved and pending users by platform.
    pub(super) fn read(&mut self, now: Timestamp, problems: &mut Problems) -> Reading<BTreeMap<Label, Tally>> {
        let counted = self.count(now);
        problems.reading(SUBJECT, counted)
    }

    fn count(&mut self, now: Timestamp) -> Result<Option<BTreeMap<Label, Tally>>, FileError> {
        let legacy = files::entries(&self.legacy)?.filter(|names| !names.is_empty());
        let (folder, names) = match legacy {
            Some(names) => (&self.legacy, names),
            None => match files::entries(&self.current)? {
                Some(names) => (&self.current, names),
                None => return Ok(None),
            },
        };
        let mut by_platform: BTreeMap<Label, Tally> = BTreeMap::new();
        let mut still_there = HashMap::new();
        for name in names {
            let (platform, state) = match (name.strip_suffix("-approved.json"), name.strip_suffix("-pending.json")) {
                (Some(platform), _) => (platform, "approved"),
                (_, Some(platform)) => (platform, "pending"),
                _ => continue,
            };
            let path = folder.join(&name);
            let mut file = self.files.remove(&path).unwrap_or_else(|| Watched::new(path.clone()));
            let Some(since) = file.get(parse)? else {
                continue;
            };
            let is_valid = |since: &&Option<Timestamp>| {
                let expired = |since: Timestamp| now.seconds_since(since) > REQUEST_LIVES_SECONDS;
                state == "approved" || !since.is_some_and(expired)
            };
            let count = since.iter().filter(is_valid).count() as u64;
            still_there.insert(path, file);
            let label = if by_platform.len() < MOST_ENTRIES { Label::word(platform) } else { Label::other() };
            by_platform.entry(label).or_insert_with(|| Tally::of_known(&["approved", "pending"])).add(state, count);
        }
        self.files = still_there;
        Ok(Some(by_platform))
    }
}

/// When each of the people in a file asked.
fn parse(content: &[u8]) -> Result<Vec<Option<Timestamp>>, ParseFault> {
    let value: Value = serde_json::from_slice(content)?;
    let people = value.as_object().ok_or(ParseFault::SOMEWHERE)?;
    Ok(people.values().map(|person| person.get("created_at").and_then(Timestamp::from_json)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::instance::tests::instance_at;

    fn counted(home: &std::path::Path, now: f64) -> BTreeMap<Label, Tally> {
        let now = Timestamp::from_seconds(now).unwrap();
        Pairings::new(&instance_at(home)).count(now).unwrap().unwrap_or_default()
    }

    #[test]
    fn an_expired_request_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let pairing = folder.path().join("platforms/pairing");
        std::fs::create_dir_all(&pairing).unwrap();
        std::fs::write(
            pairing.join("telegram-pending.json"),
            r#"{"a":{"created_at":1000},"b":{"created_at":4000},"c":{}}"#,
        )
        .unwrap();
        std::fs::write(pairing.join("telegram-approved.json"), r#"{"7":{"user_name":"x","approved_at":1}}"#).unwrap();
        std::fs::write(pairing.join("_rate_limits.json"), "{}").unwrap();
        let telegram = &counted(folder.path(), 5000.0)[&Label::new("telegram")];
        assert_eq!((telegram.get("approved"), telegram.get("pending")), (1, 2));
    }

    #[test]
    fn the_old_folder_counts_where_it_has_something() {
        let folder = tempfile::tempdir().unwrap();
        for place in ["platforms/pairing", "pairing"] {
            std::fs::create_dir_all(folder.path().join(place)).unwrap();
        }
        std::fs::write(folder.path().join("platforms/pairing/slack-approved.json"), r#"{"1":{}}"#).unwrap();
        assert_eq!(counted(folder.path(), 1.0).keys().map(Label::as_str).collect::<Vec<_>>(), ["slack"]);
        std::fs::write(folder.path().join("pairing/discord-approved.json"), r#"{"1":{}}"#).unwrap();
        assert_eq!(counted(folder.path(), 1.0).keys().map(Label::as_str).collect::<Vec<_>>(), ["discord"]);
    }
}
