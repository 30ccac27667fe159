//! What is valid in a configuration and yet hardly meant: each a line for who has written it.

use std::collections::BTreeMap;

use super::{Auth, Chat, ChatId, ChatName, Config, Delivery};
use crate::bridge::alert::Severity;
use crate::bridge::route::Target;
use crate::system::host_names::is_loopback;

/// All of it, in the order of the keys that it is about.
pub fn advice(config: &Config) -> Vec<String> {
    let mut advice = Vec::new();
    if config.auth == Auth::Open {
        advice.push(
            "auth: there is none, so whoever reaches the bridge can tell people things; write auth: {bearer_token_file: ...}"
                .to_owned(),
        );
    }
    about_the_way(config, &mut advice);
    about_chats(config, &mut advice);
    about_routes(config, &mut advice);
    about_the_rest(config, &mut advice);
    advice
}

fn about_the_way(config: &Config, advice: &mut Vec<String>) {
    let is_readable = |url: &reqwest::Url| {
        let host = url.host_str().unwrap_or_default();
        url.scheme() == "http" && !is_loopback(host.trim_matches(['[', ']']))
    };
    if let Some(telegram) = config.telegram.as_ref().filter(|telegram| is_readable(&telegram.api_url)) {
        advice.push(format!(
            "telegram.api_url: {} is not encrypted, so whoever is on the way there can read the bot's token",
            telegram.api_url
        ));
    }
    if let Some(alertmanager) = config.alertmanager.as_ref().filter(|it| it.auth != Auth::Open && is_readable(&it.url))
    {
        advice.push(format!(
            "alertmanager.url: {} is not encrypted, so whoever is on the way there can read its password or token",
            alertmanager.url
        ));
    }
}

fn about_chats(config: &Config, advice: &mut Vec<String>) {
    let mut by_place: BTreeMap<(i64, Option<i32>), Vec<&ChatName>> = BTreeMap::new();
    for (name, chat) in &config.chats {
        if let (ChatId::Number(id), Delivery::Telegram) = (&chat.id, config.delivery) {
            by_place.entry((*id, chat.thread)).or_default().push(name);
            if *id > 0 && chat.thread.is_some() {
                advice.push(format!(
                    "chats.{name}.thread: {id} is a person's chat, and only groups have topics; their numbers are negative"
                ));
            }
        }
        if Severity::ALL.iter().all(|severity| chat.muted.contains(severity)) {
            advice.push(format!("chats.{name}.muted: everything is muted, so nothing is ever told there"));
        } else if chat.muted.contains(&Severity::Critical) {
            advice.push(format!("chats.{name}.muted: what is critical is not told there"));
        }
        if let Some(hours) = chat.silent_hours.as_ref().filter(|hours| hours.from == hours.to) {
            advice.push(format!("chats.{name}.silent_hours: they begin and end at {}, so there are none", hours.from));
        }
        if let Some(circle) = fallback_circle(config, name, chat) {
            advice.push(format!(
                "chats.{name}.fallback: {circle}; where none of them can be written to, everything waits"
            ));
        }
    }
    for ((id, _), names) in by_place {
        if let [first, second, ..] = names.as_slice() {
            advice.push(format!(
                "chats.{second}: it is the same chat as {first} ({id}), and an alert for both comes twice"
            ));
        }
    }
}

fn fallback_circle(config: &Config, name: &ChatName, chat: &Chat) -> Option<String> {
    let mut way = vec![name];
    let mut next = chat.fallback.as_ref();
    while let Some(fallback) = next {
        if fallback == name {
            way.push(name);
            let way: Vec<_> = way.into_iter().map(ChatName::as_str).collect();
            return Some(format!("it goes in a circle: {}", way.join(" -> ")));
        }
        if way.contains(&fallback) {
            return None;
        }
        way.push(fallback);
        next = config.chats.get(fallback).and_then(|chat| chat.fallback.as_ref());
    }
    None
}

fn about_routes(config: &Config, advice: &mut Vec<String>) {
    let wants_all = |route: &crate::bridge::route::Route| {
        route.matchers.is_empty()
            && route.route_matchers.is_empty()
            && route.receivers.is_empty()
            && matches!(route.target, Target::Chats(_))
            && !route.continues
    };
    let last = config.routes.len();
    match config.routes.iter().position(wants_all) {
        Some(place) if place + 1 < last => {
            advice.push(format!("routes: the route {} takes every alert, so those after it are never asked", place + 1))
        }
        Some(_) => {}
        None if config.routes.is_empty() && config.chats.len() > 1 => {
            advice.push(format!("routes: there are none, so every alert goes to {}", config.default_chat));
        }
        None => {}
    }
    let is_named = |name: &ChatName| {
        let by_route = config.routes.iter().any(|route| match &route.target {
            Target::Chats(names) => names.contains(name),
            Target::Label(_) => true,
        });
        by_route
            || *name == config.default_chat
            || *name == config.operations_chat
            || config.chats.values().any(|chat| chat.fallback.as_ref() == Some(name))
    };
    for name in config.chats.keys().filter(|name| !is_named(name) && !config.routes.is_empty()) {
        advice.push(format!("chats.{name}: no route leads there; only /notify does"));
    }
}

fn about_the_rest(config: &Config, advice: &mut Vec<String>) {
    if config.chats.get(&config.operations_chat).is_some_and(|chat| chat.muted.contains(&Severity::Critical)) {
        advice.push(format!(
            "operations_chat: {} mutes what is critical, and so would not be told that the heartbeat is missing",
            config.operations_chat
        ));
    }
    let Some(buttons) = &config.buttons else { return };
    if buttons.users.is_empty() {
        advice.push("buttons.users: there is nobody, so there are no buttons; write [{id: 123, name: Uma}]".to_owned());
    }
    if config.alertmanager.is_none() && !buttons.silences.is_empty() {
        advice.push(
            "buttons.silences: nothing can be silenced without Alertmanager; write alertmanager: {url: http://127.0.0.1:9093}"
                .to_owned(),
        );
    }
    if config.delivery == Delivery::Console {
        advice.push("buttons: there are none where messages are printed (delivery: console)".to_owned());
    }
}
