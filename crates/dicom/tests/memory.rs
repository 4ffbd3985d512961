//! How much memory a process takes for the largest images, and for files that claim to be larger.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::fs;

use cloister_dicom::{DecodeLimits, cost, read};
use support::{DEFLATED, EXPLICIT, JPEG, RLE, attributes, claim, element, encapsulated, meta, peak};

const MIB: usize = 1 << 20;

/// The only test of this process, because what is measured is the process's.
#[test]
fn memory_is_bounded_by_the_image() {
    let before = peak();
    let few = encapsulated(&[b"few!"]);
    for syntax in [EXPLICIT, RLE, JPEG, DEFLATED] {
        for (rows, columns) in [(65535, 65535), (11_999, 12_000)] {
            read(&[meta(syntax), attributes(rows, columns), few.clone()].concat(), &DecodeLimits::default())
                .unwrap_err();
        }
    }
    let level = [claim(0x0008_1140, "SQ", u32::MAX, &[]), claim(0xFFFE_E000, "", u32::MAX, &[])].concat();
    read(&[meta(EXPLICIT), level.repeat(10_000)].concat(), &DecodeLimits::default()).unwrap_err();
    assert!(peak() - before < 4 * MIB, "files that claim much took {} bytes", peak() - before);

    let file = [meta(EXPLICIT), attributes(5928, 4728), element(0x7FE0_0010, "OW", &vec![1; 2 * 5928 * 4728])].concat();
    let held = 2 * 5928 * 4728;
    reset_peak();
    let before = peak();
    let mammogram = read(&file, &DecodeLimits::default()).unwrap();
    let native = peak() - before;
    assert!(native < held + 4 * MIB, "{native}");
    drop((mammogram, file));

    let folder = tempfile::tempdir().unwrap();
    support::python("large.py", &[folder.path()]);
    let counted = |file: &[u8]| cost(file, &DecodeLimits::default()).bytes;
    let mut taken = vec![("native", native, 2 * 5928 * 4728)];
    for name in ["rle", "ljpeg", "j2k"] {
        let file = fs::read(folder.path().join(name)).unwrap();
        reset_peak();
        let before = peak();
        let mammogram = read(&file, &DecodeLimits::default()).unwrap();
        assert_eq!(mammogram.pixels.dim(), (3328, 2560));
        taken.push((name, peak() - before, counted(&file)));
    }
    for (name, taken, counted) in taken {
        println!("{name}: {} MiB beside the file", taken / MIB);
        let most = if name == "j2k" { 200 } else { 70 };
        assert!(taken < most * MIB, "{name} took {taken} bytes");
        assert!(taken < counted + 4 * MIB, "{name} took {taken} bytes, and counts as {counted}");
    }
}

/// Makes the peak what is held now (proc(5), clear_refs).
fn reset_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}
