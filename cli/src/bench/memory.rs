//! How much memory the enclave says that it holds, asked for beside the load on a connection of its own.

use std::time::Duration;

use cloister_client::Session;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

/// Between two looks. Each costs the enclave one short answer.
const INTERVAL: Duration = Duration::from_secs(1);

/// An enclave at its limits may take long to answer; its memory is then told by the looks before.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an enclave held while it was under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// At the first look, after the warm-up.
    pub first_bytes: u64,
    /// At the last.
    pub last_bytes: u64,
    /// The median of the first quarter of the looks: single ones go up and down with the requests that they meet.
    pub early_bytes: u64,
    /// The median of the last quarter.
    pub late_bytes: u64,
    /// The most of all looks.
    pub most_bytes: u64,
    /// The most that it ever held, by its own count, also before this load.
    pub peak_bytes: u64,
    /// How often was looked.
    pub looks: usize,
}

impl Memory {
    fn of(looks: &[Held]) -> Option<Self> {
        let quarter = looks.len().div_ceil(4);
        Some(Self {
            first_bytes: looks.first()?.resident,
            last_bytes: looks.last()?.resident,
            early_bytes: median(looks.get(..quarter)?)?,
            late_bytes: median(looks.get(looks.len() - quarter..)?)?,
            most_bytes: looks.iter().map(|held| held.resident).max()?,
            peak_bytes: looks.iter().map(|held| held.peak).max()?,
            looks: looks.len(),
        })
    }
}

fn median(looks: &[Held]) -> Option<u64> {
    let mut residents: Vec<_> = looks.iter().map(|held| held.resident).collect();
    residents.sort_unstable();
    residents.get(residents.len() / 2).copied()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    resident: u64,
    peak: u64,
}

/// Looks until it is stopped.
pub struct Watch {
    stop: oneshot::Sender<()>,
    looking: JoinHandle<Option<Memory>>,
}

impl Watch {
    /// Begins to look after the warm-up.
    pub fn start(session: Session, warmup: Duration) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, looking: tokio::spawn(look(session, warmup, stopped)) }
    }

    /// Looks once more. None where the enclave does not tell.
    pub async fn finish(self) -> Option<Memory> {
        // It has ended by itself where its connection did.
        let _ = self.stop.send(());
        self.looking.await.ok().flatten()
    }
}

async fn look(mut session: Session, warmup: Duration, mut stopped: oneshot::Receiver<()>) -> Option<Memory> {
    let mut ticks = interval_at(Instant::now() + warmup, INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = Vec::new();
    loop {
        let last = tokio::select! {
            _ = &mut stopped => true,
            _ = ticks.tick() => false,
        };
        let answer = timeout(PATIENCE, session.metrics()).await;
        // What is not told now is not told later; an answer that is late is still to come on that connection.
        match answer.ok().and_then(Result::ok).and_then(|text| held(&text)) {
            Some(held) => looks.push(held),
            None => return Memory::of(&looks),
        }
        if last {
            return Memory::of(&looks);
        }
    }
}

/// The two figures, where the enclave's measured configuration lets them leave.
fn held(metrics: &str) -> Option<Held> {
    let value = |name: &str| {
        let number = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        let bytes: f64 = number.parse().ok()?;
        (bytes.is_finite() && bytes >= 0.0).then_some(bytes as u64)
    };
    Some(Held { resident: value("cloister_memory_resident_bytes")?, peak: value("cloister_memory_peak_bytes")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_where_there_are_any() {
        let text = "# TYPE cloister_memory_resident_bytes gauge\ncloister_memory_resident_bytes 1048576\n\
                    cloister_memory_peak_bytes 2.5e6\ncloister_ready 1\n";
        assert_eq!(held(text), Some(Held { resident: 1_048_576, peak: 2_500_000 }));
        assert_eq!(held("cloister_ready 1\n"), None);
        assert_eq!(held("cloister_memory_resident_bytes NaN\ncloister_memory_peak_bytes 1\n"), None);
    }

    #[test]
    fn looks_are_summed_up_without_their_ups_and_downs() {
        let held = |resident| Held { resident, peak: 90 };
        let looks = [50, 51, 80, 50, 52, 53, 60, 49, 54, 55, 20, 56].map(held);
        let expected = Memory {
            first_bytes: 50,
            last_bytes: 56,
            early_bytes: 51,
            late_bytes: 55,
            most_bytes: 80,
            peak_bytes: 90,
            looks: 12,
        };
        assert_eq!(Memory::of(&looks), Some(expected));
        let one = Memory::of(&[held(7)]).unwrap();
        assert_eq!((one.early_bytes, one.late_bytes, one.looks), (7, 7, 1));
        assert_eq!(Memory::of(&[]), None);
    }
}
