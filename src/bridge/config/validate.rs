//! From what was typed to what is valid: everything that types alone do not check.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_saphyr::{Location, Spanned};

use super::raw::{
    RawAlertmanager, RawAuth, RawButtons, RawChat, RawConfig, RawLimits, RawLinks, RawPing, RawRoute, RawSilentHours,
    RawTelegram, RawUser, RawWatchdog, texts,
};
use super::{
    Alertmanager, Auth, Buttons, Chat, ChatId, ChatName, Config, Delivery, Limits, Links, Ping, Proxy, SilentHours,
    TelegramSettings, Watchdog,
};
use crate::bridge::alert::Severity;
use crate::bridge::route::{Matchers, Route, Target};
use crate::bridge::secret::SecretFile;
use crate::config_file::{Check, ConfigError, instead, nearest};

const API_URL: &str = "https://api.telegram.org";
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
const RETENTION: Duration = Duration::from_secs(30 * 86_400);
/// Longer than Alertmanager's `group_interval` as it is shipped, after which a peer that was late has told the end, too.
const LATE_FIRING: Duration = Duration::from_secs(6 * 60);
const DIGEST_ABOVE: u32 = 30;
const PING_INTERVAL: Duration = Duration::from_secs(60);
const SILENCES: [Duration; 3] =
    [Duration::from_secs(3600), Duration::from_secs(4 * 3600), Duration::from_secs(24 * 3600)];

pub(super) fn validate(path: &Path, raw: RawConfig) -> Result<Config, ConfigError> {
    let check = BridgeCheck { check: Check::of(path), timezone: None };
    let check = BridgeCheck { timezone: raw.timezone.as_ref().map(|zone| check.timezone(zone)).transpose()?, ..check };
    let telegram = match (raw.delivery, &raw.telegram) {
        (Delivery::Telegram, Some(typed)) => Some(check.telegram(typed)?),
        (Delivery::Telegram, None) => {
            let problem = "the bot's token is missing; write telegram: {token_file: /etc/hermes-alert-bridge/bot.token}, or delivery: console to print messages instead";
            return Err(check.invalid(&raw.default_chat.referenced, "telegram", problem));
        }
        (Delivery::Console, _) => None,
    };
    let chats = check.chats(&raw.chats.0, raw.delivery)?;
    let default_chat = check.chat_name(&raw.default_chat, "default_chat", &chats)?;
    let buttons = raw.buttons.as_ref().map(|typed| check.buttons(typed)).transpose()?;
    Ok(Config {
        store: check.check.absolute_path(&raw.store, "store", "/var/lib/hermes-alert-bridge/bridge.db")?,
        auth: check.auth(raw.auth.as_ref())?,
        delivery: raw.delivery,
        telegram,
        limits: raw.telegram.as_ref().map_or(Ok(Limits::default()), |typed| check.limits(&typed.limits))?,
        routes: raw.routes.iter().map(|route| check.route(route, &chats)).collect::<Result<_, _>>()?,
        operations_chat: match &raw.operations_chat {
            Some(typed) => check.chat_name(typed, "operations_chat", &chats)?,
            None => default_chat.clone(),
        },
        default_chat,
        template: check.template(raw.template.as_ref())?,
        links: check.links(&raw.links)?,
        watchdog: raw.watchdog.as_ref().map(|typed| check.watchdog(typed)).transpose()?,
        ping: raw.ping.as_ref().map(|typed| check.ping(typed)).transpose()?,
        alertmanager: raw.alertmanager.as_ref().map(|typed| check.alertmanager(typed)).transpose()?,
        buttons,
        retention: check.duration_or(raw.retention.as_ref(), "retention", 3600, RETENTION)?,
        late_firing: check.duration_or(raw.late_firing.as_ref(), "late_firing", 0, LATE_FIRING)?,
        digest_above: match &raw.digest_above {
            Some(typed) if typed.value == 0 => {
                let problem = "nothing would ever be a message of its own; write 1 or more";
                return Err(check.invalid(&typed.referenced, "digest_above", problem));
            }
            typed => typed.as_ref().map_or(DIGEST_ABOVE, |typed| typed.value) as usize,
        },
        chats,
    })
}

