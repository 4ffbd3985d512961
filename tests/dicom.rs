//! DICOM in, through the attested channel: what a PACS exports scores as the same pixels do, says its own view, and is named by nothing
//! but its own identifier.

use std::path::PathBuf;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloister_client::{Allowed, Error, receipt};
use cloister_imaging::View;
use cloister_tests::{Answer, Dicom, Front, PATIENT_NAME, Setup, World, binary, holds, image, run};
use serde_json::{Value, json};

const DICOM: &str = "application/dicom";

/// Attributes of the file's, group and element in one number.
const SOP_CLASS: u32 = 0x0008_0016;
const INTENT: u32 = 0x0008_0068;
const PATIENT_ID: u32 = 0x0010_0020;
const STUDY: u32 = 0x0020_000D;
const BURNED_IN: u32 = 0x0028_0301;
const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";

fn file(view: View) -> Dicom {
    Dicom::of(view, &image(view, 11), view as u32 + 1)
}

async fn post(front: &mut Front, query: &str, kind: &str, file: Vec<u8>) -> Answer {
    front.send("POST", &format!("/v1/images?{query}"), kind, file).await
}

/// An answer without its receipt, and the receipt.
fn apart(mut answer: Value) -> (Value, Vec<u8>) {
    let receipt = answer.as_object_mut().unwrap().remove("receipt").unwrap();
    (answer, STANDARD.decode(receipt.as_str().unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dicom_file_scores_as_the_png_of_its_pixels_in_every_bit() {
    let world = World::ready(Setup::default()).await;
    let mut front = Front::connect(&world.server).await;
    let mut session = world.session().await;
    for view in View::ALL {
        let (png, dicom) = (image(view, 11), file(view).bytes());
        let named = post(&mut front, &format!("view={view}&crops=2"), "image/png", png.clone()).await;
        let said = post(&mut front, "crops=2", DICOM, dicom.clone()).await;
        let unnamed = post(&mut front, "crops=2", "application/octet-stream", dicom.clone()).await;
        let ((named, _), (said, _), (unnamed, _)) = (apart(named.json()), apart(said.json()), apart(unnamed.json()));
        assert_eq!(said.to_string(), named.to_string());
        assert_eq!(unnamed.to_string(), named.to_string());
        assert!(said.get("findings").is_none(), "{said}");

        let from_png = session.classify(png, view, Some(2), None).await.unwrap();
        let from_dicom = session.classify(dicom, None, Some(2), None).await.unwrap();
        assert_eq!((from_dicom.view, &from_dicom.scores), (view, &from_png.scores));
        let claims = |answer: &cloister_client::Classification| {
            let receipt = answer.receipt.clone().unwrap().0;
            receipt::verify(&receipt, &world.policy).unwrap().claims.views[0].clone()
        };
        let (png, dicom) = (claims(&from_png), claims(&from_dicom));
        let uid = format!("1.2.826.0.1.3680043.8.1.{}", view as u32 + 1);
        assert_eq!((png.sop_instance_uid, dicom.sop_instance_uid), (None, Some(uid)));
        assert_eq!(png.pixels_sha256, dicom.pixels_sha256);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_read_is_refused_for_its_reason() {
    let world = World::ready(Setup::default()).await;
    let mut front = Front::connect(&world.server).await;
    let good = file(View::LCc);
    let whole = good.bytes();
    let processing = good.clone().with(INTENT, "CS", "FOR PROCESSING").bytes();
    let cut = whole[..whole.len() - 1000].to_vec();
    for (query, kind, body, status, problem, words) in [
        ("view=R-CC", DICOM, whole.clone(), 422, "dicom-other-view", "L-CC"),
        ("", DICOM, processing, 422, "dicom-for-processing", "FOR PROCESSING"),
        ("", DICOM, cut, 415, "dicom-damaged", "cut short"),
        ("", DICOM, whole[..100].to_vec(), 415, "not-dicom", "PACS"),
        ("", DICOM, image(View::LCc, 1), 415, "not-dicom", "PACS"),
        ("", "image/png", image(View::LCc, 1), 400, "query", "view"),
    ] {
        let answer = post(&mut front, query, kind, body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, problem), "{query} {kind}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(words), "{detail}");
        assert!(!detail.to_ascii_lowercase().contains("canary"), "{detail}");
    }
    let agreed = post(&mut front, "view=L-CC&crops=1", DICOM, whole).await;
    assert_eq!(agreed.status, 200, "the connection still serves");
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_are_in_the_answer() {
    let world = World::ready(Setup::default()).await;
    let mut session = world.session().await;
    let film = file(View::LCc).with(SOP_CLASS, "UI", SECONDARY_CAPTURE).with(BURNED_IN, "CS", "YES");
    let answer = session.classify(film.bytes(), None, Some(1), None).await.unwrap();
    assert_eq!(answer.findings, ["burned-in-annotation", "secondary-capture"]);
}

/// What identifies a patient in a file, the image's own UID aside.
fn identifies(bytes: &[u8]) -> Option<&'static str> {
    let lower = bytes.to_ascii_lowercase();
    let name = PATIENT_NAME.to_ascii_lowercase();
    let others = ["zq7canary", "3680043.8.2.77777", "3680043.8.3.88888"];
    assert!(name.starts_with(others[0]));
    others.into_iter().find(|word| holds(&lower, word.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_identifies_nobody_but_for_the_images_uid_in_its_receipt() {
    let world = World::ready(Setup { overheard: true, ..Setup::default() }).await;
    let mut front = Front::connect(&world.server).await;
    let dicom = file(View::LCc);
    assert!(identifies(&dicom.bytes()).is_some());
    let (answer, receipt) = apart(post(&mut front, "crops=1", DICOM, dicom.bytes()).await.json());
    let uid = b"1.2.826.0.1.3680043.8.1.1";
    assert!(holds(&receipt, uid) && !holds(answer.to_string().as_bytes(), uid));
    assert_eq!((identifies(answer.to_string().as_bytes()), identifies(&receipt)), (None, None));
    let refused = [dicom.clone().with(INTENT, "CS", "FOR PROCESSING"), dicom.clone().with(SOP_CLASS, "UI", "1.2.3")];
    for dicom in refused {
        let answer = post(&mut front, "crops=1", DICOM, dicom.bytes()).await;
        assert!(answer.status >= 400 && identifies(&answer.body).is_none() && !holds(&answer.body, uid));
    }
    let metrics = front.get("/metrics").await.body;
    let mut left = [world.enclave.process.words(), world.parent.words(), world.proxy.words()].concat().into_bytes();
    left.extend(metrics);
    for overheard in &world.overheard {
        left.extend([overheard.from_clients(), overheard.from_server()].concat());
    }
    assert_eq!(identifies(&left), None);
    assert!(!holds(&left, uid));
}

/// An exam's body: each part's name and file.
fn multipart(parts: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file) in parts {
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\nContent-Type: {DICOM}\r\n\r\n");
        body.extend([head.as_bytes(), file, b"\r\n"].concat());
    }
    body.extend(b"--b--\r\n");
    body
}

async fn exam(world: &World, query: &str, parts: &[(&str, Vec<u8>)]) -> Answer {
    // A refusal in the middle of a body ends its connection.
    let mut front = Front::connect(&world.server).await;
    let path = format!("/v1/exams?crops=1{query}");
    front.send("POST", &path, "multipart/form-data; boundary=b", multipart(parts)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exams_views_are_what_its_files_say() {
    let world = World::ready(Setup::default()).await;
    let mut reversed: Vec<_> = View::ALL.map(|view| ("image", file(view).bytes())).to_vec();
    reversed.reverse();
    let (found, receipt) = apart(exam(&world, "", &reversed).await.json());
    let named = View::ALL.map(|view| (view.as_str(), file(view).bytes()));
    let (named, _) = apart(exam(&world, "", &named).await.json());
    assert_eq!(found.to_string(), named.to_string());
    assert!(found.get("findings").is_none());
    let claims = receipt::verify(&receipt, &world.policy).unwrap().claims;
    for (claim, view) in claims.views.iter().zip(View::ALL) {
        assert_eq!(claim.view, view.as_str());
        assert!(claim.sop_instance_uid.as_ref().unwrap().ends_with(&format!("8.1.{}", view as u32 + 1)));
    }

    let part = |name, view| (name, file(view).bytes());
    let all = |first| [first, part("image", View::RCc), part("image", View::LMlo), part("image", View::RMlo)];
    let doubled = exam(&world, "", &all(part("image", View::RMlo))).await;
    assert_eq!((doubled.status, doubled.problem().as_str()), (400, "part-twice"));
    let wrong = exam(&world, "", &all(part("L-MLO", View::LCc))).await;
    assert_eq!((wrong.status, wrong.problem().as_str()), (422, "dicom-other-view"));
    let missing = exam(&world, "", &all(part("image", View::LCc))[..3]).await;
    assert_eq!((missing.status, missing.problem().as_str()), (400, "part-missing"));
    let five = [all(part("image", View::LCc)).to_vec(), vec![part("image", View::LCc)]].concat();
    let five = exam(&world, "", &five).await;
    assert_eq!((five.status, five.problem().as_str()), (400, "parts-too-many"));
    let raw = file(View::LCc).with(INTENT, "CS", "FOR PROCESSING").bytes();
    let raw = exam(&world, "", &all(("image", raw))).await;
    assert_eq!((raw.status, raw.problem().as_str()), (422, "dicom-for-processing"));
    assert!(raw.json()["detail"].as_str().unwrap().starts_with("part 1: "), "{:?}", raw.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exam_of_two_patients_or_studies_is_refused_unless_it_is_asked_for() {
    let world = World::ready(Setup::default()).await;
    let of = |first: Dicom| {
        let rest = [View::RCc, View::LMlo, View::RMlo].map(|view| (view, file(view).bytes()));
        [vec![(View::LCc, first.bytes())], rest.to_vec()].concat()
    };
    let patient = file(View::LCc).with(PATIENT_ID, "LO", "another");
    let study = file(View::LCc).with(STUDY, "UI", "1.2.826.0.1.3680043.8.2.99999");
    let mut session = world.session().await;
    for (images, finding, words) in
        [(of(patient), "mixed-patients", "PatientID"), (of(study), "mixed-studies", "StudyInstanceUID")]
    {
        match session.exam(images.clone(), Some(1), None).await {
            Err(Error::Refused { status: 422, kind, detail: Some(detail), .. }) => {
                assert_eq!(kind, "urn:cloister:problem:exam-mixed");
                assert!(detail.contains(words) && !detail.contains("another"), "{detail}");
            }
            other => panic!("{other:?}"),
        }
        let taken =
            session.exam_allowing(Allowed { mixed: true, missing: false }, images, Some(1), None).await.unwrap();
        assert_eq!(taken.findings, [finding]);
    }
    let unnamed = View::ALL.map(|view| ("image", file(view).bytes()));
    let word = exam(&world, "&mixed=yes", &unnamed).await;
    assert_eq!((word.status, word.problem().as_str()), (400, "query"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_takes_dicom_without_a_view_and_keeps_asking_for_a_pngs() {
    let world = World::ready(Setup::default()).await;
    let write = |name: &str, bytes: Vec<u8>| -> PathBuf {
        let path = world.folder().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let paths = View::ALL.map(|view| write(&format!("{view}.dcm"), file(view).bytes()));
    let kept = world.folder().join("receipt.cbor");
    let classify = |image: &PathBuf, more: &[&str]| {
        run(world.cloister("classify").arg("--image").arg(image).args(["--crops", "1"]).args(more))
    };
    let answer = classify(&paths[2], &["--json", "--receipt", kept.to_str().unwrap()]).success();
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["view"], "L-MLO");
    assert_eq!(classify(&paths[2], &["--view", "R-MLO"]).code, 65);
    let png = classify(&write("l-cc.png", image(View::LCc, 11)), &[]);
    assert!(png.code == 64 && png.stderr.contains("--view"), "{png:?}");

    let mut verify = Command::new(binary("cloister"));
    verify.args(["receipt", "verify"]).arg(&kept).arg("--policy").arg(world.policy_file());
    let text = run(verify.arg("--image").arg(&paths[2])).success();
    assert!(text.contains("is the file that was sent as L-MLO"), "{text}");
    assert!(text.contains("SOP Instance UID 1.2.826.0.1.3680043.8.1."), "{text}");

    let mut exam = world.cloister("exam");
    for (flag, path) in ["--l-cc", "--r-cc", "--l-mlo", "--r-mlo"].into_iter().zip(&paths) {
        exam.arg(flag).arg(path);
    }
    assert!(run(exam.args(["--crops", "1"])).success().contains("left  breast  benign 0."));

    let mut model = Command::new(binary("cloister"));
    model.args(["model", "run", "--json", "--crops", "1", "--package"]).arg(&world.package);
    let local: Value = serde_json::from_str(&run(model.arg("--image").arg(&paths[2])).success()).unwrap();
    assert_eq!(local["view"], "L-MLO");
}

#[test]
fn the_command_line_shows_what_is_read_of_a_file_and_nothing_of_the_patient() {
    let folder = tempfile::tempdir().unwrap();
    let show = |dicom: Dicom, more: &[&str]| {
        let path = folder.path().join("f.dcm");
        std::fs::write(&path, dicom.bytes()).unwrap();
        let output = run(Command::new(binary("cloister")).args(["dicom", "show"]).arg(&path).args(more));
        assert_eq!(identifies([output.stdout.as_str(), &output.stderr].concat().as_bytes()), None, "{output:?}");
        output
    };
    let film = file(View::RMlo).with(SOP_CLASS, "UI", SECONDARY_CAPTURE);
    let shown: Value = serde_json::from_str(&show(film.clone(), &["--json"]).success()).unwrap();
    let expected = json!({"view": "R-MLO", "rows": 832, "columns": 640, "bits": 16, "findings": ["secondary-capture"],
        "transfer_syntax": "explicit VR little endian"});
    assert_eq!(shown, expected);
    assert!(show(film, &[]).success().contains("832 rows, 640 columns"));
    let refused = show(file(View::RMlo).with(INTENT, "CS", "FOR PROCESSING"), &[]);
    assert!(refused.code == 65 && refused.stderr.contains("FOR PROCESSING"), "{refused:?}");
}
