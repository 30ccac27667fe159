//! Prints instead of sending, for trying things out: what would stand in which chat, as plain text.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;

use super::{
    Call, ChatFacts, Destination, Document, Failure, Keyboard, MessageId, Myself, Outgoing, Telegram, Text, Update,
};
use crate::bridge::config::{ChatName, Config};

/// The number that a chat has on the console, where the configuration gives it none: its place among the chats.
pub fn chat_id(config: &Config, name: &ChatName) -> i64 {
    config.chats.keys().position(|other| other == name).map_or(0, |place| place as i64 + 1)
}

/// The console.
pub struct Console {
    names: BTreeMap<i64, String>,
    sent: AtomicI64,
    out: Mutex<Box<dyn Write + Send>>,
}

impl fmt::Debug for Console {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Console").finish_non_exhaustive()
    }
}

impl Default for Console {
    fn default() -> Self {
        Console::new()
    }
}

impl Console {
    /// To standard output.
    pub fn new() -> Console {
        Console::to(Box::new(std::io::stdout()))
    }

    /// To somewhere else.
    pub fn to(out: Box<dyn Write + Send>) -> Console {
        Console { names: BTreeMap::new(), sent: AtomicI64::new(0), out: Mutex::new(out) }
    }

    /// With the names of these chats instead of their numbers.
    pub fn with_names_of(mut self, config: &Config) -> Console {
        self.names = config.chats.keys().map(|name| (chat_id(config, name), name.to_string())).collect();
        self
    }

    fn print(
        &self,
        to: Destination,
        message: MessageId,
        what: &str,
        text: &Text,
        keyboard: &Keyboard,
    ) -> Result<(), Failure> {
        let name = self.names.get(&to.chat_id).cloned().unwrap_or_else(|| to.chat_id.to_string());
        let topic = to.thread.map(|thread| format!(" (topic {thread})")).unwrap_or_default();
        let mut lines = format!("→ {name}{topic}: {what}#{}\n", message.0);
        for line in plain(text).lines() {
            lines.push_str(&format!("  {line}\n"));
        }
        for row in &keyboard.0 {
            let labels: Vec<_> = row.iter().map(|button| format!("[ {} ]", button.label)).collect();
            lines.push_str(&format!("  {}\n", labels.join(" ")));
        }
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let written = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
        written.map_err(|error| Failure::Transient(format!("standard output: {error}")))
    }

    fn next(&self) -> MessageId {
        MessageId(self.sent.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// A text without its markup.
fn plain(text: &Text) -> String {
    let source = match text {
        Text::Plain(text) => return text.clone(),
        Text::Html(source) => source,
    };
    let mut visible = String::with_capacity(source.len());
    let mut is_tag = false;
    for character in source.chars() {
        match character {
            '<' => is_tag = true,
            '>' if is_tag => is_tag = false,
            _ if is_tag => {}
            character => visible.push(character),
        }
    }
    visible.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

impl Telegram for Console {
    fn send<'a>(&'a self, message: &'a Outgoing) -> Call<'a, MessageId> {
        async move {
            let id = self.next();
            let silent = if message.is_silent { "silent " } else { "" };
            let answer = message.reply_to.map(|to| format!("answer to #{}, ", to.0)).unwrap_or_default();
            self.print(message.to, id, &format!("{silent}{answer}"), &message.text, &message.keyboard)?;
            Ok(id)
        }
        .boxed()
    }

    fn edit<'a>(&'a self, message: MessageId, content: &'a Outgoing) -> Call<'a, ()> {
        async move { self.print(content.to, message, "edit of ", &content.text, &content.keyboard) }.boxed()
    }

    fn send_document<'a>(&'a self, message: &'a Outgoing, document: &'a Document) -> Call<'a, MessageId> {
        async move {
            let id = self.next();
            let what = format!("file {} ({} bytes) ", document.name, document.content.len());
            self.print(message.to, id, &what, &message.text, &message.keyboard)?;
            Ok(id)
        }
        .boxed()
    }

    fn delete<'a>(&'a self, to: Destination, message: MessageId) -> Call<'a, ()> {
        async move { self.print(to, message, "removal of ", &Text::Plain(String::new()), &Keyboard::default()) }.boxed()
    }

    fn answer_press<'a>(&'a self, _press: &'a str, _text: &'a str, _is_alert: bool) -> Call<'a, ()> {
        async { Ok(()) }.boxed()
    }

    fn updates(&self, _offset: i64, patience: Duration) -> Call<'_, Vec<Update>> {
        // Nobody can press anything here.
        async move {
            tokio::time::sleep(patience).await;
            Ok(Vec::new())
        }
        .boxed()
    }

    fn me(&self) -> Call<'_, Myself> {
        async { Ok(Myself { id: 0, username: "console".to_owned() }) }.boxed()
    }

    fn chat(&self, chat_id: i64) -> Call<'_, ChatFacts> {
        let title = self.names.get(&chat_id).cloned().unwrap_or_else(|| chat_id.to_string());
        async move { Ok(ChatFacts { title, kind: "private".to_owned(), is_forum: false, refusal: None }) }.boxed()
    }

    fn set_commands<'a>(&'a self, _commands: &'a [(&'a str, &'a str)]) -> Call<'a, ()> {
        async { Ok(()) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::bridge::telegram::Button;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_would_be_sent_can_be_read() {
        let paper = Paper::default();
        let mut console = Console::to(Box::new(paper.clone()));
        console.names.insert(1, "root".to_owned());
        let button = Button { label: "Ack".to_owned(), data: "x".to_owned() };
        let mut message = Outgoing {
            to: Destination { chat_id: 1, thread: None },
            text: Text::Html("🔥 <b>Disk &lt;full&gt;</b> &amp;amp;\n<a href=\"https://x.test/\">graph</a>".to_owned()),
            reply_to: None,
            keyboard: Keyboard(vec![vec![button]]),
            is_silent: false,
        };
        let id = console.send(&message).await.unwrap();
        message.keyboard = Keyboard::default();
        message.text = Text::Plain("over <now>".to_owned());
        console.edit(id, &message).await.unwrap();
        message.reply_to = Some(id);
        message.is_silent = true;
        console.send(&message).await.unwrap();
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text,
            "→ root: #1\n  🔥 Disk <full> &amp;\n  graph\n  [ Ack ]\n→ root: edit of #1\n  over <now>\n\
             → root: silent answer to #1, #2\n  over <now>\n"
        );
    }
}
