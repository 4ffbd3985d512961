//! What a server process does around its listeners: says where they listen, and waits for the signal to end.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

/// Writes `text` to the file at `path`, which is there whole or not at all: whoever waits for it can read it at once.
///
/// # Errors
/// What the system says.
pub fn announce(path: &Path, text: &str) -> io::Result<()> {
    let mut temporary = OsString::from(path);
    temporary.push(format!(".{}", std::process::id()));
    std::fs::write(&temporary, text)?;
    std::fs::rename(&temporary, path)
}

/// Ready when the process is asked to end, by SIGTERM or SIGINT.
///
/// # Errors
/// When the signals cannot be listened for.
pub fn termination() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
