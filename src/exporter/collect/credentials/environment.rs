//! `.env`: which keys are set to something. What they are set to is dropped line by line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::exporter::collect::problems::Problems;
use crate::exporter::snapshot::{Label, Reading};
use crate::system::dotenv::{self, DOTENV};
use crate::system::files::Watched;

/// Keys that Hermes asks for, by the name it knows them by: shown where a file has them and the configuration
/// names none.
const WELL_KNOWN: [&str; 40] = [
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_TOKEN",
    "API_SERVER_KEY",
    "AZURE_FOUNDRY_API_KEY",
    "BROWSERBASE_API_KEY",
    "BROWSER_USE_API_KEY",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "DASHSCOPE_API_KEY",
    "DEEPSEEK_API_KEY",
    "DINGTALK_CLIENT_SECRET",
    "DISCORD_BOT_TOKEN",
    "ELEVENLABS_API_KEY",
    "EMAIL_PASSWORD",
    "EXA_API_KEY",
    "FEISHU_APP_SECRET",
    "FIRECRAWL_API_KEY",
    "GEMINI_API_KEY",
    "GITHUB_TOKEN",
    "GLM_API_KEY",
    "GOOGLE_API_KEY",
    "GROQ_API_KEY",
    "HASS_TOKEN",
    "HF_TOKEN",
    "KIMI_API_KEY",
    "MATRIX_ACCESS_TOKEN",
    "MATTERMOST_TOKEN",
    "MINIMAX_API_KEY",
    "MISTRAL_API_KEY",
    "NVIDIA_API_KEY",
    "OPENAI_API_KEY",
    "OPENROUTER_API_KEY",
    "PARALLEL_API_KEY",
    "SLACK_APP_TOKEN",
    "SLACK_BOT_TOKEN",
    "TAVILY_API_KEY",
    "TELEGRAM_BOT_TOKEN",
    "TWILIO_AUTH_TOKEN",
    "WEBHOOK_SECRET",
    "WHATSAPP_CLOUD_ACCESS_TOKEN",
    "XAI_API_KEY",
];

/// The file, and the keys that are looked for in it.
#[derive(Debug)]
pub(super) struct Environment {
    file: Watched<BTreeMap<Label, bool>>,
    asked_for: Option<Vec<String>>,
}

impl Environment {
    pub(super) fn new(path: PathBuf, asked_for: Option<Vec<String>>) -> Self {
        Environment { file: Watched::new(path), asked_for }
    }

    /// Whether each key is set to something.
    pub(super) fn read(&mut self, problems: &mut Problems) -> Reading<BTreeMap<Label, bool>> {
        let asked_for = &self.asked_for;
        let is_wanted = |key: &str| match asked_for {
            Some(keys) => keys.iter().any(|wanted| wanted == key),
            None => WELL_KNOWN.contains(&key),
        };
        let found = self.file.get(|content| Ok(parse(content, is_wanted)));
        let found = match (found, asked_for) {
            // A key that somebody wants to know of is missing also where the whole file is.
            (Ok(found), Some(keys)) => {
                let mut keys: BTreeMap<Label, bool> = keys.iter().map(|key| (Label::new(key), false)).collect();
                keys.extend(found.into_iter().flatten().map(|(key, is_set)| (key.clone(), *is_set)));
                Ok(Some(keys))
            }
            (found, _) => found.map(|found| found.cloned()),
        };
        problems.reading(DOTENV, found)
    }
}

/// The wanted keys of the file; of a key that stands there twice the last counts, as it does for Hermes.
fn parse(content: &[u8], is_wanted: impl Fn(&str) -> bool) -> BTreeMap<Label, bool> {
    let mut keys = BTreeMap::new();
    // A comment never has a wanted key before its first `=`.
    dotenv::for_each(content, |key, written| {
        if is_wanted(key) {
            keys.insert(Label::new(key), is_set(written));
        }
    });
    keys
}

