//! A folder that is watched, and a bucket.

use std::path::Path;
use std::time::{Duration, Instant};

use cloister_imaging::View;
use cloister_sim::moto::Moto;
use cloister_tests::{Gateway, Setup, World, cache, image};

use crate::dicomweb::instances;

async fn until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).map(|entries| entries.count()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_folder_gives_up_its_exams_and_keeps_what_is_none() {
    let world = World::ready(Setup::default()).await;
    let folder = world.folder().join("gateway");
    let watched = folder.join("in");
    std::fs::create_dir_all(watched.join("case 12")).unwrap();
    let more =
        format!("[intake]\nquiet_seconds = 600\n[intake.folder]\npath = {watched:?}\nsettled_milliseconds = 1500\n");
    let gateway = Gateway::start(&folder, &[&world.server], &world.policy_file(), &more);
    let client = gateway.client();

    // A study, of which one file is still being written, and another is renamed on the way.
    let study = instances(5);
    for (at, file) in study.iter().enumerate().take(2) {
        std::fs::write(watched.join(format!("{at}.dcm")), file).unwrap();
    }
    std::fs::write(watched.join("slow.dcm"), &study[2][..study[2].len() / 2]).unwrap();
    std::fs::write(watched.join("late.dcm.part"), &study[3]).unwrap();
    // Pictures in a folder of their own, and what is neither.
    for view in View::ALL {
        std::fs::write(watched.join("case 12").join(format!("{view}.png")), image(view, 8)).unwrap();
    }
    std::fs::write(watched.join("notes.txt"), vec![b'x'; 500]).unwrap();
    std::fs::write(watched.join("loose.png"), image(View::LCc, 1)).unwrap();

    let exam = &client.until_listed("answered", 1).await[0];
    assert_eq!((&exam["label"], &exam["source"]), (&"case 12".into(), &"folder".into()));
    until("what is no exam was not refused", || count(&watched.join("refused")) == 4).await;
    let reason = std::fs::read_to_string(watched.join("refused/loose.png.txt")).unwrap();
    assert!(reason.contains("named by its view"), "{reason}");
    let reason = std::fs::read_to_string(watched.join("refused/notes.txt.txt")).unwrap();
    assert!(reason.contains("neither DICOM nor PNG"), "{reason}");
    let receiving = client.until_listed("receiving", 1).await;
    assert_eq!(receiving[0]["views"].as_array().unwrap().len(), 2, "half a file is no file");

    std::fs::write(watched.join("slow.dcm"), &study[2]).unwrap();
    std::fs::rename(watched.join("late.dcm.part"), watched.join("late.dcm")).unwrap();
    let exams = client.until_listed("answered", 2).await;
    assert_eq!(
        exams[1]["label"].as_str().into_iter().chain(exams[0]["label"].as_str()).filter(|l| *l == "A-5").count(),
        1
    );
    until("what was taken was not moved", || count(&watched.join("taken")) == 8).await;

    // The same files once more are no second exam.
    std::fs::write(watched.join("again.dcm"), &study[0]).unwrap();
    until("what had come before was not moved", || count(&watched.join("taken")) == 9).await;
    assert_eq!(client.get("/api/v1/exams").await.json()["exams"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_folder_follows_no_link_and_goes_on_behind_a_file_that_cannot_be_moved() {
    let world = World::ready(Setup::default()).await;
    let folder = world.folder().join("gateway");
    let (watched, elsewhere) = (folder.join("in"), folder.join("elsewhere"));
    let case = watched.join("case 12");
    // With its folder's name before it, this file's name is longer than any may be, and it comes first.
    let unmovable = watched.join(format!("0{}", "k".repeat(200)));
    for folder in [&case, &elsewhere, &unmovable] {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::write(unmovable.join(format!("zq7canary{}.txt", "l".repeat(100))), "no image".repeat(50)).unwrap();
    std::os::unix::fs::symlink(&elsewhere, watched.join("a link")).unwrap();
    std::fs::write(elsewhere.join("R-CC.png"), image(View::RCc, 9)).unwrap();
    std::os::unix::fs::symlink(elsewhere.join("R-CC.png"), case.join("R-CC.txt")).unwrap();
    for view in View::ALL {
        std::fs::write(case.join(format!("{view}.png")), image(view, 8)).unwrap();
    }
    let more =
        format!("[intake]\nquiet_seconds = 600\n[intake.folder]\npath = {watched:?}\nsettled_milliseconds = 100\n");
    let gateway = Gateway::start(&folder, &[&world.server], &world.policy_file(), &more);
    assert_eq!(gateway.client().until_listed("answered", 1).await[0]["label"], "case 12");
    until("what was taken was not moved", || count(&watched.join("taken")) == 4).await;
    assert_eq!(count(&elsewhere), 1, "a linked folder's file stays where it is");
    assert_eq!(gateway.client().get("/api/v1/exams").await.json()["exams"].as_array().unwrap().len(), 1);
    let words = gateway.process.words();
    assert!(words.contains("cannot be dealt with") && !words.contains("zq7canary"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buckets_studies_are_taken_once_each() {
    let world = World::ready(Setup::default()).await;
    let moto = tokio::task::spawn_blocking(|| Moto::start(&cache())).await.unwrap().unwrap();
    let python = cloister_sim::moto::python(&cache()).unwrap();
    let files = world.folder().join("objects");
    std::fs::create_dir_all(&files).unwrap();
    for (at, file) in instances(6).iter().enumerate() {
        std::fs::write(files.join(format!("{at}.dcm")), file).unwrap();
    }
    std::fs::write(files.join("junk"), "junk").unwrap();
    let script = "
import os, sys, boto3
s3 = boto3.client('s3', endpoint_url=sys.argv[1], region_name='eu-central-1', aws_access_key_id='a', aws_secret_access_key='b')
s3.create_bucket(Bucket='screening', CreateBucketConfiguration={'LocationConstraint': 'eu-central-1'})
for name in os.listdir(sys.argv[2]):
    s3.upload_file(os.path.join(sys.argv[2], name), 'screening', 'in/' + name)
# It comes first, and is not to be had: it is in an archive.
s3.put_object(Bucket='screening', Key='in/0-zq7canary.dcm', Body=b'archived', StorageClass='GLACIER')
s3.put_object(Bucket='screening', Key='elsewhere/0.dcm', Body=b'not for us')
";
    let endpoint = format!("http://localhost:{}", moto.address.port());
    let mut upload = std::process::Command::new(python);
    let uploaded = upload.args(["-c", script, &endpoint]).arg(&files).output().unwrap();
    assert!(uploaded.status.success(), "{}", String::from_utf8_lossy(&uploaded.stderr));

    let folder = world.folder().join("gateway");
    let more = format!(
        "[intake.bucket]\nname = \"screening\"\nprefix = \"in/\"\nregion = \"eu-central-1\"\nendpoint = {endpoint:?}\n"
    );
    let mut gateway = Gateway::start(&folder, &[&world.server], &world.policy_file(), &more);
    let exam = &gateway.client().until_listed("answered", 1).await[0];
    assert_eq!((&exam["label"], &exam["source"]), (&"A-6".into(), &"s3".into()));
    let words = gateway.process.words();
    assert!(words.contains("InvalidObjectState") && !words.contains("zq7canary"), "{words}");
    gateway.process.terminate();
    gateway.start_again();
    gateway.ready().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(gateway.client().get("/api/v1/exams").await.json()["exams"].as_array().unwrap().len(), 1);
}
