//! Images and results that rest where anybody may read them: sealed under a key of the data owner's, opened by the enclave that the
//! owner's key policy measures, and by the owner.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cloister_client::Error;
use cloister_imaging::View;
use cloister_sim::kms::Fault;
use cloister_tests::{Answer, Dicom, Front, Output, Setup, World, binary, holds, image, pcr, run};
use serde_json::Value;

fn taking() -> Setup {
    Setup { takes_sealed_images: true, ..Setup::default() }
}

fn write(world: &World, name: &str, bytes: &[u8]) -> PathBuf {
    let path = world.folder().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// An image in the clear, and sealed by the command line.
fn seal_under(world: &World, key: &str, view: View, seed: u64) -> (PathBuf, PathBuf) {
    let plain = write(world, &format!("{view}-{seed}.png"), &image(view, seed));
    let sealed = plain.with_extension("sealed");
    let mut command = world.data_owner(["image", "seal"]);
    command.args(["--view", view.as_str(), "--key-id", key]).arg("--image").arg(&plain).arg("--out").arg(&sealed);
    run(&mut command).success();
    (plain, sealed)
}

fn seal(world: &World, view: View, seed: u64) -> (PathBuf, PathBuf) {
    seal_under(world, &world.data_key_arn, view, seed)
}

/// The bytes of one more sealed image.
fn sealed(world: &World, view: View, seed: u64) -> Vec<u8> {
    fs::read(seal(world, view, seed).1).unwrap()
}

fn open(mut command: Command, key: &str, file: &Path) -> Output {
    command.args(["--key-id", key]).arg(file).arg("--out").arg(file.with_extension("opened"));
    run(&mut command)
}

fn shown(file: &Path) -> Value {
    let mut command = Command::new(binary("cloister"));
    serde_json::from_str(&run(command.args(["sealed", "show", "--json"]).arg(file)).success()).unwrap()
}

async fn send(world: &World, query: &str, body: Vec<u8>) -> Answer {
    let mut front = Front::connect(&world.server).await;
    front.send("POST", &format!("/v1/images?crops=1&{query}"), "application/vnd.cloister.sealed", body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_image_comes_back_as_a_sealed_result_that_its_owner_opens_and_can_prove() {
    let world = World::ready(taking()).await;
    // The enclave has measured its model and its configuration by now, so that the owner's key can ask for them too.
    world.open_data_key_for(&world.policy.accept()[0].pcrs);
    let (plain, image) = seal(&world, View::RMlo, 4);
    assert_eq!(fs::metadata(&image).unwrap().permissions().mode() & 0o777, 0o600);
    let result = world.folder().join("result.sealed");
    let mut command = world.cloister("classify");
    command.args(["--view", "R-MLO", "--crops", "2", "--json"]).arg("--image").arg(&image).arg("--result").arg(&result);
    let said: Value = serde_json::from_str(&run(&mut command).success()).unwrap();
    assert_eq!(said["sealed_result"], result.to_str().unwrap());
    assert_eq!(said["verified"]["accepted_as"], "the image under test");
    assert!(said.get("malignant").is_none(), "whoever sends a sealed image sees no score: {said}");

    let (of_image, of_result) = (shown(&image), shown(&result));
    assert_eq!((&of_image["purpose"], &of_result["purpose"]), (&"image".into(), &"result".into()));
    assert_eq!(of_image["content_bytes"], fs::metadata(&plain).unwrap().len());
    for same in ["key_arn", "context", "wrapped_key_sha256"] {
        assert_eq!(of_image[same], of_result[same], "{same}");
    }
    assert_eq!(of_image["context"]["cloister:view"], "R-MLO");

    let (answer, receipt) = (world.folder().join("answer.json"), world.folder().join("receipt.cbor"));
    let mut command = world.data_owner(["sealed", "open"]);
    command
        .arg(&result)
        .args(["--key-id", &world.data_key_arn])
        .arg("--out")
        .arg(&answer)
        .arg("--receipt")
        .arg(&receipt);
    run(&mut command).success();
    for file in [&answer, &receipt] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "scores are its owner's to read");
    }
    let answer: Value = serde_json::from_slice(&fs::read(&answer).unwrap()).unwrap();
    let direct = world.session().await.classify(fs::read(&plain).unwrap(), View::RMlo, Some(2), None).await.unwrap();
    for label in ["benign", "malignant"] {
        // The reader of JSON may miss the last bit.
        let apart = (answer[label].as_f64().unwrap() - direct.scores[label]).abs();
        assert!(apart < 1e-12, "{label}: the same as of the plain image, and not {apart:e} apart");
    }
    // The receipt speaks of the image that was sealed, and not of its sealed form.
    let mut verify = Command::new(binary("cloister"));
    verify.args(["receipt", "verify", "--json"]).arg(&receipt).arg("--policy").arg(world.policy_file());
    let report: Value = serde_json::from_str(&run(verify.arg("--image").arg(&plain)).success()).unwrap();
    assert_eq!(report["images"][0]["same_bytes"], true);

    run(world
        .data_owner(["sealed", "open"])
        .arg(&image)
        .args(["--key-id", &world.data_key_arn])
        .arg("--out")
        .arg(&receipt))
    .success();
    assert_eq!(fs::read(&receipt).unwrap(), fs::read(&plain).unwrap(), "the owner opens the image as well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_dicom_file_is_taken_by_the_serving_platforms_path_too() {
    let world = World::ready(taking()).await;
    world.open_data_key_for(&world.policy.accept()[0].pcrs);
    let plain = write(&world, "r-mlo.dcm", &Dicom::of(View::RMlo, &image(View::RMlo, 4), 4).bytes());
    let sealed = plain.with_extension("sealed");
    let mut command = world.data_owner(["image", "seal"]);
    command.args(["--view", "R-MLO", "--key-id", &world.data_key_arn]).arg("--image").arg(&plain);
    run(command.arg("--out").arg(&sealed)).success();
    let invoke = async |attributes: &'static str| {
        let headers =
            [("content-type", "application/vnd.cloister.sealed"), ("x-amzn-sagemaker-custom-attributes", attributes)];
        let mut front = Front::connect(&world.server).await;
        front.send_with("POST", "/invocations", &headers, fs::read(&sealed).unwrap()).await
    };
    let answer = invoke("view=R-MLO,crops=1").await;
    assert_eq!(answer.status, 200, "{}", answer.problem());
    let result = write(&world, "result.sealed", &answer.body);
    open(world.data_owner(["sealed", "open"]), &world.data_key_arn, &result).success();
    let opened: Value = serde_json::from_slice(&fs::read(result.with_extension("opened")).unwrap()).unwrap();
    let direct = world.session().await.classify(fs::read(&plain).unwrap(), None, Some(1), None).await.unwrap();
    let apart = (opened["malignant"].as_f64().unwrap() - direct.scores["malignant"]).abs();
    assert!(apart < 1e-12, "{apart:e}");
    let other = invoke("view=L-MLO,crops=1").await;
    assert!(other.status >= 400 && !holds(&other.body, b"malignant"), "another view than it was sealed as");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_and_what_rests_shows_neither_image_nor_scores_and_no_two_results_are_alike() {
    let world = World::ready(Setup { overheard: true, ..taking() }).await;
    let (plain, image) = seal(&world, View::LCc, 8);
    let (png, image) = (fs::read(plain).unwrap(), fs::read(image).unwrap());
    let mut session = world.session().await;
    let mut results = Vec::new();
    for crops in [1, 1, 3] {
        results.push(session.classify_sealed(image.clone(), View::LCc, Some(crops), None).await.unwrap());
    }
    assert!(results.iter().all(|result| result.len() == results[0].len()), "a length tells nothing of what is in it");
    assert_ne!(results[0], results[1]);
    let (head, rest) = results[0].split_at(60);
    assert_ne!(head[21..53], results[1][21..53], "each has a salt of its own, and so a key");
    assert!(!holds(&results[1], &rest[rest.len() - 64..]));

    let pixels = &png[png.len() / 2..png.len() / 2 + 16];
    let seen = world.overheard.iter().flat_map(|relay| [relay.from_clients(), relay.from_server()]);
    for bytes in seen.chain(results).chain([image]) {
        for (what, part) in
            [("the image", pixels), ("its head", b"IHDR"), ("a score", b"malignant"), ("a receipt", b"receipt")]
        {
            assert!(!holds(&bytes, part), "{what} is in the clear");
        }
    }
    for words in [world.enclave.process.words(), world.parent.words(), world.proxy.words()] {
        assert!(!words.contains("malignant") && !words.contains(&world.data_key_arn), "{words}");
    }
}

/// Where the member of that name begins in a sealed file's header, and where the header ends.
fn member(sealed: &[u8], name: &str) -> (usize, usize) {
    let header = u32::from_be_bytes(sealed[9..13].try_into().unwrap()) as usize;
    let at = sealed.windows(name.len()).position(|window| window == name.as_bytes()).expect("the header names it");
    (at + name.len(), 13 + header)
}

fn with(mut sealed: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let (after, _) = member(&sealed, from);
    sealed[after - from.len()..after].copy_from_slice(to.as_bytes());
    sealed
}

/// Chunks of 4 MiB in place of 64 KiB, which the format allows.
fn larger_chunks(sealed: &[u8]) -> Vec<u8> {
    let mut file = sealed.to_vec();
    let (chunk, _) = member(sealed, "echunk");
    assert_eq!(file[chunk..chunk + 5], [0x1a, 0, 1, 0, 0], "65536 in CBOR");
    file[chunk + 2] = 0x40;
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_in_a_header_is_refused_before_kms_is_asked() {
    let world = World::ready(taking()).await;
    let image = sealed(&world, View::LCc, 1);
    let other_key = world.another_data_key();
    let under_other_key = fs::read(seal_under(&world, &other_key, View::LCc, 2).1).unwrap();
    let result = world.session().await.classify_sealed(image.clone(), View::LCc, Some(1), None).await.unwrap();
    let model = fs::read(&world.sealed).unwrap();
    let mut endless = image.clone();
    endless[9..13].copy_from_slice(&u32::MAX.to_be_bytes());
    // The header's own purpose, behind the one in its context.
    let mut relabelled = image.clone();
    let purpose = image.windows(13).rposition(|window| window == b"purposeeimage").unwrap();
    relabelled[purpose + 8..purpose + 13].copy_from_slice(b"model");
    let before = world.kms.requests();
    for (name, body, status, problem) in [
        ("a key that the configuration does not list", under_other_key, 403, "data-key-not-allowed"),
        ("a result played back as an image", result, 422, "sealed-not-an-image"),
        ("the model", model, 422, "sealed-not-an-image"),
        ("an image relabelled as a model", relabelled, 422, "sealed-not-an-image"),
        ("another purpose for KMS", with(image.clone(), "purposeeimage", "purposeemodel"), 422, "sealed-not-an-image"),
        ("another view", with(image.clone(), "L-CC", "R-CC"), 422, "sealed-other-view"),
        ("no view", with(image.clone(), "cloister:view", "cloister:vieW"), 422, "sealed-not-an-image"),
        ("another version", [&image[..8], &[2], &image[9..]].concat(), 422, "sealed-damaged"),
        ("a header without end", endless, 422, "sealed-damaged"),
        ("cut within its header", image[..100].to_vec(), 422, "sealed-damaged"),
        ("its first bytes alone", image[..8].to_vec(), 422, "sealed-damaged"),
        ("chunks larger than any image's", larger_chunks(&image), 422, "sealed-damaged"),
    ] {
        let answer = send(&world, "view=L-CC", body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, problem), "{name}: {}", answer.json());
    }
    let swapped = send(&world, "view=R-CC", image.clone()).await;
    assert_eq!((swapped.status, swapped.problem().as_str()), (422, "sealed-other-view"));
    assert_eq!(world.kms.requests(), before, "KMS was asked");
    assert_eq!(send(&world, "view=L-CC", image).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_whose_configuration_lists_no_data_key_takes_no_sealed_image() {
    let world = World::ready(Setup::default()).await;
    let answer = send(&world, "view=L-CC", sealed(&world, View::LCc, 1)).await;
    assert_eq!((answer.status, answer.problem().as_str()), (403, "data-key-not-allowed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_image_that_was_changed_is_refused_whatever_was_changed() {
    let world = World::ready(taking()).await;
    let (image, other) = (sealed(&world, View::LCc, 1), sealed(&world, View::LCc, 2));
    let (key, end) = member(&image, "wrapped_key");
    let (_, other_end) = member(&other, "wrapped_key");
    assert_eq!(end, other_end, "headers of one length");
    let flipped = |at: usize| {
        let mut file = image.clone();
        file[at] ^= 1;
        file
    };
    let (name, _) = member(&image, "cloister:image");
    let digit = if image[name + 5] == b'0' { b'1' } else { b'0' };
    for (what, body, problem) in [
        (
            "the wrapped key of another image",
            [&image[..key], &other[key..end], &image[end..]].concat(),
            "wrapped-key-refused",
        ),
        ("a bit of the wrapped key", flipped(end - 1), "wrapped-key-refused"),
        ("another name", [&image[..name + 5], &[digit], &image[name + 6..]].concat(), "wrapped-key-refused"),
        ("the header of another image", [&other[..end], &image[end..]].concat(), "sealed-damaged"),
        ("a bit of the nonce", flipped(end), "sealed-damaged"),
        ("a bit of the content", flipped(image.len() / 2), "sealed-damaged"),
        ("the last bit", flipped(image.len() - 1), "sealed-damaged"),
        ("cut short", image[..image.len() - 1].to_vec(), "sealed-damaged"),
        ("cut between chunks", image[..end + 7 + 65_536 + 16].to_vec(), "sealed-damaged"),
        ("gone on with", [image.as_slice(), b"more"].concat(), "sealed-damaged"),
    ] {
        let answer = send(&world, "view=L-CC", body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (422, problem), "{what}: {}", answer.json());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_image_itself_is_said_as_of_a_plain_one() {
    let world = World::ready(taking()).await;
    // Sealed as the left breast, and drawn as the right one.
    let plain = write(&world, "right.png", &image(View::RCc, 3));
    let file = plain.with_extension("sealed");
    let mut command = world.data_owner(["image", "seal"]);
    command
        .args(["--view", "L-CC", "--key-id", &world.data_key_arn])
        .arg("--image")
        .arg(&plain)
        .arg("--out")
        .arg(&file);
    run(&mut command).success();
    let answer = send(&world, "view=L-CC", fs::read(&file).unwrap()).await;
    assert_eq!((answer.status, answer.problem().as_str()), (422, "image-wrong-side"));

    // What is no image is not sealed in the first place.
    let text = write(&world, "text.png", b"no image");
    let mut command = world.data_owner(["image", "seal"]);
    command.args(["--view", "L-CC", "--key-id", &world.data_key_arn]).arg("--image").arg(&text).arg("--out").arg(&file);
    assert_eq!(run(&mut command).code, 65);

    let head = "--b\r\nContent-Disposition: form-data; name=\"L-CC\"\r\n\r\n";
    let part = [head.as_bytes(), &sealed(&world, View::LCc, 1), b"\r\n--b--\r\n"].concat();
    let mut front = Front::connect(&world.server).await;
    let answer = front.send("POST", "/v1/exams", "multipart/form-data; boundary=b", part).await;
    assert_eq!((answer.status, answer.problem().as_str()), (422, "sealed-part"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_asks_for_another_image_model_or_configuration_is_not_released_until_its_policy_is_mended() {
    let world = World::ready(taking()).await;
    let image = sealed(&world, View::LCc, 1);
    let own = world.policy.accept()[0].pcrs.clone();
    for index in [0, 16, 17] {
        let mut other = own.clone();
        other.insert(index, pcr(9));
        world.open_data_key_for(&other);
        let answer = send(&world, "view=L-CC", image.clone()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (503, "data-key-not-released"), "PCR{index}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        // The person who must mend the policy reads the measurement that it asks otherwise for.
        assert!(detail.contains(&hex::encode(own[&index])) && detail.contains(&world.data_key_arn), "{detail}");
    }
    world.open_data_key_for(&own);
    assert_eq!(send(&world, "view=L-CC", image).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kms_that_lies_gets_no_image_opened_and_ended_credentials_are_asked_for_again() {
    let world = World::ready(taking()).await;
    let image = sealed(&world, View::LCc, 1);
    for (fault, problem) in [
        (Fault::PlaintextBesideCiphertext, "data-key-not-released"),
        (Fault::OtherKeyId(world.key_arn.clone()), "data-key-not-released"),
        (Fault::GarbageCms, "data-key-not-released"),
        (Fault::OtherDataKey, "sealed-damaged"),
    ] {
        world.kms.inject(fault.clone());
        let answer = send(&world, "view=L-CC", image.clone()).await;
        assert_eq!(answer.problem(), problem, "{fault:?}");
    }
    for fault in [Fault::ExpiredToken, Fault::Throttle] {
        world.kms.inject_times(fault.clone(), 2);
        assert_eq!(send(&world, "view=L-CC", image.clone()).await.status, 200, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kms_that_stalls_holds_up_sealed_images_for_a_bounded_time_and_plain_ones_not_at_all() {
    let world = World::ready(taking()).await;
    let image_bytes = sealed(&world, View::LCc, 1);
    let before = world.kms.requests();
    world.kms.inject(Fault::Stall);
    let begun = Instant::now();
    let flood: Vec<_> = (0..10)
        .map(|_| {
            let (server, body) = (world.server.clone(), image_bytes.clone());
            tokio::spawn(async move { Front::connect(&server).await.post_image("view=L-CC&crops=1", body).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let plain = Front::connect(&world.server).await.post_image("view=L-CC&crops=1", image(View::LCc, 1)).await;
    assert_eq!(plain.status, 200, "a plain image needs no key");
    // No second try begins before the first has taken ten seconds.
    let (asked, elapsed) = (world.kms.requests() - before, begun.elapsed());
    assert!(elapsed < Duration::from_secs(10), "it waited for KMS: {elapsed:?}");
    assert!((1..=4).contains(&asked), "a flood of sealed images came to {asked} calls of KMS at once");
    for answer in flood {
        let answer = answer.await.unwrap();
        assert_eq!((answer.status, answer.problem().as_str()), (503, "data-key-not-released"));
        assert!(answer.retry_after.is_some());
    }
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    world.kms.clear_fault();
    assert_eq!(send(&world, "view=L-CC", image_bytes).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_images_that_would_fill_the_memory_while_kms_stalls_leave_room_for_plain_ones() {
    const LARGE: usize = 38 * 1024 * 1024;
    let world = World::ready(taking()).await;
    let mut body = sealed(&world, View::LCc, 1);
    // What is behind the header is looked at once there is a key.
    body.resize(LARGE, 0);
    world.kms.inject(Fault::Stall);
    let mut flood = Vec::new();
    for _ in 0..6 {
        let (server, body) = (world.server.clone(), body.clone());
        flood.push(tokio::spawn(
            async move { Front::connect(&server).await.post_image("view=L-CC&crops=1", body).await },
        ));
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    let plain = Front::connect(&world.server).await.post_image("view=L-CC&crops=1", image(View::LCc, 1)).await;
    assert_eq!(plain.status, 200, "{:?}", String::from_utf8_lossy(&plain.body));
    let mut problems = Vec::new();
    for answer in flood {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, 503);
        problems.push(answer.problem());
    }
    assert!(problems.iter().any(|problem| problem == "busy"), "none was refused: {problems:?}");
    assert!(problems.iter().any(|problem| problem == "data-key-not-released"), "none waited: {problems:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_opens_a_result_and_only_under_the_key_that_it_names() {
    let world = World::ready(taking()).await;
    let (plain, image) = seal(&world, View::LCc, 1);
    let mut session = world.session().await;
    let result = session.classify_sealed(fs::read(&image).unwrap(), View::LCc, Some(1), None).await.unwrap();
    let result = write(&world, "result.sealed", &result);
    let (own, other) = (world.data_key_arn.clone(), world.another_data_key());

    let denied = open(world.parent_as_owner(["sealed", "open"]), &own, &result);
    assert_eq!(denied.code, 69, "the parent's role without an enclave: {denied:?}");
    let unpinned = open(world.data_owner(["sealed", "open"]), &other, &result);
    assert_eq!(unpinned.code, 77, "{unpinned:?}");
    assert!(unpinned.stderr.contains("another key"), "{unpinned:?}");
    // Another image's wrapped key, of the same owner and key: its context is another.
    let (bytes, (_, stranger)) = (fs::read(&result).unwrap(), seal(&world, View::LCc, 2));
    let stranger = fs::read(stranger).unwrap();
    let ((at, end), (from, to)) = (member(&bytes, "wrapped_key"), member(&stranger, "wrapped_key"));
    let swapped = write(&world, "swapped.sealed", &[&bytes[..at], &stranger[from..to], &bytes[end..]].concat());
    let changed = write(&world, "changed.sealed", &[&bytes[..bytes.len() - 1], &[bytes[bytes.len() - 1] ^ 1]].concat());
    for file in [&swapped, &changed] {
        let refused = open(world.data_owner(["sealed", "open"]), &own, file);
        assert_eq!(refused.code, 77, "{refused:?}");
        assert!(!file.with_extension("opened").exists(), "nothing of it was written");
    }
    for file in [&world.sealed, &plain] {
        let refused = open(world.data_owner(["sealed", "open"]), &own, file);
        assert_eq!(refused.code, 65, "a model, or nothing sealed: {refused:?}");
    }
    let refused = open(world.data_owner(["sealed", "open"]), "alias/images", &result);
    assert_eq!(refused.code, 77, "{refused:?}");
    assert_eq!(open(world.data_owner(["sealed", "open"]), &own, &result).code, 0);

    let bad_usage = |arguments: &[&str], image: &Path| {
        run(world.cloister("classify").args(["--view", "L-CC"]).args(arguments).arg("--image").arg(image)).code
    };
    assert_eq!(bad_usage(&[], &image), 64, "a sealed image without a place for its result");
    assert_eq!(bad_usage(&["--result", "x"], &plain), 64, "a plain one with such a place");
    assert_eq!(bad_usage(&["--result", "x", "--receipt", "y"], &image), 64, "its receipt is in its result");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_sends_nothing_but_images_sealed() {
    let world = World::ready(taking()).await;
    let mut session = world.session().await;
    let model = fs::read(&world.sealed).unwrap();
    assert!(matches!(session.classify_sealed(model, View::LCc, None, None).await, Err(Error::NotAnImage(_))));
    let plain = session.classify_sealed(image(View::LCc, 1), View::LCc, None, None).await;
    assert!(matches!(plain, Err(Error::NotSealed(_))));
    world.open_data_key_for(&BTreeMap::from([(0, pcr(9))]));
    let file = sealed(&world, View::LCc, 1);
    let refused = session.classify_sealed(file, View::LCc, None, None).await;
    assert!(matches!(refused, Err(Error::Refused { status: 503, .. })), "{refused:?}");
}
