//! `check-config`: whether a configuration is valid, whether what it names can be used here, and with `--online` whether
//! Telegram agrees. Nothing is sent, and no file is written but for an attempt in the store's folder.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::advice::what_to_do;
use super::arguments::CheckConfigArguments;
use super::run::{config_at, runtime};
use super::table::{short, table};
use super::{CommandError, print};
use crate::bridge::config::advice::advice;
use crate::bridge::config::{Auth, Chat, ChatId, ChatName, Config, Proxy};
use crate::bridge::reload::way_to_people;
use crate::bridge::render::Renderer;
use crate::bridge::secret::SecretFile;
use crate::bridge::telegram::{ChatFacts, Failure, Telegram};
use crate::bridge::trial;
use crate::command_line::EXIT_USAGE;
use crate::error_chain::display_chain;
use crate::system::time::Timestamp;

/// Who may read a file besides its owner and its group.
const OTHERS: u32 = 0o004;

#[derive(Debug, Default)]
struct Found {
    errors: Vec<String>,
    warnings: Vec<String>,
}

pub(super) fn check_config(arguments: &CheckConfigArguments) -> Result<ExitCode, CommandError> {
    let file = arguments.file.display();
    let config = config_at(&arguments.file)?;
    let found = look(&config);
    let mut text = String::new();
    for (kind, lines) in [("error", &found.errors), ("warning", &found.warnings)] {
        lines.iter().for_each(|line| text.push_str(&format!("{file}: {kind}: {line}\n")));
    }
    let (chats, routes) = (counted(config.chats.len(), "chat"), counted(config.routes.len(), "route"));
    let verdict = if found.errors.is_empty() { "valid" } else { "can not be used" };
    text.push_str(&format!("{file}: {verdict}, {chats}, {routes}\n"));
    print(&text)?;
    if !found.errors.is_empty() {
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    if arguments.online && config.telegram.is_some() {
        return ask_telegram(&config);
    }
    Ok(ExitCode::SUCCESS)
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn look(config: &Config) -> Found {
    let mut found = Found::default();
    for (key, secret) in secrets(config) {
        look_at_secret(&key, secret, &mut found);
    }
    for (name, chat) in &config.chats {
        if let (ChatId::File(_), Err(error)) = (&chat.id, chat.id.read()) {
            found.errors.push(format!("chats.{name}.chat_id_file: {}", display_chain(&error)));
        }
    }
    if let Some(Ok(token)) = config.telegram.as_ref().map(|telegram| telegram.token.read())
        && !is_like_a_token(token.reveal())
    {
        let problem = "what is in it does not look like the token of a bot, which is a number, a colon, and 35 letters, digits, - and _";
        found.warnings.push(format!("telegram.token_file: {problem}"));
    }
    if let Err(problem) = try_folder(&config.store) {
        found.errors.push(format!("store: {problem}"));
    }
    let renderer = Renderer::new(config);
    for name in config.chats.keys() {
        if let Some(problem) = trial::template_problem(&renderer, name, Timestamp::now()) {
            found.errors.push(format!("the template of the chat {name}: {problem}"));
        }
    }
    found.warnings.extend(advice(config));
    found
}

/// The files with secrets, by the keys that name them. Those with the numbers of chats are looked at as such.
fn secrets(config: &Config) -> Vec<(String, &SecretFile)> {
    let mut files = Vec::new();
    files.extend(auth_file("auth", &config.auth));
    if let Some(telegram) = &config.telegram {
        files.push(("telegram.token_file".to_owned(), &telegram.token));
        if let Some(Proxy::File(file)) = &telegram.proxy {
            files.push(("telegram.proxy_file".to_owned(), file));
        }
    }
    if let Some(ping) = &config.ping {
        files.push(("ping.url_file".to_owned(), &ping.url));
    }
    if let Some(alertmanager) = &config.alertmanager {
        files.extend(auth_file("alertmanager.auth", &alertmanager.auth));
    }
    files
}

fn auth_file<'a>(place: &str, auth: &'a Auth) -> Option<(String, &'a SecretFile)> {
    match auth {
        Auth::Open => None,
        Auth::Bearer(file) => Some((format!("{place}.bearer_token_file"), file)),
        Auth::Basic { password, .. } => Some((format!("{place}.password_file"), password)),
    }
}

fn look_at_secret(key: &str, secret: &SecretFile, found: &mut Found) {
    if let Err(error) = secret.read() {
        found.errors.push(format!("{key}: {}", display_chain(&error)));
        return;
    }
    let mode = std::fs::metadata(secret.path()).map_or(0, |metadata| metadata.permissions().mode());
    if mode & OTHERS != 0 {
        found
            .warnings
            .push(format!("{key}: everybody on this machine can read {}; chmod o-r it", secret.path().display()));
    }
}

fn is_like_a_token(text: &str) -> bool {
    let is_of_token = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    text.split_once(':').is_some_and(|(bot, rest)| {
        !bot.is_empty()
            && bot.chars().all(|digit| digit.is_ascii_digit())
            && rest.len() >= 30
            && rest.chars().all(is_of_token)
    })
}

/// Whether a store can be made here, or the one that is there can be written to.
fn try_folder(store: &Path) -> Result<(), String> {
    let folder = store.parent().unwrap_or(Path::new("/"));
    let is_writable = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK);
    if !folder.is_dir() {
        return Err(format!("there is no folder {}; make it, for the user who serves", folder.display()));
    }
    for path in [folder, store] {
        if path == store && !store.exists() {
            continue;
        }
        is_writable(path).map_err(|error| {
            format!("{} can not be written to by this user: {}", path.display(), std::io::Error::from(error))
        })?;
    }
    Ok(())
}

