//! What the stories share: a whole system on one machine, each party a real process on real sockets, with the simulated NSM and KMS.

mod accounts;
mod authority;
mod eavesdropper;
mod enclave;
mod flaky;
mod gateway;
mod http;
mod impostor;
mod machine;
mod owner;
mod parent;
mod process;
mod spoil;
mod world;

pub use accounts::{Accounts, Booted, CONSUMER, PROVIDER, Party, cache};
pub use authority::{ClientAuthority, ClientPair};
pub use cloister_test_data::{Dicom, PATIENT_NAME};
pub use eavesdropper::{Eavesdropper, holds};
pub use enclave::{Enclave, EnclaveSetup};
pub use flaky::Flaky;
pub use gateway::{Client, Gateway, Said, form, related};
pub use http::{Answer, Front};
pub use impostor::{Loot, impostor};
pub use machine::{BuiltImage, Machine, MachineSetup, Tools};
pub use parent::start_parent;
pub use process::{Output, Process, binary, run};
pub use spoil::Spoil;
pub use world::{MODEL, OWNER, Setup, World, demo_package_of_version, image, pcr};
