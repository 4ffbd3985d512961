//! What the enclave tells its parent: a closed list of facts, none of which can carry a pixel, a score or a name.

use std::time::SystemTime;

use bytes::Bytes;
use http::{Method, header};
use http_body_util::Full;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Parent, request};
use crate::limits;

/// One fact about the enclave's own life.
#[derive(Clone, Debug)]
pub enum Event {
    /// The process has started.
    Starting,
    /// A step of the boot did not succeed, and will be tried again.
    Waiting {
        /// What the boot's own error says.
        reason: String,
    },
    /// The model is loaded, measured, and gives its known answers.
    Ready {
        /// The package's name.
        model: String,
        /// The package's version.
        version: u32,
    },
    /// This enclave will never be ready.
    Failed {
        /// What the boot's own error says.
        reason: String,
    },
    /// The process ends.
    Stopping,
}

impl Event {
    fn parts(&self) -> (&'static str, Option<String>) {
        match self {
            Self::Starting => ("starting", None),
            Self::Waiting { reason } => ("waiting", Some(reason.clone())),
            Self::Ready { model, version } => ("ready", Some(format!("{model} version {version}"))),
            Self::Failed { reason } => ("failed", Some(reason.clone())),
            Self::Stopping => ("stopping", None),
        }
    }

    fn to_json(&self, at: SystemTime) -> Value {
        let (event, detail) = self.parts();
        let time = OffsetDateTime::from(at).format(&Rfc3339).unwrap_or_default();
        match detail {
            Some(detail) => json!({"time": time, "event": event, "detail": detail}),
            None => json!({"time": time, "event": event}),
        }
    }
}

/// A queue of events on their way to the parent. The last one is told again from time to time, so that a parent that was restarted,
/// or lost it, knows how its enclave is.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<(SystemTime, Event)>,
}

impl Events {
    /// Starts the task that delivers them.
    pub fn start(parent: Parent) -> Self {
        let (queue, waiting) = mpsc::channel(limits::MAX_EVENTS);
        tokio::spawn(deliver(parent, waiting));
        Self { queue }
    }

    /// Queues one event; a full queue drops it.
    pub fn tell(&self, event: Event) {
        let (name, detail) = event.parts();
        tracing::info!(event = name, detail, "event");
        if self.queue.try_send((SystemTime::now(), event)).is_err() {
            metrics::counter!("cloister_events_dropped_total").increment(1);
        }
    }
}

async fn deliver(parent: Parent, mut waiting: mpsc::Receiver<(SystemTime, Event)>) {
    let Some(mut last) = waiting.recv().await else { return };
    loop {
        let pause = match parent.post_event(last.0, &last.1).await {
            Ok(()) => limits::EVENT_REPEAT,
            Err(error) => {
                tracing::debug!(%error, "an event did not reach the parent");
                limits::EVENT_RETRY
            }
        };
        match timeout(pause, waiting.recv()).await {
            Ok(Some(next)) => last = next,
            Ok(None) => return,
            // Its time stays: it says since when.
            Err(_) => {}
        }
    }
}

impl Parent {
    async fn post_event(&self, at: SystemTime, event: &Event) -> Result<(), super::Error> {
        const WHAT: &str = "an event";
        let line = format!("{}\n", event.to_json(at));
        let request = request(Method::POST, "/v1/events")
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .body(Full::new(Bytes::from(line)))?;
        let answer = self.exchange(WHAT, request, limits::MAX_CREDENTIALS_BYTES).await?;
        if answer.status().is_success() { Ok(()) } else { Err(super::status(WHAT, answer.status())) }
    }
}
