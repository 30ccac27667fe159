//! The server: routes, the faults in between, and the record of every call.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};

use super::control;
use super::faults::{Fault, Kind, Refusal, Stage};
use super::limits::Permitted;
use super::methods::perform;
use super::parameters::Parameters;
use super::state::Message;
use super::updates::Answer;
use super::world::{Call, ChatFacts, Press, Saying, World};

/// More than anybody sends.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

const BAD_GATEWAY: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.18.0</center>\r\n</body>\r\n</html>\r\n";

/// What the server and who looks at it share.
#[derive(Debug)]
pub(crate) struct Shared {
    world: Mutex<World>,
    changed: watch::Sender<u64>,
    began: Instant,
}

impl Shared {
    /// The world, for a moment.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes who waits for updates.
    pub(crate) fn wake(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn now(&self) -> u128 {
        self.began.elapsed().as_millis()
    }
}

/// A server on a thread of its own, which ends with this.
#[derive(Debug)]
pub(crate) struct BotApi {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
}

impl BotApi {
    /// Starts a server on any port of this machine.
    pub(crate) fn start() -> BotApi {
        BotApi::listen("127.0.0.1:0".parse().unwrap())
    }

    /// Starts a server at an address.
    pub(crate) fn listen(address: SocketAddr) -> BotApi {
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (changed, _) = watch::channel(0);
        let shared = Arc::new(Shared { world: Mutex::default(), changed, began: Instant::now() });
        let (stop, stopped) = oneshot::channel::<()>();
        let served = shared.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let router = axum::Router::new().fallback(answer).with_state(served);
                tokio::select! {
                    served = std::future::IntoFuture::into_future(axum::serve(listener, router)) => served.unwrap(),
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        BotApi { address, shared, stop: Some(stop) }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it is, for a configuration.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The world, for a moment.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world()
    }

    /// Makes a chat known.
    pub(crate) fn chat(&self, facts: ChatFacts) {
        self.world().put_chat(facts);
    }

    /// The messages of a chat that are there, the oldest first.
    pub(crate) fn messages(&self, chat_id: i64) -> Vec<Message> {
        self.world().messages(chat_id)
    }

    /// Every call so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.world().calls.clone()
    }

    /// From now on there is this fault.
    pub(crate) fn fault(&self, fault: Fault) {
        self.world().script.add(fault);
    }

    /// From now on there are no faults.
    pub(crate) fn clear_faults(&self) {
        self.world().script.clear();
    }

    /// From now on this is permitted.
    pub(crate) fn permit(&self, permitted: Permitted) {
        self.world().limits.set(permitted);
    }

    /// Somebody presses a button; gives the number of the press.
    pub(crate) fn press(&self, press: &Press) -> String {
        let pressed = self.world().press(press).unwrap();
        self.shared.wake();
        pressed
    }

    /// Somebody writes something.
    pub(crate) fn say(&self, saying: &Saying) -> i64 {
        let said = self.world().say(saying).unwrap();
        self.shared.wake();
        said
    }

    /// How a press was answered, as soon as it is.
    pub(crate) fn answer_of(&self, press: &str) -> Option<Answer> {
        self.world().updates.answer_of(press)
    }

    /// Whether somebody else asks for the updates of the bot, all the time.
    pub(crate) fn poll_elsewhere(&self, is_polled: bool) {
        self.world().updates.is_polled_elsewhere = is_polled;
        self.shared.wake();
    }
}

impl Drop for BotApi {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return json_response(&Refusal::of(413, "Request Entity Too Large").body(), 413);
    };
    let path = head.uri.path();
    if let Some(path) = path.strip_prefix("/control/") {
        let (status, answer) = control::answer(&shared, head.method.as_str(), path, &body);
        return json_response(&answer, status);
    }
    let Some((token, method)) = path.strip_prefix("/bot").and_then(|rest| rest.split_once('/')) else {
        return json_response(&Refusal::of(404, "Not Found").body(), 404);
    };
    let content_type = head.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let parameters = Parameters::read(head.uri.query().unwrap_or_default(), content_type, &body);
    let token = token.replace("%3A", ":");
    called(&shared, &token, &method.to_ascii_lowercase(), parameters).await
}

