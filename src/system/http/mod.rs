//! One HTTP request over one fresh connection, bounded in every way: time, length of the headers, length of the body.
//!
//! * [`connect`]: from a place (host and port, or a socket in the filesystem) to a connection.
//! * [`tls`]: whose certificates are trusted, and until when the one that was shown is valid.
//! * `aside`: blocking work that is joined, not begun again.
//!
//! A request is one future and nothing else: who drops it ends it, with its connection. Nothing is kept between two
//! requests, no redirect is followed, no proxy is asked, no cookie is sent. The peer may be anybody: what it answers
//! is read up to a cap and given back as bytes.
//!
//! This is not for what an answer means, nor for many requests to one peer.

mod aside;
pub mod connect;
#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;
pub mod tls;

use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::header::{ACCEPT, CONNECTION, HOST, HeaderValue, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::files::FileError;
use connect::{ConnectError, Place};
use tls::Trust;

/// What every request says it comes from.
const AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// The longest head of an answer, in bytes, and the most headers in it.
const LONGEST_HEAD: usize = 16 * 1024;
const MOST_HEADERS: usize = 100;

/// Why there is no answer, or none that is whole.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection came about.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The file of trusted certificates can not be read, so that nobody's certificate could be checked.
    #[error("the trusted certificates could not be loaded")]
    Trust(#[source] FileError),
    /// There are no trusted certificates, so that nobody's certificate could be checked.
    #[error("there are no trusted certificates")]
    NobodyTrusted,
    /// TLS failed: most often the certificate is not one to trust.
    #[error("TLS failed")]
    Tls(#[source] std::io::Error),
    /// The peer closed the connection before its answer was whole.
    #[error("the connection was closed before the answer was whole")]
    Closed(#[source] Option<hyper::Error>),
    /// What came is not HTTP.
    #[error("the answer is not HTTP")]
    NotHttp(#[source] hyper::Error),
    /// The head or the body of the answer is longer than is read.
    #[error("the answer is longer than is read")]
    TooLarge,
    /// Time was up.
    #[error("no whole answer came within {} s, the last thing tried was to {stage}", after.as_secs_f64())]
    Timeout {
        /// How long was waited.
        after: Duration,
        /// What was under way.
        stage: Stage,
    },
}

/// What a request is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Other requests have taken all the room there is for blocking work: nothing was tried yet.
    Queue,
    /// Trusted certificates are being loaded.
    Trust,
    /// A name is being looked up.
    Lookup,
    /// A connection is being made.
    Connect,
    /// An answer is awaited.
    Answer,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Stage::Queue => "find room",
            Stage::Trust => "load the trusted certificates",
            Stage::Lookup => "look up the name",
            Stage::Connect => "connect",
            Stage::Answer => "get an answer",
        })
    }
}

/// What becomes of the body of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyUse {
    /// It is not read.
    Ignored,
    /// It is read, up to this many bytes; a longer one is an error.
    UpTo(usize),
}

/// A GET request.
#[derive(Debug, Clone)]
pub struct Get {
    /// Path and query, as they stand in the request line.
    pub path: String,
    /// The Host header.
    pub host: HeaderValue,
    /// What becomes of the body.
    pub body: BodyUse,
    /// How long all of it may take.
    pub timeout: Duration,
}

/// What came of a request.
#[derive(Debug)]
pub struct Outcome {
    /// How long it took.
    pub took: Duration,
    /// Status and body, when the answer was whole.
    pub answer: Result<Answer, HttpError>,
    /// The status, also of an answer that was not whole.
    pub status: Option<StatusCode>,
    /// Until when the certificate that the peer has shown is valid (Unix seconds), also of one that is not trusted.
    pub certificate_expiry: Option<f64>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body; empty where it is ignored.
    pub body: Bytes,
}

/// What is known of a request that is under way.
#[derive(Debug)]
struct Progress {
    stage: Stage,
    status: Option<StatusCode>,
    certificate_expiry: Arc<OnceLock<f64>>,
}

