//! How long the verification of one attestation document takes on this machine: a JSON line.
//!
//! `bench_verify [--repeat 200]` verifies a document that AWS hardware signed, where the tests' data is there, and one of the simulated
//! module's else, against a policy that pins its image: parsing, five certificates, the signature, times and PCRs. The median.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::time::{Duration, Instant, SystemTime};

use cloister_attest::{Expected, Measurement, Policy, Root, limits, parse};
use cloister_nsm::{AttestRequest, Nsm};
use cloister_sim::nsm::{Authority, Simulated, SimulatedNsm};

fn main() -> Result<(), Box<dyn Error>> {
    let argument = env::args().skip_while(|given| given != "--repeat").nth(1);
    let repeat: usize = argument.map_or(Ok(200), |repeat| repeat.parse())?;
    let (root, document, signer) = match cloister_test_data::read("nitro/attestation-1.cbor") {
        Some(document) => (Root::amazon(), document, "AWS hardware"),
        None => {
            let authority = Authority::ephemeral()?;
            let nsm = SimulatedNsm::new(&authority, Simulated::default())?;
            (Root::from_pem(authority.root_pem())?, nsm.attest(&AttestRequest::default())?, "a simulation")
        }
    };
    let said = parse(&document)?;
    let (policy, at) = (policy(root, &said.pcrs)?, said.timestamp);
    let times = (0..repeat.max(1)).map(|_| verify(&policy, &document, at)).collect::<Result<Vec<_>, _>>()?;
    print(median(times), signer);
    Ok(())
}

fn policy(root: Root, pcrs: &BTreeMap<u16, Vec<u8>>) -> Result<Policy, Box<dyn Error>> {
    let image =
        (0..3).filter_map(|index| Some((index, <[u8; limits::PCR]>::try_from(pcrs.get(&index)?.clone()).ok()?)));
    let image = Measurement { label: "measured".to_owned(), until: None, pcrs: image.collect() };
    Ok(Policy::new(root, limits::DEFAULT_MAX_AGE, vec![image])?)
}

fn verify(policy: &Policy, document: &[u8], at: SystemTime) -> Result<Duration, cloister_attest::Error> {
    let start = Instant::now();
    policy.verify(document, &Expected { nonce: None, at, tls_public_key: None })?;
    Ok(start.elapsed())
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

#[allow(clippy::print_stdout)]
fn print(milliseconds: f64, signer: &str) {
    println!("{}", serde_json::json!({ "what": "verify a document", "ms": milliseconds, "signed_by": signer }));
}
