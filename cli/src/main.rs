//! The command line of all three parties: it reads arguments, calls a crate for each verb, and turns errors into exit codes.

mod access;
mod accounts;
mod add;
mod archive;
mod attestation;
mod bench;
mod bundle;
mod consumer;
mod dicom;
mod eif;
mod enclave;
mod evaluate;
mod exam;
mod failure;
mod files;
mod gateway;
mod image;
mod key_service;
mod maps;
mod model;
mod output;
mod picture;
mod policy;
mod provider;
mod receipt;
mod registry;
mod release;
mod reseal;
mod results;
mod seal;
mod sealed;
mod synthetic;
mod words;

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
    /// Seal images under a key of their owner's.
    #[command(subcommand)]
    Image(image::Command),
    /// Say what is read of a DICOM file.
    #[command(subcommand)]
    Dicom(dicom::Command),
    /// Read sealed files, and open images and results.
    #[command(subcommand)]
    Sealed(sealed::Command),
    /// Read and verify attestation documents.
    #[command(subcommand)]
    Attestation(attestation::Command),
    /// Write and read what a client demands of an enclave.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Make credentials for an enclave that does not answer everyone.
    #[command(subcommand)]
    Access(access::Command),
    /// Build, inspect, measure and compare enclave images.
    #[command(subcommand)]
    Eif(eif::Command),
    /// Verify an enclave, and send nothing.
    Verify(enclave::Verify),
    /// Verify an enclave, then classify one image.
    Classify(enclave::Classify),
    /// Verify an enclave, then classify the four views of an exam.
    Exam(enclave::Exam),
    /// Score many images, by a list of them.
    #[command(subcommand)]
    Archive(archive::Command),
    /// Measure an enclave under load: latency, throughput, refusals, memory.
    ///
    /// First requests go one at a time: the latency without load, as a base. Then, with --saturate, workers send one request after another:
    /// the most that the enclave answers in a second. Then, for each rate of --rates or --sweep, requests begin by a schedule that no answer
    /// holds up; their latency counts from when they were to begin, so that one slow answer shows in all those behind it.
    ///
    /// Attestation is verified once for each connection, before its first request, and each answer's receipt is verified. What is printed
    /// holds nothing of the image and no score.
    Bench(Box<bench::Bench>),
    /// Read, verify and reproduce the receipts that enclaves sign.
    #[command(subcommand)]
    Receipt(receipt::Command),
    /// The model's owner: keys, repository, key policy, copies to a data owner.
    #[command(subcommand)]
    Provider(provider::Command),
    /// The data's owner: role, data key, and what is let in.
    #[command(subcommand)]
    Consumer(consumer::Command),
    /// Carry images, model, policy and manifests to a site without internet.
    #[command(subcommand)]
    Bundle(bundle::Command),
    /// Run the hospital's front door: a page, a JSON interface, DICOMweb, folders and buckets in front of enclaves that it verifies.
    Gateway(Box<gateway::Gateway>),
    /// Draw a synthetic mammogram, for tests and demonstrations.
    Synthetic(synthetic::Synthetic),
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
        Command::Image(command) => image::run(&command),
        Command::Dicom(command) => dicom::run(&command),
        Command::Sealed(command) => sealed::run(&command),
        Command::Attestation(command) => attestation::run(command),
        Command::Policy(command) => policy::run(command),
        Command::Access(command) => access::run(&command),
        Command::Eif(command) => eif::run(command),
        Command::Verify(arguments) => asynchronous(enclave::verify(&arguments)),
        Command::Classify(arguments) => asynchronous(enclave::classify(&arguments)),
        Command::Exam(arguments) => asynchronous(enclave::exam(&arguments)),
        Command::Archive(command) => archive::run(&command),
        Command::Bench(arguments) => asynchronous(bench::run(&arguments)),
        Command::Receipt(command) => receipt::run(command),
        Command::Provider(command) => provider::run(command),
        Command::Consumer(command) => consumer::run(command),
        Command::Bundle(command) => bundle::run(command),
        Command::Gateway(arguments) => gateway::run(*arguments),
        Command::Synthetic(arguments) => synthetic::run(&arguments),
    }
}

/// Runs one verb that speaks to the world outside.
fn asynchronous<T>(verb: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::unavailable(format!("the runtime cannot start: {e}")))?
        .block_on(verb)
}
