//! `cloister bench`: what an enclave does under load, measured from outside through its parent, over verified connections.

mod generator;
mod memory;
mod plot;
mod pool;
mod report;
mod schedule;
mod summary;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, value_parser};
use cloister_imaging::{View, synthetic};

use self::generator::{Sent, Until, closed_loop, open_loop};
use self::memory::Watch;
use self::pool::Pool;
use self::report::Report;
use self::schedule::{Arrivals, MAX_RATES, Rate, Sweep, schedule};
use self::summary::{Load, Stage};
use crate::enclave::Target;
use crate::failure::Failure;
use crate::{files, output};

/// Connections that can be asked for. An enclave takes 256, and its parent relays as many; some are left for its other clients.
const MAX_CONNECTIONS: u32 = 200;

/// The longest that one load is measured.
const MAX_SECONDS: u64 = 24 * 60 * 60;

/// The longest warm-up, and the longest wait for an answer: what is not warm or answered within an hour will not be.
const MAX_WAIT_SECONDS: u64 = 60 * 60;

/// Requests one at a time, and at saturation, that can be asked for.
const MAX_COUNTED: u32 = schedule::MAX_REQUESTS as u32;

/// What `cloister bench` takes.
#[derive(Args)]
pub struct Bench {
    #[command(flatten)]
    target: Target,
    /// Rates to offer, in requests a second, such as 0.5,1,2.
    #[arg(long, value_name = "RATE,…", value_delimiter = ',', conflicts_with = "sweep")]
    rates: Vec<Rate>,
    /// Rates to offer, at even distances, such as 0.5:3:0.5.
    #[arg(long, value_name = "FROM:TO:STEP")]
    sweep: Option<Sweep>,
    /// How the requests of a rate follow each other: evenly, or as from many independent front ends.
    #[arg(long, value_enum, default_value_t = Arrivals::Poisson)]
    arrivals: Arrivals,
    /// The same number gives the same times.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Measure the throughput at saturation too.
    #[arg(long)]
    saturate: bool,
    /// Workers at saturation. An enclave refuses those that find no place in its queue.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = value_parser!(u32).range(1..=i64::from(MAX_CONNECTIONS)))]
    workers: u32,
    /// Send so many requests at saturation, however long that takes, in place of --warmup and --duration.
    #[arg(long, value_name = "N", requires = "saturate", value_parser = value_parser!(u32).range(1..=i64::from(MAX_COUNTED)))]
    requests: Option<u32>,
    /// Requests to send one at a time.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u32).range(1..=i64::from(MAX_COUNTED)))]
    unloaded: u32,
    /// Seconds to measure at saturation, and at each rate.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = value_parser!(u64).range(1..=MAX_SECONDS))]
    duration: u64,
    /// Seconds of the same load before, which are not measured.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = value_parser!(u64).range(..=MAX_WAIT_SECONDS))]
    warmup: u64,
    /// Connections at most. A request that finds none free has failed; more workers than connections are not taken.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u32).range(1..=i64::from(MAX_CONNECTIONS)))]
    connections: u32,
    /// Seconds after which a request without an answer has failed.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = value_parser!(u64).range(1..=MAX_WAIT_SECONDS))]
    timeout: u64,
    /// The mammogram to send; a synthetic one of 2560 x 3328 by default.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// The view that it shows: L-CC, R-CC, L-MLO or R-MLO.
    #[arg(long, default_value_t = View::LCc)]
    view: View,
    /// Crops to average; 1 is the noiseless one. Ten by default.
    #[arg(long)]
    crops: Option<u32>,
    /// Write the figures of each load into this file, as CSV.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Draw latency against offered rate into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// One load to put on, and for how long.
struct Plan {
    load: Load,
    how: How,
}

enum How {
    Counted { workers: usize, requests: usize },
    Timed { workers: usize },
    Scheduled(Rate),
}

/// What puts loads on one enclave.
struct Bencher<'a> {
    arguments: &'a Bench,
    pool: Arc<Pool>,
    warmup: Duration,
    end: Duration,
}

/// Runs `cloister bench`.
pub async fn run(arguments: &Bench) -> Result<(), Failure> {
    let plans = arguments.plans()?;
    let request = pool::Request { image: arguments.image()?.into(), view: arguments.view, crops: arguments.crops };
    let place = arguments.target.place()?.with_answer_timeout(Duration::from_secs(arguments.timeout));
    let session = place.session(arguments.target.wait()).await?;
    let accepted_as = session.attested().label.clone();
    let pool = Arc::new(Pool::new(place, request, arguments.connections as usize));
    pool.try_out(session).await?;
    let bencher = Bencher::new(arguments, pool);
    let text = !arguments.target.json();
    if text {
        output::line(report::head())?;
    }
    let mut stages = Vec::new();
    for plan in plans {
        let stage = bencher.measure(plan).await?;
        if text {
            output::line(report::row(&stage))?;
        }
        stages.push(stage);
    }
    let &Bench { crops, arrivals, seed, .. } = arguments;
    let report = Report { accepted_as, crops, arrivals, seed, stages };
    if text {
        output::line(report::foot(&report))?
    } else {
        output::json(&report)?
    }
    if let Some(path) = &arguments.csv {
        files::write(path, report::csv(&report.stages).as_bytes())?;
    }
    arguments.draw(&report.stages)
}

