//! `cloister-sim`: the simulated NSM's authority, the simulated KMS, and the stand-ins for ECR and other control planes, on the command line.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use cloister_nsm::{AttestRequest, Nsm};
use cloister_sim::ecr;
use cloister_sim::kms::{Config, Principals, Server};
use cloister_sim::moto::Moto;
use cloister_sim::nsm::{Authority, Simulated, SimulatedNsm};
use tracing_subscriber::EnvFilter;

/// The account of the demo's model owner.
const OWNER_ACCOUNT: &str = "111122223333";

/// Simulated AWS services. They prove protocol, not confidentiality.
#[derive(Parser)]
#[command(name = "cloister-sim", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The simulated Nitro Security Module.
    #[command(subcommand)]
    Nsm(NsmCommand),
    /// Serve the simulated KMS until told to stop.
    Kms(Kms),
    /// Serve the stand-in for ECR, and for every other service of moto, until told to stop.
    Ecr(Ecr),
    /// Install and serve moto until told to stop.
    Moto(MotoArguments),
}

#[derive(Subcommand)]
enum NsmCommand {
    /// Make the authority that simulated attestation documents chain to: root.pem and root.key.
    Init {
        /// The folder to make it in.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Write one attestation document of a simulated enclave.
    Attest(Attest),
}

#[derive(Args)]
struct Attest {
    /// The authority's folder.
    #[arg(long)]
    dir: PathBuf,
    /// The public key to vouch for, SubjectPublicKeyInfo in DER.
    #[arg(long)]
    public_key: Option<PathBuf>,
    /// A PCR as INDEX=HEX, 48 bytes; more than one may be given. The others are a simulated enclave's usual ones.
    #[arg(long = "pcr", value_parser = cloister_attest::parse_pcr)]
    pcrs: Vec<(u16, [u8; 48])>,
    /// Claim debug mode: PCR0, 1 and 2 are zero.
    #[arg(long)]
    debug: bool,
    /// Where to write the document.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Args)]
struct Kms {
    /// Where to listen, as tcp://ADDRESS:PORT; port 0 takes a free one.
    #[arg(long, default_value = "tcp://127.0.0.1:0", value_parser = tcp)]
    listen: SocketAddr,
    /// The file that keeps keys and the certificate authority; without it they end with the process.
    #[arg(long)]
    state: Option<PathBuf>,
    /// The root that attestation documents must chain to, as a policy says it: the simulated authority's root.pem.
    #[arg(long)]
    nsm_root: PathBuf,
    /// Where to write the certificate that clients must trust, in PEM.
    #[arg(long)]
    ca_out: PathBuf,
    /// Where to write the endpoint, as https://ADDRESS:PORT, once it is served.
    #[arg(long)]
    address_out: Option<PathBuf>,
    /// Who may call: a TOML or JSON file of principals. Without it, the demo's two.
    #[arg(long)]
    credentials: Option<PathBuf>,
    /// Make a key under this key policy (JSON) at once, in the demo's account 111122223333.
    #[arg(long, requires = "key_out")]
    key_policy: Option<PathBuf>,
    /// Where to write the ARN of the key of --key-policy.
    #[arg(long)]
    key_out: Option<PathBuf>,
    /// A further host name for the certificate.
    #[arg(long = "host-name")]
    host_names: Vec<String>,
    /// The region of every key.
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// The server that holds keys, policies and aliases instead of this one: moto, as http://ADDRESS:PORT.
    #[arg(long, value_parser = http, conflicts_with = "key_policy")]
    control_plane: Option<SocketAddr>,
}

#[derive(Args)]
struct Ecr {
    /// Where to listen, as tcp://ADDRESS:PORT; port 0 takes a free one.
    #[arg(long, default_value = "tcp://127.0.0.1:0", value_parser = tcp)]
    listen: SocketAddr,
    /// moto, as http://ADDRESS:PORT.
    #[arg(long, value_parser = http)]
    control_plane: SocketAddr,
    /// Where to write the certificate that clients must trust, in PEM.
    #[arg(long)]
    ca_out: PathBuf,
    /// Where to write the endpoint, as https://ADDRESS:PORT, once it is served.
    #[arg(long)]
    address_out: Option<PathBuf>,
    /// A further host name for the certificate.
    #[arg(long = "host-name")]
    host_names: Vec<String>,
    /// The registry in which the images lie, as HOST:PORT. Without it, they lie in moto.
    #[arg(long, requires_all = ["registry_ca", "registry_user", "registry_password_file"])]
    registry: Option<String>,
    /// The certificate that the registry's chains to, in PEM.
    #[arg(long)]
    registry_ca: Option<PathBuf>,
    /// The registry's user.
    #[arg(long)]
    registry_user: Option<String>,
    /// The file with that user's password.
    #[arg(long)]
    registry_password_file: Option<PathBuf>,
    /// How many times a replication is said to be in progress before it is complete.
    #[arg(long, default_value_t = 1)]
    looks_in_progress: u32,
}

#[derive(Args)]
struct MotoArguments {
    /// The folder to install it in.
    #[arg(long, env = "CLOISTER_CACHE")]
    cache: PathBuf,
    /// Where to write the endpoint, as http://ADDRESS:PORT, once it is served.
    #[arg(long)]
    address_out: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_env("CLOISTER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi).init();
    match arguments.command {
        Command::Nsm(NsmCommand::Init { dir }) => init(&dir),
        Command::Nsm(NsmCommand::Attest(attest)) => write_document(&attest),
        Command::Kms(kms) => serve(kms).await,
        Command::Ecr(ecr) => serve_ecr(ecr).await,
        Command::Moto(moto) => serve_moto(&moto).await,
    }
}

fn init(dir: &Path) -> Result<()> {
    Authority::create(dir)?;
    tracing::info!(dir = %dir.display(), "made a simulated attestation root; whoever holds its key can claim any measurement");
    Ok(())
}

fn write_document(attest: &Attest) -> Result<()> {
    let authority = Authority::open(&attest.dir)?;
    let mut simulated = Simulated { debug: attest.debug, ..Simulated::default() };
    simulated.pcrs.extend(attest.pcrs.iter().copied().collect::<BTreeMap<_, _>>());
    let public_key = attest.public_key.as_deref().map(read).transpose()?;
    let request = AttestRequest { public_key, ..AttestRequest::default() };
    let document = SimulatedNsm::new(&authority, simulated)?.attest(&request)?;
    write(&attest.out, &document)
}

async fn serve(kms: Kms) -> Result<()> {
    let mut config = Config::local(String::from_utf8(read(&kms.nsm_root)?).context("--nsm-root is not PEM")?);
    if let Some(file) = &kms.credentials {
        let text = String::from_utf8(read(file)?).context("--credentials is not text")?;
        config.principals = Principals::parse(&text).with_context(|| file.display().to_string())?;
    }
    config.listen = kms.listen;
    config.state = kms.state;
    config.host_names = kms.host_names;
    config.region = kms.region;
    config.control_plane = kms.control_plane;
    let running = Server::start(config).await?;
    write(&kms.ca_out, running.ca_pem.as_bytes())?;
    if let (Some(policy), Some(out)) = (&kms.key_policy, &kms.key_out) {
        let policy = String::from_utf8(read(policy)?).context("--key-policy is not text")?;
        write(out, running.create_key(OWNER_ACCOUNT, &policy)?.as_bytes())?;
    }
    announce("simulated KMS", &running.endpoint(), kms.address_out.as_deref())?;
    until_told(running.wait()).await
}

async fn serve_ecr(arguments: Ecr) -> Result<()> {
    let mut config = ecr::Config::local(arguments.control_plane);
    config.listen = arguments.listen;
    config.host_names = arguments.host_names;
    config.looks_in_progress = arguments.looks_in_progress;
    if let (Some(host), Some(ca), Some(user), Some(password)) =
        (arguments.registry, &arguments.registry_ca, arguments.registry_user, &arguments.registry_password_file)
    {
        let ca_pem = String::from_utf8(read(ca)?).context("--registry-ca is not PEM")?;
        let password = String::from_utf8(read(password)?).context("--registry-password-file is not text")?;
        let password = password.trim_end().to_owned();
        config.registry = Some(ecr::RegistryAccess { host, ca_pem, user, password });
    }
    let running = ecr::Server::start(config).await?;
    write(&arguments.ca_out, running.ca_pem.as_bytes())?;
    announce("stand-in for ECR", &running.endpoint(), arguments.address_out.as_deref())?;
    until_told(running.wait()).await
}

async fn serve_moto(arguments: &MotoArguments) -> Result<()> {
    let moto = Moto::start(&arguments.cache)?;
    announce("moto", &moto.endpoint(), arguments.address_out.as_deref())?;
    until_told(std::future::pending()).await
}

/// Says where a server is. The file comes last, and whole at once: whoever waits for it finds everything else in place.
fn announce(what: &str, endpoint: &str, out: Option<&Path>) -> Result<()> {
    if let Some(out) = out {
        let new = out.with_extension("new");
        write(&new, format!("{endpoint}\n").as_bytes())?;
        std::fs::rename(&new, out).with_context(|| out.display().to_string())?;
    }
    writeln!(std::io::stderr(), "cloister-sim: {what} at {endpoint}: not AWS, and not confidential")?;
    Ok(())
}

async fn until_told(served: impl Future<Output = ()>) -> Result<()> {
    tokio::select! {
        () = served => bail!("the server stopped by itself"),
        interrupted = tokio::signal::ctrl_c() => interrupted.context("signals cannot be waited for"),
        () = terminated() => Ok(()),
    }
}

async fn terminated() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => {
            terminate.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

fn tcp(text: &str) -> Result<SocketAddr> {
    let address = text.strip_prefix("tcp://").context("the simulated KMS listens on tcp:// only")?;
    address.parse().context("ADDRESS:PORT must be an IP address and a port")
}

fn http(text: &str) -> Result<SocketAddr> {
    let address = text.strip_prefix("http://").context("the control plane is at http://ADDRESS:PORT")?;
    address.trim_end_matches('/').parse().context("ADDRESS:PORT must be an IP address and a port")
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| path.display().to_string())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).with_context(|| path.display().to_string())
}
