//! What the stories share: a whole system on one machine, with the simulated NSM and KMS.