impl Bench {
    fn plans(&self) -> Result<Vec<Plan>, Failure> {
        let rates = self.sweep.as_ref().map_or(self.rates.as_slice(), |Sweep(rates)| rates);
        if rates.len() > MAX_RATES {
            return Err(Failure::usage(format!("there are {} rates; at most {MAX_RATES} are taken", rates.len())));
        }
        if rates.is_empty() && self.plot.is_some() {
            return Err(Failure::usage("a plot shows rates: name them with --rates or --sweep"));
        }
        if self.saturate && self.workers > self.connections {
            let Self { workers, connections, .. } = self;
            return Err(Failure::usage(format!(
                "{workers} workers need as many connections, and there are {connections}"
            )));
        }
        let requests = self.unloaded as usize;
        let mut plans = vec![Plan { load: Load::Unloaded, how: How::Counted { workers: 1, requests } }];
        if self.saturate {
            let workers = self.workers as usize;
            let counted = self.requests.map(|requests| How::Counted { workers, requests: requests as usize });
            plans.push(Plan { load: Load::Saturated { workers }, how: counted.unwrap_or(How::Timed { workers }) });
        }
        for &rate in rates {
            // Before hours are spent on others.
            self.schedule(rate)?;
            let load = Load::Open { offered_per_second: rate.per_second() };
            plans.push(Plan { load, how: How::Scheduled(rate) });
        }
        Ok(plans)
    }

    fn schedule(&self, rate: Rate) -> Result<Vec<Duration>, Failure> {
        schedule(rate, self.arrivals, self.seed, self.end()).map_err(Failure::usage)
    }

    fn end(&self) -> Duration {
        Duration::from_secs(self.warmup + self.duration)
    }

    fn image(&self) -> Result<Vec<u8>, Failure> {
        let Some(path) = &self.image else {
            let image = synthetic::generate(self.seed, self.view, synthetic::Options::default());
            return synthetic::encode_png(&image).map_err(Failure::input);
        };
        let image = files::read(path)?;
        if cloister_seal::is_sealed(&image) {
            return Err(Failure::usage("the image is sealed: its key would be measured too; name one that is not"));
        }
        Ok(image)
    }

    fn draw(&self, stages: &[Stage]) -> Result<(), Failure> {
        let Some(path) = &self.plot else { return Ok(()) };
        let svg = plot::svg(stages);
        let svg = svg.ok_or_else(|| Failure::unavailable("no rate had an answer, so that there is nothing to draw"))?;
        files::write(path, svg.as_bytes())
    }
}

impl<'a> Bencher<'a> {
    fn new(arguments: &'a Bench, pool: Arc<Pool>) -> Self {
        Self { arguments, pool, warmup: Duration::from_secs(arguments.warmup), end: arguments.end() }
    }

    /// Puts one load on, with its connections opened before.
    async fn measure(&self, plan: Plan) -> Result<Stage, Failure> {
        let connections = match &plan.how {
            How::Counted { workers, .. } | How::Timed { workers } => *workers,
            How::Scheduled(_) => self.arguments.connections as usize,
        };
        self.pool.fill(connections).await?;
        let warmup = if matches!(plan.how, How::Counted { .. }) { Duration::ZERO } else { self.warmup };
        let watch = Watch::start(self.pool.place().session(Duration::ZERO).await?, warmup);
        // What the filling opened counts for no load.
        self.pool.opened();
        let sent = self.put_on(&plan.how).await?;
        let memory = watch.finish().await;
        let end = if matches!(plan.how, How::Counted { .. }) { last(&sent) } else { self.end };
        let mut stage = Stage::new(plan.load, &sent, warmup, end);
        stage.memory = memory;
        stage.connections_opened = self.pool.opened();
        Ok(stage)
    }

    async fn put_on(&self, how: &How) -> Result<Vec<Sent>, Failure> {
        match *how {
            How::Counted { workers, requests } => closed_loop(&self.pool, workers, Until::Requests(requests)).await,
            How::Timed { workers } => closed_loop(&self.pool, workers, Until::Time(self.end)).await,
            How::Scheduled(rate) => open_loop(&self.pool, &self.arguments.schedule(rate)?).await,
        }
    }
}

/// When the last outcome was there.
fn last(sent: &[Sent]) -> Duration {
    sent.iter().map(|request| request.ended).max().unwrap_or_default()
}
