//! `logs/container-boot.log`: what the container did with the gateway of each profile when it was started.
//!
//! Hermes writes it into the root home, one line for every profile at every start, and begins a new file, with all
//! profiles in it, once it has 256 KiB. So the last lines tell, and the file before it is never needed.

use std::path::Path;

use crate::exporter::snapshot::Label;
use crate::exporter::snapshot::gateway::ContainerBoot;
use crate::system::files::{FileError, Watched};
use crate::system::time::Timestamp;

/// The file, below the root home.
pub(super) const BOOT_LOG: &str = "logs/container-boot.log";

/// How much of its end is read: lines of some eight hundred profiles.
const TAIL: u64 = 64 * 1024;

/// The log, and the profile whose lines are read in it.
#[derive(Debug)]
pub(super) struct BootLog {
    file: Watched<Option<ContainerBoot>>,
    profile: String,
}

impl BootLog {
    pub(super) fn new(root_home: &Path, profile: &str) -> Self {
        BootLog { file: Watched::tail(root_home.join(BOOT_LOG), TAIL), profile: profile.to_owned() }
    }

    /// What it says of the last start; `None` where there is no file, or nothing of this profile in it.
    pub(super) fn read(&mut self) -> Result<Option<ContainerBoot>, FileError> {
        let profile = &self.profile;
        Ok(self.file.get(|content| Ok(parse(content, profile)))?.cloned().flatten())
    }
}

/// The last whole line of the profile: `2026-11-20T08:51:27+0000 profile=NAME prior_state=STATE action=ACTION`.
fn parse(content: &[u8], profile: &str) -> Option<ContainerBoot> {
    let text = String::from_utf8_lossy(content);
    let (whole_lines, _) = text.rsplit_once('\n')?;
    whole_lines.lines().rev().find_map(|line| {
        let (time, rest) = line.split_once(" profile=")?;
        // A state is what stands in a file of the home, and might be anything.
        let (name, rest) = rest.split_once(" prior_state=")?;
        let (prior_state, action) = rest.rsplit_once(" action=")?;
        if name != profile {
            return None;
        }
        Some(ContainerBoot {
            at: Timestamp::from_text(time)?,
            action: Label::word(action),
            // Python's word for no state at all.
            prior_state: if prior_state == "None" { Label::new("none") } else { Label::word(prior_state) },
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(boot: Option<ContainerBoot>) -> Option<(f64, String, String)> {
        boot.map(|boot| (boot.at.seconds(), boot.action.to_string(), boot.prior_state.to_string()))
    }

    #[test]
    fn the_recorded_log_tells_of_each_profile() {
        let log = include_bytes!("../../../../tests/fixtures/hermes-0.19.0/s6/container-boot.log");
        let at = 1_795_164_687.0;
        assert_eq!(words(parse(log, "default")), Some((at, "started".into(), "running".into())));
        assert_eq!(words(parse(log, "coder")), Some((at, "registered".into(), "none".into())));
        assert_eq!(parse(log, "code"), None);
    }

    #[test]
    fn the_last_whole_line_counts_and_damage_is_passed_over() {
        let log = "2026-11-20T08:00:00+0000 profile=a prior_state=None action=registered\n\
                   2026-11-20T14:30:55+0530 profile=a prior_state=running action=x action=started\n\
                   rubbish profile=a prior_state=running action=started\n\
                   2026-11-20T10:00:00+0000 profile=a\n\
                   2026-11-20T11:00:00+0000 profile=b prior_state=stopped action=registered\n\
                   2026-11-20T12:00:00+0000 profile=a prior_state=stopped action=regi";
        let expected = (1_795_165_255.0, "started".to_owned(), "other".to_owned());
        assert_eq!(words(parse(log.as_bytes(), "a")), Some(expected));
        for log in ["", "\n", "no end", "\u{0}\n"] {
            assert_eq!(parse(log.as_bytes(), "a"), None, "{log:?}");
        }
    }

    #[test]
    fn of_a_long_log_the_end_is_enough() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("logs")).unwrap();
        let old = "2026-11-20T08:00:00+0000 profile=gone prior_state=None action=registered\n";
        let new = "2026-11-20T09:00:00+0000 profile=a prior_state=None action=registered\n";
        std::fs::write(home.path().join(BOOT_LOG), format!("{old}{}", new.repeat(4000))).unwrap();
        assert!(BootLog::new(home.path(), "a").read().unwrap().is_some());
        assert_eq!(BootLog::new(home.path(), "gone").read().unwrap(), None);
        assert_eq!(BootLog::new(&home.path().join("nowhere"), "a").read().unwrap(), None);
    }
}
