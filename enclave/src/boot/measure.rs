//! The model and the configuration in the measurement: extended once, locked, and from then on in every document.

use cloister_attest::{CONFIGURATION_PCR, MODEL_PCR};
use cloister_nsm::Nsm;

use super::Error;

pub(super) fn measure(nsm: &dyn Nsm, package: [u8; 48], configuration: [u8; 48]) -> Result<(), Error> {
    for (index, value) in [(MODEL_PCR, package), (CONFIGURATION_PCR, configuration)] {
        let refused = |what| move |source| Error::Nsm { what, source };
        let before = nsm.describe_pcr(index).map_err(refused("describe a PCR"))?;
        if before.locked || before.value.iter().any(|&byte| byte != 0) {
            return Err(Error::Measured(index));
        }
        nsm.extend(index, &value).map_err(refused("extend a PCR"))?;
        nsm.lock(index).map_err(refused("lock a PCR"))?;
    }
    Ok(())
}
