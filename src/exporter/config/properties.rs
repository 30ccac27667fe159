//! What holds for any configuration, also for one that nobody has meant.

use proptest::prelude::*;

use super::*;
use crate::config_file::mutation::{assert_tells_where, cases, mutated, samples};

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn a_configuration_is_understood_or_refused_in_plain_words(
        text in mutated(samples(&["tests/fixtures/config/valid", "tests/fixtures/config/invalid", "docker/examples"])),
    ) {
        let path = Path::new("any.yml");
        match Config::from_text(path, &text) {
            Ok(config) => {
                let names = || config.instances.iter().map(|it| &it.name).chain(config.reported.iter().map(|it| &it.name));
                let distinct: std::collections::HashSet<_> = names().collect();
                prop_assert_eq!(distinct.len(), names().count());
                prop_assert!(names().all(|name| config_file::is_name(name)));
                prop_assert_eq!(Config::from_text(path, &text).ok(), Some(config));
            }
            Err(error) => drop(assert_tells_where(&error, path, &text)),
        }
    }
}
