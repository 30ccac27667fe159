//! What holds for any configuration, also for one that nobody has meant.

use proptest::prelude::*;

use super::*;
use crate::config_file::mutation::{assert_tells_where, cases, mutated, samples};

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn a_configuration_is_understood_or_refused_in_plain_words(
        text in mutated(samples(&["tests/fixtures/bridge-config/valid", "tests/fixtures/bridge-config/invalid"])),
    ) {
        let path = Path::new("any.yml");
        match Config::from_text(path, &text) {
            Ok(config) => {
                prop_assert!(config.chats.contains_key(&config.default_chat));
                for advice in advice::advice(&config) {
                    prop_assert!(!advice.is_empty());
                }
            }
            Err(error) => drop(assert_tells_where(&error, path, &text)),
        }
    }
}
