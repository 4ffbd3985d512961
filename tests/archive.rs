//! An archive that several processes score together: each image once, whatever happens to them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use cloister_imaging::View;
use cloister_tests::{EnclaveSetup, Front, Output, Setup, World, binary, image, impostor, pcr, run};
use serde_json::{Value, json};

/// A folder of images with the list of them.
struct Archive {
    folder: PathBuf,
    crops: u32,
}

impl Archive {
    /// So many images in a folder of their own, the list beside them.
    fn new(world: &World, images: usize) -> Self {
        let archive = Self { folder: world.folder().join("archive"), crops: 1 };
        std::fs::create_dir_all(archive.folder.join("2019")).unwrap();
        let lines = (0..images).map(|n| {
            let view = View::ALL[n % 4];
            let path = format!("2019/{n}.png");
            std::fs::write(archive.folder.join(&path), image(view, n as u64)).unwrap();
            json!({"id": format!("a-{n}"), "path": path, "view": view}).to_string() + "\n"
        });
        let lines: String = lines.collect();
        std::fs::write(archive.folder.join("manifest.jsonl"), lines).unwrap();
        archive
    }

    /// The command for one share, as a pod of an indexed Job runs it.
    fn share(&self, world: &World, index: usize, of: usize) -> Command {
        let mut command = world.cloister("archive score");
        command.env("JOB_COMPLETION_INDEX", index.to_string());
        command.args(["--of", &of.to_string(), "--crops", &self.crops.to_string()]);
        command.arg("--manifest").arg(self.folder.join("manifest.jsonl")).arg("--out").arg(self.out());
        command
    }

    fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    /// The lines of all shares' results, in the order of their ids.
    fn results(&self, of: usize) -> Vec<Value> {
        let read = |index| std::fs::read_to_string(self.out().join(format!("results-{index}-of-{of}.jsonl"))).unwrap();
        let text: String = (0..of).map(read).collect();
        let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.sort_by_key(|line| line["id"].as_str().unwrap().to_owned());
        lines
    }
}

