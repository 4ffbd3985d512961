//! The least that passes for parts of an enclave image. None of it runs.

/// The head of a bzImage of Linux 6.12.94: a boot sector, a setup sector, and nothing behind them.
pub fn kernel() -> Vec<u8> {
    let mut kernel = vec![0; 1024];
    kernel[0x1f1] = 1;
    kernel[0x1fe..0x206].copy_from_slice(b"\x55\xaa\xeb\x6aHdrS");
    kernel[0x206..0x208].copy_from_slice(&0x020f_u16.to_le_bytes());
    kernel[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
    kernel[0x211] = 1;
    kernel[0x300..0x310].copy_from_slice(b"6.12.94 (me@here");
    kernel
}

/// An ELF program for x86-64 with program headers of these kinds: 1 loads, 3 names a dynamic loader.
pub fn elf(headers: &[u32]) -> Vec<u8> {
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    elf.extend_from_slice(&[2, 0, 62, 0, 1, 0, 0, 0]);
    elf.extend_from_slice(&0x40_0078_u64.to_le_bytes());
    elf.extend_from_slice(&64_u64.to_le_bytes());
    elf.resize(54, 0);
    elf.extend_from_slice(&56_u16.to_le_bytes());
    elf.extend_from_slice(&(headers.len() as u16).to_le_bytes());
    elf.resize(64, 0);
    for kind in headers {
        elf.extend_from_slice(&kind.to_le_bytes());
        elf.resize(elf.len() + 52, 0);
    }
    elf
}
