//! What PID 1 of a real image does before the enclave's own work begins, and how such a machine ends. In an ordinary process nothing of
//! it runs.
//!
//! The order: [`Machine::prepare`] (mounts, console, loopback, the kernel's command line), [`heartbeat`], then with the security module
//! open [`seed`] and [`set_clock`]; [`reap_orphans`] runs as long as the machine does.

mod clock;
mod command_line;
mod console;
mod end;
mod entropy;
mod heartbeat;
mod loopback;
mod mounts;
mod reap;

use std::ffi::OsString;
use std::io;

use cloister_transport::Address;

pub use clock::set as set_clock;
pub use end::end;
pub use entropy::seed;
pub use heartbeat::heartbeat;
pub use reap::reap_orphans;

use crate::limits;

/// Why the machine is not fit to be an enclave. What it says is for the console: nobody else hears it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file system cannot be mounted.
    #[error("{target} cannot be mounted ({kind}): {source}")]
    Mount {
        /// Where.
        target: &'static str,
        /// What.
        kind: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The loopback interface stays down.
    #[error("the loopback interface cannot be brought up: {0}")]
    Loopback(#[source] io::Error),
    /// The kernel's command line cannot be read.
    #[error("the kernel's command line cannot be read: {0}")]
    CommandLine(#[source] io::Error),
    /// A parameter of ours on it cannot be used.
    #[error("the kernel's command line has a {parameter} that {problem}")]
    Parameter {
        /// Its name.
        parameter: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Whoever launched the enclave does not hear that it has come up.
    #[error("{address} does not answer the heartbeat: {reason}")]
    Heartbeat {
        /// Where it was sent.
        address: Address,
        /// The last try's failure.
        reason: String,
    },
    /// The security module gives no entropy.
    #[error("there is no entropy to begin with: {0}")]
    NoEntropy(#[from] cloister_nsm::Error),
    /// The kernel does not take it.
    #[error("the kernel was not seeded from the security module: {0}")]
    NotSeeded(#[source] io::Error),
    /// The clock cannot be set.
    #[error("the clock cannot be set to the security module's time: {0}")]
    Clock(#[source] io::Error),
}

/// Whether this process is the first one, whose end is the machine's.
pub fn is_first() -> bool {
    std::process::id() == 1
}

/// The process's arguments. A kernel hands the words of its command line that it does not know to its first process (`nomodules`, say);
/// options of ours begin with two hyphens, and everything else is left out there.
pub fn arguments() -> Vec<OsString> {
    let ours = |argument: &OsString| !is_first() || argument.as_encoded_bytes().starts_with(b"--");
    let mut all = std::env::args_os();
    all.next().into_iter().chain(all.filter(ours)).collect()
}

/// The machine around PID 1.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// The parent's CID.
    pub parent_cid: u32,
}

impl Machine {
    /// Mounts what a process expects, opens the console, brings the loopback interface up, and reads the kernel's command line.
    ///
    /// # Errors
    /// [`Error`], with which of these did not work.
    pub fn prepare() -> Result<Self, Error> {
        mounts::mount()?;
        console::open();
        loopback::bring_up()?;
        Ok(Self { parent_cid: command_line::parent_cid()? })
    }

    /// Where the parent waits for the heartbeat.
    pub fn heartbeat_address(self) -> Address {
        Address::Vsock { cid: self.parent_cid, port: limits::HEARTBEAT_PORT }
    }
}
