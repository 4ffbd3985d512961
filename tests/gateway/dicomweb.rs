//! The same for a PACS: instances in by STOW-RS, results out by STOW-RS and into a folder, read by pydicom.

use std::path::Path;

use cloister_imaging::View;
use cloister_test_data::readers;
use cloister_tests::{Dicom, Gateway, Setup, World, image, related};

use crate::pacs::Pacs;

const SOP_CLASS: u32 = 0x0008_0016;
const STUDY: u32 = 0x0020_000D;

/// A name in three groups (PS3.5, H), which nothing may repeat but the work list and results.
const NAME: &str = "Wang^XiaoDong=王^小东";

pub fn instances(number: u32) -> Vec<Vec<u8>> {
    let one = |(at, view): (u32, View)| {
        Dicom::of(view, &image(view, u64::from(number)), 10 * number + at)
            .with(STUDY, "UI", &format!("1.2.826.0.1.3680043.8.2.{number}"))
            .with(0x0008_0050, "SH", &format!("A-{number}"))
            .with(0x0008_0005, "CS", "ISO_IR 192")
            .with(0x0010_0010, "PN", NAME)
            .bytes()
    };
    (1..).zip(View::ALL).map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_that_a_pacs_sends_comes_back_to_it_as_results_that_others_read() {
    let world = World::ready(Setup::default()).await;
    // It is down at first.
    let pacs = Pacs::start(2).await;
    let folder = world.folder().join("gateway");
    let results = folder.join("results");
    let more =
        format!("[intake]\nquiet_seconds = 600\n[delivery]\nfolder = {results:?}\npacs = {{ url = {:?} }}\n", pacs.url);
    let gateway = Gateway::start(&folder, &[&world.server], &world.policy_file(), &more);
    let client = gateway.client();
    let mut study = instances(7);
    let last = study.pop().unwrap();
    let (kind, body) = related(&study);
    let stored = client.ask("POST", "/dicomweb/studies", &kind, body.clone()).await;
    assert_eq!((stored.status, stored.header("content-type")), (200, Some("application/dicom+json")));
    assert_eq!(stored.json()["00081199"]["Value"].as_array().unwrap().len(), 3);
    assert_eq!(client.until_listed("receiving", 1).await[0]["views"].as_array().unwrap().len(), 3);
    // What came before is there, and changes nothing.
    assert_eq!(client.ask("POST", "/dicomweb/studies", &kind, body).await.status, 200);
    let (kind, body) = related(&[last]);
    let there = "/dicomweb/studies/1.2.826.0.1.3680043.8.2.7";
    assert_eq!(client.ask("POST", there, &kind, body).await.status, 200);

    let exam = &client.until_listed("delivered", 1).await[0];
    assert_eq!((&exam["label"], &exam["source"]), (&"A-7".into(), &"stow".into()));
    assert_eq!(exam["patient"], NAME);
    let id = exam["id"].as_str().unwrap();
    let kinds: Vec<_> = exam["results"].as_array().unwrap().iter().map(|result| result["kind"].clone()).collect();
    assert_eq!(
        kinds,
        ["cad-sr", "secondary-capture", "secondary-capture", "secondary-capture", "secondary-capture", "text-sr"]
    );
    assert!(
        exam["results"].as_array().unwrap().iter().all(|result| result["delivered_to"] == "folder, pacs"),
        "{exam:#}"
    );
    let views = exam["views"].as_array().unwrap();
    assert!(views.iter().all(|view| view["has_map"] == true), "{exam:#}");
    let map = client.get(&format!("/api/v1/exams/{id}/views/L-CC/map")).await;
    let map = ::image::load_from_memory(&map.body).unwrap().into_luma8();
    assert!(map.width() <= 128 && map.height() <= 128 && map.pixels().any(|pixel| pixel.0[0] == 255));

    // In the PACS, and in the folder, are the same files, and others read them.
    let there = results.join(id);
    let (held, paths) = {
        let held = pacs.held.lock().unwrap();
        (held.instances.clone(), held.paths.clone())
    };
    assert_eq!(held.len(), 6);
    assert!(paths.iter().all(|path| path == "/dicomweb/studies/1.2.826.0.1.3680043.8.2.7"), "{:?}", paths);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&there).unwrap() {
        let path = entry.unwrap().path();
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        if path.extension().is_some_and(|ending| ending == "dcm") {
            let file = std::fs::read(&path).unwrap();
            assert_eq!(held[&crate::pacs::instance(&file)], file);
            let result = names.last().unwrap().trim_end_matches(".dcm").to_owned();
            assert_eq!(client.get(&format!("/api/v1/exams/{id}/results/{result}")).await.body, file);
        }
    }
    names.sort();
    assert_eq!(names.len(), 8, "{names:?}");
    assert!(names.contains(&"receipt.cose".to_owned()) && names.contains(&"report.json".to_owned()));
    let receipt = std::fs::read(there.join("receipt.cose")).unwrap();
    cloister_client::receipt::verify(&receipt, &world.policy).unwrap();
    let found = readers::read(&there, Path::new(env!("CARGO_TARGET_TMPDIR")));
    assert_eq!(found["cad-sr.dcm"].attributes["StudyInstanceUID"], "1.2.826.0.1.3680043.8.2.7");
    assert_eq!(found["text-sr.dcm"].attributes["AccessionNumber"], "A-7");

    // The images have served their purpose.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while client.exam(id).await["images_kept"] == true {
        assert!(std::time::Instant::now() < end, "the images are still kept");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let gone = client.get(&format!("/api/v1/exams/{id}/files/1")).await;
    assert_eq!((gone.status, gone.problem().as_str()), (410, "images-deleted"));
    let words = gateway.process.words();
    assert!(!words.contains("Wang") && !words.contains("zq7canary") && !words.contains("A-7"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_instance_is_answered_for_itself() {
    let world = World::start(Setup::default()).await;
    let folder = world.folder().join("gateway");
    let gateway = Gateway::start(&folder, &[&world.server], &world.policy_file(), "[intake]\nquiet_seconds = 1\n");
    let client = gateway.client();
    let file = |view: View, number| Dicom::of(view, &image(view, 3), number);
    let good = file(View::LCc, 1).bytes();
    let document = file(View::RCc, 2).with(SOP_CLASS, "UI", "1.2.840.10008.5.1.4.1.1.88.50").bytes();
    let twice = file(View::LCc, 3).bytes();
    let broken = file(View::RMlo, 4).bytes()[..2000].to_vec();
    let (kind, body) = related(&[good, document, twice, broken]);
    let answer = client.ask("POST", "/dicomweb/studies", &kind, body).await;
    assert_eq!(answer.status, 202);
    let answer = answer.json();
    assert_eq!(answer["00081199"]["Value"][0]["00081155"]["Value"][0], "1.2.826.0.1.3680043.8.1.1");
    let failed = answer["00081198"]["Value"].as_array().unwrap();
    let reasons: Vec<_> = failed.iter().map(|item| item["00081197"]["Value"][0].as_u64().unwrap()).collect();
    assert_eq!(reasons, [0x0122, 0x0110, 0xC000]);
    let (kind, body) = related(&[file(View::RCc, 5).bytes()]);
    let other = client.ask("POST", "/dicomweb/studies/1.2.3", &kind, body).await;
    assert_eq!(
        (other.status, other.json()["00081198"]["Value"][0]["00081197"]["Value"][0].clone()),
        (409, 0xA900.into())
    );
    assert_eq!(client.ask("POST", "/dicomweb/studies", "application/dicom", "x").await.problem(), "body-broken");

    // What does not come does not wait for ever.
    let exam = &client.until_listed("failed", 1).await[0];
    assert_eq!(exam["reason"]["type"], "missing-view");
    assert!(exam["reason"]["sentence"].as_str().unwrap().contains("R-CC, L-MLO, R-MLO"), "{exam:#}");
    // Trying again changes nothing here, and is done: it is taken up, and fails for the same reason before anything leaves.
    gateway.ready().await;
    let id = exam["id"].as_str().unwrap();
    let again = client.ask("POST", &format!("/api/v1/exams/{id}/retry"), "text/plain", "").await;
    assert_eq!((again.status, again.json()["reason"].clone()), (202, serde_json::Value::Null));
    let exam = client.until(id, &["failed"]).await;
    assert_eq!(exam["reason"]["type"], "missing-view");
    let steps: Vec<_> = exam["steps"].as_array().unwrap().iter().map(|step| step["state"].clone()).collect();
    assert_eq!(steps, ["receiving", "failed", "received", "verified", "failed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_that_failed_for_want_of_a_view_is_answered_when_it_is_sent_again_whole() {
    let world = World::ready(Setup::default()).await;
    let folder = world.folder().join("gateway");
    let gateway = Gateway::start(&folder, &[&world.server], &world.policy_file(), "[intake]\nquiet_seconds = 3\n");
    let client = gateway.client();
    let study = instances(9);
    let (kind, body) = related(&study[..3]);
    assert_eq!(client.ask("POST", "/dicomweb/studies", &kind, body).await.status, 200);
    let failed = &client.until_listed("failed", 1).await[0];
    assert_eq!(failed["reason"]["type"], "missing-view");
    let (kind, body) = related(&study);
    assert_eq!(client.ask("POST", "/dicomweb/studies", &kind, body).await.status, 200);
    let answered = &client.until_listed("answered", 1).await[0];
    assert_eq!(answered["views"].as_array().unwrap().len(), 4);
    assert_ne!(answered["id"], failed["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exam_without_a_label_is_called_by_its_accession_number_before_a_files_name() {
    let world = World::ready(Setup::default()).await;
    let gateway = Gateway::start(&world.folder().join("gateway"), &[&world.server], &world.policy_file(), "");
    gateway.ready().await;
    let study = instances(11);
    // Each part has a file name, as a browser's has.
    let parts: Vec<_> = study.iter().map(|file| ("image", file.as_slice())).collect();
    let sent = gateway.client().send_exam("", &parts).await;
    assert_eq!((sent.status, sent.json()["label"].as_str()), (201, Some("A-11")));
}
