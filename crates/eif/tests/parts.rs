//! What goes into an image: kernels, programs, configurations and the ramdisks around them.

mod common;

use cloister_eif::{Error, Kernel, limits, ramdisk};
use cloister_test_data::image::{elf, kernel};
use common::{build, metadata};
use proptest::prelude::*;

/// Kinds of program headers.
const LOAD: u32 = 1;
const INTERPRETER: u32 = 3;

#[test]
fn a_bzimage_says_its_version_and_its_length() {
    let mut bytes = kernel();
    let read = Kernel::new(&bytes).unwrap();
    assert_eq!((read.release(), read.stated_length()), (Some("6.12.94"), 1024));
    bytes[0x1f4..0x1f8].copy_from_slice(&2_u32.to_le_bytes());
    assert_eq!(Kernel::new(&bytes).unwrap_err(), Error::KernelCutOff { stated: 1056, bytes: 1024 });
    bytes.resize(1060, 0);
    assert_eq!(Kernel::new(&bytes).unwrap().stated_length(), 1056);
    for offset in [0_u16, 0x300, 0xffff] {
        bytes[0x20e..0x210].copy_from_slice(&offset.to_le_bytes());
        assert_eq!(Kernel::new(&bytes).unwrap().release(), None, "{offset}");
    }
}

#[test]
fn what_is_no_bzimage_is_refused() {
    // The boot flag, the magic, the protocol's version, and the flag of an image that is loaded high.
    for at in [0x1fe, 0x202, 0x207, 0x211] {
        let mut bytes = kernel();
        bytes[at] ^= if at == 0x207 { 2 } else { 1 };
        assert_eq!(Kernel::new(&bytes).unwrap_err(), Error::Kernel, "{at:#x}");
    }
    for length in 0..0x212 {
        assert!(Kernel::new(&kernel()[..length]).is_err(), "{length}");
    }
    assert!(Error::Kernel.to_string().contains("not vmlinux"));
}

#[test]
fn the_boot_ramdisk_holds_init_mount_points_and_a_console_of_root_in_1970() {
    let init = elf(&[LOAD]);
    let ramdisk = ramdisk::boot(&init).unwrap();
    let files = ramdisk::list(&ramdisk).unwrap();
    let facts: Vec<_> = files
        .iter()
        .map(|file| (std::str::from_utf8(&file.path).unwrap(), file.mode, file.links, file.device))
        .collect();
    let folder = |path| (path, 0o40755, 2, (0, 0));
    let expected = [
        folder("dev"),
        ("dev/console", 0o20600, 1, (5, 1)),
        folder("etc"),
        folder("etc/cloister"),
        ("init", 0o100755, 1, (0, 0)),
        folder("proc"),
        folder("run"),
        folder("sys"),
        folder("tmp"),
    ];
    assert_eq!(facts, expected);
    assert!(files.iter().all(|file| (file.owner, file.group, file.time) == (0, 0, 0)));
    assert_eq!((files[4].size as usize, files[4].sha384), (init.len(), cloister_eif::sha384(&init)));
    // Neither a name nor a time in gzip's header, nor a system.
    assert_eq!((&ramdisk[..8], ramdisk[9]), (&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0][..], 255));
}

#[test]
fn the_second_ramdisk_holds_the_configuration_and_its_folders() {
    let ramdisk = ramdisk::configuration(b"version = 1\n").unwrap();
    let files = ramdisk::list(&ramdisk).unwrap();
    let facts: Vec<_> = files.iter().map(|file| (file.path.as_slice(), file.mode)).collect();
    assert_eq!(facts, [(&b"etc"[..], 0o40755), (b"etc/cloister", 0o40755), (b"etc/cloister/enclave.toml", 0o100644)]);
    assert_eq!(files[2].sha384, cloister_eif::sha384(b"version = 1\n"));
}

#[test]
fn a_program_that_needs_a_loader_is_refused() {
    assert_eq!(ramdisk::boot(&elf(&[LOAD])).map(|_| ()), Ok(()));
    let Err(Error::Init(reason)) = ramdisk::boot(&elf(&[LOAD, INTERPRETER])) else { panic!("taken") };
    assert!(reason.contains("dynamic loader"), "{reason}");
}

#[test]
fn what_is_no_program_for_x86_64_is_refused() {
    let changed = |at: usize, value: u8| {
        let mut bytes = elf(&[LOAD]);
        bytes[at] = value;
        bytes
    };
    let whole = elf(&[LOAD]);
    // A script, 32 bits, big-endian, an object file, arm64, headers of another size, nothing to load, too many headers.
    let programs = [
        b"#!/bin/sh\n".to_vec(),
        changed(4, 1),
        changed(5, 2),
        changed(16, 1),
        changed(18, 183),
        changed(54, 32),
        elf(&[]),
        elf(&[2]),
        elf(&vec![LOAD; 65]),
        changed(39, 0xff),
    ];
    for program in programs.iter().map(Vec::as_slice).chain((0..whole.len()).map(|length| &whole[..length])) {
        assert!(matches!(ramdisk::boot(program), Err(Error::Init(_))), "{}", program.escape_ascii());
    }
}

#[test]
fn a_configuration_that_cannot_be_one_is_refused() {
    let long = format!("# {}\nversion = 1\n", "x".repeat(limits::CONFIGURATION));
    for text in [&b""[..], b"# nothing\n", b"version = ", b"a = 1\na = 2\n", b"\xff", long.as_bytes()] {
        assert!(matches!(ramdisk::configuration(text), Err(Error::Configuration(_))), "{}", text.escape_ascii());
    }
}

#[test]
fn names_that_are_none_are_refused() {
    for name in ["", "a\nb", &"x".repeat(limits::NAME + 1)] {
        let mut metadata = metadata();
        metadata.image_name = name.into();
        let parts =
            cloister_eif::Parts { kernel: b"kernel", command_line: "", metadata: &metadata, ramdisks: vec![vec![1]] };
        assert_eq!(cloister_eif::Image::build(parts).unwrap_err(), Error::Name(name.into()));
    }
    assert!(build(b"kernel", "", &[&[1]]).is_ok());
}

proptest! {
    #[test]
    fn no_bytes_make_the_listing_or_the_checks_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = (ramdisk::list(&bytes), ramdisk::boot(&bytes), Kernel::new(&bytes).map(|kernel| kernel.release()));
        let _ = ramdisk::list(&[b"\x1f\x8b\x08\0\0\0\0\0\0\xff", &bytes[..]].concat());
        let _ = ramdisk::list(&[b"070701", &bytes[..]].concat());
    }

    #[test]
    fn a_ramdisk_that_was_changed_anyhow_never_panics(at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut ramdisk = ramdisk::boot(&elf(&[LOAD])).unwrap();
        let at = at.index(ramdisk.len());
        ramdisk[at] = value;
        let _ = ramdisk::list(&ramdisk);
    }
}
