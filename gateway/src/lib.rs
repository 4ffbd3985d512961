//! The hospital's front door: takes exams from pages, programs, a PACS, a folder or a bucket, and has them classified by enclaves that it
//! has verified, each on the very connection that the images leave by.
//!
//! It runs inside the hospital and is trusted by it: here patients have names, and what goes out to an enclave are the images alone. What
//! is on disk, what a crash leaves, and who may do what is in docs/gateway.md; the audit log in docs/audit.md. It has no cryptography of
//! attestation and no image processing of its own: `cloister-client` verifies, `cloister-results` writes DICOM.

mod access;
mod audit;
pub mod config;
mod delivery;
mod dispatch;
mod enclaves;
mod error;
mod files;
mod gateway;
mod http;
mod intake;
pub mod limits;
mod metric;
mod outbound;
mod random;
mod retention;
mod spool;
mod times;
mod tls;
mod worklist;

use std::future::Future;

use cloister_transport::{Listener, announce};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;

pub use access::hash_password;
pub use audit::{Broken, Head, verify as verify_audit};
pub use config::Config;
pub use error::Error;

use gateway::Gateway;

/// Whether the page was built into this program.
pub const fn has_page() -> bool {
    http::is_built()
}

/// Runs a gateway until `shutdown`.
///
/// # Errors
/// An [`Error`] where it cannot start.
pub async fn run(config: Config, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
    config.check()?;
    let tls = config.tls.as_ref().map(tls::read).transpose()?.flatten();
    let metrics = PrometheusBuilder::new().install_recorder().map_err(|error| Error::Metrics(error.to_string()))?;
    metric::describe();
    let gateway = Gateway::open(config, metrics).await?;
    let listener = Listener::bind(&gateway.config.listen).await?;
    if let Some(path) = &gateway.config.address_file {
        let bound = json!({"listen": listener.local_address().to_string()}).to_string();
        announce(path, &bound).map_err(Error::file(path))?;
    }
    tracing::info!(address = %listener.local_address(), page = has_page(), "the gateway listens");
    let mut workers = workers(&gateway);
    let ending = gateway.clone();
    let shutdown = async move {
        shutdown.await;
        ending.streams.end();
    };
    http::serve(listener, tls, http::router(&gateway), shutdown).await;
    workers.shutdown().await;
    gateway.audit(audit::Event::stopped()).await?;
    tracing::info!("the gateway ends");
    Ok(())
}

/// Everything that goes on besides requests.
fn workers(gateway: &Gateway) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    for index in 0..gateway.enclaves.len() {
        workers.spawn(dispatch::serve(gateway.clone(), index));
        workers.spawn(dispatch::watch(gateway.clone(), index));
    }
    for target in delivery::Target::all(gateway) {
        workers.spawn(delivery::serve(gateway.clone(), target));
    }
    workers.spawn(intake::serve_quiet(gateway.clone()));
    if let Some(folder) = gateway.config.intake.folder.clone() {
        workers.spawn(intake::serve_folder(gateway.clone(), folder));
    }
    if let Some(bucket) = gateway.config.intake.bucket.clone() {
        workers.spawn(intake::serve_bucket(gateway.clone(), bucket));
    }
    workers.spawn(retention::serve(gateway.clone()));
    workers.spawn(tell_head(gateway.clone()));
    workers
}

/// Says in the program's log where the audit log is, so that a copy of the one tells on the other.
async fn tell_head(gateway: Gateway) {
    loop {
        let Head { number, hash } = gateway.audit_head();
        tracing::info!(number, %hash, "the audit log's head");
        sleep(limits::HEAD_INTERVAL).await;
    }
}
