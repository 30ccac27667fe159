//! The calls of the Bot API over the network.
//!
//! What is sent is made of teloxide-core's payloads, and sent from here: its own `Bot` waits for 10 seconds inside of each
//! call that is answered with 5xx, throws the error's code away, and takes an answer that it does not understand for one
//! that failed. What comes back is read for what is needed, and nothing else in it can do harm.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use reqwest::{Client, Url, multipart};
use serde::Serialize;
use serde_json::{Value, json};
use teloxide_core::payloads::{
    AnswerCallbackQuery, AnswerCallbackQuerySetters, DeleteMessage, EditMessageText, EditMessageTextSetters, GetChat,
    GetChatMember, GetMe, GetUpdates, GetUpdatesSetters, SendMessage, SendMessageSetters, SetMyCommands,
};
use teloxide_core::requests::Payload;
use teloxide_core::types as wire;

use super::failure::{self, Reply};
use super::{
    Call, ChatFacts, Destination, Document, Event, Failure, Keyboard, MessageId, Myself, Outgoing, Telegram, Text,
    Update, User,
};
use crate::bridge::config::{Proxy, TelegramSettings};
use crate::bridge::secret::{Secret, SecretError, SecretFile};

/// As long as it may take to reach the server, before anything is sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that is idle for longer may be closed by the server just when it is used, and then nobody knows what came
/// of the call.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// By how many times longer the answer is waited for where the same was sent before, and no answer came in time.
const AGAIN: u32 = 3;

/// No answer is longer than this, but for updates, which have long texts in them.
const LONGEST_ANSWER: usize = 16 << 20;

/// The bot, over the network.
pub struct Bot {
    client: Client,
    api_url: Url,
    timeout: Duration,
    token_file: SecretFile,
    token: Mutex<Secret>,
}

impl fmt::Debug for Bot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bot").field("api_url", &self.api_url.as_str()).finish_non_exhaustive()
    }
}

/// Why there is no bot.
#[derive(Debug, thiserror::Error)]
pub enum BotError {
    /// There is no token.
    #[error("the bot has no token")]
    Token(#[source] SecretError),
    /// The file with the proxy's URL can not be read.
    #[error("the proxy is not known")]
    ProxyFile(#[source] SecretError),
    /// What is in it is no URL of a proxy.
    #[error("the proxy can not be used; it is to be http://, https://, socks5:// or socks5h://")]
    Proxy(#[source] reqwest::Error),
    /// TLS can not be set up.
    #[error("connections can not be made")]
    Client(#[source] reqwest::Error),
}

impl Bot {
    /// By these settings. The token is read from its file for each call, so that one that was changed is in force at once.
    pub fn new(settings: &TelegramSettings) -> Result<Bot, BotError> {
        let token = settings.token.read().map_err(BotError::Token)?;
        let proxy = match &settings.proxy {
            None => None,
            Some(Proxy::Url(url)) => Some(reqwest::Proxy::all(url.clone())),
            Some(Proxy::File(file)) => Some(reqwest::Proxy::all(file.read().map_err(BotError::ProxyFile)?.reveal())),
        };
        // What the environment says of proxies is not for services: this one's proxy is in its configuration.
        let mut builder = Client::builder()
            .no_proxy()
            .use_rustls_tls()
            .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout))
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("hermes-alert-bridge/", env!("CARGO_PKG_VERSION")));
        if let Some(proxy) = proxy {
            builder = builder.proxy(proxy.map_err(|error| BotError::Proxy(error.without_url()))?);
        }
        let client = builder.build().map_err(|error| BotError::Client(error.without_url()))?;
        Ok(Bot {
            client,
            api_url: settings.api_url.clone(),
            timeout: settings.timeout,
            token_file: settings.token.clone(),
            token: Mutex::new(token),
        })
    }

    /// The token as it is now; the last one where the file is just being replaced.
    fn token(&self) -> Secret {
        let mut last = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        match self.token_file.read() {
            Ok(token) => *last = token,
            Err(error) => tracing::warn!(%error, "the bot's token can not be read; the last one is used"),
        }
        last.clone()
    }

    /// Where a method is called.
    fn address(&self, token: &Secret, method: &str) -> Result<Url, Failure> {
        let mut address = self.api_url.clone();
        let path = format!("{}/bot{}/{method}", address.path().trim_end_matches('/'), token.reveal());
        address.set_path(&path);
        Ok(address)
    }

    /// Calls a method.
    async fn call<P: Payload + Serialize + Sync>(&self, payload: &P, patience: Duration) -> Result<Value, Failure> {
        let body = serde_json::to_vec(payload).map_err(|error| Failure::Content(error.to_string()))?;
        self.post(P::NAME, patience, |request| {
            request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body)
        })
        .await
    }

