//! The log that git keeps of where a branch has been: when something was pushed, as opposed to fetched.

use crate::system::time::Timestamp;

/// How much of the end of a log is read.
pub const MOST_READ: u64 = 256 * 1024;

/// What git writes beside the new commit when a push has moved the branch of a remote.
const PUSHED: &[u8] = b"update by push";

/// When the last push was, by the lines of a log.
pub fn last_push(lines: &[u8]) -> Option<Timestamp> {
    lines.split(|byte| *byte == b'\n').rev().find_map(time_of_push)
}

/// `old new name <mail> seconds zone<TAB>message`: a name may have anything in it but `<`, `>` and line ends.
fn time_of_push(line: &[u8]) -> Option<Timestamp> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let (facts, message) = line.split_at(tab);
    if message.get(1..)?.trim_ascii() != PUSHED {
        return None;
    }
    let end_of_mail = facts.iter().rposition(|byte| *byte == b'>')?;
    let time = std::str::from_utf8(facts.get(end_of_mail + 1..)?).ok()?;
    Timestamp::from_seconds(time.split_ascii_whitespace().next()?.parse::<u64>().ok()? as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_told_from_a_fetch_and_from_a_name_that_says_so() {
        let zero = "0".repeat(40);
        let line = |seconds: u64, message: &str| {
            format!("{zero} {zero} A > update by push <a@b> {seconds} +0530\t{message}\n")
        };
        let log = [line(100, "update by push"), line(200, "update by push"), line(300, "fetch: fast-forward")].concat();
        assert_eq!(last_push(log.as_bytes()), Timestamp::from_seconds(200.0));
        assert_eq!(last_push(line(300, "fetch origin").as_bytes()), None);
        assert_eq!(last_push(b"\xff\xfe\tupdate by push\n\n"), None);
        assert_eq!(last_push(b""), None);
    }
}