/// Asks one place over and over, with a fresh connection each time.
#[derive(Debug)]
pub struct Client {
    place: Place,
    trust: Option<Trust>,
}

impl Client {
    /// A client that speaks in the clear.
    pub fn plain(place: Place) -> Client {
        Client { place, trust: None }
    }

    /// A client that speaks TLS, and trusts certificates as `trust` says.
    pub fn tls(place: Place, trust: Trust) -> Client {
        Client { place, trust: Some(trust) }
    }

    /// Sends a request and waits for its answer.
    pub async fn get(&self, get: &Get) -> Outcome {
        let started = Instant::now();
        let mut progress =
            Progress { stage: Stage::Queue, status: None, certificate_expiry: Arc::new(OnceLock::new()) };
        let whole = tokio::time::timeout(get.timeout, self.exchange(get, &mut progress)).await;
        Outcome {
            took: started.elapsed(),
            answer: whole.unwrap_or_else(|_| Err(HttpError::Timeout { after: get.timeout, stage: progress.stage })),
            status: progress.status,
            certificate_expiry: progress.certificate_expiry.get().copied(),
        }
    }

    async fn exchange(&self, get: &Get, progress: &mut Progress) -> Result<Answer, HttpError> {
        let connector = match &self.trust {
            Some(trust) => Some(trust.connector(&mut progress.stage, &progress.certificate_expiry).await?),
            None => None,
        };
        let stream = self.place.connect(&mut progress.stage).await?;
        let Some(connector) = connector else {
            return ask(stream, get, progress).await;
        };
        let name = self.place.tls_name()?;
        match connector.connect(name, stream).await {
            Ok(stream) => ask(stream, get, progress).await,
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<tokio_rustls::rustls::Error>()) => {
                Err(HttpError::Tls(error))
            }
            Err(_) => Err(HttpError::Closed(None)),
        }
    }
}

/// Sends the request and reads the answer.
async fn ask<S>(stream: S, get: &Get, progress: &mut Progress) -> Result<Answer, HttpError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    progress.stage = Stage::Answer;
    let (mut sender, connection) = http1::Builder::new()
        .max_header_size(LONGEST_HEAD)
        .max_buf_size(LONGEST_HEAD)
        .max_headers(MOST_HEADERS)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(explain)?;
    let request = Request::get(get.path.as_str())
        .header(HOST, &get.host)
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|_| HttpError::Closed(None))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(explain)?;
        let status = response.status();
        progress.status = Some(status);
        let body = match get.body {
            BodyUse::Ignored => Bytes::new(),
            BodyUse::UpTo(most) => whole_body(response.into_body(), most).await?,
        };
        Ok(Answer { status, body })
    };
    // The connection moves bytes only while it is polled. Polled here, and not in a task of its own, it ends with
    // whoever waits for the answer.
    let (mut exchange, mut connection) = (std::pin::pin!(exchange), std::pin::pin!(connection));
    let mut is_connection_over = false;
    poll_fn(|context| {
        use std::future::Future;
        use std::task::Poll;
        loop {
            if let Poll::Ready(answer) = exchange.as_mut().poll(context) {
                return Poll::Ready(answer);
            }
            // What the connection fails with is told by the exchange.
            if is_connection_over || connection.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            is_connection_over = true;
        }
    })
    .await
}

async fn whole_body(body: hyper::body::Incoming, most: usize) -> Result<Bytes, HttpError> {
    use hyper::body::Body;
    if body.size_hint().lower() > most as u64 {
        return Err(HttpError::TooLarge);
    }
    let collected =
        Limited::new(body, most).collect().await.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => explain(*error),
            Err(error) if error.is::<LengthLimitError>() => HttpError::TooLarge,
            Err(_) => HttpError::Closed(None),
        })?;
    Ok(collected.to_bytes())
}

fn explain(error: hyper::Error) -> HttpError {
    if error.is_parse_too_large() {
        HttpError::TooLarge
    } else if error.is_parse() {
        HttpError::NotHttp(error)
    } else {
        // An incomplete message, a reset, a broken pipe.
        HttpError::Closed(Some(error))
    }
}
