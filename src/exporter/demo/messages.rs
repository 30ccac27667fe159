//! The messages that the bridge prints instead of sending, out of the file that it prints them to.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use super::DemoError;

/// What a message begins with.
const ARROW: &str = "→ ";

/// A message in a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// The chat.
    pub(super) chat: String,
    /// The number of the message that it takes the place of.
    pub(super) changes: Option<u64>,
    /// The number of the message that it answers.
    pub(super) answers: Option<u64>,
    /// What it says.
    pub(super) text: String,
}

impl Message {
    /// For somebody who watches, apart from everything else.
    pub(super) fn shown(&self) -> String {
        let answers = self.answers.map(|number| format!(", in answer to its message #{number}")).unwrap_or_default();
        let lines: String =
            self.text.lines().map(|line| format!("      │ {line}").trim_end().to_owned() + "\n").collect();
        format!("\n    What {}'s chat gets{answers}:\n{lines}\n", self.chat)
    }

    /// The same in one line: what it is about.
    pub(super) fn in_a_line(&self) -> String {
        let beginning: Vec<_> = self.text.lines().filter(|line| !line.trim().is_empty()).take(2).collect();
        format!("  {}'s chat: {}\n", self.chat, beginning.join(" · "))
    }

    fn parse(head: &str, text: String) -> Option<Message> {
        let (chat, what) = head.strip_prefix(ARROW)?.split_once(": ")?;
        let number_after = |word: &str| what.split_once(word)?.1.split([',', ' ']).next()?.parse().ok();
        Some(Message {
            chat: chat.to_owned(),
            changes: number_after("edit of #"),
            answers: number_after("answer to #"),
            text,
        })
    }
}

/// The messages of one file, each given once.
#[derive(Debug)]
pub(super) struct Messages {
    path: PathBuf,
    read: u64,
    /// Read, and perhaps not all of its message yet.
    pending: String,
}

impl Messages {
    pub(super) fn of(path: PathBuf) -> Messages {
        Messages { path, read: 0, pending: String::new() }
    }

    /// Those that have come since the last time. One is whole when the next one has begun, or nothing has come since the
    /// last time: half a message is never given.
    pub(super) fn more(&mut self) -> Result<Vec<Message>, DemoError> {
        let mut bytes = Vec::new();
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.read))?;
            file.read_to_end(&mut bytes)
        });
        read.map_err(|source| DemoError::Messages { path: self.path.clone(), source })?;
        // Up to the end of a line, which is also the end of a character.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        self.pending.push_str(&String::from_utf8_lossy(&bytes[..whole]));
        let end = if bytes.is_empty() {
            self.pending.len()
        } else {
            self.pending.rfind(&format!("\n{ARROW}")).map_or(0, |before| before + 1)
        };
        let rest = self.pending.split_off(end);
        Ok(parse(&std::mem::replace(&mut self.pending, rest)))
    }
}

fn parse(printed: &str) -> Vec<Message> {
    let mut messages: Vec<(String, String)> = Vec::new();
    for line in printed.lines() {
        match messages.last_mut() {
            _ if line.starts_with(ARROW) => messages.push((line.to_owned(), String::new())),
            Some((_, text)) => {
                text.push_str(line.strip_prefix("  ").unwrap_or(line));
                text.push('\n');
            }
            None => {}
        }
    }
    messages.into_iter().filter_map(|(head, text)| Message::parse(&head, text)).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn each_message_is_given_once_and_whole() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut messages = Messages::of(file.path().to_owned());
        let mut more = |printed: &str| {
            file.as_file().write_all(printed.as_bytes()).unwrap();
            messages.more().unwrap()
        };
        assert_eq!(more(""), []);
        assert_eq!(more("→ root: #1\n  🔴 Crit"), []);
        assert_eq!(more(""), [], "a line that is not over");
        assert_eq!(more("ical\n  \n  → no head\n"), []);
        let found = more("→ uma: silent answer to #1, #2\n  over\n→ uma: edit of #1\n");
        assert_eq!(found[0].text, "🔴 Critical\n\n→ no head\n");
        assert_eq!((found[0].chat.as_str(), found[0].answers, found[0].changes), ("root", None, None));
        assert_eq!((found[1].chat.as_str(), found[1].answers, found[1].changes), ("uma", Some(1), None));
        assert_eq!(found.len(), 2);
        assert_eq!(more("  was\n"), []);
        let found = more("");
        assert_eq!((found[0].answers, found[0].changes, found[0].text.as_str()), (None, Some(1), "was\n"));
        assert_eq!(more(""), []);
    }

    #[test]
    fn a_message_stands_apart() {
        let message =
            Message { chat: "uma".to_owned(), changes: None, answers: Some(7), text: "over\n\nsince\n".to_owned() };
        assert_eq!(
            message.shown(),
            "\n    What uma's chat gets, in answer to its message #7:\n      │ over\n      │\n      │ since\n\n"
        );
        assert_eq!(message.in_a_line(), "  uma's chat: over · since\n");
    }
}
