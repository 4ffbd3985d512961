//! What was measured, for people (a table), for spreadsheets (CSV) and for programs (JSON). Nothing of an image or a score is in it.

use std::fmt::Write;

use serde::Serialize;

use super::memory::Memory;
use super::schedule::Arrivals;
use super::summary::{Latency, Load, Stage};

/// Once the load's own machine began a request that late, its figures say something about that machine.
const LATE_MS: f64 = 50.0;

/// The heads of the table's columns.
const COLUMNS: [&str; 14] = [
    "offered/s",
    "achieved/s",
    "requests",
    "answered",
    "503",
    "429",
    "failed",
    "p50",
    "p90",
    "p95",
    "p99",
    "p99.9",
    "max",
    "MB",
];

/// The heads of the CSV's columns.
const CSV_COLUMNS: &str = "load,workers,offered_per_second,seconds,achieved_per_second,requests,answered,refused_503,refused_429,failed,\
                           p50_ms,p90_ms,p95_ms,p99_ms,p99_9_ms,max_ms,latest_begin_ms,connections_opened,\
                           memory_first_bytes,memory_last_bytes,memory_early_bytes,memory_late_bytes,memory_most_bytes,memory_peak_bytes,reasons";

/// A whole run.
#[derive(Serialize)]
pub struct Report {
    /// The policy's entry that the enclave matched.
    pub accepted_as: String,
    /// Crops that each request asked for; the enclave's default when absent.
    pub crops: Option<u32>,
    /// How requests of a rate followed each other.
    #[serde(serialize_with = "arrivals")]
    pub arrivals: Arrivals,
    /// What their times were drawn from.
    pub seed: u64,
    /// What was measured, in order.
    pub stages: Vec<Stage>,
}

fn arrivals<S: serde::Serializer>(arrivals: &Arrivals, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(arrivals)
}

/// The table's first lines.
pub fn head() -> String {
    let heads: String = COLUMNS.iter().map(|head| format!("{head:>11}")).collect();
    format!("{:<22}{heads}\n{:<22}(latency in ms; MB is what the enclave held last)", "load", "")
}

/// The table's line for one load, and below it why requests were not answered.
pub fn row(stage: &Stage) -> String {
    let counts = stage.counts;
    let mut cells = vec![offered(stage.load).map_or_else(|| "-".to_owned(), |rate| format!("{rate:.3}"))];
    cells.push(format!("{:.3}", stage.achieved_per_second));
    let numbers = [counts.requests, counts.answered, counts.refused_503, counts.refused_429, counts.failed];
    cells.extend(numbers.map(|number| number.to_string()));
    let latency = stage.latency_ms.map(|latency| values(latency).map(|value| format!("{value:.1}")));
    cells.extend(latency.unwrap_or_else(|| std::array::from_fn(|_| "-".to_owned())));
    cells.push(stage.memory.map_or_else(|| "-".to_owned(), |memory| format!("{:.1}", memory.last_bytes as f64 / 1e6)));
    let cells: String = cells.iter().map(|cell| format!("{cell:>11}")).collect();
    let mut text = format!("{:<22}{cells}", name(stage.load));
    for (reason, count) in &stage.reasons {
        // To a text nothing fails to be written.
        let _ = write!(text, "\n  {count} of them: {reason}");
    }
    if stage.latest_begin_ms > LATE_MS {
        let late = stage.latest_begin_ms;
        let _ = write!(
            text,
            "\n  this machine began a request {late:.0} ms after its time: it is too busy to measure well"
        );
    }
    text
}

/// The lines below the table.
pub fn foot(report: &Report) -> String {
    let Report { accepted_as, crops, arrivals, seed, .. } = report;
    let crops = crops.map_or_else(|| "the enclave's default of crops".to_owned(), |crops| format!("{crops} crop(s)"));
    let mut text = format!("verified as {accepted_as}; {crops} a request; {arrivals} arrivals, seed {seed}");
    if report.stages.iter().all(|stage| stage.memory.is_none()) {
        text += "\nthe enclave does not tell its memory: launch.memory_figures of its measured configuration lets it";
    }
    text
}

/// A line for each load, under a line of heads (RFC 4180, with line feeds alone).
pub fn csv(stages: &[Stage]) -> String {
    let mut text = format!("{CSV_COLUMNS}\n");
    for stage in stages {
        text += &fields(stage).map(|field| quoted(&field)).join(",");
        text.push('\n');
    }
    text
}

