//! What `/metrics` shows. No label's value comes from a patient, a file or a user; enclaves' names are the operator's.

use metrics::{counter, describe_counter, describe_gauge, gauge};

const EXAMS: &str = "cloister_gateway_exams_total";
const WAITING: &str = "cloister_gateway_exams_waiting";
const VERIFIED: &str = "cloister_gateway_enclave_verified";
const DELIVERIES: &str = "cloister_gateway_deliveries_total";
const SIGN_INS: &str = "cloister_gateway_sign_ins_total";
const SPOOLED: &str = "cloister_gateway_spool_bytes";

/// Describes every metric.
pub(crate) fn describe() {
    describe_counter!(EXAMS, "Exams by the state that they came to");
    describe_gauge!(WAITING, "Exams that wait for an enclave, or are being classified");
    describe_gauge!(VERIFIED, "Whether an enclave was verified when it was last asked");
    describe_counter!(DELIVERIES, "Deliveries by target and outcome");
    describe_counter!(SIGN_INS, "Sign-ins by outcome");
    describe_gauge!(SPOOLED, "Bytes of images on disk");
}

/// An exam came to a state.
pub(crate) fn exam(state: crate::worklist::State) {
    counter!(EXAMS, "state" => state.as_str()).increment(1);
}

/// How much is waiting, and how much room it takes.
pub(crate) fn load(waiting: u64, bytes: u64) {
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    let (waiting, bytes) = (waiting as f64, bytes as f64);
    gauge!(WAITING).set(waiting);
    gauge!(SPOOLED).set(bytes);
}

/// An enclave's standing changed.
pub(crate) fn enclave(name: &str, verified: bool) {
    gauge!(VERIFIED, "enclave" => name.to_owned()).set(if verified { 1.0 } else { 0.0 });
}

/// Something was delivered, or not.
pub(crate) fn delivery(target: &'static str, done: bool) {
    counter!(DELIVERIES, "target" => target, "outcome" => if done { "done" } else { "put-off" }).increment(1);
}

/// Somebody signed in, or did not.
pub(crate) fn sign_in(outcome: &'static str) {
    counter!(SIGN_INS, "outcome" => outcome).increment(1);
}
