//! The end that the parent asks for when another enclave has taken over: no request is lost by it, because each connection ends with an
//! answer that says so, or because its client has nothing more to ask.

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::limits;

/// Whether this enclave was asked to end, and who is connected to it. Once asked, it is for good.
#[derive(Clone)]
pub struct Drain {
    asked: watch::Sender<bool>,
    connections: watch::Sender<usize>,
}

/// One connection, until it is dropped.
pub(crate) struct Connected(watch::Sender<usize>);

impl Default for Drain {
    fn default() -> Self {
        Self { asked: watch::Sender::new(false), connections: watch::Sender::new(0) }
    }
}

impl Drain {
    /// Asks the enclave to end.
    pub(crate) fn ask(&self) {
        self.asked.send_replace(true);
    }

    /// Completes when the enclave was asked.
    pub async fn asked(&self) {
        // The sender is in `self`, so that waiting ends with what is waited for.
        let _ = self.asked.subscribe().wait_for(|asked| *asked).await;
    }

    pub(crate) fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    pub(crate) fn connect(&self) -> Connected {
        self.connections.send_modify(|count| *count += 1);
        Connected(self.connections.clone())
    }

    /// Completes when the enclave was asked, and nobody has been connected for a while: a client may be on its way through the parent.
    pub async fn over(&self) {
        self.asked().await;
        let mut connections = self.connections.subscribe();
        loop {
            let _ = connections.wait_for(|count| *count == 0).await;
            if timeout(limits::DRAIN_SETTLE, connections.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Completes when a connection is to be closed with its next answer: over HTTP/2, which can say so at any time, as soon as the
    /// enclave was asked; over HTTP/1.1 once a request is there, because one that is on its way would be lost else.
    pub(crate) async fn leaving(&self, http2: bool, mut requests: watch::Receiver<usize>) {
        self.asked().await;
        if !http2 && requests.wait_for(|open| *open > 0).await.is_err() {
            sleep(limits::CONNECTION_LIFETIME).await;
        }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_over_when_it_was_asked_for_and_nobody_is_left() {
        let drain = Drain::default();
        let connected = drain.connect();
        let over = drain.over();
        tokio::pin!(over);
        assert!(futures_util::poll!(&mut over).is_pending());
        drain.ask();
        assert!(timeout(limits::DRAIN_SETTLE * 2, &mut over).await.is_err(), "somebody is connected");
        drop(connected);
        assert!(timeout(limits::DRAIN_SETTLE / 2, &mut over).await.is_err(), "somebody may be on the way");
        over.await;
    }

    #[tokio::test]
    async fn over_http_1_a_connection_is_left_with_an_answer_only() {
        let drain = Drain::default();
        let (open, requests) = watch::channel(0);
        let first = drain.leaving(false, requests.clone());
        let second = drain.leaving(true, requests);
        tokio::pin!(first, second);
        assert!(futures_util::poll!(&mut second).is_pending());
        drain.ask();
        second.await;
        assert!(futures_util::poll!(&mut first).is_pending());
        open.send_replace(1);
        first.await;
    }
}
