//! `cloister consumer`: what the data owner sets up, lets in and checks.

mod accept;
mod init;
mod verify;

use clap::Subcommand;

use crate::failure::Failure;

/// The key that images and results are sealed under, by default.
const DATA_ALIAS: &str = "alias/cloister-data";

/// The verbs of `cloister consumer`.
#[derive(Subcommand)]
pub enum Command {
    /// Make the role of the pods and, for sealed images, a data key of your own.
    Init(Box<init::Init>),
    /// Take them away again: the key in 30 days, the role at once.
    Retire(init::Retire),
    /// Let a model's owner copy a repository into this account.
    Accept(accept::Accept),
    /// Let it no longer.
    Decline(accept::Accept),
    /// Say whether an image in a registry is what the model's owner promised.
    VerifyImage(Box<verify::VerifyImage>),
}

/// Runs one verb.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init(arguments) => crate::asynchronous(init::init(&arguments)),
        Command::Retire(arguments) => crate::asynchronous(init::retire(&arguments)),
        Command::Accept(arguments) => crate::asynchronous(accept::accept(&arguments)),
        Command::Decline(arguments) => crate::asynchronous(accept::decline(&arguments)),
        Command::VerifyImage(arguments) => crate::asynchronous(verify::run(&arguments)),
    }
}
