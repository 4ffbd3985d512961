//! The metrics that `/metrics` shows: their names, and what they mean. No label's value comes from outside.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

/// Gauge: 1 when `/readyz` would say ready, else 0.
pub const READY: &str = "cloister_parent_ready";
/// Gauge: clients relayed now.
pub const RELAY_CONNECTIONS: &str = "cloister_parent_relay_connections";
/// Counter by `direction` (`to_enclave`, `from_enclave`): bytes relayed, counted at the client's side as they pass.
pub const RELAY_BYTES: &str = "cloister_parent_relay_bytes_total";
/// Counter by `reason` (`full`, `unreachable`): clients closed without reaching the enclave.
pub const RELAY_REFUSED: &str = "cloister_parent_relay_refused_total";
/// Counter by `how` (`closed`, `idle`, `broken`): relayed connections that ended.
pub const RELAY_ENDED: &str = "cloister_parent_relay_ended_total";
/// Counter by `event`: events taken from the enclave.
pub const EVENTS: &str = "cloister_parent_events_total";
/// Counter by `reason` (`malformed`, `too_large`, `too_many`): bodies of events refused.
pub const EVENTS_DROPPED: &str = "cloister_parent_events_dropped_total";
/// Gauge: seconds until the credentials at hand expire, `+Inf` for those that do not. Absent before the first were given.
pub const CREDENTIALS_EXPIRY: &str = "cloister_parent_credentials_expiry_seconds";
/// Counter: tries to get credentials that failed.
pub const CREDENTIALS_FAILURES: &str = "cloister_parent_credentials_failures_total";
/// Counter: connections to the control endpoint closed because they do not come from the enclave.
pub const CONTROL_REFUSED: &str = "cloister_parent_control_refused_total";

/// Gauge by `enclave` (a name of the operator's): clients relayed to it now.
pub const ENCLAVE_CONNECTIONS: &str = "cloister_parent_enclave_connections";
/// Gauge by `enclave`: 1 when it takes new clients, 0 when it is not ready, drains or is gone.
pub const ENCLAVE_READY: &str = "cloister_parent_enclave_ready";
/// Counter by `enclave`: clients that it could not be reached for; the next one was tried.
pub const RELAY_MISSED: &str = "cloister_parent_relay_missed_total";
/// Counter: log records taken from enclaves.
pub const RECORDS: &str = "cloister_parent_log_records_total";
/// Counter by `reason` (`malformed`, `too_large`, `too_many`): bodies of log records refused.
pub const RECORDS_DROPPED: &str = "cloister_parent_log_records_dropped_total";

/// Describes every metric to the recorder that is installed, and shows the counters from 0.
pub(crate) fn describe() {
    describe_gauge!(READY, "Whether the enclave is ready and can be reached");
    describe_gauge!(RELAY_CONNECTIONS, "Clients relayed now");
    describe_counter!(RELAY_BYTES, Unit::Bytes, "Bytes relayed");
    describe_counter!(RELAY_REFUSED, "Clients closed without reaching the enclave");
    describe_counter!(RELAY_ENDED, "Relayed connections that ended");
    describe_counter!(EVENTS, "Events taken from the enclave");
    describe_counter!(EVENTS_DROPPED, "Bodies of events refused");
    describe_gauge!(CREDENTIALS_EXPIRY, Unit::Seconds, "Seconds until the credentials at hand expire");
    describe_counter!(CREDENTIALS_FAILURES, "Tries to get credentials that failed");
    describe_counter!(CONTROL_REFUSED, "Connections to the control endpoint that do not come from the enclave");
    describe_gauge!(ENCLAVE_CONNECTIONS, "Clients relayed to an enclave now");
    describe_gauge!(ENCLAVE_READY, "Whether an enclave takes new clients");
    describe_counter!(RELAY_MISSED, "Clients that an enclave could not be reached for");
    describe_counter!(RECORDS, "Log records taken from enclaves");
    describe_counter!(RECORDS_DROPPED, "Bodies of log records refused");
    gauge!(RELAY_CONNECTIONS).set(0.0);
    for direction in ["to_enclave", "from_enclave"] {
        counter!(RELAY_BYTES, "direction" => direction).absolute(0);
    }
    for reason in ["full", "unreachable"] {
        counter!(RELAY_REFUSED, "reason" => reason).absolute(0);
    }
    for how in ["closed", "idle", "broken"] {
        counter!(RELAY_ENDED, "how" => how).absolute(0);
    }
    for reason in ["malformed", "too_large", "too_many"] {
        counter!(EVENTS_DROPPED, "reason" => reason).absolute(0);
        counter!(RECORDS_DROPPED, "reason" => reason).absolute(0);
    }
    counter!(CREDENTIALS_FAILURES).absolute(0);
    counter!(CONTROL_REFUSED).absolute(0);
}
