//! Whether a program can be the first one of an image: x86-64, and static, because there is no loader and no library beside it.

use crate::error::{Error, Result};
use crate::limits;

const EXECUTABLE: u16 = 2;
/// A shared object: a static program that can be placed anywhere is one too.
const SHARED: u16 = 3;
const X86_64: u16 = 62;
const PROGRAM_HEADER: usize = 56;
const LOAD: u32 = 1;
const INTERPRETER: u32 = 3;

/// Checks the ELF header and the program headers (System V ABI, chapter 4 and 5).
pub(crate) fn check_static(program: &[u8]) -> Result<()> {
    let refused = |reason| Err(Error::Init(reason));
    if program.len() > limits::INIT {
        return refused("it is too large");
    }
    // Magic, 64 bits, little-endian, version 1.
    if !program.starts_with(b"\x7fELF\x02\x01\x01") {
        return refused("it is not a 64-bit ELF program");
    }
    let short = |offset| field(program, offset).map(u16::from_le_bytes);
    if !matches!(short(16), Some(EXECUTABLE | SHARED)) || short(18) != Some(X86_64) {
        return refused("it is not a program for x86-64");
    }
    let (Some(table), Some(size), Some(count)) = (field(program, 32).map(u64::from_le_bytes), short(54), short(56))
    else {
        return refused("it is cut off");
    };
    if usize::from(size) != PROGRAM_HEADER || usize::from(count) > limits::PROGRAM_HEADERS {
        return refused("its program headers are not those of a 64-bit ELF program");
    }
    let mut loads = false;
    for index in 0..usize::from(count) {
        let kind = usize::try_from(table)
            .ok()
            .and_then(|table| table.checked_add(index * PROGRAM_HEADER))
            .and_then(|offset| program.get(offset..)?.get(..PROGRAM_HEADER)?.first_chunk().copied());
        match kind.map(u32::from_le_bytes) {
            None => return refused("it is cut off"),
            Some(INTERPRETER) => return refused("it needs a dynamic loader, which the image has not"),
            Some(LOAD) => loads = true,
            Some(_) => {}
        }
    }
    if loads { Ok(()) } else { refused("it has nothing to load") }
}

fn field<const N: usize>(program: &[u8], offset: usize) -> Option<[u8; N]> {
    program.get(offset..)?.first_chunk().copied()
}
