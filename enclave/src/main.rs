//! The enclave's process: reads the measured configuration, opens the security module, boots and serves.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use cloister_enclave::authorities::Authorities;
use cloister_enclave::boot::Boot;
use cloister_enclave::clock::Watch;
use cloister_enclave::config::Config;
use cloister_enclave::disclose::{self, Record, Words};
use cloister_enclave::drain::Drain;
use cloister_enclave::identity::Rotation;
use cloister_enclave::init::{self, Machine};
use cloister_enclave::parent::{Event, Events, Parent};
use cloister_enclave::release::Releases;
use cloister_enclave::serve::Server;
use cloister_enclave::state::State;
use cloister_enclave::{limits, memory, panics, security_module};
use cloister_nsm::Nsm;
use cloister_transport::{Address, Listener};
use metrics_exporter_prometheus::PrometheusBuilder;

// Exit codes (the numbers of BSD `sysexits.h`).
const USAGE: u8 = 64;
const BAD_INPUT: u8 = 65;
const UNAVAILABLE: u8 = 69;

/// Runs inside a Nitro Enclave: earns its model's key by attestation and classifies mammograms.
#[derive(Parser)]
#[command(name = "cloister-enclave", version)]
struct Arguments {
    /// The measured configuration.
    #[arg(long, default_value = "/etc/cloister/enclave.toml")]
    config: PathBuf,

    #[cfg(feature = "simulation")]
    #[command(flatten)]
    simulated: security_module::simulated::Flags,
}

impl Arguments {
    fn heartbeat_address(&self, machine: Machine) -> Address {
        #[cfg(feature = "simulation")]
        if let Some(address) = &self.simulated.simulated_heartbeat {
            return address.clone();
        }
        machine.heartbeat_address()
    }
}

fn main() -> ! {
    memory::set_up_allocator();
    panics::end_the_enclave();
    let arguments = match Arguments::try_parse_from(init::arguments()) {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // Nothing is left to report to when the terminal itself is gone.
            let _ = error.print();
            init::end(code)
        }
    };
    match launch(&arguments) {
        Ok(End::Asked) => init::end(0),
        Ok(End::ParentGone) => init::end(UNAVAILABLE),
        Err(failure) => {
            disclose::complain(&failure.reason);
            init::end(failure.code)
        }
    }
}

/// How serving ended.
enum End {
    /// The parent, or a signal, asked for it.
    Asked,
    /// There is no parent any more.
    ParentGone,
}

/// Why the process ends before it serves, and its exit code.
struct Failure {
    code: u8,
    reason: anyhow::Error,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(reason: E) -> Self {
        Self { code: UNAVAILABLE, reason: reason.into() }
    }
}

fn launch(arguments: &Arguments) -> Result<End, Failure> {
    let machine = if init::is_first() { Some(Machine::prepare()?) } else { None };
    let config = Config::read(&arguments.config).map_err(|error| Failure { code: BAD_INPUT, reason: error.into() })?;
    let config = match machine {
        Some(machine) => config.with_parent_at(machine.parent_cid),
        None => config,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(run(arguments, machine, Arc::new(config)));
    // A fetch or a classification may still be on its thread, and nobody waits for it any more.
    runtime.shutdown_timeout(limits::LAST_EVENT_TIMEOUT);
    Ok(outcome?)
}

async fn run(arguments: &Arguments, machine: Option<Machine>, config: Arc<Config>) -> Result<End> {
    let mut notices = Vec::new();
    if let Some(machine) = machine {
        tokio::spawn(init::reap_orphans()?);
        init::heartbeat(&arguments.heartbeat_address(machine)).await?;
    }
    let nsm = open_nsm(arguments)?;
    if machine.is_some() {
        init::seed(nsm.as_ref())?;
        notices.extend(init::set_clock(nsm.as_ref())?);
    }
    let metrics = PrometheusBuilder::new().install_recorder().context("metrics")?;
    let clients = config.access.as_ref().and_then(|access| access.client_ca.as_ref()).map(Authorities::handshake);
    let keys = Arc::new(Rotation::begin(clients)?);
    let listener = Listener::bind(&config.serve.listen).await.context("the serving address")?;
    let gone_after = config.parent.gone_after();
    let parent = Parent::new(config.parent.control(), gone_after);
    panics::tell(parent.clone());
    if config.launch.logs
        && let Some(outlet) = disclose::outlet()
    {
        tokio::spawn(parent.clone().give_logs(outlet));
    }
    disclose::log(Record::Listening { address: Words::listening_address(&config) });
    #[cfg(feature = "emulator")]
    if machine.is_some() {
        disclose::log(Record::Emulated);
        tokio::spawn(cloister_enclave::emulator::echo());
    }
    let drain = Drain::default();
    let events = Events::start(parent.clone(), drain.clone(), limits::EVENT_REPEAT.min(gone_after));
    notices.into_iter().for_each(|notice| events.tell(Event::Notice(notice)));
    let state = State::default();
    let boot = Boot {
        config: Arc::clone(&config),
        nsm: Arc::clone(&nsm),
        parent: parent.clone(),
        events: events.clone(),
        state: state.clone(),
    };
    let boot = tokio::spawn(boot.run());
    let clock = Watch {
        nsm: Arc::clone(&nsm),
        state: state.clone(),
        events: events.clone(),
        interval: Duration::from_secs(config.clock.check_seconds),
    };
    let clock = tokio::spawn(clock.run());
    let told = tokio::spawn(tell_of_drain(drain.clone(), events.clone()));
    let releases = Releases { config: Arc::clone(&config), nsm: Arc::clone(&nsm), parent: parent.clone() };
    #[cfg(feature = "simulation")]
    if let Some(file) = arguments.simulated.simulated_panic.clone() {
        tokio::spawn(security_module::simulated::panic_when_told(file));
    }
    let server = Server { config, nsm, keys, releases, state, metrics, drain };
    server.run(listener, asked_or_alone(cloister_transport::termination()?, &parent, gone_after)).await;
    told.abort();
    boot.abort();
    clock.abort();
    events.tell(Event::Stopping);
    tokio::time::sleep(limits::LAST_EVENT_TIMEOUT).await;
    Ok(if parent.is_gone() { End::ParentGone } else { End::Asked })
}

/// Completes when the process is asked to end, or has nobody left to ask it.
async fn asked_or_alone(asked: impl Future<Output = ()>, parent: &Parent, limit: Duration) {
    tokio::select! {
        () = asked => {}
        () = parent.gone() => disclose::log(Record::ParentGone { limit }),
    }
}

async fn tell_of_drain(drain: Drain, events: Events) {
    drain.asked().await;
    events.tell(Event::Draining);
}

#[cfg(feature = "simulation")]
fn open_nsm(arguments: &Arguments) -> Result<Arc<dyn Nsm>> {
    if let Some(nsm) = security_module::simulated::open(&arguments.simulated)? {
        disclose::log(Record::Simulated);
        return Ok(nsm);
    }
    Ok(security_module::device(device_patience())?)
}

#[cfg(not(feature = "simulation"))]
fn open_nsm(_: &Arguments) -> Result<Arc<dyn Nsm>> {
    Ok(security_module::device(device_patience())?)
}

/// Where this process was not started by a kernel that is still starting, its device is there or will never be.
fn device_patience() -> Duration {
    if init::is_first() { limits::DEVICE_PATIENCE } else { Duration::ZERO }
}
