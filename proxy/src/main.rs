//! `cloister-proxy`: wires the proxy to its command line.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use cloister_proxy::{Allowlist, Family, Limits, Mode, Proxy};
use cloister_transport::{ANY_CID, Address, Listener, announce, termination};
use tracing_subscriber::EnvFilter;

/// The way out of an enclave: reaches the hosts of an allowlist, and no others.
///
/// With --listen alone it speaks HTTP CONNECT. With PORT HOST HOSTPORT it forwards every connection on vsock port PORT to one
/// host, with the arguments of AWS's vsock-proxy.
#[derive(Parser)]
#[command(name = "cloister-proxy", version)]
struct Arguments {
    /// The vsock port to listen on for connections to HOST.
    #[arg(requires = "remote_addr", required_unless_present = "listen")]
    local_port: Option<u32>,
    /// The host to forward to, a name or an IP address.
    #[arg(requires = "remote_port")]
    remote_addr: Option<String>,
    /// The host's TCP port.
    remote_port: Option<u16>,
    /// Where to listen, such as vsock://any:8000; in place of vsock port PORT when that is given too.
    #[arg(long)]
    listen: Option<Address>,
    /// The allowlist: the YAML file of AWS's vsock-proxy.
    #[arg(long, default_value = "/etc/nitro_enclaves/vsock-proxy.yaml")]
    config: PathBuf,
    /// Connections at once; others wait.
    #[arg(short = 'w', long = "num_workers", alias = "num-workers", value_parser = clap::value_parser!(u16).range(1..))]
    workers: Option<u16>,
    /// Use IPv4 addresses alone.
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// Use IPv6 addresses alone.
    #[arg(short = '6', long)]
    ipv6: bool,
    /// Write the address to this file once it is bound.
    #[arg(long)]
    address_file: Option<PathBuf>,
}

impl Arguments {
    fn listen(&self) -> anyhow::Result<Address> {
        match (&self.listen, self.local_port) {
            (Some(address), _) => Ok(address.clone()),
            (None, Some(port)) => Ok(Address::Vsock { cid: ANY_CID, port }),
            (None, None) => anyhow::bail!("give --listen, or PORT HOST HOSTPORT"),
        }
    }

    fn mode(&self) -> Mode {
        match (&self.remote_addr, self.remote_port) {
            (Some(host), Some(port)) => Mode::Forward { host: host.clone(), port },
            _ => Mode::Connect,
        }
    }

    fn family(&self) -> Family {
        match (self.ipv4, self.ipv6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        }
    }
}

/// Bad usage (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;
/// A configuration that cannot be used (`EX_DATAERR`).
const BAD_CONFIGURATION: u8 = 65;
/// What else keeps it from listening (`EX_UNAVAILABLE`).
const UNAVAILABLE: u8 = 69;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(std::io::stderr).init();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Standard error may be closed; the exit code says enough.
            let _ = error.print();
            return if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cloister-proxy: {error:#}");
            if error.is::<cloister_proxy::Error>() { BAD_CONFIGURATION.into() } else { UNAVAILABLE.into() }
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let allowlist = Allowlist::load(&arguments.config)?;
    if allowlist.is_empty() {
        tracing::warn!(config = %arguments.config.display(), "the allowlist is empty: every request will be refused");
    }
    let mut limits = Limits::default();
    if let Some(workers) = arguments.workers {
        limits.serve.max_connections = workers.into();
    }
    let proxy = Proxy::new(allowlist, arguments.mode(), arguments.family(), limits)?;
    let shutdown = termination().context("signals cannot be listened for")?;
    let listener = Listener::bind(&arguments.listen()?).await?;
    let address = listener.local_address().to_string();
    tracing::info!("listening on {address}");
    if let Some(path) = &arguments.address_file {
        announce(path, &address).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let served = proxy.serve(listener, shutdown).await;
    tracing::info!(?served, "ended");
    Ok(())
}
