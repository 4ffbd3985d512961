//! `cloister gateway`: the hospital's front door, its passwords, and its audit log.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use cloister_gateway::{Config, Error, Head, hash_password, verify_audit};
use cloister_transport::{Address, termination};
use serde::Serialize;
use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::output;

/// What `cloister gateway` takes.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Gateway {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

/// What running it takes: a configuration, or the three things that suffice on one machine.
#[derive(Args)]
struct Run {
    /// Everything, in TOML; the flags below take its place on one machine.
    #[arg(long, value_name = "FILE", required_unless_present_all = ["enclave", "policy"])]
    config: Option<PathBuf>,
    /// The parent's relay of an enclave; may be given several times.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "config")]
    enclave: Vec<Address>,
    /// What an enclave must prove.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    policy: Option<PathBuf>,
    /// Where to listen; others than this machine's own need a configuration that says who may use it.
    #[arg(long, value_name = "ADDRESS", default_value = "tcp://127.0.0.1:8080", conflicts_with = "config")]
    listen: Address,
    /// The folder of work list, images in passing and audit log.
    #[arg(long, value_name = "FOLDER", default_value = "cloister-gateway", conflicts_with = "config")]
    data: PathBuf,
    /// Write the bound address there, as JSON, once there is one.
    #[arg(long, value_name = "FILE")]
    address_file: Option<PathBuf>,
    /// Log as JSON, one object a line.
    #[arg(long)]
    json_log: bool,
}

/// The verbs besides running it.
#[derive(Subcommand)]
enum Command {
    /// Read a password from standard input, and print what stands for it in the users' file.
    Password,
    /// Look after an audit log.
    #[command(subcommand)]
    Audit(Audit),
}

/// Verbs on audit logs.
#[derive(Subcommand)]
enum Audit {
    /// Say whether a log is as it was written: no line changed, taken out, put in or moved.
    Verify(Verify),
}

/// What `cloister gateway audit verify` takes.
#[derive(Args)]
struct Verify {
    /// The log, audit.ndjson in the gateway's folder.
    file: PathBuf,
    /// An event that must be in it, as the gateway's own log names it from time to time: without one, it cannot be told whether the end is missing.
    #[arg(long, value_name = "NUMBER:HASH", value_parser = head)]
    head: Option<Head>,
    /// One line of JSON in place of text.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Verified<'a> {
    events: u64,
    hash: &'a str,
}

fn head(text: &str) -> Result<Head, String> {
    let parts = text.split_once(':').and_then(|(number, hash)| Some((number.parse().ok()?, hash)));
    match parts {
        Some((number, hash)) if hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Ok(Head { number, hash: hash.to_ascii_lowercase() })
        }
        _ => Err("give a number, a colon and 64 hexadecimal digits".to_owned()),
    }
}

/// Runs one verb.
pub fn run(gateway: Gateway) -> Result<(), Failure> {
    match gateway.command {
        None => crate::asynchronous(serve(gateway.run)),
        Some(Command::Password) => password(),
        Some(Command::Audit(Audit::Verify(arguments))) => verify(&arguments),
    }
}

async fn serve(run: Run) -> Result<(), Failure> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second one in one process is none of ours.
    let _ =
        if run.json_log { log.json().try_init() } else { log.with_ansi(std::io::stderr().is_terminal()).try_init() };
    let mut config = match (run.config, run.policy) {
        (Some(path), _) => Config::read(&path).map_err(failure)?,
        (None, Some(policy)) => Config::new(run.enclave, policy, run.listen, run.data),
        (None, None) => return Err(Failure::usage("give --config, or --enclave and --policy")),
    };
    config.address_file = run.address_file.or(config.address_file);
    let ended = termination().map_err(|error| Failure::unavailable(format!("signals cannot be taken: {error}")))?;
    cloister_gateway::run(config, ended).await.map_err(failure)
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Audit { .. } => Failure::not_verified(error),
        error if error.is_input() => Failure::input(error),
        error => Failure::unavailable(error),
    }
}

fn password() -> Result<(), Failure> {
    let mut line = Zeroizing::new(String::new());
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Failure::input(format!("no password can be read: {error}")))?;
    output::line(hash_password(line.trim_end_matches(['\r', '\n']).as_bytes()).map_err(failure)?)
}

fn verify(arguments: &Verify) -> Result<(), Failure> {
    let head = verify_audit(&arguments.file, arguments.head.as_ref()).map_err(failure)?;
    if arguments.json {
        return output::json(&Verified { events: head.number, hash: &head.hash });
    }
    output::line(format_args!(
        "{} events, each as it was written; the last is {}:{}",
        head.number, head.number, head.hash
    ))
}