fn fields(stage: &Stage) -> [String; 25] {
    let (load, workers) = match stage.load {
        Load::Unloaded => ("unloaded", Some(1)),
        Load::Saturated { workers } => ("saturated", Some(workers)),
        Load::Open { .. } => ("open", None),
    };
    let counts = stage.counts;
    let latency = stage.latency_ms.map(values);
    let ms = |place: usize| latency.map_or_else(String::new, |values| format!("{:.3}", values[place]));
    let bytes = |of: fn(Memory) -> u64| text(stage.memory.map(of));
    let reasons: Vec<_> = stage.reasons.iter().map(|(reason, count)| format!("{reason}={count}")).collect();
    [
        load.to_owned(),
        text(workers),
        text(offered(stage.load)),
        format!("{:.3}", stage.seconds),
        format!("{:.4}", stage.achieved_per_second),
        counts.requests.to_string(),
        counts.answered.to_string(),
        counts.refused_503.to_string(),
        counts.refused_429.to_string(),
        counts.failed.to_string(),
        ms(0),
        ms(1),
        ms(2),
        ms(3),
        ms(4),
        ms(5),
        format!("{:.3}", stage.latest_begin_ms),
        stage.connections_opened.to_string(),
        bytes(|memory| memory.first_bytes),
        bytes(|memory| memory.last_bytes),
        bytes(|memory| memory.early_bytes),
        bytes(|memory| memory.late_bytes),
        bytes(|memory| memory.most_bytes),
        bytes(|memory| memory.peak_bytes),
        reasons.join("; "),
    ]
}

fn text(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn quoted(field: &str) -> String {
    if field.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

fn values(latency: Latency) -> [f64; 6] {
    let Latency { p50, p90, p95, p99, p99_9, max } = latency;
    [p50, p90, p95, p99, p99_9, max]
}

fn offered(load: Load) -> Option<f64> {
    match load {
        Load::Open { offered_per_second } => Some(offered_per_second),
        Load::Unloaded | Load::Saturated { .. } => None,
    }
}

/// What the table calls a load.
fn name(load: Load) -> String {
    match load {
        Load::Unloaded => "one at a time".to_owned(),
        Load::Saturated { workers } => format!("saturated, {workers} at once"),
        Load::Open { .. } => "by a schedule".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bench::generator::{Outcome, Sent};

    fn stage() -> Stage {
        let sent =
            |outcome| Sent { due: Duration::ZERO, began: Duration::ZERO, ended: Duration::from_millis(40), outcome };
        let refused = Outcome::Refused { status: 503, reason: "queue-full".to_owned() };
        let requests = [sent(Outcome::Answered), sent(refused), sent(Outcome::Failed("a \"word\", quoted".into()))];
        let load = Load::Open { offered_per_second: 1.5 };
        let mut stage = Stage::new(load, &requests, Duration::ZERO, Duration::from_secs(2));
        let held = 3_000_000;
        stage.memory = Some(Memory {
            first_bytes: held,
            last_bytes: held,
            early_bytes: held,
            late_bytes: held,
            most_bytes: held,
            peak_bytes: 4_000_000,
            looks: 2,
        });
        stage
    }

    #[test]
    fn csv_has_a_field_for_each_head_and_quotes_what_needs_it() {
        let none = Stage::new(Load::Saturated { workers: 4 }, &[], Duration::ZERO, Duration::from_secs(1));
        let csv = csv(&[stage(), none]);
        let lines: Vec<_> = csv.lines().collect();
        assert_eq!(lines[0].split(',').count(), 25);
        assert_eq!(
            lines[1],
            "open,,1.5,2.000,0.5000,3,1,1,0,1,40.000,40.000,40.000,40.000,40.000,40.000,0.000,0,3000000,3000000,3000000,3000000,3000000,4000000,\
             \"503 queue-full=1; a \"\"word\"\", quoted=1\""
        );
        assert_eq!(lines[2], "saturated,4,,1.000,0.0000,0,0,0,0,0,,,,,,,0.000,0,,,,,,,");
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn a_row_stands_under_its_heads_and_says_why() {
        let text = row(&stage());
        let mut lines = text.lines();
        assert_eq!(lines.next().map(str::len), head().lines().next().map(str::len));
        assert_eq!(lines.next(), Some("  1 of them: 503 queue-full"));
    }

    #[test]
    fn json_names_the_load_beside_its_figures() {
        let report = Report {
            accepted_as: "an image".to_owned(),
            crops: None,
            arrivals: Arrivals::Poisson,
            seed: 1,
            stages: vec![stage()],
        };
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["arrivals"], &json["crops"]), (&"poisson".into(), &serde_json::Value::Null));
        let stage = &json["stages"][0];
        assert_eq!((&stage["load"], &stage["offered_per_second"]), (&"open".into(), &1.5.into()));
        assert_eq!((&stage["requests"], &stage["latency_ms"]["p99_9"]), (&3.into(), &40.0.into()));
    }
}
