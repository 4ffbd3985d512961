//! What the requests of one load came to: counts, rates and percentiles.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::generator::{Outcome, Sent};
use super::memory::Memory;

/// Different reasons that are told apart. An enclave has some thirty; whoever answers could make up more.
const MAX_REASONS: usize = 64;

/// Where the reasons past [`MAX_REASONS`] are counted.
const OTHER_REASONS: &str = "other";

/// How the load was put on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "load", rename_all = "snake_case")]
pub enum Load {
    /// One request at a time.
    Unloaded,
    /// Workers that send one request after another.
    Saturated {
        /// How many.
        workers: usize,
    },
    /// Requests by a schedule.
    Open {
        /// Its mean.
        offered_per_second: f64,
    },
}

/// What was measured under one load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// Which load.
    #[serde(flatten)]
    pub load: Load,
    /// How long was measured, without the warm-up.
    pub seconds: f64,
    /// Answers that came in that time, in a second.
    pub achieved_per_second: f64,
    /// Requests of that time, and what became of them.
    #[serde(flatten)]
    pub counts: Counts,
    /// Why requests were refused or failed.
    pub reasons: BTreeMap<String, u64>,
    /// Of the answered requests, from when they were to begin; absent when there is none.
    pub latency_ms: Option<Latency>,
    /// The most that a request began after its time, in milliseconds: what the load's own machine was late by.
    pub latest_begin_ms: f64,
    /// Connections that requests had to open and verify themselves.
    pub connections_opened: usize,
    /// What the enclave held, where it tells.
    pub memory: Option<Memory>,
}

/// What became of how many requests. The first is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All.
    pub requests: u64,
    /// Answered, and the answer verified.
    pub answered: u64,
    /// Refused because there was no room.
    pub refused_503: u64,
    /// Refused because this client asked for too much.
    pub refused_429: u64,
    /// Anything else.
    pub failed: u64,
}

/// Percentiles by nearest rank: each is the latency of a request that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Half of the requests took no longer.
    pub p50: f64,
    /// 90 % took no longer.
    pub p90: f64,
    /// 95 % took no longer.
    pub p95: f64,
    /// 99 % took no longer.
    pub p99: f64,
    /// 99.9 % took no longer. Of fewer than a thousand it is the longest.
    pub p99_9: f64,
    /// The longest.
    pub max: f64,
}

impl Stage {
    /// Sums up what was sent under one load: the requests that were due from `from` on, and the answers that came until `to`.
    pub fn new(load: Load, sent: &[Sent], from: Duration, to: Duration) -> Self {
        let measured = || sent.iter().filter(|request| request.due >= from);
        let mut counts = Counts::default();
        let mut reasons = BTreeMap::new();
        measured().for_each(|request| counts.add(&request.outcome, &mut reasons));
        // Those of the warm-up that were answered late, too: at saturation as many of this time are answered after it.
        let answered = |request: &&Sent| request.outcome == Outcome::Answered;
        let in_time = |request: &&Sent| request.ended >= from && request.ended <= to;
        let answers = sent.iter().filter(answered).filter(in_time).count();
        let seconds = to.saturating_sub(from).as_secs_f64();
        let late = measured().map(|request| request.began.saturating_sub(request.due)).max();
        Self {
            load,
            seconds,
            achieved_per_second: if seconds > 0.0 { answers as f64 / seconds } else { 0.0 },
            counts,
            reasons,
            latency_ms: Latency::of(measured().filter(answered).map(|request| request.ended - request.due).collect()),
            latest_begin_ms: milliseconds(late.unwrap_or_default()),
            connections_opened: 0,
            memory: None,
        }
    }
}

impl Counts {
    fn add(&mut self, outcome: &Outcome, reasons: &mut BTreeMap<String, u64>) {
        self.requests += 1;
        let reason = match outcome {
            Outcome::Answered => {
                self.answered += 1;
                return;
            }
            Outcome::Refused { status: 429, reason } => {
                self.refused_429 += 1;
                format!("429 {reason}")
            }
            Outcome::Refused { status, reason } => {
                self.refused_503 += 1;
                format!("{status} {reason}")
            }
            Outcome::Failed(reason) => {
                self.failed += 1;
                reason.clone().into_owned()
            }
        };
        let known = reasons.len() < MAX_REASONS || reasons.contains_key(&reason);
        *reasons.entry(if known { reason } else { OTHER_REASONS.to_owned() }).or_default() += 1;
    }
}

impl Latency {
    fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let max = milliseconds(*times.last()?);
        let at = |per_mille| milliseconds(times[rank(times.len(), per_mille) - 1]);
        Some(Self { p50: at(500), p90: at(900), p95: at(950), p99: at(990), p99_9: at(999), max })
    }
}

