//! Orphans: a process whose parent has ended becomes PID 1's child, and stays in the process table until PID 1 asks how it ended.

use std::io;

use rustix::process::{WaitOptions, wait};
use tokio::signal::unix::{SignalKind, signal};

/// Asks for as long as the machine runs. The enclave starts no processes of its own (`clippy.toml` sees to that), so that every child is
/// an orphan, and nobody else waits for one.
///
/// # Errors
/// When the signal cannot be listened for.
pub fn reap_orphans() -> io::Result<impl Future<Output = ()> + Send> {
    let mut ended = signal(SignalKind::child())?;
    Ok(async move {
        loop {
            // One signal may stand for several.
            while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
            if ended.recv().await.is_none() {
                return;
            }
        }
    })
}
