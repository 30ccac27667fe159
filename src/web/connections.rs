//! Serving connections, within [`Limits`]: accepting them, making room, the handshake of TLS, and the talk itself.
//!
//! Each connection is a task of its own: what goes wrong in it, even a panic, ends it alone.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use super::activity::{Activity, Answer, Question, Stream, TooLong, Watched};
use super::guard::{Client, Guard};
use super::limits::Limits;
use super::listen::Listener;

/// How long nothing is accepted after the system had nothing to give for it, such as a descriptor.
const PAUSE: Duration = Duration::from_millis(50);

/// How often that is told.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// How often it is looked again for somebody who waits, while a new connection waits for room.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Where a request comes from; an extension of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// From this address.
    Address(SocketAddr),
    /// From this machine, through a socket file.
    SocketFile,
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Address(address) => address.fmt(formatter),
            Peer::SocketFile => formatter.write_str("unix"),
        }
    }
}

/// The connections that are open, of all listeners together.
#[derive(Debug)]
struct Room {
    places: Arc<Semaphore>,
    open: Mutex<BTreeMap<u64, Arc<Activity>>>,
    number: AtomicU64,
}

/// A connection's place among all; given back when this is dropped.
struct Place {
    room: Arc<Room>,
    number: u64,
    activity: Arc<Activity>,
    _permit: OwnedSemaphorePermit,
}

impl Room {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Activity>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, as soon as there is one. `None` where no more are given.
    async fn place(self: &Arc<Self>) -> Option<Place> {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
                break permit;
            }
            self.make_room();
            if let Ok(permit) = timeout(LOOK_AGAIN, Arc::clone(&self.places).acquire_owned()).await {
                break permit.ok()?;
            }
        };
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let activity = Activity::begins();
        self.open().insert(number, Arc::clone(&activity));
        Some(Place { room: Arc::clone(self), number, activity, _permit: permit })
    }

    /// Ends the connection that has waited for its client the longest. Clients that mean well say all that they want at
    /// once, so that those who say it slowly are found before those who come after them.
    fn make_room(&self) {
        let open = self.open();
        let waiting = open.values().filter_map(|activity| Some((activity.waits_since()?, activity)));
        if let Some((since, activity)) = waiting.min_by_key(|(since, _)| *since) {
            activity.make_room(since);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.open().remove(&self.number);
    }
}

/// What serves connections; clones are the same one.
#[derive(Clone)]
pub(super) struct Server {
    router: TowerToHyperService<Router>,
    guard: Arc<Guard>,
    limits: Limits,
    http: http1::Builder,
    room: Arc<Room>,
}

impl Server {
    pub(super) fn new(router: Router, guard: Arc<Guard>, limits: Limits) -> Server {
        let mut http = http1::Builder::new();
        // Its own limits of time do not tell a head that is slow from a connection that is idle.
        http.max_header_size(limits.head_bytes).header_read_timeout(None);
        let room = Room {
            places: Arc::new(Semaphore::new(limits.connections)),
            open: Mutex::default(),
            number: AtomicU64::default(),
        };
        Server { router: TowerToHyperService::new(router), guard, limits, http, room: Arc::new(room) }
    }

    /// Accepts connections, for ever.
    pub(super) async fn accept(self, listener: Listener) {
        let mut told: Option<Instant> = None;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let Some(place) = self.room.place().await else { return };
                    tokio::spawn(self.clone().attend(stream, peer, place));
                }
                // It had gone before it was accepted.
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if told.is_none_or(|told| told.elapsed() > TOLD_EVERY) {
                        told = Some(Instant::now());
                        tracing::error!(address = %listener.address(), %error, "No connection can be accepted; trying again.");
                    }
                    // Connections that wait for their clients hold what is missing.
                    self.room.make_room();
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Lets requests under way finish, for a while, and ends all connections.
    pub(super) async fn finish(&self) {
        self.room.open().values().for_each(|activity| activity.tell_to_end());
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        let _ = timeout(self.limits.grace, self.room.places.acquire_many(all)).await;
        self.room.places.close();
        self.room.open().values().for_each(|activity| activity.cut_off());
    }

    async fn attend(self, stream: Box<dyn Stream>, peer: Peer, place: Place) {
        let (stream, client) = match self.guard.tls() {
            None => (stream, Client::Anonymous),
            Some(config) => {
                let shaking = timeout(self.limits.handshake, TlsAcceptor::from(config).accept(stream));
                let shaken = tokio::select! {
                    shaken = shaking => shaken,
                    () = place.activity.told_to_end() => return,
                };
                match shaken {
                    Ok(Ok(stream)) => {
                        let client = self.guard.client(stream.get_ref().1);
                        (Box::new(stream) as Box<dyn Stream>, client)
                    }
                    Ok(Err(error)) => return tracing::debug!(%peer, %error, "The handshake of TLS has failed."),
                    Err(_) => return tracing::debug!(%peer, "The handshake of TLS took too long."),
                }
            }
        };
        place.activity.arrives();
        match self.talk(stream, client, peer, &place.activity).await {
            Ok(()) => {}
            Err(End::TooLong(what)) => tracing::debug!(%peer, what = what.as_str(), "A connection was cut off."),
            Err(End::Broken(error)) => {
                tracing::debug!(%peer, error = crate::error_chain::display_chain(&error), "A connection has broken.");
            }
        }
    }

    /// One connection, from its first request to its end.
    async fn talk(
        &self,
        stream: Box<dyn Stream>,
        client: Client,
        peer: Peer,
        activity: &Arc<Activity>,
    ) -> Result<(), End> {
        let service = service_fn(|request| self.answer(request, client, peer, activity));
        let stream = TokioIo::new(Watched { stream, activity: Arc::clone(activity) });
        let mut connection = pin!(self.http.serve_connection(stream, service));
        let mut told = pin!(activity.told_to_end());
        let mut alarm = pin!(sleep_until(activity.deadline(&self.limits).0));
        std::future::poll_fn(|context| {
            loop {
                if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                    return Poll::Ready(ended.map_err(End::Broken));
                }
                let (until, what) = activity.deadline(&self.limits);
                if until != alarm.deadline() {
                    alarm.as_mut().reset(until);
                }
                if until <= Instant::now() || alarm.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Err(End::TooLong(what)));
                }
                if told.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                told.set(activity.told_to_end());
                connection.as_mut().graceful_shutdown();
            }
        })
        .await
    }

    async fn answer(
        &self,
        mut request: Request<Incoming>,
        client: Client,
        peer: Peer,
        activity: &Arc<Activity>,
    ) -> Result<Response<Answer>, Infallible> {
        activity.request_begins(!request.body().is_end_stream());
        let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        let response = if target > self.limits.target_bytes {
            (StatusCode::URI_TOO_LONG, "what is asked for is too long\n").into_response()
        } else {
            request.extensions_mut().insert(client);
            request.extensions_mut().insert(peer);
            let Ok(response) = self.router.call(request.map(|body| Question::new(body, Arc::clone(activity)))).await;
            response
        };
        Ok(response.map(|body: Body| Answer::new(body, Arc::clone(activity))))
    }
}

/// Why a connection has ended otherwise than by itself.
#[derive(Debug)]
enum End {
    TooLong(TooLong),
    Broken(hyper::Error),
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests;