/// Runs commands side by side, once all of them are made: each that is made writes the policy's file anew.
fn together(commands: impl IntoIterator<Item = Command>) -> Vec<Output> {
    let commands: Vec<_> = commands.into_iter().collect();
    let start = |mut command: Command| -> Child {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let children: Vec<_> = commands.into_iter().map(start).collect();
    let end = |child: Child| {
        let output = child.wait_with_output().unwrap();
        Output { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    };
    children.into_iter().map(end).collect()
}

/// How many images the enclave answered with that status.
async fn answered(world: &World, status: u16) -> u64 {
    let text = String::from_utf8(Front::connect(&world.server).await.get("/metrics").await.body).unwrap();
    let series = format!("cloister_requests_total{{route=\"/v1/images\",status=\"{status}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |count| count.parse().unwrap())
}

fn verified_offline(world: &World, receipt: &Path, image: &Path) {
    let mut command = Command::new(binary("cloister"));
    command.args(["receipt", "verify"]).arg(receipt).arg("--policy").arg(world.policy_file()).arg("--image").arg(image);
    run(&mut command).success();
}

#[tokio::test(flavor = "multi_thread")]
async fn three_shares_score_each_image_once_and_tell_of_the_broken_one() {
    let world = World::ready(Setup::default()).await;
    let archive = Archive::new(&world, 5);
    let broken = archive.folder.join("2019/3.png");
    std::fs::write(&broken, b"no image at all").unwrap();

    let ended = together((0..3).map(|index| archive.share(&world, index, 3)));
    // Image 3 is in the first share, which goes on without it.
    assert_eq!(ended.iter().map(|output| output.code).collect::<Vec<_>>(), [65, 0, 0], "{ended:?}");
    assert!(ended[0].stdout.contains("share 0 of 3: 1 scored, 0 kept from before, 1 refused"), "{ended:?}");
    assert!(ended[0].stderr.contains("lines with \"error\""), "{ended:?}");
    let lines = archive.results(3);
    assert_eq!(lines.len(), 5);
    for (n, line) in lines.iter().enumerate() {
        assert_eq!(line["id"], format!("a-{n}"));
        assert_eq!(line["sha256"].as_str().unwrap().len(), 64);
        if n == 3 {
            assert!(line["error"].as_str().unwrap().contains("refused the request (4"), "{line}");
            assert!(line["answer"].is_null());
            continue;
        }
        assert_eq!(line["answer"]["view"], View::ALL[n % 4].as_str());
        assert!((0.0..=1.0).contains(&line["answer"]["malignant"].as_f64().unwrap()));
        let receipt = archive.out().join(line["receipt"].as_str().unwrap());
        verified_offline(&world, &receipt, &archive.folder.join(line["path"].as_str().unwrap()));
    }
    assert_eq!(answered(&world, 200).await, 4);

    // Again: nothing is sent but the image that has no score yet.
    let ended = together((0..3).map(|index| archive.share(&world, index, 3)));
    assert_eq!(ended.iter().map(|output| output.code).collect::<Vec<_>>(), [65, 0, 0], "{ended:?}");
    assert!(ended[1].stdout.contains("0 scored, 2 kept from before, 0 refused"), "{ended:?}");
    assert_eq!(archive.results(3), lines);
    assert_eq!(answered(&world, 200).await, 4);

    // What has changed since is scored, and no other.
    std::fs::write(&broken, image(View::RMlo, 3)).unwrap();
    std::fs::write(archive.folder.join("2019/4.png"), image(View::LCc, 44)).unwrap();
    std::fs::remove_file(archive.out().join("receipts/a-2.cbor")).unwrap();
    let ended = together((0..3).map(|index| archive.share(&world, index, 3)));
    assert!(ended.iter().all(|output| output.code == 0), "{ended:?}");
    let changed = archive.results(3);
    let differs: Vec<_> = (0..5).filter(|&n| changed[n] != lines[n]).collect();
    assert_eq!(differs, [3, 4]);
    assert_eq!(answered(&world, 200).await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_wait_for_a_place_in_a_full_queue() {
    let enclave = EnclaveSetup { queue: 1, threads: 1, ..EnclaveSetup::default() };
    let world = World::ready(Setup { enclave, ..Setup::default() }).await;
    let archive = Archive { crops: 32, ..Archive::new(&world, 8) };
    let ended = together((0..8).map(|index| archive.share(&world, index, 8)));
    assert!(ended.iter().all(|output| output.code == 0), "{ended:?}");
    assert_eq!(answered(&world, 200).await, 8);
    assert!(answered(&world, 503).await > 0, "nobody was told to come again");
    assert!(archive.results(8).iter().all(|line| line["error"].is_null()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_goes_on_with_an_enclave_that_was_restarted() {
    let mut world = World::ready(Setup::default()).await;
    let archive = Archive::new(&world, 2);
    run(&mut archive.share(&world, 0, 1)).success();
    let begun = archive.results(1);
    std::fs::write(archive.folder.join("2019/1.png"), image(View::RCc, 9)).unwrap();
    world.enclave.process.terminate();
    let share = std::thread::spawn({
        let command = archive.share(&world, 0, 1);
        move || together([command])
    });
    world.start_again(&EnclaveSetup::default());
    let ended = share.join().unwrap().remove(0);
    assert!(ended.success().contains("1 scored, 1 kept from before"));
    assert_eq!(archive.results(1)[0], begun[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_verified_gets_no_image() {
    let world = World::ready(Setup::default()).await;
    let archive = Archive::new(&world, 2);
    let (address, loot) = impostor(async |_| b"no document".to_vec()).await;
    let output = run(archive.share(&world, 0, 1).args(["--server", &address.to_string()]));
    assert_eq!(output.code, 64, "a server is named once: {output:?}");

    let policy = world.policy_file();
    let score = |server: &str, policy: &Path| {
        let mut command = Command::new(binary("cloister"));
        command.args(["archive", "score", "--server", server, "--wait", "5", "--policy"]).arg(policy);
        command.arg("--manifest").arg(archive.folder.join("manifest.jsonl")).arg("--out").arg(archive.out());
        run(&mut command)
    };
    let output = score(&address.to_string(), &policy);
    assert_eq!(output.code, 77, "{output:?}");
    assert_eq!((loot.images(), archive.out().exists()), (0, false));

    // A true enclave, and a client that pins another.
    let text = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(&policy, text.replace(&hex::encode(pcr(0)), &hex::encode(pcr(9)))).unwrap();
    let output = score(&world.server.to_string(), &policy);
    assert_eq!(output.code, 77, "{output:?}");
    assert_eq!((answered(&world, 200).await, archive.out().exists()), (0, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_of_the_archive() {
    let world = World::ready(Setup::default()).await;
    let archive = Archive::new(&world, 1);
    std::fs::write(world.folder().join("secret.png"), image(View::LCc, 1)).unwrap();
    let list = |path: &str| {
        let line = json!({"id": "b", "path": path, "view": "L-CC"}).to_string();
        std::fs::write(archive.folder.join("manifest.jsonl"), line).unwrap();
        run(&mut archive.share(&world, 0, 1))
    };
    let output = list("../secret.png");
    assert_eq!(output.code, 65);
    assert!(output.stderr.contains("no path below the archive's folder"), "{output:?}");
    std::os::unix::fs::symlink("../secret.png", archive.folder.join("link.png")).unwrap();
    let output = list("link.png");
    assert_eq!(output.code, 65);
    assert!(archive.results(1)[0]["error"].as_str().unwrap().contains("leads out of the archive"));
    assert_eq!(answered(&world, 200).await, 0);

    let output = run(archive.share(&world, 3, 3).args(["--json"]));
    assert_eq!(output.code, 64, "shares are numbered from 0: {output:?}");
}
