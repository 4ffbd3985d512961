//! The file systems of an image that has none: devices, the kernel's own, and a little memory to write to.

use std::ffi::CStr;
use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::Error;

struct Mount {
    target: &'static str,
    kind: &'static str,
    flags: MountFlags,
    options: Option<&'static CStr>,
}

const QUIET: MountFlags = MountFlags::NOSUID.union(MountFlags::NOEXEC);
const PLAIN: MountFlags = QUIET.union(MountFlags::NODEV);

/// Nothing of ours writes to a file, so that 16 MB of memory are enough for whatever does.
const MOUNTS: [Mount; 5] = [
    Mount { target: "/dev", kind: "devtmpfs", flags: QUIET, options: None },
    Mount { target: "/proc", kind: "proc", flags: PLAIN, options: None },
    Mount { target: "/sys", kind: "sysfs", flags: PLAIN, options: None },
    Mount { target: "/tmp", kind: "tmpfs", flags: PLAIN, options: Some(c"size=16m,mode=1777") },
    Mount { target: "/run", kind: "tmpfs", flags: PLAIN, options: Some(c"size=16m,mode=0755") },
];

/// Mounts them, but for those that are mounted already.
pub(super) fn mount() -> Result<(), Error> {
    MOUNTS.iter().try_for_each(Mount::apply)
}

impl Mount {
    fn apply(&self) -> Result<(), Error> {
        let Self { target, kind, flags, options } = *self;
        if is_mount_point(target) {
            return Ok(());
        }
        // An image has its mount points; where one is missing, mounting says so.
        let _ = fs::create_dir(target);
        match rustix::mount::mount(kind, target, kind, flags, options) {
            Ok(()) | Err(Errno::BUSY) => Ok(()),
            Err(source) => Err(Error::Mount { target, kind, source: source.into() }),
        }
    }
}

fn is_mount_point(path: &str) -> bool {
    let device = |path: &str| fs::metadata(path).ok().map(|metadata| metadata.dev());
    device(path).is_some_and(|device_there| Some(device_there) != device("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_already_is_left_alone() {
        assert!(is_mount_point("/proc"), "every test runs with /proc");
        assert!(!is_mount_point("/"));
        assert!(!is_mount_point("/nonexistent"));
    }
}
