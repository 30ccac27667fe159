//! The bodies of requests, read within bounds: of size, of time, and of the memory that all of them take together.
//!
//! Who would take too much waits, and is asked to come again where that takes too long: an answer that says "too many"
//! would make Alertmanager give its alerts up.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, Request};
use http::header::CONTENT_LENGTH;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error_chain::display_chain;

/// How long a body may take to arrive, waiting for room included.
const PATIENCE: Duration = Duration::from_secs(30);

/// Larger ones need room, in bytes. A connection takes about as much by itself.
const SMALL: usize = 128 * 1024;

/// The room for all that are not small, in bytes. Reading one takes a few times its size for a moment.
const ROOM: usize = 48 * 1024 * 1024;

/// What room is counted in, in bytes.
const UNIT: usize = 1024;

/// Reads bodies; clones share the room for them.
#[derive(Debug, Clone)]
pub struct Bodies {
    room: Arc<Semaphore>,
    patience: Duration,
}

/// A body, and the room that it takes for as long as this is there.
#[derive(Debug)]
pub struct Body {
    /// What it is.
    pub bytes: Bytes,
    /// Room that is given back when this is dropped; none where it is small.
    pub room: Option<OwnedSemaphorePermit>,
}

/// Why there is no body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is larger than is taken here.
    #[error("the body has more than {most} bytes")]
    TooLarge {
        /// As large as it may be, in bytes.
        most: usize,
    },
    /// Other large ones are being read for so long.
    #[error("there was no room for the body for {} s, because of other large ones", after.as_secs())]
    NoRoom {
        /// For how long was waited.
        after: Duration,
    },
    /// It has not arrived in so long.
    #[error("the body took more than {} s to arrive", after.as_secs())]
    Slow {
        /// For how long was waited.
        after: Duration,
    },
    /// The connection has ended before the body did.
    #[error("the body did not arrive: {0}")]
    CutOff(String),
}

impl Default for Bodies {
    fn default() -> Self {
        Bodies::with(ROOM, PATIENCE)
    }
}

impl Bodies {
    fn with(room: usize, patience: Duration) -> Bodies {
        Bodies { room: Arc::new(Semaphore::new(room / UNIT)), patience }
    }

    /// Reads the body of a request, of at most so many bytes.
    pub async fn read(&self, request: Request, most: usize) -> Result<Body, BodyError> {
        let said = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if said.is_some_and(|said| said > most as u64) {
            return Err(BodyError::TooLarge { most });
        }
        // One that does not say how large it is may be as large as any.
        let size = said.map_or(most, |said| said as usize);
        let after = self.patience;
        let until = tokio::time::Instant::now() + self.patience;
        let room = if size <= SMALL {
            None
        } else {
            let units = u32::try_from(size.div_ceil(UNIT)).unwrap_or(u32::MAX);
            let room = tokio::time::timeout_at(until, self.room.clone().acquire_many_owned(units)).await;
            // The room is never closed.
            Some(room.ok().and_then(Result::ok).ok_or(BodyError::NoRoom { after })?)
        };
        match tokio::time::timeout_at(until, Bytes::from_request(request, &())).await {
            Ok(Ok(bytes)) => Ok(Body { bytes, room }),
            Ok(Err(BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)))) => {
                Err(BodyError::TooLarge { most })
            }
            Ok(Err(error)) => Err(BodyError::CutOff(display_chain(&error))),
            Err(_) => Err(BodyError::Slow { after }),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body as HttpBody;
    use futures_util::stream;

    use super::*;

    const MOST: usize = 512 * 1024;

    fn request(length: Option<usize>, body: HttpBody) -> Request {
        let request = Request::post("/");
        let request = match length {
            Some(length) => request.header(CONTENT_LENGTH, length),
            None => request,
        };
        request.body(body).unwrap()
    }

    fn never() -> HttpBody {
        HttpBody::from_stream(stream::pending::<Result<Bytes, std::io::Error>>())
    }

    /// Short, for what is never waited for in vain.
    const MOMENT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn large_bodies_wait_for_room_and_small_ones_do_not() {
        let hasty = Bodies::with(MOST, MOMENT);
        let bodies = Bodies { patience: Duration::from_secs(3600), ..hasty.clone() };
        let first = bodies.read(request(None, "a".into()), MOST).await.unwrap();
        assert!(first.bytes == "a" && first.room.is_some());
        assert!(bodies.read(request(Some(1), "b".into()), MOST).await.unwrap().room.is_none());
        let large = || request(Some(MOST), vec![0; MOST].into());
        assert_eq!(hasty.read(large(), MOST).await.unwrap_err(), BodyError::NoRoom { after: MOMENT });
        let waiting = bodies.read(large(), MOST);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(first);
        assert_eq!(waiting.await.unwrap().bytes.len(), MOST);
    }

    #[tokio::test]
    async fn what_does_not_arrive_is_not_waited_for_and_gives_its_room_back() {
        let bodies = Bodies::with(MOST, MOMENT);
        for length in [None, Some(10), Some(MOST)] {
            let slow = bodies.read(request(length, never()), MOST).await.unwrap_err();
            assert_eq!(slow, BodyError::Slow { after: MOMENT });
        }
        assert_eq!(bodies.room.available_permits(), MOST / UNIT);
        let too_large = bodies.read(request(Some(MOST + 1), never()), MOST).await.unwrap_err();
        assert_eq!(too_large, BodyError::TooLarge { most: MOST });
    }
}