fn is_set(written: &str) -> bool {
    // The asterisks are what an interrupted setup of Hermes leaves behind.
    !matches!(dotenv::value(written).trim(), "" | "***")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::snapshot::{Problem, Reason};
    use std::path::Path;

    fn set(content: &str) -> Vec<(String, bool)> {
        let keys = parse(content.as_bytes(), |_| true);
        keys.into_iter().map(|(key, is_set)| (key.to_string(), is_set)).collect()
    }

    fn look(folder: &Path, asked_for: Option<&[&str]>) -> (Reading<Vec<(String, bool)>>, Vec<Problem>) {
        let asked_for = asked_for.map(|keys| keys.iter().map(|&key| key.to_owned()).collect());
        let mut problems = Problems::default();
        let keys = Environment::new(folder.join(".env"), asked_for).read(&mut problems);
        let keys = keys.map(|keys| keys.into_iter().map(|(key, is_set)| (key.to_string(), is_set)).collect());
        (keys, problems.into_sorted())
    }

    fn pairs(pairs: &[(&str, bool)]) -> Reading<Vec<(String, bool)>> {
        Reading::Known(pairs.iter().map(|&(key, is_set)| (key.to_owned(), is_set)).collect())
    }

    #[test]
    fn every_spelling_of_a_set_key() {
        for line in [
            "K=v",
            "K = v",
            "  K=v  ",
            "export K=v",
            "K=\"v\"",
            "K='v'",
            "K=v # why",
            "K=#v",
            "K=a=b",
            "K=\"v",
            "K=v\r",
            "\u{feff}K=v",
            "K=\nK=v",
            "K=\"#v\"",
        ] {
            assert_eq!(set(line), [("K".to_owned(), true)], "{line:?}");
        }
    }

    #[test]
    fn every_spelling_of_an_empty_key() {
        for line in
            ["K=", "K=\"\"", "K=''", "K=   ", "K=  # later", "K=\" \"", "K=\r", "K=v\nK=", "K=***", "K=\"\" # why"]
        {
            assert_eq!(set(line), [("K".to_owned(), false)], "{line:?}");
        }
    }

    #[test]
    fn what_is_no_assignment_is_passed_over() {
        assert_eq!(set("\n\nno assignment\nK\n"), []);
        let commented = parse(b"# K=v\n#K=v\n", |key| key == "K");
        assert!(commented.is_empty());
        let odd_bytes = parse(b"J=\xff\xfe\nK=v\n", |_| true);
        assert_eq!(odd_bytes.len(), 2);
    }

    #[test]
    fn without_a_wish_the_well_known_keys_of_the_file_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(look(folder.path(), None), (Reading::Absent, vec![]));
        std::fs::write(folder.path().join(".env"), "TELEGRAM_BOT_TOKEN=t\nOPENAI_API_KEY=\nMY_OWN=secret\n").unwrap();
        let keys = pairs(&[("OPENAI_API_KEY", false), ("TELEGRAM_BOT_TOKEN", true)]);
        assert_eq!(look(folder.path(), None), (keys, vec![]));
    }

    #[test]
    fn the_keys_that_are_asked_for_are_shown_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let wish: &[&str] = &["MY_OWN", "OPENAI_API_KEY"];
        let missing = pairs(&[("MY_OWN", false), ("OPENAI_API_KEY", false)]);
        assert_eq!(look(folder.path(), Some(wish)), (missing, vec![]));
        std::fs::write(folder.path().join(".env"), "TELEGRAM_BOT_TOKEN=t\nMY_OWN=secret\n").unwrap();
        let found = pairs(&[("MY_OWN", true), ("OPENAI_API_KEY", false)]);
        assert_eq!(look(folder.path(), Some(wish)), (found, vec![]));
    }

    #[test]
    fn a_file_that_can_not_be_read_is_unknown_also_for_what_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".env")).unwrap();
        let problem = Problem { reason: Reason::Unsupported, subject: DOTENV.to_owned() };
        let unknown = (Reading::Unknown(Reason::Unsupported), vec![problem]);
        assert_eq!(look(folder.path(), None), unknown);
        assert_eq!(look(folder.path(), Some(&["A"])), unknown);
    }
}
