//! Verified connections, each for one request at a time: a bounded number, used again and again.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cloister_client::{Error, Image, Session};
use cloister_imaging::View;
use tokio::sync::Semaphore;

use super::generator::{Outcome, Sender};
use crate::enclave::{self, Place};
use crate::failure::Failure;

/// A connection that was idle for so long is not used again: an enclave closes it after a minute, and a request that meets the close is lost.
const IDLE_LIMIT: Duration = Duration::from_secs(45);

/// What problems' types of this project begin with.
const PROBLEM: &str = "urn:cloister:problem:";

/// What each request carries.
pub struct Request {
    /// The image's file.
    pub image: Image,
    /// The view that it shows.
    pub view: View,
    /// Crops to average; the enclave's default when absent.
    pub crops: Option<u32>,
}

/// Connections to one place, and what is sent on them.
pub struct Pool {
    place: Place,
    request: Request,
    connections: usize,
    free: Semaphore,
    idle: Mutex<Vec<Idle>>,
    opened: AtomicUsize,
}

struct Idle {
    session: Session,
    since: Instant,
}

impl Pool {
    /// At most so many connections; none is opened yet.
    pub fn new(place: Place, request: Request, connections: usize) -> Self {
        Self {
            place,
            request,
            connections,
            free: Semaphore::new(connections),
            idle: Mutex::default(),
            opened: AtomicUsize::new(0),
        }
    }

    /// Where the connections lead.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Sends one request with a session that is given in, which joins the others.
    ///
    /// # Errors
    /// As `cloister classify`: an enclave that does not answer this request cannot be measured by it.
    pub async fn try_out(&self, mut session: Session) -> Result<(), Failure> {
        self.classify(&mut session).await.map_err(enclave::failure)?;
        self.keep(session);
        Ok(())
    }

    /// Opens and verifies as many connections as are missing, so that no measured request has to.
    ///
    /// # Errors
    /// As `cloister verify`.
    pub async fn fill(&self, connections: usize) -> Result<(), Failure> {
        self.idle().retain(Idle::is_fresh);
        while self.idle().len() < connections.min(self.connections) {
            let session = self.place.session(Duration::ZERO).await?;
            self.keep(session);
        }
        Ok(())
    }

    /// How many connections requests had to open since the last time this was asked.
    pub fn opened(&self) -> usize {
        self.opened.swap(0, Ordering::Relaxed)
    }

    async fn classify(&self, session: &mut Session) -> Result<(), Error> {
        let Request { image, view, crops } = &self.request;
        session.classify(image.clone(), *view, *crops, None).await.map(drop)
    }

    /// The one that was used last, so that few are in use at low rates and those stay open.
    async fn session(&self) -> Result<Session, Error> {
        let kept = {
            let mut idle = self.idle();
            idle.retain(Idle::is_fresh);
            idle.pop()
        };
        match kept {
            Some(Idle { session, .. }) => Ok(session),
            None => {
                self.opened.fetch_add(1, Ordering::Relaxed);
                self.place.try_session().await
            }
        }
    }

    fn keep(&self, session: Session) {
        self.idle().push(Idle { session, since: Instant::now() });
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn is_fresh(&self) -> bool {
        self.session.is_open() && self.since.elapsed() < IDLE_LIMIT
    }
}

impl Sender for Pool {
    async fn send(&self) -> Result<Outcome, Failure> {
        // Waiting for one would hold the request back, and hide that the load is more than was allowed.
        let Ok(_place) = self.free.try_acquire() else {
            return Ok(Outcome::Failed(Cow::Borrowed("no-free-connection")));
        };
        let mut session = match self.session().await {
            Ok(session) => session,
            Err(error) => return outcome(error, enclave::unproven),
        };
        match self.classify(&mut session).await {
            Ok(()) => {
                self.keep(session);
                Ok(Outcome::Answered)
            }
            Err(error) => {
                if matches!(error, Error::Refused { .. }) {
                    self.keep(session);
                }
                outcome(error, enclave::failure)
            }
        }
    }
}

/// What an error means for the request; for all, where there is no sense in going on.
fn outcome(error: Error, failure: fn(Error) -> Failure) -> Result<Outcome, Failure> {
    Ok(match error {
        Error::Refused { status, kind, .. } => {
            let reason = kind.strip_prefix(PROBLEM).unwrap_or(&kind);
            match status {
                503 | 429 => Outcome::Refused { status, reason: reason.to_owned() },
                _ => Outcome::Failed(Cow::Owned(format!("{status} {reason}"))),
            }
        }
        Error::Timeout { .. } => Outcome::Failed(Cow::Borrowed("timeout")),
        Error::Unreachable { .. } | Error::Handshake { .. } | Error::Connection(_) => {
            Outcome::Failed(Cow::Borrowed("connection"))
        }
        other => return Err(failure(other)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, kind: &str) -> Error {
        let (kind, title) = (kind.to_owned(), "no".to_owned());
        Error::Refused { status, kind, title, detail: None, retry_after: None }
    }

    #[test]
    fn no_room_and_too_many_are_refusals_and_the_rest_are_failures() {
        let outcome = |error| outcome(error, enclave::failure).unwrap();
        let reason = "queue-full".to_owned();
        assert_eq!(outcome(refused(503, "urn:cloister:problem:queue-full")), Outcome::Refused { status: 503, reason });
        let reason = "about:blank".to_owned();
        assert_eq!(outcome(refused(429, "about:blank")), Outcome::Refused { status: 429, reason });
        let stalled = refused(408, "urn:cloister:problem:body-stalled");
        assert_eq!(outcome(stalled), Outcome::Failed("408 body-stalled".into()));
        let late = Error::Timeout { what: "an answer", after: IDLE_LIMIT };
        assert_eq!(outcome(late), Outcome::Failed("timeout".into()));
    }

    #[test]
    fn what_is_not_to_be_trusted_ends_the_measurement() {
        let other = Error::OtherResult("this image's");
        assert_eq!(outcome(other, enclave::failure).unwrap_err().code(), 77);
        assert_eq!(outcome(Error::Certificate, enclave::unproven).unwrap_err().code(), 77);
    }
}