    async fn post(
        &self,
        method: &str,
        patience: Duration,
        fill: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder + Send,
    ) -> Result<Value, Failure> {
        let token = self.token();
        let request = fill(self.client.post(self.address(&token, method)?)).timeout(self.timeout + patience);
        let outcome = match request.send().await {
            Ok(response) => read(response).await,
            Err(error) => Err(failure::of_transport(error)),
        };
        outcome.map_err(|failure| without_token(failure, &token))
    }
}

/// Reads an answer; what has arrived of one that was cut off may be enough.
async fn read(mut response: reqwest::Response) -> Result<Value, Failure> {
    let status = response.status().as_u16();
    let retry_after = response.headers().get(reqwest::header::RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let mut body = Vec::new();
    let cut_off = loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= LONGEST_ANSWER => body.extend_from_slice(&chunk),
            Ok(Some(_)) => break Some(Failure::Ambiguous("the answer is far too long".to_owned())),
            Ok(None) => break None,
            Err(error) => break Some(failure::of_transport(error)),
        }
    };
    match (failure::read(Reply { status, retry_after, body: &body }), cut_off) {
        (Err(Failure::Ambiguous(_)), Some(failure)) => Err(failure),
        (outcome, _) => outcome,
    }
}

/// The address of a call, in which the token is, is never in what is told; this is for the day when it is.
fn without_token(failure: Failure, token: &Secret) -> Failure {
    let hide = |text: String| text.replace(token.reveal(), "(token)");
    match failure {
        Failure::Transient(text) => Failure::Transient(hide(text)),
        Failure::Ambiguous(text) => Failure::Ambiguous(hide(text)),
        Failure::Content(text) => Failure::Content(hide(text)),
        Failure::Unauthorized(text) => Failure::Unauthorized(hide(text)),
        other => other,
    }
}

impl Telegram for Bot {
    fn send<'a>(&'a self, message: &'a Outgoing) -> Call<'a, MessageId> {
        async move { sent(&self.call(&send_payload(message)?, Duration::ZERO).await?) }.boxed()
    }

    fn send_again<'a>(&'a self, message: &'a Outgoing) -> Call<'a, MessageId> {
        async move { sent(&self.call(&send_payload(message)?, self.timeout * AGAIN).await?) }.boxed()
    }

    fn edit<'a>(&'a self, message: MessageId, content: &'a Outgoing) -> Call<'a, ()> {
        async move { self.call(&edit_payload(message, content)?, Duration::ZERO).await.map(drop) }.boxed()
    }

