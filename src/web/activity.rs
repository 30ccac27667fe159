//! What a connection is doing, and until when it may go on so.
//!
//! Two things tell: the stream, wrapped in [`Watched`], of what arrives and what is not taken; and the service, of a
//! request that begins and an answer that has ended. All of it happens on the connection's own task, so that whoever
//! runs that task sees a new deadline after each step; others ask only who waits for its client, and tell it to end.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::limits::Limits;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// Nothing has been heard of it yet.
    Arrived,
    /// The head of a request arrives.
    Head,
    /// The body of a request is read.
    Body,
    /// A request is answered.
    Request,
    /// The last request was answered, and there is no other one.
    Idle,
}

/// What a connection did too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooLong {
    /// The head of a request did not arrive.
    Head,
    /// A request was not done with.
    Request,
    /// An answer was not read.
    Unread,
    /// Nothing happened.
    Idle,
    /// It did not end when the program had to.
    Stopping,
}

impl TooLong {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            TooLong::Head => "head",
            TooLong::Request => "request",
            TooLong::Unread => "unread",
            TooLong::Idle => "idle",
            TooLong::Stopping => "stopping",
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct State {
    doing: Doing,
    since: Instant,
    /// Since when nothing of what is to be written is taken.
    unread_since: Option<Instant>,
    /// The same of what has been written, and is on the way.
    unflushed_since: Option<Instant>,
    is_cut_off: bool,
}

impl State {
    fn waits_since(&self) -> Option<Instant> {
        let is_waiting = self.doing != Doing::Request && self.stuck_since().is_none();
        is_waiting.then_some(self.since)
    }

    /// Since when an answer goes nowhere.
    fn stuck_since(&self) -> Option<Instant> {
        [self.unread_since, self.unflushed_since].into_iter().flatten().min()
    }
}

/// Notes since when something could not be done, or that it could.
fn note(could: bool, since: &mut Option<Instant>) {
    if could {
        *since = None;
    } else {
        since.get_or_insert_with(Instant::now);
    }
}

/// What a connection is doing.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    told: Notify,
}

