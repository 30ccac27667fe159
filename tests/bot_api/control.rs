//! What tests in other languages see and do, over HTTP below `/control/`.
//!
//! * `GET chats/ID/messages`, `POST chats`, `DELETE chats/ID/messages/ID`
//! * `POST faults` (one or a list), `DELETE faults`, `POST limits`, `POST tokens` (a list)
//! * `POST press`, `GET press/ID`, `POST say`, `POST polled_elsewhere` (true or false)
//! * `GET calls`, `DELETE calls`, `DELETE everything`

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::faults::Fault;
use super::server::Shared;
use super::world::World;

/// Answers a request: the status, and what there is to say.
pub(crate) fn answer(shared: &Shared, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
    let answered = dispatch(&mut shared.world(), method, path, body);
    shared.wake();
    match answered {
        Ok(Some(found)) => (200, found),
        Ok(None) => (404, json!({"error": format!("there is no {method} {path}")})),
        Err(problem) => (400, json!({"error": problem})),
    }
}

fn dispatch(world: &mut World, method: &str, path: &str, body: &[u8]) -> Result<Option<Value>, String> {
    let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let done = Ok(Some(json!({})));
    match (method, segments.as_slice()) {
        ("GET", ["chats", id, "messages"]) => Ok(Some(json!(world.messages(number(id)?)))),
        ("DELETE", ["chats", id, "messages", message]) => {
            let chat = world.chats.get_mut(&number(id)?).ok_or("no such chat")?;
            chat.delete(number(message)?).map_err(|refusal| refusal.description)?;
            done
        }
        ("POST", ["chats"]) => {
            let facts: OneOrMore<_> = read(body)?;
            facts.into_vec().into_iter().for_each(|facts| world.put_chat(facts));
            done
        }
        ("POST", ["faults"]) => {
            let faults: OneOrMore<Fault> = read(body)?;
            faults.into_vec().into_iter().for_each(|fault| world.script.add(fault));
            done
        }
        ("DELETE", ["faults"]) => {
            world.script.clear();
            done
        }
        ("POST", ["limits"]) => {
            world.limits.set(read(body)?);
            done
        }
        ("POST", ["tokens"]) => {
            world.tokens = read(body)?;
            done
        }
        ("POST", ["press"]) => world.press(&read(body)?).map(|id| Some(json!({"id": id}))),
        ("GET", ["press", id]) => Ok(Some(match world.updates.answer_of(id) {
            Some(answer) => json!({"text": answer.text, "is_alert": answer.is_alert}),
            None => Value::Null,
        })),
        ("POST", ["say"]) => world.say(&read(body)?).map(|id| Some(json!({"message_id": id}))),
        ("POST", ["polled_elsewhere"]) => {
            world.updates.is_polled_elsewhere = read(body)?;
            done
        }
        ("GET", ["calls"]) => Ok(Some(json!(world.calls))),
        ("DELETE", ["calls"]) => {
            world.calls.clear();
            done
        }
        ("DELETE", ["everything"]) => {
            *world = World::default();
            done
        }
        _ => Ok(None),
    }
}

/// One, or a list of them.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum OneOrMore<T> {
    More(Vec<T>),
    One(T),
}

impl<T> OneOrMore<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            OneOrMore::More(more) => more,
            OneOrMore::One(one) => vec![one],
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}
