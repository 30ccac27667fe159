//! Clients that do not behave, and some that do, on real sockets.

use std::net::SocketAddr;

use axum::Extension;
use axum::body::Bytes;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;

use super::*;
use crate::web::limits::LIMITS;
use crate::web::listen;

/// Never over in a test.
const EVER: Duration = Duration::from_secs(3600);

/// Over in every test that waits for it.
const MOMENT: Duration = Duration::from_millis(50);

/// The limits of size, and of time those that a test sets.
const PATIENT: Limits =
    Limits { handshake: EVER, head: EVER, request: EVER, unread: EVER, idle: EVER, grace: EVER, ..LIMITS };

/// More than all buffers on the way take: those of a system that adjusts them grow to some 40 MB.
const PIECES: usize = 2_000;

/// A body of so many pieces of 64 KiB.
struct Large {
    pieces: usize,
}

impl hyper::body::Body for Large {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];
        let Some(left) = self.pieces.checked_sub(1) else { return Poll::Ready(None) };
        self.pieces = left;
        Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(&PIECE)))))
    }
}

/// A server; `/wait` tells that it was asked, and answers once it may.
struct Trial {
    server: Server,
    address: SocketAddr,
    asked: mpsc::UnboundedReceiver<()>,
    may_answer: Arc<Semaphore>,
}

