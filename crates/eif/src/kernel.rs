//! The kernel: an x86 bzImage, told by the header that Linux's boot protocol puts into it (Documentation/arch/x86/boot.rst).

use crate::error::{Error, Result};
use crate::limits;

const SETUP_SECTORS: usize = 0x1f1;
const PROTECTED_SIZE: usize = 0x1f4;
const BOOT_FLAG: usize = 0x1fe;
const MAGIC: usize = 0x202;
const PROTOCOL: usize = 0x206;
const VERSION_TEXT: usize = 0x20e;
const LOAD_FLAGS: usize = 0x211;

const SECTOR: usize = 512;
/// Since this version of the protocol the size of the protected-mode part has four bytes.
const OLDEST_PROTOCOL: u16 = 0x0204;
const LOADED_HIGH: u8 = 1;

/// A kernel that the format's loaders take.
#[derive(Clone, Copy, Debug)]
pub struct Kernel<'a> {
    bytes: &'a [u8],
}

impl<'a> Kernel<'a> {
    /// Checks that the bytes start as a bzImage does.
    ///
    /// # Errors
    /// [`Error::Kernel`], [`Error::KernelCutOff`].
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let kernel = Self { bytes };
        let is_linux = kernel.field(MAGIC) == Some(*b"HdrS") && kernel.field(BOOT_FLAG) == Some([0x55, 0xaa]);
        let protocol = kernel.field(PROTOCOL).map_or(0, u16::from_le_bytes);
        let [flags] = kernel.field(LOAD_FLAGS).unwrap_or_default();
        if !is_linux || protocol < OLDEST_PROTOCOL || flags & LOADED_HIGH == 0 {
            return Err(Error::Kernel);
        }
        let stated = kernel.stated_length();
        if stated > bytes.len() as u64 { Err(Error::KernelCutOff { stated, bytes: bytes.len() }) } else { Ok(kernel) }
    }

    /// How many bytes it has by its own header. What follows is a signature for Secure Boot, or belongs to another section.
    pub fn stated_length(&self) -> u64 {
        let [sectors] = self.field(SETUP_SECTORS).unwrap_or_default();
        let paragraphs = self.field(PROTECTED_SIZE).map_or(0, u32::from_le_bytes);
        // The protocol: a kernel that says 0 means 4.
        let sectors = if sectors == 0 { 4 } else { u64::from(sectors) };
        (sectors + 1) * SECTOR as u64 + u64::from(paragraphs) * 16
    }

    /// The release that it names, such as `6.12.94`, without where and by whom it was built.
    pub fn release(&self) -> Option<&'a str> {
        let offset = usize::from(u16::from_le_bytes(self.field(VERSION_TEXT)?));
        if offset == 0 {
            return None;
        }
        let text = self.bytes.get(offset + SECTOR..)?;
        let end = text.iter().take(limits::NAME).position(|byte| matches!(byte, 0 | b' '))?;
        let release = std::str::from_utf8(text.get(..end)?).ok()?;
        (!release.is_empty() && release.chars().all(|letter| letter.is_ascii_graphic())).then_some(release)
    }

    fn field<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.bytes.get(offset..)?.first_chunk().copied()
    }
}
