//! What the process holds, and how the allocator gives it back. A network's activations are blocks of tens of megabytes; glibc raises its threshold to such
//! sizes by itself, and then keeps freed ones in its arenas, which nearly doubles the most that an enclave holds.

/// Blocks from this size on are mapped, and unmapped when freed, as musl's are. Larger values cost memory (six megabytes at 1 MiB, a hundred at 4 MiB
/// before large memory was used again) and saved no time that could be measured.
#[cfg(target_env = "gnu")]
const MAPPED_FROM_BYTES: libc::c_int = 128 * 1024;

/// How many arenas there are: each keeps what it was given once, and threads that live as long as a picture's digest get a new one each.
#[cfg(target_env = "gnu")]
const ARENAS: libc::c_int = 2;

/// Fixes both. To be called first in `main`, before threads allocate.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code, reason = "mallopt(3) has no safe wrapper")]
pub fn set_up_allocator() {
    // SAFETY: mallopt takes two integers, and changes nothing but the allocator's own parameters.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM_BYTES);
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
    }
}

/// musl's, which the image has, maps large blocks by itself.
#[cfg(not(target_env = "gnu"))]
pub fn set_up_allocator() {}

/// What the process holds, as the kernel counts it.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Now (`VmRSS` of proc(5)).
    pub resident_bytes: u64,
    /// The most that it ever held (`VmHWM`).
    pub peak_bytes: u64,
}

/// Asks the kernel; none where it does not say.
pub fn held() -> Option<Held> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let bytes = |name: &str| {
        let kib = status.lines().find_map(|line| line.strip_prefix(name))?;
        kib.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Held { resident_bytes: bytes("VmRSS:")?, peak_bytes: bytes("VmHWM:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_never_held_less_than_it_holds() {
        let held = held().unwrap();
        assert!(held.resident_bytes > 0 && held.peak_bytes >= held.resident_bytes, "{held:?}");
    }
}