    fn send_document<'a>(&'a self, message: &'a Outgoing, document: &'a Document) -> Call<'a, MessageId> {
        async move {
            let file = multipart::Part::bytes(document.content.clone()).file_name(document.name.clone());
            let mut form = multipart::Form::new()
                .text("chat_id", message.to.chat_id.to_string())
                .text("caption", message.text.source().to_owned())
                .text("disable_notification", message.is_silent.to_string())
                .part("document", file);
            if let Text::Html(_) = message.text {
                form = form.text("parse_mode", "HTML");
            }
            if let Some(thread) = message.to.thread {
                form = form.text("message_thread_id", thread.to_string());
            }
            if let Some(MessageId(id)) = message.reply_to {
                form = form.text("reply_parameters", json!({ "message_id": id }).to_string());
            }
            sent(&self.post("SendDocument", self.timeout, |request| request.multipart(form)).await?)
        }
        .boxed()
    }

    fn delete<'a>(&'a self, to: Destination, message: MessageId) -> Call<'a, ()> {
        async move {
            let payload = DeleteMessage::new(wire::ChatId(to.chat_id), message_number(message)?);
            self.call(&payload, Duration::ZERO).await.map(drop)
        }
        .boxed()
    }

    fn answer_press<'a>(&'a self, press: &'a str, text: &'a str, is_alert: bool) -> Call<'a, ()> {
        let payload = AnswerCallbackQuery::new(wire::CallbackQueryId(press.to_owned())).text(text).show_alert(is_alert);
        async move { self.call(&payload, Duration::ZERO).await.map(drop) }.boxed()
    }

    fn updates(&self, offset: i64, patience: Duration) -> Call<'_, Vec<Update>> {
        let payload = GetUpdates::new()
            .offset(i32::try_from(offset).unwrap_or(i32::MAX))
            .timeout(u32::try_from(patience.as_secs()).unwrap_or(u32::MAX))
            .allowed_updates([wire::AllowedUpdate::Message, wire::AllowedUpdate::CallbackQuery]);
        async move {
            let result = self.call(&payload, patience).await?;
            Ok(result.as_array().into_iter().flatten().filter_map(update).collect())
        }
        .boxed()
    }

    fn me(&self) -> Call<'_, Myself> {
        async move {
            let me = self.call(&GetMe::new(), Duration::ZERO).await?;
            Ok(Myself { id: number(&me, "id"), username: text(&me, "username") })
        }
        .boxed()
    }

    fn chat(&self, chat_id: i64) -> Call<'_, ChatFacts> {
        async move {
            let chat = self.call(&GetChat::new(wire::ChatId(chat_id)), Duration::ZERO).await?;
            let kind = text(&chat, "type");
            let refusal = match kind.as_str() {
                // Whoever may be asked about has begun the conversation.
                "private" => None,
                _ => {
                    let me = self.me().await?;
                    let myself = wire::UserId(u64::try_from(me.id).unwrap_or_default());
                    let member = self.call(&GetChatMember::new(wire::ChatId(chat_id), myself), Duration::ZERO).await?;
                    refusal(&kind, &chat, &member)
                }
            };
            let title = match text(&chat, "title") {
                title if title.is_empty() => person(&chat),
                title => title,
            };
            let is_forum = chat.get("is_forum").and_then(Value::as_bool).unwrap_or(false);
            Ok(ChatFacts { title, kind, is_forum, refusal })
        }
        .boxed()
    }

    fn set_commands<'a>(&'a self, commands: &'a [(&'a str, &'a str)]) -> Call<'a, ()> {
        let payload =
            SetMyCommands::new(commands.iter().map(|(command, about)| wire::BotCommand::new(*command, *about)));
        async move { self.call(&payload, Duration::ZERO).await.map(drop) }.boxed()
    }
}

fn send_payload(message: &Outgoing) -> Result<SendMessage, Failure> {
    let mut payload = SendMessage::new(wire::ChatId(message.to.chat_id), message.text.source())
        .link_preview_options(no_preview())
        .disable_notification(message.is_silent);
    if let Text::Html(_) = message.text {
        payload = payload.parse_mode(wire::ParseMode::Html);
    }
    if let Some(thread) = message.to.thread {
        payload = payload.message_thread_id(wire::ThreadId(wire::MessageId(thread)));
    }
    if let Some(reply_to) = message.reply_to {
        // That the message is sent all the same when this one is gone is decided elsewhere.
        payload = payload.reply_parameters(wire::ReplyParameters::new(message_number(reply_to)?));
    }
    if !message.keyboard.0.is_empty() {
        payload = payload.reply_markup(keyboard(&message.keyboard));
    }
    Ok(payload)
}

fn edit_payload(message: MessageId, content: &Outgoing) -> Result<EditMessageText, Failure> {
    let chat = wire::ChatId(content.to.chat_id);
    // Without a keyboard the one that is there is taken away.
    let mut payload = EditMessageText::new(chat, message_number(message)?, content.text.source())
        .link_preview_options(no_preview())
        .reply_markup(keyboard(&content.keyboard));
    if let Text::Html(_) = content.text {
        payload = payload.parse_mode(wire::ParseMode::Html);
    }
    Ok(payload)
}