fn ask_telegram(config: &Config) -> Result<ExitCode, CommandError> {
    let telegram = way_to_people(config)?;
    runtime()?.block_on(async {
        match telegram.me().await {
            Ok(me) => print(&format!("the bot is @{}\n", me.username))?,
            Err(failure) => {
                print(&format!("the bot does not answer: {failure}\n  {}\n", what_to_do(&failure)))?;
                return Ok(ExitCode::FAILURE);
            }
        }
        let mut rows = Vec::new();
        let mut advice = Vec::new();
        for (name, chat) in &config.chats {
            let (row, problem) = ask_about(&telegram, name, chat).await;
            rows.push(row);
            advice.extend(problem);
        }
        print(&table(["chat", "what it is", "title", "may write"], &rows))?;
        print(&advice.iter().map(|line| format!("{line}\n")).collect::<String>())?;
        Ok(if advice.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// A line about a chat, and what is wrong with it.
async fn ask_about(telegram: &Arc<dyn Telegram>, name: &ChatName, chat: &Chat) -> ([String; 4], Option<String>) {
    let row = |what: &str, title: &str, answer: &str| {
        [name.to_string(), what.to_owned(), short(title, 40), answer.to_owned()]
    };
    let id = match chat.id.read() {
        Ok(id) => id,
        Err(error) => return (row("", "", "no"), Some(format!("{name}: {}", display_chain(&error)))),
    };
    let asked = match telegram.chat(id).await {
        Err(Failure::Migrated { to }) => telegram.chat(to).await,
        asked => asked,
    };
    match asked {
        Err(failure) => (row("", "", "no"), Some(format!("{name}: {failure}\n  {}", what_to_do(&failure)))),
        Ok(ChatFacts { title, kind, is_forum, refusal }) => {
            let what = if is_forum { format!("{kind} with topics") } else { kind };
            let problem = match (refusal, chat.thread) {
                (Some(refusal), _) => {
                    let advice = what_to_do(&Failure::Destination(refusal.clone()));
                    Some(format!("{name}: the bot may not write there: {refusal}\n  {advice}"))
                }
                (None, Some(thread)) if !is_forum => {
                    Some(format!("{name}: it has no topics, and the configuration names topic {thread}"))
                }
                (None, _) => None,
            };
            let answer = match (&problem, chat.thread) {
                (Some(_), _) => "no".to_owned(),
                (None, Some(thread)) => format!("yes; whether there is a topic {thread} shows in send-test"),
                (None, None) => "yes".to_owned(),
            };
            (row(&what, &title, &answer), problem)
        }
    }
}
