//! A panic ends the enclave, wherever it happens: what a process is after one is not what was measured. The parent gets one last event,
//! by a way that needs nothing of the runtime that may have panicked.

use std::panic;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::disclose::panicked;
use crate::init;
use crate::parent::{Event, Parent};

/// The exit code of a program that is wrong (`EX_SOFTWARE` of BSD `sysexits.h`).
pub const SOFTWARE: u8 = 70;

static PARENT: OnceLock<Parent> = OnceLock::new();
static ENDING: AtomicBool = AtomicBool::new(false);

/// From now on a panic tells its place and nothing of its message, and ends the process with [`SOFTWARE`], or the machine where the
/// process is its first.
pub fn end_the_enclave() {
    panic::set_hook(Box::new(|panic| {
        let place = panicked(panic.location());
        if ENDING.swap(true, Ordering::SeqCst) {
            // Another thread is ending it.
            loop {
                thread::park();
            }
        }
        if let Some(parent) = PARENT.get() {
            parent.tell_last(Event::Panicked { place });
        }
        init::end(SOFTWARE)
    }));
}

/// Whom to tell, once it is known.
pub fn tell(parent: Parent) {
    // There is one parent.
    let _ = PARENT.set(parent);
}
