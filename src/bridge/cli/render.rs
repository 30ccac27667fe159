//! `render`: what each chat would be sent for a notification, without sending or storing anything.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use super::arguments::{RenderArguments, RenderFormat};
use super::run::config_of;
use super::{CommandError, chat_named, print};
use crate::bridge::config::ChatName;
use crate::bridge::render::{Form, Rendered, Renderer};
use crate::bridge::{trial, webhook};
use crate::error_chain::display_chain;
use crate::system::time::Timestamp;

pub(super) fn render(arguments: &RenderArguments) -> Result<ExitCode, CommandError> {
    let config = config_of(&arguments.config)?;
    let only = arguments.chat.as_deref().map(|name| chat_named(&config, name)).transpose()?;
    let now = Timestamp::now();
    let path = &arguments.payload;
    let body = payload(path).map_err(|source| CommandError::Payload { path: path.clone(), source })?;
    let notification = webhook::read(&body, "render", now)
        .map_err(|refusal| CommandError::NoNotification { path: path.clone(), problem: display_chain(&refusal) })?;
    let renderer = Renderer::new(&config);
    let cards = trial::cards(&config, &notification, now);
    let rendered: Vec<_> = cards
        .iter()
        .filter(|card| only.as_ref().is_none_or(|only| card.chat == *only))
        .map(|card| (&card.chat, renderer.card(card, now)))
        .collect();
    match arguments.format {
        RenderFormat::Json => print(&json(&rendered))?,
        RenderFormat::Text | RenderFormat::Html if rendered.is_empty() => print("nothing would be sent\n")?,
        RenderFormat::Text | RenderFormat::Html => {
            let text = |(chat, rendered): &(&ChatName, Rendered)| as_read(chat, rendered, arguments.format);
            print(&rendered.iter().map(text).collect::<Vec<_>>().join("\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn payload(path: &Path) -> std::io::Result<Vec<u8>> {
    if path != Path::new("-") {
        return std::fs::read(path);
    }
    let mut body = Vec::new();
    std::io::stdin().read_to_end(&mut body)?;
    Ok(body)
}

fn as_read(chat: &ChatName, rendered: &Rendered, format: RenderFormat) -> String {
    let mut text = String::new();
    let count = rendered.parts.len();
    for (number, Form { html, plain }) in rendered.parts.iter().enumerate() {
        let part = if count > 1 { format!(" ({} of {count})", number + 1) } else { String::new() };
        let body = if format == RenderFormat::Html { html } else { plain };
        text.push_str(&format!("== {chat}{part}\n{body}\n"));
    }
    if let Some(document) = &rendered.document {
        text.push_str(&format!("== {chat}, with the file {}\n", document.name));
        text.push_str(&String::from_utf8_lossy(&document.content));
        text.push('\n');
    }
    if let Some(problem) = &rendered.template_problem {
        text.push_str(&format!("== {chat}: the shipped template was used: {problem}\n"));
    }
    text
}

fn json(rendered: &[(&ChatName, Rendered)]) -> String {
    let messages: Vec<_> = rendered
        .iter()
        .map(|(chat, rendered)| {
            let parts: Vec<_> = rendered
                .parts
                .iter()
                .map(|Form { html, plain }| serde_json::json!({"html": html, "plain": plain}))
                .collect();
            let document = rendered.document.as_ref().map(|document| {
                serde_json::json!({"name": document.name, "content": String::from_utf8_lossy(&document.content)})
            });
            serde_json::json!({
                "chat": chat.as_str(),
                "parts": parts,
                "line": rendered.line,
                "document": document,
                "template_problem": rendered.template_problem,
            })
        })
        .collect();
    format!("{:#}\n", serde_json::Value::Array(messages))
}
