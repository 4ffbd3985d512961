//! The parent's process: reads the command line, binds, serves, and ends on SIGTERM.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use cloister_parent::{Described, Error, Parent, Settings, Value, limits, read_enclaves};
use cloister_transport::{Address, termination};
use metrics_exporter_prometheus::PrometheusBuilder;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

/// Exit codes (sysexits.h): bad usage, bad input, unavailable.
const USAGE: u8 = 64;
const BAD_INPUT: u8 = 65;
const UNAVAILABLE: u8 = 69;

/// Carries clients' bytes to the enclave, and gives the enclave its sealed model and AWS credentials.
///
/// Addresses are vsock://CID:PORT, hybrid:///path:PORT, unix:///path or tcp://HOST:PORT; port 0 lets the system choose.
#[derive(Parser)]
#[command(name = "cloister-parent", version)]
struct Arguments {
    /// Where clients connect, such as tcp://0.0.0.0:8443
    #[arg(long, value_name = "ADDRESS")]
    relay_listen: Address,
    /// Where the enclave takes their connections, such as vsock://16:5000
    #[arg(long, value_name = "ADDRESS", required_unless_present = "enclaves")]
    enclave: Option<Address>,
    /// A list of enclaves in place of --enclave and --model, read again on SIGHUP: for handing over from one model to another
    #[arg(long, value_name = "FILE", conflicts_with_all = ["enclave", "model", "set"])]
    enclaves: Option<PathBuf>,
    /// Where the enclave asks for model and credentials, such as vsock://any:9001
    #[arg(long, value_name = "ADDRESS", required_unless_present = "enclaves")]
    control_listen: Option<Address>,
    /// Where /healthz, /readyz and /metrics answer, such as tcp://0.0.0.0:8080
    #[arg(long, value_name = "ADDRESS")]
    http_listen: Address,
    /// The sealed model, as `cloister model seal` wrote it
    #[arg(long, value_name = "FILE", required_unless_present = "enclaves")]
    model: Option<PathBuf>,
    /// What the enclave shall set, as far as its measured configuration lets it; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, Value)>,
    /// The AWS region whose security token service is asked, where web identities are in use
    #[arg(long, env = "AWS_REGION")]
    region: Option<String>,
    /// Write the bound addresses there, as JSON, once all are
    #[arg(long, value_name = "FILE")]
    address_file: Option<PathBuf>,
    /// Clients relayed at once; more are closed
    #[arg(long, value_name = "N", default_value_t = limits::MAX_RELAYED, value_parser = clients)]
    max_clients: usize,
    /// Reaching the enclave for a client
    #[arg(long, value_name = "SECONDS", default_value_t = limits::DIAL_TIMEOUT.as_secs())]
    dial_timeout: u64,
    /// A relayed connection on which no byte moves for this long is cut
    #[arg(long, value_name = "SECONDS", default_value_t = limits::IDLE_TIMEOUT.as_secs())]
    idle_timeout: u64,
    /// After SIGTERM, how long relayed connections may take to end
    #[arg(long, value_name = "SECONDS", default_value_t = limits::DRAIN_TIMEOUT.as_secs())]
    drain_timeout: u64,
}

fn clients(text: &str) -> Result<usize, String> {
    const MOST: usize = 65_536;
    text.parse().ok().filter(|n| (1..=MOST).contains(n)).ok_or_else(|| format!("a number from 1 to {MOST}"))
}

fn setting(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("not NAME=VALUE")?;
    Ok((name.to_owned(), Value::of(value)))
}

impl Arguments {
    fn settings(&self) -> Result<Settings, Error> {
        Ok(Settings {
            relay_listen: self.relay_listen.clone(),
            enclaves: self.described()?,
            list: self.enclaves.clone(),
            control_listen: self.control_listen.clone(),
            http_listen: self.http_listen.clone(),
            region: self.region.clone().or_else(|| std::env::var("AWS_DEFAULT_REGION").ok()),
            max_relayed: self.max_clients,
            dial_timeout: Duration::from_secs(self.dial_timeout),
            idle_timeout: Duration::from_secs(self.idle_timeout),
            drain_timeout: Duration::from_secs(self.drain_timeout),
        })
    }

    /// The enclaves of the list, or the one of the flags.
    fn described(&self) -> Result<Vec<Described>, Error> {
        if let Some(file) = &self.enclaves {
            return Ok(read_enclaves(file, self.control_listen.as_ref())?);
        }
        let (Some(address), Some(model)) = (self.enclave.clone(), self.model.clone()) else { return Ok(Vec::new()) };
        let set = self.set.iter().cloned().collect();
        Ok(vec![Described { name: "enclave".to_owned(), address, model, control: None, set }])
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed output is no reason to end otherwise.
            error.print().ok();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    start_log();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cloister-parent: {error:#}");
            ExitCode::from(code(&error))
        }
    }
}

fn code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<Error>() {
        Some(Error::ControlExposed { .. }) => USAGE,
        Some(Error::Model { .. } | Error::ModelNotAFile { .. } | Error::Enclaves(_)) => BAD_INPUT,
        _ => UNAVAILABLE,
    }
}

/// The log goes to standard error. Whatever `RUST_LOG` asks for, the AWS SDK writes nothing: it prints whole answers when it is
/// in doubt, and its answers here are credentials.
fn start_log() {
    let asked = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let ours = filter_fn(|metadata| !metadata.target().starts_with("aws_"));
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    registry().with(lines.with_filter(asked.and(ours))).init();
}

#[tokio::main]
async fn run(arguments: &Arguments) -> Result<()> {
    let shutdown = termination().context("signals cannot be listened for")?;
    let metrics = PrometheusBuilder::new().install_recorder().context("metrics cannot be recorded")?;
    let parent = Parent::bind(arguments.settings()?, metrics).await?;
    let addresses = parent.addresses();
    tracing::info!(relay = %addresses.relay, control = addresses.control.as_ref().map(tracing::field::display), http = %addresses.http, "listening");
    if let Some(path) = &arguments.address_file {
        addresses.write(path)?;
    }
    parent.run(shutdown).await;
    Ok(())
}
