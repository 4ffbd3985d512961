//! The end of the process, and of the machine where the process is its first.

use rustix::system::{RebootCommand, reboot};

use super::is_first;

/// Ends the process with that exit code. PID 1 restarts the machine instead: a kernel whose first process returns panics, and an enclave
/// that restarts (`reboot=k`) is over.
pub fn end(code: u8) -> ! {
    if is_first() {
        rustix::fs::sync();
        // It returns where it is refused alone; then the kernel's panic is what is left.
        let _ = reboot(RebootCommand::Restart);
    }
    std::process::exit(code.into())
}
