//! What holds for any `--web.config.file`, also for one that nobody has meant.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::trial::Folder;
use super::*;
use crate::config_file::mutation::{assert_tells_where, cases, mutated, samples};

/// How much of a secret may not be told. What is shorter may be a word that a change has broken out of it.
const PIECE: usize = 30;

fn is_told(secret: &str, said: &str) -> bool {
    let count = secret.len().saturating_sub(PIECE) + 1;
    (0..count).filter_map(|start| secret.get(start..start + PIECE)).any(|piece| said.contains(piece))
}

#[test]
fn a_file_is_understood_or_refused_in_plain_words_without_secrets() {
    let folder = Folder::new();
    let path = folder.path("web.yml");
    let samples = samples(&["tests/fixtures/web-config/valid", "tests/fixtures/web-config/invalid"]);
    // With certificates and keys in their places.
    let in_place = |text: &String| std::fs::read_to_string(folder.write("web.yml", text)).unwrap();
    let samples: Vec<_> = samples.iter().map(in_place).collect();
    let key = std::fs::read_to_string(folder.path("server.key")).unwrap();
    let mut secrets: Vec<_> = key.lines().filter(|line| !line.starts_with("---")).collect();
    secrets.push("mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze");
    let read = |text: String| {
        std::fs::write(&path, &text).unwrap();
        match Guard::read(&path) {
            Ok(guard) => {
                // Headers are for everybody, whatever somebody has put into them.
                let shown = format!("{:?}", guard.rules.load().users);
                prop_assert!(!secrets.iter().any(|secret| is_told(secret, &shown)), "{}", shown);
            }
            Err(GuardError::Config(ConfigError::Read { .. })) if text.is_empty() => {}
            Err(GuardError::Config(error)) => {
                let said = assert_tells_where(&error, &path, &text);
                prop_assert!(!secrets.iter().any(|secret| is_told(secret, &said)), "{}", said);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
        Ok(())
    };
    if let Err(error) = TestRunner::new(cases(200)).run(&mutated(samples), read) {
        panic!("{error}");
    }
}
