//! The kernel's random number generator, seeded from the security module before the first key is made: an enclave has no disk, no
//! devices and no history to draw from, and what the processor offers is not asked to be trusted alone.

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use cloister_nsm::Nsm;
use rustix::rand::{GetRandomFlags, getrandom};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::Error;
use crate::limits;

/// `RNDADDENTROPY` of random(4): `_IOW('R', 0x03, int[2])`.
const ADD_ENTROPY: libc::Ioctl = 0x4008_5203;

/// `rand_pool_info` of linux/random.h, with the bytes that follow it.
#[repr(C)]
#[derive(Zeroize, ZeroizeOnDrop)]
struct Pool {
    credited_bits: c_int,
    bytes: c_int,
    seed: [u8; limits::SEED_BYTES],
}

/// Has the kernel mix in what the security module gives, and count it as entropy. From then on `getrandom` does not block.
///
/// # Errors
/// A security module that gives none, or a kernel that does not take it.
pub fn seed(nsm: &dyn Nsm) -> Result<(), Error> {
    let pool = drawn(nsm)?;
    let device = File::options().write(true).open("/dev/random").map_err(Error::NotSeeded)?;
    credit(&device, &pool).map_err(Error::NotSeeded)?;
    // An answer at all says that the generator has begun.
    let mut byte = [0];
    getrandom(&mut byte, GetRandomFlags::NONBLOCK).map_err(|error| Error::NotSeeded(error.into()))?;
    Ok(())
}

fn drawn(nsm: &dyn Nsm) -> Result<Pool, Error> {
    let mut seed = [0; limits::SEED_BYTES];
    let mut filled = 0;
    while filled < seed.len() {
        // Never empty, so that this ends.
        let random = Zeroizing::new(nsm.get_random()?);
        let length = random.len().min(seed.len() - filled);
        seed[filled..filled + length].copy_from_slice(&random[..length]);
        filled += length;
    }
    let bytes = c_int::try_from(seed.len()).unwrap_or(c_int::MAX);
    let pool = Pool { credited_bits: bytes.saturating_mul(8), bytes, seed };
    seed.zeroize();
    Ok(pool)
}

#[allow(unsafe_code, reason = "RNDADDENTROPY has no safe wrapper")]
fn credit(device: &File, pool: &Pool) -> io::Result<()> {
    // SAFETY: the descriptor is open, and the kernel reads `pool`, which is laid out as it expects and holds as many bytes after the two
    // numbers as the second one says.
    let outcome = unsafe { libc::ioctl(device.as_raw_fd(), ADD_ENTROPY, std::ptr::from_ref(pool)) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_is_filled_whole_however_little_the_module_gives_at_once() {
        let pool = drawn(&Stingy).unwrap();
        let expected: Vec<u8> = (0..limits::SEED_BYTES).map(|at| if at % 100 == 99 { 2 } else { 1 }).collect();
        assert_eq!(pool.seed.as_slice(), expected);
        assert_eq!((pool.bytes, pool.credited_bits), (512, 4096));
    }

    #[test]
    fn a_device_that_takes_no_entropy_is_an_error() {
        let null = File::options().write(true).open("/dev/null").unwrap();
        let refused = credit(&null, &drawn(&Stingy).unwrap()).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ENOTTY));
    }

    /// Gives a hundred bytes at a time, the last of which is another.
    struct Stingy;

    impl Nsm for Stingy {
        fn get_random(&self) -> cloister_nsm::Result<Vec<u8>> {
            Ok([vec![1; 99], vec![2]].concat())
        }

        fn describe(&self) -> cloister_nsm::Result<cloister_nsm::Description> {
            Err(cloister_nsm::Error::InvalidOperation)
        }

        fn describe_pcr(&self, _: u16) -> cloister_nsm::Result<cloister_nsm::Pcr> {
            Err(cloister_nsm::Error::InvalidOperation)
        }

        fn extend(&self, _: u16, _: &[u8]) -> cloister_nsm::Result<Vec<u8>> {
            Err(cloister_nsm::Error::InvalidOperation)
        }

        fn lock(&self, _: u16) -> cloister_nsm::Result<()> {
            Err(cloister_nsm::Error::InvalidOperation)
        }

        fn lock_range(&self, _: u16) -> cloister_nsm::Result<()> {
            Err(cloister_nsm::Error::InvalidOperation)
        }

        fn attest(&self, _: &cloister_nsm::AttestRequest) -> cloister_nsm::Result<Vec<u8>> {
            Err(cloister_nsm::Error::InvalidOperation)
        }
    }
}
