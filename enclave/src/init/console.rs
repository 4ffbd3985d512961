//! The three standard streams on the console, which AWS shows in debug mode alone.

use std::fs::File;

use rustix::fs::{FileType, fstat, major, minor};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr};

/// Opens `/dev/console` in place of streams that lead nowhere: the kernel found none for its first process, and Rust's runtime put
/// `/dev/null` there. Without a console there is nobody to tell that to.
pub(super) fn open() {
    if leads_somewhere() {
        return;
    }
    let Ok(console) = File::options().read(true).write(true).open("/dev/console") else { return };
    let _ = dup2_stdin(&console);
    let _ = dup2_stdout(&console);
    let _ = dup2_stderr(&console);
}

fn leads_somewhere() -> bool {
    let Ok(stream) = fstat(stderr()) else { return false };
    let is_null = (major(stream.st_rdev), minor(stream.st_rdev)) == (1, 3);
    !(FileType::from_raw_mode(stream.st_mode) == FileType::CharacterDevice && is_null)
}