impl Trial {
    async fn new(limits: Limits) -> Trial {
        let (asking, asked) = mpsc::unbounded_channel();
        let may_answer = Arc::new(Semaphore::new(0));
        let permission = Arc::clone(&may_answer);
        let wait = async move || {
            asking.send(()).unwrap();
            permission.acquire().await.unwrap().forget();
            "waited\n"
        };
        let who = async |Extension(peer): Extension<Peer>, Extension(client): Extension<Client>| {
            format!("{peer} {client:?}\n")
        };
        let router = Router::new()
            .route("/", get(async || "here\n"))
            .route("/wait", get(wait))
            .route("/who", get(who))
            .route("/large", get(async || Body::new(Large { pieces: PIECES })))
            .route("/panic", get(async || -> &'static str { panic!("as the test wants it") }))
            .route("/body", post(async |body: Bytes| format!("{} bytes\n", body.len())));
        let server = Server::new(router, Arc::default(), limits);
        let listener = listen::bind(&["127.0.0.1:0".to_owned()], false).await.unwrap().remove(0);
        let listen::Address::Internet(address) = *listener.address() else { panic!("{listener:?}") };
        tokio::spawn(server.clone().accept(listener));
        Trial { server, address, asked, may_answer }
    }

    async fn connect(&self) -> Talk {
        Talk { stream: TcpStream::connect(self.address).await.unwrap() }
    }

    /// Completes when no connection is left.
    async fn all_gone(&self) {
        let all = u32::try_from(self.server.limits.connections).unwrap();
        let _ = soon(self.server.room.places.acquire_many(all)).await.unwrap();
    }
}

/// Fails where it would hang.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), future).await.unwrap()
}

struct Talk {
    stream: TcpStream,
}

impl Talk {
    async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Asks, on a connection that stays.
    async fn ask(&mut self, path: &str) -> String {
        self.say(&format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        self.hear().await
    }

    /// An answer, which is known to end with a line.
    async fn hear(&mut self) -> String {
        let mut heard = String::new();
        while !heard.split_once("\r\n\r\n").is_some_and(|(_, body)| body.ends_with('\n')) {
            let mut piece = [0; 1024];
            let length = soon(self.stream.read(&mut piece)).await.unwrap();
            assert!(length > 0, "the connection has ended after {heard:?}");
            heard += str::from_utf8(&piece[..length]).unwrap();
        }
        heard
    }

    /// What is said before an answer.
    async fn hear_line(&mut self) -> String {
        let mut heard = [0; 25];
        soon(self.stream.read_exact(&mut heard)).await.unwrap();
        String::from_utf8(heard.to_vec()).unwrap()
    }

    /// All that comes until the connection ends.
    async fn rest(&mut self) -> String {
        let mut heard = Vec::new();
        // What was sent and not read turns the end into a reset.
        let _ = soon(self.stream.read_to_end(&mut heard)).await;
        String::from_utf8(heard).unwrap()
    }
}

#[tokio::test]
async fn requests_of_both_versions_are_answered() {
    let trial = Trial::new(PATIENT).await;
    let mut talk = trial.connect().await;
    for _ in 0..3 {
        let answer = talk.ask("/").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhere\n"), "{answer}");
    }
    let from = talk.stream.local_addr().unwrap();
    assert!(talk.ask("/who").await.ends_with(&format!("{from} Anonymous\n")));
    // Two at once, and half a head that is finished later.
    talk.say("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /who HTTP/1.1\r\nho").await;
    assert!(talk.hear().await.ends_with("here\n"));
    talk.say("st: a\r\nconnection: close\r\n\r\n").await;
    assert!(talk.rest().await.contains("Anonymous\n"));

    let mut old = trial.connect().await;
    old.say("GET / HTTP/1.0\r\n\r\n").await;
    let answer = old.rest().await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("here\n"), "{answer}");
    drop(talk);
    trial.all_gone().await;
}

#[tokio::test]
async fn a_head_that_does_not_arrive_is_cut_off_and_an_idle_connection_is_not() {
    let trial = Trial::new(Limits { head: MOMENT, ..PATIENT }).await;
    let mut idle = trial.connect().await;
    idle.ask("/").await;
    for beginning in ["", "G", "GET / HTTP/1.1\r\nhost: a\r\nx: "] {
        let mut slow = trial.connect().await;
        slow.say(beginning).await;
        assert_eq!(slow.rest().await, "", "{beginning:?}");
    }
    // The time for a head was over several times meanwhile.
    assert!(idle.ask("/").await.ends_with("here\n"));
    idle.say("GET /").await;
    assert_eq!(idle.rest().await, "");
    trial.all_gone().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let trial = Trial::new(Limits { idle: MOMENT, ..PATIENT }).await;
    let mut talk = trial.connect().await;
    talk.ask("/").await;
    assert_eq!(talk.rest().await, "");
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let trial = Trial::new(PATIENT).await;
    let long = "x".repeat(9 * 1024);
    for (request, status) in [
        (format!("GET /?{long} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"), "414 URI Too Long"),
        (format!("GET / HTTP/1.1\r\nhost: a\r\nx: {long}\r\ny: {long}\r\n\r\n"), "431 Request Header Fields Too Large"),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101)), "431 Request Header Fields Too Large"),
        (format!("GET / HTTP/1.1\r\nhost: a\r\nx: {long}\r\nconnection: close\r\n\r\n"), "200 OK"),
    ] {
        let mut talk = trial.connect().await;
        talk.say(&request).await;
        let answer = talk.rest().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{status}: {answer}");
    }
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off() {
    let trial = Trial::new(Limits { request: MOMENT, ..PATIENT }).await;
    let mut talk = trial.connect().await;
    talk.say("POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc").await;
    assert_eq!(talk.rest().await, "");
    trial.all_gone().await;
}