/// Checks of values that only the bridge's configuration has.
struct BridgeCheck<'a> {
    check: Check<'a>,
    timezone: Option<jiff::tz::TimeZone>,
}

impl BridgeCheck<'_> {
    fn invalid(&self, at: &Location, key: &str, problem: impl Into<String>) -> ConfigError {
        self.check.invalid(at, key, problem)
    }

    fn duration_or(
        &self,
        typed: Option<&Spanned<crate::config_file::RawDuration>>,
        key: &str,
        shortest_seconds: u64,
        otherwise: Duration,
    ) -> Result<Duration, ConfigError> {
        typed.map_or(Ok(otherwise), |typed| self.check.duration(typed, key, Duration::from_secs(shortest_seconds)))
    }

    fn secret_file(&self, typed: &Spanned<String>, key: &str, example: &str) -> Result<SecretFile, ConfigError> {
        if !typed.value.starts_with('/') {
            // It may be the secret itself, which is not for terminals and logs.
            let problem = format!(
                "what stands here is not the path of a file; write the secret into a file, and its path here, as in {example}"
            );
            return Err(self.invalid(&typed.referenced, key, problem));
        }
        self.check.absolute_path(typed, key, example).map(SecretFile::at)
    }

    fn auth(&self, typed: Option<&Spanned<RawAuth>>) -> Result<Auth, ConfigError> {
        let Some(Spanned { value, referenced, .. }) = typed else {
            return Ok(Auth::Open);
        };
        match (&value.bearer_token_file, &value.username, &value.password_file) {
            (Some(token), None, None) => {
                self.secret_file(token, "bearer_token_file", "/etc/hermes-alert-bridge/webhook.token").map(Auth::Bearer)
            }
            (None, Some(username), Some(_)) if username.value.is_empty() || username.value.contains(':') => {
                let problem = "a name has at least one character, and no colon, which would end it";
                Err(self.invalid(&username.referenced, "username", problem))
            }
            (None, Some(username), Some(password)) => Ok(Auth::Basic {
                username: username.value.clone(),
                password: self.secret_file(password, "password_file", "/etc/hermes-alert-bridge/webhook.password")?,
            }),
            _ => {
                let problem = "write either bearer_token_file, or username and password_file";
                Err(self.invalid(referenced, "auth", problem))
            }
        }
    }

    fn url(&self, typed: &Spanned<String>, key: &str, schemes: &[&str]) -> Result<reqwest::Url, ConfigError> {
        let url = reqwest::Url::parse(&typed.value).ok();
        let url = url.filter(|url| schemes.contains(&url.scheme()) && url.has_host());
        url.ok_or_else(|| {
            // What is before an @ may be a password.
            let shown = typed.value.rsplit_once('@').map_or(typed.value.clone(), |(_, host)| format!("…@{host}"));
            let problem = format!("{shown:?} is not a URL; write it as in {}://host:1234", schemes[0]);
            self.invalid(&typed.referenced, key, problem)
        })
    }

    /// One that is shown to people, or whose password has a place of its own.
    fn url_without_password(
        &self,
        typed: &Spanned<String>,
        key: &str,
        schemes: &[&str],
        instead: &str,
    ) -> Result<reqwest::Url, ConfigError> {
        let url = self.url(typed, key, schemes)?;
        if url.password().is_some() || !url.username().is_empty() {
            let problem = format!("there is a name or password in it; {instead}");
            return Err(self.invalid(&typed.referenced, key, problem));
        }
        Ok(url)
    }

    fn telegram(&self, typed: &RawTelegram) -> Result<TelegramSettings, ConfigError> {
        let api_url = match &typed.api_url {
            Some(typed) => self.url(typed, "api_url", &["https", "http"])?,
            None => reqwest::Url::parse(API_URL).map_err(|_| {
                self.invalid(&typed.token_file.referenced, "api_url", "the address of the Bot API is not a URL")
            })?,
        };
        let proxy = match (&typed.proxy, &typed.proxy_file) {
            (None, None) => None,
            (Some(url), None) => {
                let url_typed = self.url(url, "proxy", &["http", "https", "socks5", "socks5h"])?;
                if url_typed.password().is_some() {
                    let problem =
                        "there is a password in it; write the URL into a file of its own, and proxy_file here";
                    return Err(self.invalid(&url.referenced, "proxy", problem));
                }
                Some(Proxy::Url(url_typed))
            }
            (None, Some(file)) => {
                Some(Proxy::File(self.secret_file(file, "proxy_file", "/etc/hermes-alert-bridge/proxy.url")?))
            }
            (Some(_), Some(file)) => {
                return Err(self.invalid(
                    &file.referenced,
                    "proxy_file",
                    "there is `proxy` as well; write one of them",
                ));
            }
        };
        Ok(TelegramSettings {
            token: self.secret_file(&typed.token_file, "token_file", "/etc/hermes-alert-bridge/bot.token")?,
            api_url,
            proxy,
            timeout: self.duration_or(typed.timeout.as_ref(), "timeout", 1, CALL_TIMEOUT)?,
        })
    }

    fn limits(&self, typed: &RawLimits) -> Result<Limits, ConfigError> {
        let default = Limits::default();
        let at_least_one = |typed: Option<&Spanned<u32>>, key: &str, otherwise: u32| match typed {
            Some(typed) if typed.value == 0 => {
                Err(self.invalid(&typed.referenced, key, "nothing would ever be sent; write 1 or more"))
            }
            typed => Ok(typed.map_or(otherwise, |typed| typed.value)),
        };
        Ok(Limits {
            chat_interval: self.duration_or(typed.chat_interval.as_ref(), "chat_interval", 0, default.chat_interval)?,
            group_per_minute: at_least_one(
                typed.group_per_minute.as_ref(),
                "group_per_minute",
                default.group_per_minute,
            )?,
            bot_per_second: at_least_one(typed.bot_per_second.as_ref(), "bot_per_second", default.bot_per_second)?,
        })
    }

    fn chats(
        &self,
        typed: &[(Spanned<String>, RawChat)],
        delivery: Delivery,
    ) -> Result<BTreeMap<ChatName, Chat>, ConfigError> {
        let mut chats = BTreeMap::new();
        for (name, raw) in typed {
            let valid = ChatName::from(self.check.name(name, "a chat")?.as_str());
            if chats.insert(valid, self.chat(name, raw, delivery)?).is_some() {
                return Err(self.invalid(
                    &name.referenced,
                    "chats",
                    format!("the chat {:?} is there twice", name.value),
                ));
            }
        }
        for (name, raw) in typed {
            if let Some(fallback) = &raw.fallback {
                let fallback_name = self.chat_name(fallback, "fallback", &chats)?;
                if fallback_name.as_str() == name.value {
                    return Err(self.invalid(&fallback.referenced, "fallback", "a chat can not stand in for itself"));
                }
                if let Some(chat) = chats.get_mut(&ChatName::from(name.value.as_str())) {
                    chat.fallback = Some(fallback_name);
                }
            }
        }
        Ok(chats)
    }

    fn chat(&self, name: &Spanned<String>, raw: &RawChat, delivery: Delivery) -> Result<Chat, ConfigError> {
        let id = match (&raw.chat_id, &raw.chat_id_file) {
            (Some(id), None) if id.value != 0 => ChatId::Number(id.value),
            (None, Some(file)) => {
                ChatId::File(self.secret_file(file, "chat_id_file", "/etc/hermes-alert-bridge/root.chat")?)
            }
            (None, None) if delivery == Delivery::Console => ChatId::Number(0),
            (Some(id), None) => return Err(self.invalid(&id.referenced, "chat_id", "0 is no chat's number")),
            (Some(_), Some(file)) => {
                return Err(self.invalid(
                    &file.referenced,
                    "chat_id_file",
                    "there is `chat_id` as well; write one of them",
                ));
            }
            (None, None) => {
                let problem = format!("the chat {:?} needs a chat_id or a chat_id_file", name.value);
                return Err(self.invalid(&name.referenced, "chats", problem));
            }
        };
        if let Some(thread) = raw.thread.as_ref().filter(|thread| thread.value < 1) {
            return Err(self.invalid(&thread.referenced, "thread", "the number of a topic is 1 or more"));
        }
        Ok(Chat {
            id,
            // The general topic is listed as 1, and refused as such.
            thread: raw.thread.as_ref().map(|thread| thread.value).filter(|thread| *thread != 1),
            fallback: None,
            template: self.template(raw.template.as_ref())?,
            timezone: match &raw.timezone {
                Some(zone) => Some(self.timezone(zone)?),
                None => self.timezone.clone(),
            },
            muted: raw.muted.clone(),
            silent: raw.silent.clone().unwrap_or_else(|| vec![Severity::Info]),
            silent_hours: raw.silent_hours.as_ref().map(|typed| self.silent_hours(typed)).transpose()?,
            resolve: raw.resolve,
            resolve_sound: raw.resolve_sound,
            grouping: raw.grouping,
            buttons: raw.buttons.unwrap_or(true),
        })
    }

    fn timezone(&self, typed: &Spanned<String>) -> Result<jiff::tz::TimeZone, ConfigError> {
        jiff::tz::TimeZone::get(&typed.value).map_err(|_| {
            let problem =
                format!("{:?} is not a time zone that this machine knows, as in Asia/Kolkata or UTC", typed.value);
            self.invalid(&typed.referenced, "timezone", problem)
        })
    }

    fn silent_hours(&self, typed: &RawSilentHours) -> Result<SilentHours, ConfigError> {
        let time = |typed: &Spanned<String>, key: &str| {
            typed.value.parse::<jiff::civil::Time>().map_err(|_| {
                let problem = format!("{:?} is not a time of the day, as in \"22:30\"", typed.value);
                self.invalid(&typed.referenced, key, problem)
            })
        };
        Ok(SilentHours {
            from: time(&typed.from, "from")?,
            to: time(&typed.to, "to")?,
            except: typed.except.clone().unwrap_or_else(|| vec![Severity::Critical]),
        })
    }

    fn template(&self, typed: Option<&Spanned<String>>) -> Result<Option<PathBuf>, ConfigError> {
        typed.map(|typed| self.check.absolute_path(typed, "template", "/etc/hermes-alert-bridge/card.html")).transpose()
    }

    fn chat_name(
        &self,
        typed: &Spanned<String>,
        key: &str,
        chats: &BTreeMap<ChatName, Chat>,
    ) -> Result<ChatName, ConfigError> {
        self.chat_named(&typed.value, &typed.referenced, key, chats)
    }

    fn chat_named(
        &self,
        typed: &str,
        at: &Location,
        key: &str,
        chats: &BTreeMap<ChatName, Chat>,
    ) -> Result<ChatName, ConfigError> {
        let name = ChatName::from(typed);
        if chats.contains_key(&name) {
            return Ok(name);
        }
        let known = chats.keys().map(ChatName::as_str);
        let instead = instead(nearest(typed, known.clone()).as_deref(), known);
        let example = if chats.is_empty() { "; write them as in chats: {root: {chat_id: -1001234567890}}" } else { "" };
        Err(self.invalid(at, key, format!("there is no chat called {typed:?}; {instead}{example}")))
    }

    fn matchers<'t>(
        &self,
        typed: impl Iterator<Item = (&'t str, Location)>,
        key: &str,
    ) -> Result<Matchers, ConfigError> {
        let mut all = Matchers::default();
        for (text, at) in typed {
            let parsed = Matchers::parse(text);
            all = all.and(parsed.map_err(|error| self.invalid(&at, key, error.to_string()))?);
        }
        Ok(all)
    }

    fn route(&self, typed: &Spanned<RawRoute>, chats: &BTreeMap<ChatName, Chat>) -> Result<Route, ConfigError> {
        let raw = &typed.value;
        let target = match (&raw.chat, &raw.chat_from_label) {
            (Some(names), None) if texts(names).next().is_none() => {
                let problem =
                    "there is no chat in it; what nobody is to be told is better not routed here by Alertmanager";
                return Err(self.invalid(&names.referenced, "chat", problem));
            }
            (Some(names), None) => Target::Chats(
                texts(names)
                    .map(|(name, at)| self.chat_named(name, &at, "chat", chats))
                    .collect::<Result<Vec<_>, _>>()?,
            ),
            (None, Some(label)) if label.value.is_empty() => {
                return Err(self.invalid(&label.referenced, "chat_from_label", "the name of a label is missing"));
            }
            (None, Some(label)) => Target::Label(label.value.clone()),
            _ => {
                let problem = "a route needs either `chat` or `chat_from_label`";
                return Err(self.invalid(&typed.referenced, "routes", problem));
            }
        };
        Ok(Route {
            matchers: self.matchers(raw.matchers.iter().flat_map(texts), "match")?,
            route_matchers: self.matchers(raw.match_route_labels.iter().flat_map(texts), "match_route_labels")?,
            receivers: raw.receiver.iter().flat_map(texts).map(|(name, _)| name.to_owned()).collect(),
            target,
            continues: raw.continues,
        })
    }

    fn links(&self, typed: &RawLinks) -> Result<Links, ConfigError> {
        let url = |typed: &Option<Spanned<String>>, key: &str| {
            let instead = "links are read by everybody in a chat";
            typed.as_ref().map(|typed| self.url_without_password(typed, key, &["https", "http"], instead)).transpose()
        };
        let dashboard = &typed.dashboard;
        url(dashboard, "dashboard")?;
        Ok(Links {
            alertmanager: url(&typed.alertmanager, "alertmanager")?,
            prometheus: url(&typed.prometheus, "prometheus")?,
            dashboard: dashboard.as_ref().map(|typed| typed.value.clone()),
            runbooks: url(&typed.runbooks, "runbooks")?,
        })
    }

    fn watchdog(&self, typed: &RawWatchdog) -> Result<Watchdog, ConfigError> {
        let text = (typed.matchers.value.as_str(), typed.matchers.referenced);
        let matchers = self.matchers(std::iter::once(text), "match")?;
        if matchers.is_empty() {
            let problem = "this fits every alert; write it as in alertname = \"Watchdog\"";
            return Err(self.invalid(&typed.matchers.referenced, "match", problem));
        }
        let max_silence = self.check.duration(&typed.max_silence, "max_silence", Duration::from_secs(1))?;
        Ok(Watchdog { matchers, max_silence })
    }

    fn ping(&self, typed: &RawPing) -> Result<Ping, ConfigError> {
        Ok(Ping {
            url: self.secret_file(&typed.url_file, "url_file", "/etc/hermes-alert-bridge/ping.url")?,
            interval: self.duration_or(typed.interval.as_ref(), "interval", 1, PING_INTERVAL)?,
        })
    }

    fn alertmanager(&self, typed: &RawAlertmanager) -> Result<Alertmanager, ConfigError> {
        Ok(Alertmanager {
            url: self.url_without_password(
                &typed.url,
                "url",
                &["http", "https"],
                "write auth: {username: bridge, password_file: /etc/hermes-alert-bridge/alertmanager.password} beside it",
            )?,
            auth: self.auth(typed.auth.as_ref())?,
        })
    }

    fn buttons(&self, typed: &RawButtons) -> Result<Buttons, ConfigError> {
        let silences = match &typed.silences {
            None => SILENCES.to_vec(),
            Some(typed) => typed
                .iter()
                .map(|typed| self.check.duration(typed, "silences", Duration::from_secs(60)))
                .collect::<Result<_, _>>()?,
        };
        for (place, RawUser { id, name }) in typed.users.iter().enumerate() {
            if id.value <= 0 {
                let problem = "the number of a person is 1 or more; /whoami says it";
                return Err(self.invalid(&id.referenced, "id", problem));
            }
            if name.value.trim().is_empty() {
                let problem = "a person needs a name, which stands in messages and silences";
                return Err(self.invalid(&name.referenced, "name", problem));
            }
            if typed.users[..place].iter().any(|other| other.id.value == id.value) {
                return Err(self.invalid(&id.referenced, "id", format!("{} is there twice", id.value)));
            }
        }
        Ok(Buttons {
            users: typed.users.iter().map(|user| (user.id.value, user.name.value.clone())).collect(),
            silences,
            hermes_homes: typed
                .hermes_homes
                .iter()
                .map(|home| self.check.absolute_path(home, "hermes_homes", "/root/.hermes"))
                .collect::<Result<_, _>>()?,
        })
    }
}
