//! What a page hears while an exam is on its way, what is deleted afterwards, and what all of it takes.

use std::process::{Command, Stdio};

use cloister_imaging::View;
use cloister_tests::{Client, Gateway, Setup, World, binary, image, run};

async fn send(client: &Client, seed: u64) -> String {
    let sent = client.send_views("", &View::ALL.map(|view| (view, image(view, seed)))).await;
    assert_eq!(sent.status, 201, "{}", String::from_utf8_lossy(&sent.body));
    sent.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_hears_of_each_change_as_it_comes() {
    let world = World::ready(Setup::default()).await;
    let folder = world.folder().join("gateway");
    let gateway = Gateway::start(&folder, &[&world.server], &world.policy_file(), "");
    gateway.ready().await;
    let url = gateway.address.to_string().replace("tcp://", "http://") + "/api/v1/events";
    let mut curl = Command::new("curl");
    let listening = curl.args(["--silent", "--no-buffer", "--include", "--max-time", "60", &url]);
    let listening = listening.stdout(Stdio::piped()).spawn().unwrap();
    let (id, client) = (send(&gateway.client(), 3).await, gateway.client());
    client.until(&id, &["answered"]).await;
    assert_eq!(client.ask("DELETE", &format!("/api/v1/exams/{id}"), "text/plain", "").await.status, 204);
    // The last change, and then a comment, within a heartbeat.
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    // Nobody who listens holds up its end.
    let mut gateway = gateway;
    let ending = std::time::Instant::now();
    assert_eq!(gateway.process.terminate(), Some(0));
    assert!(ending.elapsed() < std::time::Duration::from_secs(8), "{:?}", ending.elapsed());
    let heard = String::from_utf8(listening.wait_with_output().unwrap().stdout).unwrap();
    assert!(heard.to_lowercase().contains("content-type: text/event-stream"), "{heard}");
    let events: Vec<(&str, serde_json::Value)> = heard
        .split("\n\n")
        .filter_map(|event| {
            let name = event.lines().find_map(|line| line.strip_prefix("event: "))?;
            let data = event.lines().find_map(|line| line.strip_prefix("data: "))?;
            Some((name, serde_json::from_str(data).ok()?))
        })
        .collect();
    assert_eq!(events[0].0, "enclaves");
    let states: Vec<_> =
        events.iter().filter(|(name, _)| *name == "exam").map(|(_, exam)| exam["state"].clone()).collect();
    assert!(states.contains(&"answered".into()) && states.len() >= 2, "{states:?}");
    assert!(events.iter().any(|(name, data)| *name == "deleted" && data["id"] == id.as_str()), "{heard}");
    assert!(heard.contains(": still here"), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn exams_go_when_their_days_are_over_and_the_audit_log_keeps_that_they_were() {
    let world = World::ready(Setup::default()).await;
    let folder = world.folder().join("gateway");
    let gateway = Gateway::start(&folder, &[&world.server], &world.policy_file(), "[retention]\nexam_days = 0\n");
    gateway.ready().await;
    let mut second = Command::new(binary("cloister"));
    let second = run(second.args(["gateway", "--config"]).arg(folder.join("gateway.toml")));
    assert!(second.code == 69 && second.stderr.contains("another gateway uses"), "{second:?}");
    let client = gateway.client();
    let id = send(&client, 4).await;
    let end = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while client.get(&format!("/api/v1/exams/{id}")).await.status != 404 {
        assert!(std::time::Instant::now() < end, "the exam is still there");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let there = || std::fs::read_dir(gateway.data.join("spool/exams")).unwrap().count();
    while there() > 0 {
        assert!(std::time::Instant::now() < end, "its files are still there");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let log = std::fs::read_to_string(gateway.audit()).unwrap();
    let of_exam: Vec<_> = log.lines().filter(|line| line.contains(&id)).collect();
    for what in ["receive", "send", "answer", "delete"] {
        assert!(of_exam.iter().any(|line| line.contains(&format!("\"code\":\"{what}\""))), "{what} is not in\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_whose_deletion_broke_off_are_deleted_at_the_next_start() {
    let world = World::ready(Setup::default()).await;
    let folder = world.folder().join("gateway");
    let mut gateway = Gateway::start(&folder, &[&world.server], &world.policy_file(), "[retention]\nimage_hours = 0\n");
    gateway.ready().await;
    let id = send(&gateway.client(), 5).await;
    let images = gateway.data.join("spool/exams").join(&id);
    let until_gone = async || {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(120);
        while (1..=4).any(|number| images.join(number.to_string()).exists()) {
            assert!(std::time::Instant::now() < end, "its images are still there");
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    until_gone().await;
    assert_eq!(gateway.client().exam(&id).await["images_kept"], false);
    gateway.process.terminate();
    // As a crash between the work list and the disk would have left it.
    std::fs::write(images.join("3"), image(View::LMlo, 5)).unwrap();
    gateway.start_again();
    until_gone().await;
    let log = std::fs::read_to_string(gateway.audit()).unwrap();
    assert_eq!(log.matches("delete-images").count(), 2, "each is written down\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_on_disk_and_not_in_memory() {
    let world = World::start(Setup::default()).await;
    let folder = world.folder().join("gateway");
    let gateway = Gateway::start(&folder, &[&world.server], &world.policy_file(), "");
    gateway.ready().await;
    let before = gateway.process.peak_memory();
    // Sixteen at once, each of four files of 30 MB that turn out to be no images: 1.9 GB.
    let large = vec![b'x'; 30_000_000];
    let parts: Vec<(&str, &[u8])> = View::ALL.iter().map(|view| (view.as_str(), large.as_slice())).collect();
    let (kind, body) = cloister_tests::form(&parts);
    let body = bytes::Bytes::from(body);
    let uploads = (0..16).map(|_| {
        let (client, kind, body) = (gateway.client(), kind.clone(), body.clone());
        tokio::spawn(async move { client.ask("POST", "/api/v1/exams", &kind, body).await.status })
    });
    let uploads: Vec<_> = uploads.collect();
    for upload in uploads {
        assert_eq!(upload.await.unwrap(), 422);
    }
    let took = gateway.process.peak_memory() - before;
    eprintln!("16 uploads of 120 MB took {} MB", took / 1_000_000);
    // Two files are looked at a time; of what was freed, the allocator keeps some for each thread. All that was sent is six times as much.
    assert!(took < 600_000_000, "{took}");
    assert!(16 * body.len() > 1_900_000_000);
}