#[tokio::test]
async fn an_answer_that_is_not_read_is_cut_off() {
    let trial = Trial::new(Limits { unread: MOMENT, ..PATIENT }).await;
    let mut talk = trial.connect().await;
    talk.say("GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
    // Its beginning is there: the connection was accepted.
    let mut beginning = [0; 12];
    soon(talk.stream.read_exact(&mut beginning)).await.unwrap();
    assert_eq!(&beginning, b"HTTP/1.1 200");
    trial.all_gone().await;
    assert!(talk.rest().await.len() < PIECES * 64 * 1024);
    // One that is read may be as large.
    let mut reading = trial.connect().await;
    reading.say("GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(reading.rest().await.len() > PIECES * 64 * 1024);
}

#[tokio::test]
async fn where_there_is_no_room_who_was_idle_the_longest_goes() {
    let trial = Trial::new(Limits { connections: 2, ..PATIENT }).await;
    let (mut first, mut second) = (trial.connect().await, trial.connect().await);
    first.ask("/").await;
    second.ask("/").await;
    first.ask("/").await;
    let mut third = trial.connect().await;
    assert!(third.ask("/").await.ends_with("here\n"));
    assert_eq!(second.rest().await, "");
    assert!(first.ask("/").await.ends_with("here\n"));
}

#[tokio::test]
async fn who_says_half_of_what_it_wants_keeps_nobody_out() {
    let trial = Trial::new(Limits { connections: 2, ..PATIENT }).await;
    let (mut first, mut second) = (trial.connect().await, trial.connect().await);
    for talk in [&mut first, &mut second] {
        talk.ask("/").await;
        talk.say("GET / HTTP/1.1\r\nhost: a\r\nx: ").await;
    }
    let mut third = trial.connect().await;
    assert!(third.ask("/").await.ends_with("here\n"));
    assert_eq!(first.rest().await, "");
    second.say("b\r\n\r\n").await;
    assert!(second.hear().await.ends_with("here\n"));
    for talk in [&mut second, &mut third] {
        talk.say("POST /body HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n").await;
        // Somebody reads the body from now on.
        assert_eq!(talk.hear_line().await, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    let mut fourth = trial.connect().await;
    assert!(fourth.ask("/").await.ends_with("here\n"));
    assert_eq!(second.rest().await, "");
    third.say("012345678").await;
    assert!(third.hear().await.ends_with("9 bytes\n"));
}

#[tokio::test]
async fn where_all_are_being_answered_who_comes_waits() {
    let mut trial = Trial::new(Limits { connections: 2, ..PATIENT }).await;
    let (mut first, mut second) = (trial.connect().await, trial.connect().await);
    for talk in [&mut first, &mut second] {
        talk.say("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
        soon(trial.asked.recv()).await.unwrap();
    }
    let mut third = trial.connect().await;
    third.say("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(timeout(MOMENT, trial.asked.recv()).await.is_err());
    trial.may_answer.add_permits(1);
    soon(trial.asked.recv()).await.unwrap();
    trial.may_answer.add_permits(2);
    for talk in [&mut first, &mut second, &mut third] {
        assert!(talk.hear().await.ends_with("waited\n"));
    }
}

#[tokio::test]
async fn what_is_under_way_is_finished_before_the_end() {
    let mut trial = Trial::new(PATIENT).await;
    let (mut busy, mut idle, mut silent) = (trial.connect().await, trial.connect().await, trial.connect().await);
    idle.ask("/").await;
    busy.say("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
    soon(trial.asked.recv()).await.unwrap();
    let server = trial.server.clone();
    let finishing = tokio::spawn(async move { server.finish().await });
    assert_eq!((idle.rest().await, silent.rest().await), (String::new(), String::new()));
    trial.may_answer.add_permits(1);
    let answer = busy.rest().await;
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("waited\n"), "{answer}");
    soon(finishing).await.unwrap();
}

#[tokio::test]
async fn what_does_not_finish_is_cut_off_at_the_end() {
    let mut trial = Trial::new(Limits { grace: MOMENT, ..PATIENT }).await;
    let mut busy = trial.connect().await;
    busy.say("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
    soon(trial.asked.recv()).await.unwrap();
    soon(trial.server.finish()).await;
    assert_eq!(busy.rest().await, "");
}

#[tokio::test]
async fn a_panic_ends_one_connection_alone() {
    let trial = Trial::new(PATIENT).await;
    let (mut unlucky, mut other) = (trial.connect().await, trial.connect().await);
    unlucky.say("GET /panic HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(unlucky.rest().await, "");
    assert!(other.ask("/").await.ends_with("here\n"));
    drop(other);
    trial.all_gone().await;
}

#[tokio::test]
async fn a_socket_file_is_served_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    let listener = listen::bind(&[format!("unix:{}", path.display())], false).await.unwrap().remove(0);
    let trial = Trial::new(PATIENT).await;
    let accepting = tokio::spawn(trial.server.clone().accept(listener));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET /who HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with("unix Anonymous\n"), "{answer}");
    accepting.abort();
    assert!(accepting.await.unwrap_err().is_cancelled() && !path.exists());
}
