//! Asking the programs of the demonstration over HTTP, and waiting for what they answer.
//!
//! Not by [`crate::system::http`], which asks what belongs to others, and on purpose can do nothing but GET.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::DemoError;

/// How long is waited for anything. Generous: it is only ever waited out by a failure.
const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(100);

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(15);

const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

pub(super) async fn get(address: SocketAddr, path: &str) -> std::io::Result<Answer> {
    ask(address, Method::GET, path, String::new()).await
}

pub(super) async fn post(address: SocketAddr, path: &str, body: &serde_json::Value) -> std::io::Result<Answer> {
    ask(address, Method::POST, path, body.to_string()).await
}

/// Whether a program says that it is ready.
pub(super) async fn is_ready(address: SocketAddr) -> Option<()> {
    get(address, "/-/ready").await.ok().filter(|answer| answer.status.is_success()).map(drop)
}

async fn ask(address: SocketAddr, method: Method, path: &str, body: String) -> std::io::Result<Answer> {
    let other = std::io::Error::other::<Box<dyn std::error::Error + Send + Sync>>;
    let exchange = async {
        let stream = TokioIo::new(TcpStream::connect(address).await?);
        let (mut sender, connection) = http1::handshake(stream).await.map_err(|error| other(error.into()))?;
        // What the connection fails with is told by the request.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, address.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| other(error.into()))?;
        let response = sender.send_request(request).await.map_err(|error| other(error.into()))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await.map_err(other)?.to_bytes();
        Ok(Answer { status, body })
    };
    tokio::time::timeout(ANSWER, exchange).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

/// Tries until there is something.
pub(super) async fn wait_for<T>(
    what: &str,
    mut attempt: impl AsyncFnMut() -> Result<Option<T>, DemoError>,
) -> Result<T, DemoError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = attempt().await? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(DemoError::NotInTime { what: what.to_owned(), after: PATIENCE });
        }
        tokio::time::sleep(PAUSE).await;
    }
}
