//! Streams of events (text/event-stream): exams as they change, and enclaves.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use http::HeaderMap;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, interval};
use tokio_util::sync::CancellationToken;

use super::exams::get;
use super::problem::{Details, Problem};
use crate::access::{By, Caller};
use crate::audit;
use crate::gateway::Gateway;
use crate::limits;
use crate::worklist::Changed;

/// How many streams each user has open, and their common end.
#[derive(Clone, Default)]
pub(crate) struct Streams {
    open: Arc<Mutex<HashMap<String, usize>>>,
    ended: CancellationToken,
}

/// A stream that is open.
struct Open {
    streams: Streams,
    user: String,
}

impl Streams {
    /// Ends all of them: the gateway ends, and would wait for them.
    pub(crate) fn end(&self) {
        self.ended.cancel();
    }

    fn open(&self, user: &str) -> Option<Open> {
        let mut streams = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = streams.values().sum();
        let own = streams.entry(user.to_owned()).or_default();
        if all >= limits::MAX_STREAMS || *own >= limits::MAX_STREAMS_OF_ONE {
            return None;
        }
        *own += 1;
        Some(Open { streams: self.clone(), user: user.to_owned() })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut streams = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = streams.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                streams.remove(&self.user);
            }
        }
    }
}

/// What a stream tells of.
enum Wanted {
    /// One exam, and nothing else.
    Exam(String),
    All,
}

struct Following {
    gateway: Gateway,
    wanted: Wanted,
    changes: Receiver<Changed>,
    enclaves: Receiver<()>,
    /// To begin with: as it is now.
    first: bool,
    ended: CancellationToken,
    /// What showed the session or the token that it ends with.
    shown: Option<HeaderMap>,
    looks: Interval,
    _open: Open,
}

fn follow(
    gateway: Gateway,
    caller: &Caller,
    headers: HeaderMap,
    wanted: Wanted,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>, Problem> {
    let open = gateway.streams.open(&caller.user.name).ok_or(Problem::TooManyStreams)?;
    let (changes, enclaves) = (gateway.worklist.changes(), gateway.enclaves.changes());
    let ended = gateway.streams.ended.clone();
    let shown = (!matches!(caller.by, By::Nothing { .. })).then_some(headers);
    let looks = interval(limits::HEARTBEAT);
    let following = Following { gateway, wanted, changes, enclaves, first: true, ended, shown, looks, _open: open };
    let events = unfold(following, |mut following| async move {
        let event = following.next().await?;
        Some((Ok(event), following))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(limits::HEARTBEAT).text("still here")))
}

impl Following {
    async fn next(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.first) {
            let first = match &self.wanted {
                Wanted::Exam(id) => self.exam(&id.clone()).await,
                Wanted::All => self.all_enclaves(),
            };
            if first.is_some() {
                return first;
            }
        }
        loop {
            let changed = tokio::select! {
                () = self.ended.cancelled() => return None,
                _ = self.looks.tick() => match &self.shown {
                    Some(headers) if !self.gateway.access.goes_on(headers).await => return None,
                    _ => continue,
                },
                changed = self.changes.recv() => changed,
                changed = self.enclaves.recv(), if matches!(self.wanted, Wanted::All) => match changed {
                    Err(RecvError::Closed) => return None,
                    _ => match self.all_enclaves() {
                        Some(event) => return Some(event),
                        None => continue,
                    },
                },
            };
            match changed {
                Ok(id) if self.wants(&id) => {
                    // Several changes at once are told as one.
                    while matches!(self.changes.try_recv(), Ok(next) if next == id) {}
                    return Some(self.exam(&id).await.unwrap_or_else(|| gone(&id)));
                }
                Ok(_) => {}
                // Whoever is too slow reads the list again.
                Err(RecvError::Lagged(_)) => return Some(Event::default().event("missed").data("{}")),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn wants(&self, id: &str) -> bool {
        match &self.wanted {
            Wanted::Exam(wanted) => wanted == id,
            Wanted::All => true,
        }
    }

    async fn exam(&self, id: &str) -> Option<Event> {
        let exam = get(&self.gateway, id).await.ok()?;
        Event::default().event("exam").json_data(exam).ok()
    }

    fn all_enclaves(&self) -> Option<Event> {
        Event::default().event("enclaves").json_data(self.gateway.enclaves.all()).ok()
    }
}

fn gone(id: &str) -> Event {
    Event::default().event("deleted").data(format!("{{\"id\":\"{id}\"}}"))
}

/// An exam, now and at each change.
#[utoipa::path(
    get, path = "/api/v1/exams/{id}/events", tag = "events", params(("id" = String, Path)),
    responses((status = 200, content_type = "text/event-stream", description = "`exam`"), (status = 404, body = Details))
)]
pub(crate) async fn of_exam(
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    get(&gateway, &id).await?;
    gateway.audit(audit::Event::looked(caller.agent(), &id, "events")).await?;
    follow(gateway, &caller, headers, Wanted::Exam(id))
}

/// All exams and enclaves, at each change.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events",
    responses((status = 200, content_type = "text/event-stream", description = "`exam`, `deleted`, `enclaves`, `missed`"))
)]
pub(crate) async fn of_all(
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    gateway.audit(audit::Event::listed(caller.agent())).await?;
    follow(gateway, &caller, headers, Wanted::All)
}
