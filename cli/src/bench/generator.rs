//! The two ways to put load on a server: by a schedule that no answer holds up, and by workers that each wait for theirs.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::schedule::MAX_REQUESTS;
use crate::failure::Failure;

/// A worker that got no score asks again after that: a server that refuses in a millisecond would otherwise be measured at refusing.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered, and the answer verified.
    Answered,
    /// The server had no room (503) or took no more from this client (429), and said why.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The problem's type.
        reason: String,
    },
    /// Anything else.
    Failed(Cow<'static, str>),
}

/// What sends one request.
pub trait Sender: Send + Sync + 'static {
    /// Sends it and waits for what becomes of it.
    ///
    /// # Errors
    /// A reason to end the whole measurement.
    fn send(&self) -> impl Future<Output = Result<Outcome, Failure>> + Send;
}

/// One request, with its times from the start of the load.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// When it was to begin.
    pub due: Duration,
    /// When it began.
    pub began: Duration,
    /// When its outcome was there.
    pub ended: Duration,
    /// What became of it.
    pub outcome: Outcome,
}

/// When workers stop to begin requests.
#[derive(Clone, Copy)]
pub enum Until {
    /// After that long.
    Time(Duration),
    /// After so many.
    Requests(usize),
}

/// Begins each request at its time, whatever became of those before.
pub async fn open_loop<S: Sender>(sender: &Arc<S>, schedule: &[Duration]) -> Result<Vec<Sent>, Failure> {
    let start = Instant::now();
    let mut open = JoinSet::new();
    let mut sent = Vec::with_capacity(schedule.len());
    for &due in schedule {
        sleep_until(start + due).await;
        while let Some(done) = open.try_join_next() {
            sent.push(done.map_err(Failure::unavailable)??);
        }
        let sender = Arc::clone(sender);
        open.spawn(async move { one(&*sender, start, due).await });
    }
    while let Some(done) = open.join_next().await {
        sent.push(done.map_err(Failure::unavailable)??);
    }
    Ok(sent)
}

/// Has workers send one request after another.
pub async fn closed_loop<S: Sender>(sender: &Arc<S>, workers: usize, until: Until) -> Result<Vec<Sent>, Failure> {
    let start = Instant::now();
    let begun = Arc::new(AtomicUsize::new(0));
    let mut working = JoinSet::new();
    for _ in 0..workers {
        let (sender, begun) = (Arc::clone(sender), Arc::clone(&begun));
        working.spawn(async move { work(&*sender, start, &begun, until).await });
    }
    let mut sent = Vec::new();
    while let Some(done) = working.join_next().await {
        sent.append(&mut done.map_err(Failure::unavailable)??);
    }
    Ok(sent)
}

async fn work(sender: &impl Sender, start: Instant, begun: &AtomicUsize, until: Until) -> Result<Vec<Sent>, Failure> {
    let (time, requests) = match until {
        Until::Time(time) => (time, MAX_REQUESTS),
        Until::Requests(requests) => (Duration::MAX, requests),
    };
    let mut sent = Vec::new();
    while start.elapsed() < time && begun.fetch_add(1, Ordering::Relaxed) < requests {
        let request = one(sender, start, start.elapsed()).await?;
        let pause = request.outcome != Outcome::Answered;
        sent.push(request);
        if pause {
            sleep(REFUSED_PAUSE).await;
        }
    }
    Ok(sent)
}

async fn one(sender: &impl Sender, start: Instant, due: Duration) -> Result<Sent, Failure> {
    let began = start.elapsed();
    let outcome = sender.send().await?;
    Ok(Sent { due, began, ended: start.elapsed(), outcome })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::schedule::{Arrivals, schedule};

    /// Answers each request after that time, and counts how many wait at once.
    #[derive(Default)]
    struct Slow {
        takes: Duration,
        open: AtomicUsize,
        most: AtomicUsize,
        refuses: bool,
    }

    impl Sender for Slow {
        async fn send(&self) -> Result<Outcome, Failure> {
            let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(open, Ordering::SeqCst);
            sleep(self.takes).await;
            self.open.fetch_sub(1, Ordering::SeqCst);
            let refused = Outcome::Refused { status: 503, reason: "queue-full".to_owned() };
            Ok(if self.refuses { refused } else { Outcome::Answered })
        }
    }

    struct Stops;

    impl Sender for Stops {
        async fn send(&self) -> Result<Outcome, Failure> {
            Err(Failure::not_verified("another enclave"))
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn slow_answers_hold_up_no_request_and_their_latency_is_told_whole() {
        let slow = Arc::new(Slow { takes: Duration::from_secs(2), ..Slow::default() });
        let begins = schedule("100".parse().unwrap(), Arrivals::Poisson, 3, Duration::from_secs(1)).unwrap();
        let sent = open_loop(&slow, &begins).await.unwrap();
        assert_eq!(sent.len(), begins.len());
        // None is answered before the last has begun.
        assert_eq!(slow.most.load(Ordering::SeqCst), begins.len());
        for request in &sent {
            assert!(request.began >= request.due && request.ended - request.due >= slow.takes, "{request:?}");
        }
        let mut due: Vec<_> = sent.iter().map(|request| request.due).collect();
        due.sort();
        assert_eq!(due, begins, "each request of the schedule was sent");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn workers_wait_for_their_answers() {
        let slow = Arc::new(Slow { takes: Duration::from_millis(20), ..Slow::default() });
        let sent = closed_loop(&slow, 3, Until::Requests(20)).await.unwrap();
        assert_eq!((sent.len(), slow.most.load(Ordering::SeqCst)), (20, 3));
        let sent = closed_loop(&slow, 2, Until::Time(Duration::from_millis(200))).await.unwrap();
        assert!((2..=20).contains(&sent.len()), "{}", sent.len());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_worker_that_is_refused_does_not_ask_as_fast_as_it_can() {
        let refusing = Arc::new(Slow { refuses: true, ..Slow::default() });
        let sent = closed_loop(&refusing, 1, Until::Time(REFUSED_PAUSE * 5)).await.unwrap();
        assert!((1..=5).contains(&sent.len()), "{}", sent.len());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reason_to_stop_ends_either() {
        let stops = Arc::new(Stops);
        assert_eq!(open_loop(&stops, &[Duration::ZERO; 3]).await.unwrap_err().code(), 77);
        assert_eq!(closed_loop(&stops, 2, Until::Requests(3)).await.unwrap_err().code(), 77);
    }
}
