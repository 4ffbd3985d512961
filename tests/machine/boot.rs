//! From a switched-off machine to a score.

use std::process::Command;

use cloister_attest::{CONFIGURATION_PCR, MODEL_PCR};
use cloister_imaging::View;
use cloister_tests::{Machine, MachineSetup, Tools, binary, image, run};
use serde_json::Value;

/// What an image may have with its kernel.
const MOST_BYTES: u64 = 25_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn an_image_boots_earns_its_key_and_scores_as_a_native_run_does() {
    let Some(tools) = Tools::prepared() else { return };
    let mut machine = Machine::start(&tools, &MachineSetup::default()).await;
    let mut session = machine.session().await;
    let ready = machine.started.elapsed();
    assert_eq!(machine.heartbeats(), 1, "the enclave says once that it lives");

    let said = session.attested().pcrs.clone();
    for index in [0, 1, 2] {
        assert_eq!(said[&index], machine.image.pcrs[&index], "PCR{index} is what was computed before anything ran");
    }
    // Only locked registers stand in a document.
    for index in [MODEL_PCR, CONFIGURATION_PCR] {
        assert!(said[&index].iter().any(|byte| *byte != 0), "PCR{index} is measured and locked");
    }

    let png = image(View::LCc, 11);
    let answer = serde_json::to_value(session.classify(png.clone(), View::LCc, Some(1), None).await.unwrap()).unwrap();
    let file = machine.folder().join("image.png");
    std::fs::write(&file, png).unwrap();
    let mut command = Command::new(binary("cloister"));
    command.args(["model", "run", "--json", "--view", "L-CC", "--crops", "1", "--package"]).arg(&machine.package);
    let native: Value = serde_json::from_str(&run(command.arg("--image").arg(&file)).success()).unwrap();
    for label in ["benign", "malignant"] {
        let [here, there] = [&native, &answer].map(|scores| scores[label].as_f64().unwrap());
        assert!((here - there).abs() < 1e-4, "{label}: {here} natively, {there} in the machine");
    }

    let bytes = std::fs::metadata(&machine.image.file).unwrap().len();
    assert!(bytes < MOST_BYTES, "the image has {bytes} bytes");
    println!("boot to ready {:.1} s on an emulated processor, image {:.1} MB", ready.as_secs_f64(), bytes as f64 / 1e6);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_releases_image_boots_and_takes_no_unsigned_document() {
    let Some(tools) = Tools::prepared() else { return };
    let machine = Machine::start(&tools, &MachineSetup { release: true, ..MachineSetup::default() }).await;
    machine.until_said("the security module's document cannot be read").await;
    assert_eq!(machine.heartbeats(), 1);
    assert!(!machine.parent.words().contains("\"ready\""), "{}", machine.parent.words());
}

/// Flips one bit in the middle of the file: in the program, which is most of it.
fn in_the_program(image: &mut [u8]) {
    let middle = image.len() / 2;
    image[middle] ^= 1;
}

/// Flips one bit in the kernel, which follows the header.
fn in_the_kernel(image: &mut [u8]) {
    image[1_000_000] ^= 1;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_with_one_bit_flipped_does_not_boot() {
    let Some(tools) = Tools::prepared() else { return };
    for spoil in [in_the_program as fn(&mut [u8]), in_the_kernel] {
        let mut machine = Machine::start(&tools, &MachineSetup { spoil: Some(spoil), ..MachineSetup::default() }).await;
        let code = machine.ended();
        assert_ne!(code, Some(0), "{}", machine.emulator.words());
        assert!(machine.emulator.words().to_lowercase().contains("crc"), "{}", machine.emulator.words());
        assert_eq!(machine.heartbeats(), 0);
    }
}

/// Says more on the console, which would hurt nobody, and mends the checksum.
fn another_command_line(image: &mut [u8]) {
    const CHECKSUM: std::ops::Range<usize> = 544..548;
    let place = image.windows(10).position(|part| part == b"loglevel=4").unwrap();
    image[place + 9] = b'5';
    let mut sum = crc32fast::Hasher::new();
    sum.update(&image[..CHECKSUM.start]);
    sum.update(&image[CHECKSUM.end..]);
    image[CHECKSUM].copy_from_slice(&sum.finalize().to_be_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_was_changed_and_has_its_checksum_mended_boots_and_gets_no_key() {
    let Some(tools) = Tools::prepared() else { return };
    let setup = MachineSetup { spoil: Some(another_command_line), ..MachineSetup::default() };
    let machine = Machine::start(&tools, &setup).await;
    machine.until_said("the model's key was not released").await;
    assert_eq!(machine.heartbeats(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_does_not_answer_the_heartbeat_has_no_enclave() {
    let Some(tools) = Tools::prepared() else { return };
    let setup = MachineSetup { silent_parent: true, ..MachineSetup::default() };
    let mut machine = Machine::start(&tools, &setup).await;
    machine.ended();
    assert!(machine.heartbeats() >= 1);
    assert!(machine.emulator.words().contains("heartbeat"), "{}", machine.emulator.words());
}
