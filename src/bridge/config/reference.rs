//! The documentation of every key of the configuration, from which `docs/bridge-configuration.md` is made.

use crate::config_file::reference::{Key, push_keys};

const fn key(path: &'static str, takes: &'static str, default: &'static str, does: &'static str) -> Key {
    Key { path, takes, default, does }
}

/// Every key, in the order in which it is documented.
#[rustfmt::skip]
pub static KEYS: &[Key] = &[
    key("store", "path", "required", "The file in which everything is kept that must not be lost; its folder must be there, and belong to who runs the bridge. Another one takes a restart"),
    key("auth", "map", "none: whoever reaches the bridge is let in", "Who may post to `/alertmanager`, `/notify` and `/-/reload`: a token, or a name and a password"),
    key("auth.bearer_token_file", "path", "none", "The file with the token that is sent as `Authorization: Bearer`"),
    key("auth.username", "text", "none", "The name, for basic authentication"),
    key("auth.password_file", "path", "none", "The file with the password, for basic authentication"),
    key("delivery", "`telegram` or `console`", "`telegram`", "`console` prints messages to standard output instead of sending them; chats need no numbers then"),
    key("telegram", "map", "required, unless `delivery: console`", "How Telegram is reached"),
    key("telegram.token_file", "path", "required", "The file with the bot's token, as @BotFather gives it. A bot of its own: never one that a Hermes gateway asks for updates"),
    key("telegram.api_url", "URL", "`https://api.telegram.org`", "Where the Bot API is"),
    key("telegram.proxy", "URL", "none", "A proxy on the way there: `http://`, `https://`, `socks5://` or `socks5h://`, without a password"),
    key("telegram.proxy_file", "path", "none", "The file with the URL of a proxy, for one with a password"),
    key("telegram.timeout", "duration", "20s", "How long a call may take"),
    key("telegram.limits", "map", "those that Telegram names, less a reserve", "How fast messages are sent"),
    key("telegram.limits.chat_interval", "duration", "1s", "The pause between two messages to one chat, on average; a few may come at once"),
    key("telegram.limits.group_per_minute", "number", "18", "Messages per minute to a group"),
    key("telegram.limits.bot_per_second", "number", "25", "Messages per second to all chats together"),
    key("chats", "map", "required", "The chats, by name. The names are what everything else here knows them by; letters, digits and `_ . : @ -`, at most 64"),
    key("chats.<name>.chat_id", "number", "this or `chat_id_file`", "Its number at Telegram; those of groups are negative. [How to find it](alert-bridge.md#in-five-minutes)"),
    key("chats.<name>.chat_id_file", "path", "this or `chat_id`", "The file with its number, read again for each message"),
    key("chats.<name>.thread", "number", "the general topic", "The topic, in a group that has them; the last number in a link to one of its messages but one"),
    key("chats.<name>.fallback", "name of a chat", "`default_chat`", "Where its messages go when it can not be written to, with the reason"),
    key("chats.<name>.template", "path", "`template`", "The template of its cards"),
    key("chats.<name>.timezone", "time zone", "`timezone`", "In which times are shown, as in `Asia/Kolkata`"),
    key("chats.<name>.muted", "list of `info`, `warning`, `critical`", "none", "What is not told there at all; it is counted"),
    key("chats.<name>.silent", "list of `info`, `warning`, `critical`", "`[info]`", "What arrives without a sound"),
    key("chats.<name>.silent_hours", "map", "none", "When everything arrives without a sound"),
    key("chats.<name>.silent_hours.from", "time", "required", "When they begin, as in `\"22:30\"`, in the chat's time zone"),
    key("chats.<name>.silent_hours.to", "time", "required", "When they are over, perhaps on the next day"),
    key("chats.<name>.silent_hours.except", "list of `info`, `warning`, `critical`", "`[critical]`", "What is heard all the same"),
    key("chats.<name>.resolve", "`edit`, `reply`, `both` or `new`", "`both`", "How it is told that an alert is over: its message says so from then on, which nobody is notified of; a short answer to it; both; or a message of its own"),
    key("chats.<name>.resolve_sound", "`true` or `false`", "`false`", "Whether that arrives with a sound"),
    key("chats.<name>.grouping", "`together` or `each`", "`together`", "Whether alerts that one notification brings anew are one message, or each is one"),
    key("chats.<name>.buttons", "`true` or `false`", "`true`", "Whether there are buttons below its messages, where there are any at all"),
    key("routes", "list", "none", "Which alerts go where. Each alert of a notification is asked for on its own; the first route that fits wins, unless it says `continue`"),
    key("routes[].match", "matchers, or a list of them", "every alert", "What is asked of the alert's labels, as Alertmanager writes it: `instance = \"vijay\"`, `severity =~ \"critical\\|page\"`, several with commas between them. `instance` is compared without a port and in lower case"),
    key("routes[].match_route_labels", "matchers, or a list of them", "every alert", "What is asked of the labels of Alertmanager's own route (0.34 and newer)"),
    key("routes[].receiver", "name, or a list of them", "every receiver", "The receivers in Alertmanager's configuration that it is for"),
    key("routes[].chat", "name of a chat, or a list of them", "this or `chat_from_label`", "Where to"),
    key("routes[].chat_from_label", "name of a label", "this or `chat`", "The label of the alert, or else of its route, whose value names the chat; one that names none does not fit"),
    key("routes[].continue", "`true` or `false`", "`false`", "Whether the routes after it are asked as well"),
    key("default_chat", "name of a chat", "required", "Where alerts go that no route wants"),
    key("operations_chat", "name of a chat", "`default_chat`", "Who is told what is wrong with the bridge, and that a heartbeat is missing"),
    key("template", "path", "the shipped one", "The template of cards (minijinja, of HTML as Telegram has it). One that fails is told, and the shipped one is used"),
    key("timezone", "time zone", "that of the machine", "In which times are shown"),
    key("links", "map", "as Alertmanager and Prometheus have them", "Where links in messages lead"),
    key("links.alertmanager", "URL", "that of Alertmanager itself", "Alertmanager, as people reach it"),
    key("links.prometheus", "URL", "that of Prometheus itself", "Prometheus, as people reach it"),
    key("links.dashboard", "URL", "none", "The dashboard of an instance; `{instance}` in it stands for its name"),
    key("links.runbooks", "URL", "as alerts have them", "What serves the runbooks (`hermes-exporter`), as people reach it: stands for what is before `/runbooks/` in an alert's `runbook_url`, as in `https://vm.example.ts.net`. A link to 127.0.0.1 leads nowhere on a phone, and is left out without this"),
    key("watchdog", "map", "none", "The heartbeat whose absence is told"),
    key("watchdog.match", "matchers", "required", "The alert that always fires, as in `alertname = \"Watchdog\"`; it is not told itself"),
    key("watchdog.max_silence", "duration", "required", "How long there may be none: more than the `repeat_interval` of its route"),
    key("ping", "map", "none", "A URL that is asked for now and then, so that somebody notices when the bridge is gone"),
    key("ping.url_file", "path", "required", "The file with the URL, which is asked for without a proxy; a redirect is a failure"),
    key("ping.interval", "duration", "1m", "How often"),
    key("alertmanager", "map", "none", "How Alertmanager is reached: for silences, and for ends that it does not tell"),
    key("alertmanager.url", "URL", "required", "Where it is, without `/api/v2`"),
    key("alertmanager.auth", "map", "none", "How to log in there"),
    key("alertmanager.auth.bearer_token_file", "path", "none", "As `auth.bearer_token_file`"),
    key("alertmanager.auth.username", "text", "none", "As `auth.username`"),
    key("alertmanager.auth.password_file", "path", "none", "As `auth.password_file`"),
    key("buttons", "map", "none", "What can be done from chats; takes a bot whose updates nobody else asks for"),
    key("buttons.users", "list", "required", "Who may press buttons and write commands"),
    key("buttons.users[].id", "number", "required", "The number that Telegram knows somebody by; it is the chat_id of a chat with them alone, and `/whoami` says it"),
    key("buttons.users[].name", "text", "required", "What they are called in messages and silences"),
    key("buttons.silences", "list of durations", "`[1h, 4h, 24h]`", "For how long alerts can be silenced"),
    key("buttons.hermes_homes", "list of paths", "none", "Hermes homes whose bots must not be this one: there are no buttons where the token is in one's `.env`, or a gateway of its user runs with it"),
    key("retention", "duration", "30days", "How long what is over is kept"),
    key("late_firing", "duration", "6m", "For how long after a resolve a firing of the same incident is taken for one that came late from another of several Alertmanagers; more than `group_interval`"),
    key("digest_above", "number", "30", "As many cards may wait for their first message in a chat before they are put together"),
];

