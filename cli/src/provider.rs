//! `cloister provider`: what the model's owner sets up, gives out and takes back.

pub mod init;
mod policy;
mod publish;
mod share;
mod status;

use clap::Subcommand;

use crate::failure::Failure;

/// The key that models are sealed under, by default.
const MODEL_ALIAS: &str = "alias/cloister-model";
/// The key that signs images and what is said of them, by default.
const SIGNING_ALIAS: &str = "alias/cloister-signing";
/// The repository, by default.
const REPOSITORY: &str = "cloister";

/// The verbs of `cloister provider`.
#[derive(Subcommand)]
pub enum Command {
    /// Make the keys that seal models and sign images, and the repository, where they are not there.
    Init(init::Init),
    /// Take them away again: keys in 30 days, an empty repository at once.
    Retire(init::Retire),
    /// Write the public half of the signing key, by which the data owner tells your images from others.
    PublicKey(init::PublicKey),
    /// Let a data owner's role open the model's key from a measured image, and from nothing else; or no longer.
    Policy(Box<policy::KeyPolicy>),
    /// Have the registry copy the repository to a data owner's account.
    Share(share::Share),
    /// Have it copied no longer.
    Unshare(share::Share),
    /// Push an image with what it measures to, the policy for clients, and signatures.
    Publish(Box<publish::Publish>),
    /// Take an image and what is attached to it out of the repository.
    Unpublish(publish::Unpublish),
    /// Say whether an image was copied, to whom, and since when it is there.
    Status(status::Status),
}

/// Runs one verb.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init(arguments) => crate::asynchronous(init::init(&arguments)),
        Command::Retire(arguments) => crate::asynchronous(init::retire(&arguments)),
        Command::PublicKey(arguments) => crate::asynchronous(init::public_key(&arguments)),
        Command::Policy(arguments) => crate::asynchronous(policy::run(&arguments)),
        Command::Share(arguments) => crate::asynchronous(share::share(&arguments)),
        Command::Unshare(arguments) => crate::asynchronous(share::unshare(&arguments)),
        Command::Publish(arguments) => crate::asynchronous(publish::publish(&arguments)),
        Command::Unpublish(arguments) => crate::asynchronous(publish::unpublish(&arguments)),
        Command::Status(arguments) => crate::asynchronous(status::run(&arguments)),
    }
}