/// A call of the Bot API.
async fn called(shared: &Shared, token: &str, method: &str, parameters: Result<Parameters, Refusal>) -> Response<Body> {
    let begun = shared.now();
    let is_known = {
        let world = shared.world();
        world.tokens.is_empty() || world.tokens.contains(token)
    };
    let unknown = Parameters::default();
    let named = parameters.as_ref().unwrap_or(&unknown);
    let (chat_id, thread) = (named.integer("chat_id"), named.integer("message_thread_id"));
    let fault = shared.world().script.take(method, chat_id, thread);
    let is_instead = fault.as_ref().is_some_and(|kind| kind.stage() == Stage::Instead);
    let done = match (&parameters, &fault) {
        _ if !is_known => Err(Refusal::of(401, "Unauthorized")),
        (_, Some(kind)) if is_instead => Err(kind.refusal().unwrap_or_else(|| Refusal::of(502, "Bad Gateway"))),
        (Err(refusal), _) => Err(refusal.clone()),
        (Ok(parameters), _) if method == "getupdates" => updates(shared, parameters).await,
        (Ok(parameters), _) => {
            let mut world = shared.world();
            let limited = match (is_limited(method), chat_id) {
                (true, Some(chat_id)) => world.limits.take(chat_id, Instant::now()),
                _ => None,
            };
            match limited.and_then(|retry_after| Kind::Rate { retry_after }.refusal()) {
                Some(refusal) => Err(refusal),
                None => perform(&mut world, method, parameters, begun),
            }
        }
    };
    let outcome = match (&fault, &done) {
        _ if !is_known => "401 Unauthorized".to_owned(),
        (Some(kind), _) => kind.name(),
        (None, Ok(_)) => "ok".to_owned(),
        (None, Err(refusal)) => format!("{} {}", refusal.code, refusal.description),
    };
    let text = named.text("text").or_else(|| named.text("caption")).unwrap_or_default();
    let message_id = done.as_ref().ok().and_then(|result| result["message_id"].as_i64());
    shared.world().calls.push(Call {
        at: begun,
        method: method.to_owned(),
        chat_id,
        thread,
        outcome,
        is_done: done.is_ok(),
        message_id,
        text,
    });
    match fault {
        Some(kind) if is_known => faulty(&kind, done).await,
        _ => plain(done),
    }
}

fn is_limited(method: &str) -> bool {
    matches!(method, "sendmessage" | "senddocument" | "editmessagetext")
}

/// What is answered where there is a fault.
async fn faulty(kind: &Kind, done: Result<Value, Refusal>) -> Response<Body> {
    match kind {
        Kind::Hang | Kind::HangAfter => std::future::pending().await,
        // The task of the connection ends with it, and so does the connection; the hook for panics is not called.
        Kind::Drop | Kind::DropAfter => std::panic::resume_unwind(Box::new("the connection is to be closed")),
        Kind::BadGateway => {
            let response = Response::builder().status(StatusCode::BAD_GATEWAY).header("content-type", "text/html");
            response.body(Body::from(BAD_GATEWAY)).unwrap()
        }
        Kind::OddEnum => plain(done.map(|mut result| {
            if result["chat"].is_object() {
                result["chat"]["type"] = json!("galaxy");
            }
            result
        })),
        Kind::Truncated => match done {
            Ok(result) => {
                // In the order in which Telegram has it: the number comes first.
                let id = &result["message_id"];
                let text = format!(r#"{{"ok":true,"result":{{"message_id":{id},"from":{{"id":1,"is_b"#);
                let response = Response::builder().header("content-type", "application/json");
                response.body(Body::from(text)).unwrap()
            }
            refused => plain(refused),
        },
        Kind::Slow { milliseconds } => {
            tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
            plain(done)
        }
        _ => plain(done),
    }
}

fn plain(done: Result<Value, Refusal>) -> Response<Body> {
    match done {
        Ok(result) => json_response(&json!({"ok": true, "result": result}), 200),
        Err(refusal) => {
            let mut response = json_response(&refusal.body(), refusal.code);
            let seconds = refusal.parameters.and_then(|parameters| parameters["retry_after"].as_u64());
            if let Some(seconds) = seconds {
                response.headers_mut().insert("retry-after", seconds.into());
            }
            response
        }
    }
}

fn json_response(body: &Value, status: u16) -> Response<Body> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Body::from(body.to_string())).unwrap()
}

/// `getUpdates`: waits for something to happen.
async fn updates(shared: &Shared, parameters: &Parameters) -> Result<Value, Refusal> {
    let offset = parameters.integer("offset").unwrap_or_default();
    let limit = parameters.integer("limit").unwrap_or(100).clamp(1, 100) as usize;
    let patience = Duration::from_secs(parameters.integer("timeout").unwrap_or_default().clamp(0, 50) as u64);
    let mut changes = shared.changed.subscribe();
    let poller = shared.world().updates.begin();
    // The one before is told that it is not the only one any more.
    shared.wake();
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        changes.borrow_and_update();
        let found = shared.world().updates.take(poller, offset, limit)?;
        if !found.is_empty() {
            return Ok(Value::Array(found));
        }
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep_until(deadline) => return Ok(json!([])),
        }
    }
}