/// The reference as Markdown: the content of `docs/bridge-configuration.md`.
pub fn markdown() -> String {
    let mut text = String::from(include_str!("reference.md"));
    push_keys(&mut text, KEYS);
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, ConfigError};
    use super::*;

    /// The keys that the parser accepts in one place, by asking it for one that it can not have.
    fn accepted(text: &str) -> Vec<String> {
        match Config::from_text(Path::new("f"), text).unwrap_err() {
            ConfigError::UnknownKey { known, .. } => known,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn every_key_is_documented_and_every_documented_key_is_one() {
        let places = [
            ("", "zzz: 1\n"),
            ("auth.", "auth: {zzz: 1}\n"),
            ("telegram.", "telegram: {zzz: 1}\n"),
            ("telegram.limits.", "telegram: {limits: {zzz: 1}}\n"),
            ("chats.<name>.", "chats: {a: {zzz: 1}}\n"),
            ("chats.<name>.silent_hours.", "chats: {a: {silent_hours: {zzz: 1}}}\n"),
            ("routes[].", "routes: [{zzz: 1}]\n"),
            ("links.", "links: {zzz: 1}\n"),
            ("watchdog.", "watchdog: {zzz: 1}\n"),
            ("ping.", "ping: {zzz: 1}\n"),
            ("alertmanager.", "alertmanager: {zzz: 1}\n"),
            ("alertmanager.auth.", "alertmanager: {auth: {zzz: 1}}\n"),
            ("buttons.", "buttons: {zzz: 1}\n"),
            ("buttons.users[].", "buttons: {users: [{zzz: 1}]}\n"),
        ];
        let mut accepted: Vec<_> = places
            .iter()
            .flat_map(|(prefix, text)| accepted(text).into_iter().map(move |key| format!("{prefix}{key}")))
            .collect();
        let mut documented: Vec<_> = KEYS.iter().map(|key| key.path.to_owned()).collect();
        accepted.sort();
        documented.sort();
        assert_eq!(documented, accepted);
    }

    #[test]
    fn the_document_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/bridge-configuration.md");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, markdown()).unwrap();
        }
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text == markdown(), "docs/bridge-configuration.md is stale: run UPDATE_GOLDEN=1 cargo test");
    }

    #[test]
    fn the_example_is_valid() {
        let example = include_str!("reference.md").split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
        let config = Config::from_text(Path::new("f"), example).unwrap();
        assert_eq!(super::super::advice::advice(&config), Vec::<String>::new());
    }
}
