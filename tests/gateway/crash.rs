//! Killed at any point, a gateway loses nothing and delivers nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cloister_imaging::View;
use cloister_tests::{Client, Dicom, Gateway, Setup, World, binary, image, run};
use serde_json::Value;

use crate::pacs::{Pacs, instance};

const EXAMS: u32 = 24;
const KILLS: usize = 24;
const STUDY: u32 = 0x0020_000D;

/// A generator of one's own, so that the seed that is printed is all that there is of chance (Vigna's SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn exam(number: u32) -> Vec<Vec<u8>> {
    let one = |(at, view): (u32, View)| {
        Dicom::of(view, &image(view, u64::from(number)), 100 * number + at)
            .with(STUDY, "UI", &format!("1.2.826.0.1.3680043.8.2.{number}"))
            .bytes()
    };
    (1..).zip(View::ALL).map(one).collect()
}

async fn labels(client: &Client) -> Option<BTreeMap<String, Vec<String>>> {
    let list = client.try_ask("GET", "/api/v1/exams?limit=200", "text/plain", "").await?.json();
    let mut labels = BTreeMap::<String, Vec<String>>::new();
    for exam in list["exams"].as_array()? {
        labels.entry(exam["label"].as_str()?.to_owned()).or_default().push(exam["state"].as_str()?.to_owned());
    }
    Some(labels)
}

/// Sends an exam if it is not there: an answer that a crash swallowed is told by the list.
async fn send(client: &Client, number: u32, promised: &mut BTreeSet<String>) -> Option<()> {
    let label = format!("exam-{number}");
    if labels(client).await?.contains_key(&label) {
        return Some(());
    }
    let files = exam(number);
    let mut parts: Vec<(&str, &[u8])> = vec![("label", label.as_bytes())];
    parts.extend(files.iter().map(|file| ("image", file.as_slice())));
    let (kind, body) = cloister_tests::form(&parts);
    let sent = client.try_ask("POST", "/api/v1/exams", &kind, body).await?;
    match sent.status {
        201 => drop(promised.insert(label)),
        // No enclave has been verified yet.
        409 => return None,
        other => panic!("{other} {}", String::from_utf8_lossy(&sent.body)),
    }
    Some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_killed_again_and_again_delivers_every_exam_once() {
    let seed = std::env::var("CLOISTER_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64);
    eprintln!("CLOISTER_SEED={seed}");
    let mut chance = Chance(seed);
    let world = World::ready(Setup::default()).await;
    let pacs = Pacs::start(0).await;
    // So that a kill now and then comes between the two.
    pacs.held.lock().unwrap().slow = Duration::from_millis(300);
    let folder = world.folder().join("gateway");
    let results = folder.join("results");
    let more = format!(
        "[delivery]\nfolder = {results:?}\npacs = {{ url = {:?} }}\nresults = [\"cad-sr\", \"text-sr\"]\n",
        pacs.url
    );
    let mut gateway = Gateway::start(&folder, &[&world.server], &world.policy_file(), &more);
    let (mut kills, mut promised, mut next) = (0, BTreeSet::new(), 0);
    while kills < KILLS || next < EXAMS {
        let end = Instant::now() + Duration::from_millis(100 + chance.below(2500));
        while Instant::now() < end {
            if next < EXAMS && send(&gateway.client(), next, &mut promised).await.is_some() {
                next += 1;
            } else {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        if kills < KILLS {
            gateway.process.kill();
            kills += 1;
            gateway.start_again();
        }
    }
    let client = gateway.client();
    client.until_listed("delivered", EXAMS as usize).await;
    let there = labels(&client).await.unwrap();
    let list = client.get("/api/v1/exams?limit=200").await.json();
    let sent = |exam: &&Value| exam["steps"].as_array().unwrap().iter().filter(|step| step["state"] == "sent").count();
    let again = list["exams"].as_array().unwrap().iter().filter(|exam| sent(exam) > 1).count();
    assert_eq!(there.len(), EXAMS as usize, "{there:?}");
    assert!(there.values().all(|states| states == &["delivered"]), "an exam is there twice, or undelivered: {there:?}");
    assert!(promised.iter().all(|label| there.contains_key(label)), "an exam that was taken is lost");

    // Two results of each exam, each the same object however often it was tried.
    let held = pacs.held.lock().unwrap();
    assert_eq!(held.instances.len(), 2 * EXAMS as usize);
    let mut delivered = BTreeSet::new();
    for entry in std::fs::read_dir(&results).unwrap() {
        let exam = entry.unwrap().path();
        let mut names: Vec<_> = std::fs::read_dir(&exam).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.retain(|name| !name.to_string_lossy().starts_with('.'));
        names.sort();
        assert_eq!(names, ["cad-sr.dcm", "receipt.cose", "report.json", "text-sr.dcm"]);
        for name in ["cad-sr.dcm", "text-sr.dcm"] {
            let file = std::fs::read(exam.join(name)).unwrap();
            let uid = instance(&file);
            assert_eq!(held.instances[&uid], file);
            delivered.insert(uid);
        }
        let receipt = std::fs::read(exam.join("receipt.cose")).unwrap();
        cloister_client::receipt::verify(&receipt, &world.policy).unwrap();
    }
    assert_eq!(delivered.len(), 2 * EXAMS as usize);
    let repeated = held.sent.values().filter(|sent| **sent > 1).count();
    drop(held);
    let mut verify = Command::new(binary("cloister"));
    let verified = run(verify.args(["gateway", "audit", "verify", "--json"]).arg(gateway.audit())).success();
    let events = serde_json::from_str::<Value>(&verified).unwrap()["events"].as_u64().unwrap();
    assert!(events >= u64::from(EXAMS) * 4 + KILLS as u64, "{events}");
    let spool = gateway.data.join("spool/incoming");
    assert_eq!(std::fs::read_dir(spool).unwrap().count(), 0, "nothing that broke off stays");
    eprintln!(
        "{kills} kills, {again} exams sent again, {repeated} objects that the PACS was asked to take twice, {events} audit events"
    );
}