fn no_preview() -> wire::LinkPreviewOptions {
    wire::LinkPreviewOptions {
        is_disabled: true,
        url: None,
        prefer_small_media: false,
        prefer_large_media: false,
        show_above_text: false,
    }
}

fn keyboard(keyboard: &Keyboard) -> wire::InlineKeyboardMarkup {
    let rows = keyboard.0.iter();
    wire::InlineKeyboardMarkup::new(rows.map(|row| {
        row.iter().map(|button| wire::InlineKeyboardButton::callback(button.label.as_str(), button.data.as_str()))
    }))
}

fn message_number(message: MessageId) -> Result<wire::MessageId, Failure> {
    let number = i32::try_from(message.0).map_err(|_| Failure::EditGone(format!("no message is {}", message.0)))?;
    Ok(wire::MessageId(number))
}

/// The number of the message that was sent, where the result has it.
fn sent(result: &Value) -> Result<MessageId, Failure> {
    failure::message_id(result).ok_or_else(|| Failure::Ambiguous("the answer has no message in it".to_owned()))
}

fn number(value: &Value, name: &str) -> i64 {
    value.get(name).and_then(Value::as_i64).unwrap_or_default()
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What a person calls itself.
fn person(value: &Value) -> String {
    let names = [text(value, "first_name"), text(value, "last_name")];
    let name = names.join(" ").trim().to_owned();
    if name.is_empty() { text(value, "username") } else { name }
}

/// Why the bot may not write to a chat, by what it is there.
fn refusal(kind: &str, chat: &Value, member: &Value) -> Option<String> {
    let may = |value: &Value, right: &str| value.get(right).and_then(Value::as_bool);
    match text(member, "status").as_str() {
        "left" => Some("the bot is not a member".to_owned()),
        "kicked" => Some("the bot was removed".to_owned()),
        "restricted" if may(member, "can_send_messages") == Some(false) => {
            Some("the bot is not allowed to send messages".to_owned())
        }
        "administrator" if kind == "channel" && may(member, "can_post_messages") != Some(true) => {
            Some("the bot is not allowed to post messages".to_owned())
        }
        "member" if kind == "channel" => Some("the bot is not an administrator of the channel".to_owned()),
        "member" if chat.get("permissions").and_then(|rights| may(rights, "can_send_messages")) == Some(false) => {
            Some("nobody but administrators may send messages".to_owned())
        }
        _ => None,
    }
}

/// What has happened; something of which only the number is understood is passed over under it.
fn update(value: &Value) -> Option<Update> {
    let id = value.get("update_id")?.as_i64()?;
    let event = press(value).or_else(|| message(value)).unwrap_or(Event::Other);
    Some(Update { id, event })
}

fn press(update: &Value) -> Option<Event> {
    let query = update.get("callback_query")?;
    let id = query.get("id")?.as_str()?.to_owned();
    Some(Event::Press {
        id,
        from: user(query.get("from")?)?,
        at: query.get("message").and_then(place),
        data: text(query, "data"),
    })
}

fn message(update: &Value) -> Option<Event> {
    let message = update.get("message")?;
    let (at, id) = place(message)?;
    let text = message.get("text")?.as_str()?.to_owned();
    Some(Event::Message { from: message.get("from").and_then(user), at, id, text })
}

fn user(value: &Value) -> Option<User> {
    Some(User { id: value.get("id")?.as_i64()?, name: person(value) })
}

/// Where a message is. A number of a thread is that of a topic only where the message says so: elsewhere it is that of a
/// chain of answers.
fn place(message: &Value) -> Option<(Destination, MessageId)> {
    let id = message.get("message_id")?.as_i64()?;
    let chat_id = message.get("chat")?.get("id")?.as_i64()?;
    let is_topic = message.get("is_topic_message").and_then(Value::as_bool).unwrap_or(false);
    let thread = message.get("message_thread_id").and_then(Value::as_i64).filter(|_| is_topic);
    let thread = thread.and_then(|thread| i32::try_from(thread).ok());
    Some((Destination { chat_id, thread }, MessageId(id)))
}

#[cfg(test)]
#[path = "bot_tests.rs"]
mod tests;
