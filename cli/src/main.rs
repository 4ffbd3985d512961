//! The command line of all three parties: it reads arguments, calls a crate for each verb, and turns errors into exit codes.

mod attestation;
mod failure;
mod model;
mod seal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

/// Cloister: a medical-imaging model inside an AWS Nitro Enclave, verified before it is trusted.
#[derive(Parser)]
#[command(name = "cloister", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Convert, inspect, run and seal model packages.
    #[command(subcommand)]
    Model(model::Command),
    /// Read and verify attestation documents.
    #[command(subcommand)]
    Attestation(attestation::Command),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { 64 } else { 0 };
            // Nothing is left to report to when the terminal itself is gone.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("cloister: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Model(command) => model::run(command),
        Command::Attestation(command) => attestation::run(command),
    }
}
