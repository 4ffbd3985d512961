//! Which security module this process has: the device, or, in a build made for tests, the simulated one.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use cloister_nsm::{Device, Error, Nsm};

use crate::limits;

/// The device of a real enclave, which a kernel that has just started may show within `patience`.
///
/// # Errors
/// When there is none, which means that this is not an enclave.
pub fn device(patience: Duration) -> Result<Arc<dyn Nsm>, Error> {
    let end = Instant::now() + patience;
    loop {
        match Device::open() {
            Err(Error::NoDevice) if Instant::now() < end => sleep(limits::DEVICE_LOOK),
            opened => return Ok(Arc::new(opened?)),
        }
    }
}

/// The simulated module. Its documents lead to a root of its own, and prove nothing about confidentiality.
#[cfg(feature = "simulation")]
pub mod simulated {
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::Duration;

    use anyhow::{Context, Result};
    use clap::Args;
    use cloister_attest::parse_pcr;
    use cloister_nsm::Nsm;
    use cloister_sim::nsm::{Authority, Simulated, SimulatedNsm};
    use cloister_transport::Address;

    /// The flags of a simulation.
    #[derive(Args)]
    pub struct Flags {
        /// SIMULATION: sign documents with the authority in this folder, in place of the device's. Protects nothing.
        #[arg(long, value_name = "DIR")]
        pub simulated_nsm: Option<PathBuf>,

        /// SIMULATION: a PCR's value, as INDEX=HEX (96 digits).
        #[arg(long, value_name = "INDEX=HEX", requires = "simulated_nsm", value_parser = parse_pcr)]
        pub simulated_pcr: Vec<(u16, [u8; 48])>,

        /// SIMULATION: behave like an enclave in debug mode, with PCR0 to 2 all zero.
        #[arg(long, requires = "simulated_nsm")]
        pub simulated_debug: bool,

        /// SIMULATION: a file with the seconds by which the module's clock is ahead of the machine's (negative: behind), read each time.
        #[arg(long, value_name = "FILE", requires = "simulated_nsm")]
        pub simulated_clock: Option<PathBuf>,

        /// SIMULATION: panic as soon as this file is there.
        #[arg(long, value_name = "FILE", requires = "simulated_nsm")]
        pub simulated_panic: Option<PathBuf>,

        /// SIMULATION: where PID 1 sends its heartbeat, in place of the parent's CID.
        #[arg(long, value_name = "ADDRESS", requires = "simulated_nsm")]
        pub simulated_heartbeat: Option<Address>,
    }

    /// Panics as soon as the file is there, with a message that must not leave.
    ///
    /// # Panics
    /// That is what it is for.
    pub async fn panic_when_told(file: PathBuf) {
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("CANARY");
    }

    /// Opens the simulated module that the flags describe, if they do.
    ///
    /// # Errors
    /// When the authority cannot be opened, or a PCR cannot be read.
    pub fn open(flags: &Flags) -> Result<Option<Arc<dyn Nsm>>> {
        let Some(dir) = &flags.simulated_nsm else { return Ok(None) };
        let authority = Authority::open(dir).with_context(|| format!("the authority in {}", dir.display()))?;
        let pcrs = flags.simulated_pcr.iter().copied().collect::<BTreeMap<_, _>>();
        let module_id = format!("i-simulated-enc{:08x}", std::process::id());
        let simulated = Simulated { pcrs, debug: flags.simulated_debug, module_id };
        let nsm = match &flags.simulated_clock {
            Some(file) => SimulatedNsm::with_clock_of(&authority, simulated, file)?,
            None => SimulatedNsm::new(&authority, simulated)?,
        };
        Ok(Some(Arc::new(nsm)))
    }
}