/// The least number, from 1, that as much of `count` is at or below.
fn rank(count: usize, per_mille: usize) -> usize {
    (count * per_mille).div_ceil(1000).clamp(1, count)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn sent(due: u64, took: u64, outcome: Outcome) -> Sent {
        Sent { due: ms(due), began: ms(due + 1), ended: ms(due + took), outcome }
    }

    fn refused(status: u16, reason: &str) -> Outcome {
        Outcome::Refused { status, reason: reason.to_owned() }
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let latency = Latency::of((1..=1000).rev().map(ms).collect()).unwrap();
        let expected = Latency { p50: 500.0, p90: 900.0, p95: 950.0, p99: 990.0, p99_9: 999.0, max: 1000.0 };
        assert_eq!(latency, expected);
        let one = Latency::of(vec![ms(7)]).unwrap();
        assert_eq!((one.p50, one.p99_9, one.max), (7.0, 7.0, 7.0));
        let four = Latency::of([4, 1, 3, 2].map(ms).to_vec()).unwrap();
        assert_eq!((four.p50, four.p90), (2.0, 4.0));
        assert_eq!(Latency::of(Vec::new()), None);
    }

    #[test]
    fn the_warm_up_is_left_out_and_each_request_counts_once() {
        let requests = [
            sent(0, 1100, Outcome::Answered),
            sent(500, 5, refused(503, "queue-full")),
            sent(1000, 100, Outcome::Answered),
            sent(1500, 2, refused(503, "queue-full")),
            sent(1600, 2, refused(503, "busy")),
            sent(1700, 2, refused(429, "too-many-requests")),
            sent(1800, 900, Outcome::Answered),
            sent(1900, 60_000, Outcome::Failed("timeout".into())),
        ];
        let stage = Stage::new(Load::Open { offered_per_second: 6.0 }, &requests, ms(1000), ms(2000));
        let expected = Counts { requests: 6, answered: 2, refused_503: 2, refused_429: 1, failed: 1 };
        assert_eq!(stage.counts, expected);
        // One of the warm-up, and one of the two that were answered: the other came after the end.
        assert_eq!((stage.seconds, stage.achieved_per_second), (1.0, 2.0));
        let reasons = [("429 too-many-requests", 1), ("503 busy", 1), ("503 queue-full", 1), ("timeout", 1)]
            .map(|(r, n)| (r.to_owned(), n));
        assert_eq!(stage.reasons, BTreeMap::from(reasons));
        let latency = stage.latency_ms.unwrap();
        assert_eq!((latency.p50, latency.max, stage.latest_begin_ms), (100.0, 900.0, 1.0));
    }

    #[test]
    fn made_up_reasons_are_counted_together_past_a_bound() {
        let requests: Vec<_> = (0..1000).map(|n| sent(0, 1, refused(503, &n.to_string()))).collect();
        let stage = Stage::new(Load::Unloaded, &requests, ms(0), ms(1));
        assert_eq!(stage.reasons.len(), MAX_REASONS + 1);
        assert_eq!((stage.reasons.values().sum::<u64>(), stage.counts.refused_503), (1000, 1000));
    }

    #[test]
    fn nothing_sent_is_no_latency_and_no_division_by_zero() {
        let stage = Stage::new(Load::Unloaded, &[], ms(0), ms(0));
        assert_eq!((stage.latency_ms, stage.achieved_per_second, stage.counts), (None, 0.0, Counts::default()));
    }

    fn any_outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            Just(Outcome::Answered),
            prop_oneof![Just(503), Just(429)].prop_map(|status| refused(status, "why")),
            Just(Outcome::Failed("timeout".into())),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_request_is_lost_and_percentiles_are_in_order(
            requests in proptest::collection::vec((0..5000u64, 1..5000u64, any_outcome()), 0..200),
        ) {
            let requests: Vec<_> = requests.into_iter().map(|(due, took, outcome)| sent(due, took, outcome)).collect();
            let stage = Stage::new(Load::Unloaded, &requests, ms(0), ms(5000));
            let Counts { requests: all, answered, refused_503, refused_429, failed } = stage.counts;
            prop_assert_eq!(all, requests.len() as u64);
            prop_assert_eq!(all, answered + refused_503 + refused_429 + failed);
            prop_assert_eq!(all - answered, stage.reasons.values().sum::<u64>());
            prop_assert_eq!(stage.latency_ms.is_some(), answered > 0);
            if let Some(Latency { p50, p90, p95, p99, p99_9, max }) = stage.latency_ms {
                prop_assert!([p50, p90, p95, p99, p99_9, max].is_sorted());
                let took = |request: &Sent| milliseconds(request.ended - request.due);
                prop_assert!(requests.iter().any(|request| took(request) == p50));
            }
        }
    }
}