impl Activity {
    pub(super) fn begins() -> Arc<Activity> {
        let state = State {
            doing: Doing::Arrived,
            since: Instant::now(),
            unread_since: None,
            unflushed_since: None,
            is_cut_off: false,
        };
        Arc::new(Activity { state: Mutex::new(state), told: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It can speak from now on.
    pub(super) fn arrives(&self) {
        self.turn(Doing::Arrived);
    }

    /// The head of a request has arrived, and a body may follow.
    pub(super) fn request_begins(&self, has_body: bool) {
        self.turn(if has_body { Doing::Body } else { Doing::Request });
    }

    /// The body of a request has arrived, or nobody wants it.
    fn body_is_done(&self) {
        let mut state = self.state();
        if state.doing == Doing::Body {
            // The time for the request runs from its head.
            state.doing = Doing::Request;
        }
    }

    fn turn(&self, doing: Doing) {
        let mut state = self.state();
        state.doing = doing;
        state.since = Instant::now();
    }

    /// Something arrives.
    fn hears(&self) {
        let mut state = self.state();
        match state.doing {
            // The time for the first head runs from the beginning.
            Doing::Arrived => state.doing = Doing::Head,
            Doing::Idle => {
                state.doing = Doing::Head;
                state.since = Instant::now();
            }
            Doing::Head | Doing::Body | Doing::Request => {}
        }
    }

    /// Something could, or could not, be written.
    fn writes(&self, could: bool) {
        note(could, &mut self.state().unread_since);
    }

    /// What has been written could, or could not, be sent off. A socket has nothing of its own to send, and says that it
    /// could even where it takes nothing more, so that this tells nothing of what is written.
    fn flushes(&self, could: bool) {
        note(could, &mut self.state().unflushed_since);
    }

    /// Since when nothing is done for it because its client does not say, or not all of, what it wants.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        self.state().waits_since()
    }

    /// Ends it for another one, where it still waits since then.
    pub(super) fn make_room(&self, waits_since: Instant) {
        let mut state = self.state();
        if state.waits_since() == Some(waits_since) {
            // Half a head, or half a body, would be waited for to the end.
            state.is_cut_off |= matches!(state.doing, Doing::Head | Doing::Body);
            self.told.notify_one();
        }
    }

    /// Until when it may go on so, and what it has done too long then.
    pub(super) fn deadline(&self, limits: &Limits) -> (Instant, TooLong) {
        let state = *self.state();
        let (time, what) = match state.doing {
            _ if state.is_cut_off => return (state.since, TooLong::Stopping),
            Doing::Arrived | Doing::Head => (limits.head, TooLong::Head),
            Doing::Body | Doing::Request => (limits.request, TooLong::Request),
            Doing::Idle => (limits.idle, TooLong::Idle),
        };
        let until = state.since + time;
        match state.stuck_since().map(|since| since + limits.unread) {
            Some(unread_until) if unread_until < until => (unread_until, TooLong::Unread),
            _ => (until, what),
        }
    }

    /// Tells it to end once it has nothing to do.
    pub(super) fn tell_to_end(&self) {
        self.told.notify_one();
    }

    /// Tells it to end now.
    pub(super) fn cut_off(&self) {
        self.state().is_cut_off = true;
        self.told.notify_one();
    }

    /// Completes when it is told to end.
    pub(super) async fn told_to_end(&self) {
        self.told.notified().await;
    }
}

/// A stream of bytes in both directions.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A stream that tells what happens on it.
pub(super) struct Watched {
    pub(super) stream: Box<dyn Stream>,
    pub(super) activity: Arc<Activity>,
}

impl Watched {
    fn wrote<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.activity.writes(written.is_ready());
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.hears();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.activity.flushes(flushed.is_ready());
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.activity.flushes(shut.is_ready());
        shut
    }
}

/// The body of a request, which tells when nobody reads it any more.
pub(super) struct Question<B> {
    body: B,
    activity: Arc<Activity>,
}

impl<B> Question<B> {
    pub(super) fn new(body: B, activity: Arc<Activity>) -> Question<B> {
        Question { body, activity }
    }
}

impl<B: Body + Unpin> Body for Question<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Question<B> {
    fn drop(&mut self) {
        self.activity.body_is_done();
    }
}

/// The body of an answer, which tells when it has ended.
pub(super) struct Answer {
    body: axum::body::Body,
    activity: Arc<Activity>,
}

impl Answer {
    pub(super) fn new(body: axum::body::Body, activity: Arc<Activity>) -> Answer {
        Answer { body, activity }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.activity.turn(Doing::Idle);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::web::limits::LIMITS;

    /// How long after `since` the deadline is, in seconds, and for what.
    fn left(activity: &Activity, since: Instant) -> (u64, TooLong) {
        let (until, what) = activity.deadline(&LIMITS);
        ((until - since).as_secs(), what)
    }

    #[test]
    fn each_thing_has_its_time() {
        let activity = Activity::begins();
        let arrived = activity.state().since;
        assert_eq!(left(&activity, arrived), (10, TooLong::Head));
        activity.hears();
        assert_eq!((left(&activity, arrived), activity.waits_since()), ((10, TooLong::Head), Some(arrived)));
        assert_eq!(activity.state().since, arrived, "the first byte must not give more time");

        activity.request_begins(false);
        let since = activity.state().since;
        assert_eq!((left(&activity, since), activity.waits_since()), ((330, TooLong::Request), None));
        // What arrives meanwhile belongs to it.
        activity.hears();
        assert_eq!(left(&activity, since), (330, TooLong::Request));

        activity.turn(Doing::Idle);
        let since = activity.state().since;
        assert_eq!((left(&activity, since), activity.waits_since()), ((300, TooLong::Idle), Some(since)));
        activity.hears();
        let since = activity.state().since;
        assert_eq!(left(&activity, since), (10, TooLong::Head));
    }

    #[test]
    fn who_does_not_wait_any_more_makes_no_room() {
        let activity = Activity::begins();
        let arrived = activity.state().since;
        activity.request_begins(false);
        activity.make_room(arrived);
        activity.turn(Doing::Idle);
        activity.hears();
        activity.make_room(arrived);
        assert!(!activity.state().is_cut_off);
        let heard = activity.state().since;
        activity.make_room(heard);
        assert!(activity.state().is_cut_off);

        let activity = Activity::begins();
        activity.request_begins(true);
        let since = activity.waits_since().unwrap();
        activity.body_is_done();
        activity.make_room(since);
        assert!(!activity.state().is_cut_off);
        assert_eq!(left(&activity, since), (330, TooLong::Request));
    }

    #[test]
    fn what_is_not_read_is_waited_for_from_when_it_stopped() {
        let activity = Activity::begins();
        activity.turn(Doing::Idle);
        activity.writes(false);
        let first = activity.state().unread_since.unwrap();
        assert_eq!((left(&activity, first), activity.waits_since()), ((30, TooLong::Unread), None));
        activity.writes(false);
        activity.flushes(true);
        assert_eq!(activity.state().unread_since, Some(first), "a socket is always flushed");
        activity.writes(true);
        let since = activity.state().since;
        assert_eq!(left(&activity, since), (300, TooLong::Idle));
        activity.cut_off();
        assert!(activity.deadline(&LIMITS).0 <= Instant::now() + Duration::ZERO);
        assert_eq!(activity.deadline(&LIMITS).1, TooLong::Stopping);
    }
}
