//! Which arithmetic computes here. Receipts name it: kernels for other instruction sets add in another order, and round otherwise.

use cloister_conv::KernelSet;
use tract_onnx::tract_core::tract_linalg::isa;

use crate::head;

/// The engine's version, which is part of what decides the last bits of a score.
const ENGINE: &str = "tract 0.23.9";

/// The engine, the instruction sets of this processor that it chooses its kernels by, which of our convolutions run here, and the
/// revision of the layers after them, such as
/// `tract 0.23.9 x86_64,avx,avx2,fma,f16c,avx512f, conv 2 avx512, head 1`. Where two machines say the same, the same inputs give the same bits.
pub fn kernels() -> String {
    let (conv, head) = (cloister_conv::REVISION, head::REVISION);
    format!("{ENGINE} {:?}, conv {conv} {}, head {head}", isa::native(), KernelSet::best())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_named_is_the_one_that_is_locked() {
        let lock = include_str!("../../../Cargo.lock");
        let (name, version) = ENGINE.split_once(' ').unwrap();
        assert!(lock.contains(&format!("name = \"{name}-linalg\"\nversion = \"{version}\"\n")));
    }

    #[test]
    fn the_architecture_is_named() {
        assert!(kernels().contains(std::env::consts::ARCH), "{}", kernels());
    }
}
