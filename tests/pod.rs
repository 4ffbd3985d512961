//! The pod's script: what it launches, what it refuses, what it starts again, and how it ends. Parent and proxy are the real ones.

mod stand;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cloister_imaging::View;
use cloister_tests::{Setup, World, binary, image, pcr, run};
use stand::{Pod, measurements};

const CONSENT: &str = "I-know-that-nothing-is-confidential";

/// A client, the enclave's end of its connection, and the enclave's socket. Until the enclave says that it is ready, nobody but clients
/// connects there.
fn connected(pod: &Pod) -> (TcpStream, UnixStream, UnixListener) {
    let enclave = pod.enclave();
    let client = pod.client();
    let (inside, _) = enclave.accept().unwrap();
    (client, inside, enclave)
}

fn passes(client: &mut TcpStream, inside: &mut UnixStream) -> bool {
    let mut said = [0; 5];
    client.write_all(b"image").is_ok() && inside.read_exact(&mut said).is_ok() && said == *b"image"
}

#[test]
fn the_enclave_is_launched_as_told_once_its_neighbours_listen_and_never_in_debug_mode() {
    let mut pod = Pod::new().set("CLOISTER_CPUS", "3").set("CLOISTER_ENCLAVE_CID", "17").start();
    pod.says("launched the enclave i-", 1);
    let launch = format!(
        "run-enclave --eif-path {} --cpu-count 3 --memory 2048 --enclave-cid 17 --enclave-name cloister",
        pod.path("cloister.eif").display()
    );
    assert_eq!(pod.calls(), [launch]);
    let words = pod.words();
    let place = |said: &str| words.find(said).unwrap_or_else(|| panic!("no {said:?} in\n{words}"));
    assert!(place("cloister_proxy: listening") < place("launching the enclave"), "{words}");
    assert!(place("cloister_parent: listening") < place("launching the enclave"), "{words}");
    assert!(!words.contains("DEBUG"), "{words}");
    assert_eq!(pod.get("/healthz").0, 200);
    let list = std::fs::read_to_string(pod.path("run/allowlist.yaml")).unwrap();
    assert_eq!(list, "allowlist:\n- {address: kms.eu-central-1.amazonaws.com, port: 443}\n");
    assert_eq!(pod.process().terminate(), Some(0));
}

#[test]
fn what_the_operator_wants_set_is_what_the_enclave_is_told() {
    let mut pod = Pod::new().set("CLOISTER_SET", "queue=32  mode=fast").start();
    pod.says("launched the enclave i-", 1);
    let list = std::fs::read_to_string(pod.path("run/enclaves.toml")).unwrap();
    assert!(list.contains("set = { queue = 32, mode = \"fast\" }"), "{list}");
    assert_eq!(pod.process().terminate(), Some(0));
}

#[test]
fn debug_mode_has_to_be_asked_for_in_words_and_is_loud() {
    let output = Pod::new().set("CLOISTER_DEBUG_MODE", "1").ends();
    assert_eq!(output.code, 64, "{}", output.stderr);
    assert!(output.stderr.contains(CONSENT), "{}", output.stderr);
    let mut pod = Pod::new().set("CLOISTER_DEBUG_MODE", CONSENT).start();
    pod.says("console: the kernel's words of i-", 1);
    assert!(pod.calls()[0].ends_with(" --debug-mode"), "{:?}", pod.calls());
    pod.says("NOTHING IN THIS ENCLAVE IS CONFIDENTIAL", 2);
    assert_eq!(pod.process().terminate(), Some(0));
}

#[test]
fn a_setting_that_cannot_be_is_refused_by_name_with_64() {
    for (name, value) in [
        ("CLOISTER_MODEL", ""),
        ("CLOISTER_MODEL", "model.sealed"),
        ("CLOISTER_MODEL", "/a\"b"),
        ("CLOISTER_CPUS", "0"),
        ("CLOISTER_CPUS", "two"),
        ("CLOISTER_MEMORY_MIB", "2G"),
        ("CLOISTER_MEMORY_MIB", "99999999999"),
        ("CLOISTER_ENCLAVE_CID", "3"),
        ("CLOISTER_ENCLAVE_NAME", "a b"),
        ("CLOISTER_RELAY_LISTEN", "0.0.0.0:8443"),
        ("CLOISTER_MAX_CLIENTS", "0"),
        ("CLOISTER_SET", "queue"),
        ("CLOISTER_SET", "queue=\"1\""),
        ("AWS_REGION", ""),
        ("AWS_REGION", "cn-north-1"),
        ("CLOISTER_DRAIN_SECONDS", "-1"),
    ] {
        let pod = Pod::new().set(name, value);
        let output = pod.ends();
        assert_eq!(output.code, 64, "{name}={value}: {}", output.stderr);
        assert!(output.stderr.contains(name), "{name}={value}: {}", output.stderr);
        assert!(pod.calls().is_empty());
    }
    // What parent and proxy judge themselves ends the pod the same way.
    let output = Pod::new().set("CLOISTER_RELAY_LISTEN", "tcp://nowhere").ends();
    assert_eq!(output.code, 64, "{}", output.stderr);
}

/// What is wrong with a node or a release, the exit code, and words of the reason.
type Fault = (fn(&Pod), i32, &'static str);

#[test]
fn what_is_missing_is_said_with_what_to_do_and_nothing_is_launched() {
    fn remove(pod: &Pod, name: &str) {
        let path = pod.path(name);
        if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
    }
    const PAGES: &str = "node/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
    const CPUS: &str = "node/sys/module/nitro_enclaves/parameters/ne_cpus";
    let faults: [Fault; 13] = [
        (|pod| remove(pod, "node/dev/nitro_enclaves"), 69, "aws.ec2.nitro/nitro_enclaves"),
        (|pod| remove(pod, "node/sys/kernel/mm/hugepages"), 69, "there are none: set memory_mib"),
        (|pod| pod.write(PAGES, "511"), 69, "1022 MiB in pages of 2 MiB"),
        (|pod| pod.write("node/sys/fs/cgroup/hugetlb.1GB.max", "0"), 69, "the pod may have 0 MiB"),
        (|pod| pod.write("node/sys/fs/cgroup/hugetlb/hugetlb.2MB.limit_in_bytes", "4096"), 69, "hugepages-2Mi"),
        (|pod| pod.write(CPUS, "1"), 69, "the node sets 1 aside for enclaves"),
        (|pod| remove(pod, "cloister.eif"), 65, "cannot be read"),
        (|pod| pod.write("cloister.eif", "an image"), 65, "no enclave image"),
        (|pod| remove(pod, "measurements.json"), 65, "CLOISTER_MEASUREMENTS"),
        (|pod| pod.write("measurements.json", "{\"Measurements\": {\"PCR0\": \"ab\"}}"), 65, "CLOISTER_MEASUREMENTS"),
        (|pod| pod.write("measurements.json", &measurements('d')), 65, "PCR0 of"),
        (|pod| pod.write("nitro/fail-describe-eif", "1"), 65, "nitro-cli cannot read the enclave image"),
        (|pod| remove(pod, "model.sealed"), 65, "CLOISTER_MODEL"),
    ];
    for (spoil, code, words) in faults {
        let pod = Pod::new();
        spoil(&pod);
        let output = pod.ends();
        assert_eq!(output.code, code, "{words}: {}", output.stderr);
        assert!(output.stderr.contains(words), "{words}: {}", output.stderr);
        assert!(pod.calls().is_empty(), "{words}");
    }
}

#[test]
fn an_enclave_needs_four_times_its_images_memory() {
    let pod = Pod::new();
    let image = std::fs::File::options().write(true).open(pod.path("cloister.eif")).unwrap();
    image.set_len((512 << 20) + 1).unwrap();
    let output = pod.ends();
    assert_eq!(output.code, 64, "{}", output.stderr);
    assert!(
        output.stderr.contains("CLOISTER_MEMORY_MIB is 2048") && output.stderr.contains("2049 MiB"),
        "{}",
        output.stderr
    );
}

#[test]
fn an_old_nitro_cli_that_cannot_describe_an_image_is_told_of_and_used() {
    let pod = Pod::new();
    std::fs::remove_file(pod.path("nitro/eif.json")).unwrap();
    let mut pod = pod.start();
    pod.says("launched the enclave i-", 1);
    pod.says("was not compared with", 1);
    assert_eq!(pod.process().terminate(), Some(0));
}

#[test]
fn after_sigterm_nobody_new_is_taken_those_there_finish_and_then_all_ends_in_order() {
    let mut pod = Pod::new().set("CLOISTER_DRAIN_SECONDS", "600").start();
    pod.says("launched the enclave i-", 1);
    let (mut client, mut inside, _enclave) = connected(&pod);
    assert_eq!(pod.tell("ready"), 204);
    assert_eq!(pod.get("/readyz").0, 200);
    pod.process().signal("-TERM");
    pod.says("it gets no new clients", 1);
    assert_eq!(pod.tell("ready"), 205, "the enclave is asked to end");
    assert_eq!(pod.get("/readyz").0, 503);
    assert!(matches!(pod.client().read(&mut [0]), Ok(0) | Err(_)), "a client was taken");
    std::thread::sleep(Duration::from_secs(3));
    assert!(passes(&mut client, &mut inside), "who is there finishes");
    assert!(!pod.words().contains("terminating"), "{}", pod.words());
    drop((client, inside));
    assert_eq!(pod.process().ended(), Some(0));
    assert!(pod.enclaves().is_empty() && pod.calls().len() == 2, "{:?}", pod.calls());
    assert!(pod.calls()[1].starts_with("terminate-enclave --enclave-id i-"), "{:?}", pod.calls());
    let words = pod.words();
    let order = ["nobody is connected", "terminating the enclave", "stopping: no more clients", "the pod ends with 0"];
    assert!(order.map(|said| words.find(said).expect(said)).is_sorted(), "{words}");
    assert!(!words.contains("did not end by itself"), "{words}");
}

/// The pod in the place of a world's parent, proxy and enclave, on the same addresses.
async fn pod_of(world: &mut World) -> Pod {
    for process in [&mut world.parent, &mut world.proxy, &mut world.enclave.process] {
        process.terminate();
    }
    let unix = |name: &str| format!("unix://{}", world.folder().join(name).display());
    let pod = Pod::new()
        .set("CLOISTER_MODEL", &world.sealed.display().to_string())
        .set("CLOISTER_ALLOWLIST", &world.folder().join("allowlist.yaml").display().to_string())
        .set("CLOISTER_RELAY_LISTEN", &world.server.to_string())
        .set("CLOISTER_ENCLAVE_ADDRESS", &unix("enclave"))
        .set("CLOISTER_CONTROL_LISTEN", &unix("control"))
        .set("CLOISTER_EGRESS_LISTEN", &unix("egress"))
        .set("CLOISTER_DRAIN_SECONDS", "600")
        .set("AWS_ACCESS_KEY_ID", "CLOISTERSIMPARENT")
        .set("AWS_SECRET_ACCESS_KEY", "simulated-secret-of-the-parent")
        .set("AWS_SESSION_TOKEN", "simulated-session-token-of-the-parent");
    let pcrs: String = (0..3).map(|index| format!(" --simulated-pcr {index}={}", hex::encode(pcr(index)))).collect();
    let (program, config) = (binary("cloister-enclave"), world.enclave.config.display());
    let authority = world.folder().join("nsm");
    let command = format!("exec {} --config {config} --simulated-nsm {}{pcrs}", program.display(), authority.display());
    pod.write("nitro/enclave", &command);
    pod.start()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_brings_a_whole_system_up_and_a_client_that_works_loses_no_answer_when_it_ends() {
    let mut world = World::ready(Setup::default()).await;
    let mut pod = pod_of(&mut world).await;
    world.ready_again().await;
    let mut session = world.session().await;
    let png = image(View::LCc, 3);
    session.classify(png.clone(), View::LCc, Some(1), None).await.expect("an answer");
    pod.process().signal("-TERM");
    pod.says("it gets no new clients", 1);
    let mut answers = 0;
    while session.is_open() {
        session.classify(png.clone(), View::LCc, Some(1), None).await.expect("an answer");
        answers += 1;
        // The enclave's goodbye is read by the connection's task.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(answers > 0, "it was closed without an answer");
    assert_eq!(pod.process().ended(), Some(0));
    assert!(!pod.words().contains("clients are cut"), "{}", pod.words());
    assert!(pod.enclaves().is_empty());
}

#[test]
fn an_enclave_that_has_drained_ends_by_itself_and_the_pod_with_it() {
    let mut pod = Pod::new().set("CLOISTER_DRAIN_SECONDS", "600").start();
    pod.says("launched the enclave i-", 1);
    let _connected = connected(&pod);
    pod.process().signal("-TERM");
    pod.says("it gets no new clients", 1);
    pod.crash();
    assert_eq!(pod.process().ended(), Some(0));
    assert!(pod.words().contains("the enclave has ended by itself"), "{}", pod.words());
    assert_eq!(pod.calls().len(), 1, "there was nothing to terminate");
}

#[test]
fn clients_that_stay_are_cut_when_the_time_is_up_or_the_pod_is_told_twice() {
    for (seconds, times) in [("2", 1), ("600", 2)] {
        let mut pod = Pod::new().set("CLOISTER_DRAIN_SECONDS", seconds).start();
        pod.says("launched the enclave i-", 1);
        let (mut client, _inside, _enclave) = connected(&pod);
        let start = Instant::now();
        for _ in 0..times {
            pod.process().signal("-TERM");
            // Two of one kind that come at once are one.
            std::thread::sleep(Duration::from_millis(500));
        }
        assert_eq!(pod.process().ended(), Some(0));
        assert!(start.elapsed() < Duration::from_secs(50), "after {:?}", start.elapsed());
        assert!(pod.words().contains("clients are cut") && pod.enclaves().is_empty(), "{}", pod.words());
        assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
    }
}

#[test]
fn a_pod_that_is_told_to_end_while_it_launches_gives_the_launch_up() {
    let pod = Pod::new();
    pod.write("nitro/slow", "");
    let mut pod = pod.start();
    pod.says("launching the enclave", 1);
    assert_eq!(pod.process().terminate(), Some(0));
    assert!(pod.enclaves().is_empty(), "{:?}", pod.enclaves());
}

/// bash loses the end of what it waits for where a trapped signal comes at that moment: one pod in some hundreds did not end that was told to
/// while it launched.
#[test]
fn no_signal_is_mistaken_for_the_end_of_a_call_or_hides_it() {
    let pod = Pod::new();
    pod.write("bin/measurements.json", &measurements('a'));
    let stand_in = r#"#!/bin/sh
case $1 in
    describe-enclaves) echo '[{"EnclaveID": "i-1", "State": "RUNNING", "EnclaveName": "cloister"}]' ;;
    describe-eif) cat "${0%/*}/measurements.json" ;;
    *) exit 3 ;;
esac
"#;
    pod.write("bin/nitro-cli", stand_in);
    std::fs::set_permissions(pod.path("bin/nitro-cli"), PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", pod.path("bin").display(), std::env::var("PATH").unwrap());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("pod/storm.sh");
    let output = run(Command::new(script).arg(pod.path("bin")).arg("1500").env("PATH", path));
    assert_eq!(output.code, 0, "{}", output.stderr);
    let counts = output.stdout.split(|letter: char| !letter.is_ascii_digit());
    let counts: Vec<u32> = counts.filter_map(|count| count.parse().ok()).collect();
    assert!(counts.len() == 2 && counts.iter().all(|&count| count >= 5), "{}", output.stdout);
}

#[test]
fn a_dead_enclave_is_started_again_after_pauses_that_grow() {
    let mut pod = Pod::new().set("CLOISTER_QUICK_DEATHS", "9").start();
    for (life, pause) in [(1, 1), (2, 2), (3, 4)] {
        pod.says("launched the enclave i-", life);
        let start = Instant::now();
        pod.crash();
        pod.says(&format!("the enclave is tried again in {pause} seconds ({life} of 9)"), 1);
        pod.says("launching the enclave", life + 1);
        assert!(start.elapsed() >= Duration::from_secs(pause), "after {:?}", start.elapsed());
    }
    pod.says("launched the enclave i-", 4);
    assert_eq!(pod.process().terminate(), Some(0));
}

#[test]
fn an_enclave_that_lived_long_enough_starts_again_from_the_first_pause() {
    let mut pod = Pod::new().set("CLOISTER_QUICK_SECONDS", "1").set("CLOISTER_QUICK_DEATHS", "2").start();
    for life in 1..=3 {
        pod.says("launched the enclave i-", life);
        std::thread::sleep(Duration::from_secs(2));
        pod.crash();
        pod.says("the enclave is tried again in 1 seconds (1 of 2)", life);
    }
}

#[test]
fn an_enclave_that_keeps_ending_ends_the_pod_with_70() {
    let pod = Pod::new();
    pod.write("nitro/enclave", "exit 0");
    let output = pod.ends();
    assert_eq!(output.code, 70, "{}", output.stderr);
    assert!(output.stderr.contains("the enclave ended 3 times in a row"), "{}", output.stderr);
    assert_eq!(pod.launches(), 3);
    assert!(output.stderr.contains("the pod ends with 70"), "{}", output.stderr);
}

#[test]
fn a_launch_that_fails_is_tried_again_but_not_for_ever() {
    let pod = Pod::new();
    pod.write("nitro/fail-run-enclave", "1");
    let mut pod = pod.start();
    pod.says("[ E39 ]", 1);
    pod.says("the enclave could not be launched", 1);
    pod.says("launched the enclave i-", 1);
    assert_eq!(pod.process().terminate(), Some(0));

    for (fault, times) in [("nitro/fail-run-enclave", "3"), ("nitro/mute", "")] {
        let pod = Pod::new();
        pod.write(fault, times);
        assert_eq!((pod.ends().code, pod.launches()), (70, 3), "{fault}");
        assert!(pod.enclaves().is_empty(), "{fault}");
    }
}

#[test]
fn an_enclave_that_failed_for_good_is_started_anew() {
    let mut pod = Pod::new().start();
    pod.says("launched the enclave i-", 1);
    assert_eq!(pod.tell("failed"), 204);
    pod.says("has failed for good", 1);
    assert_eq!(pod.tell("starting"), 204, "the next one speaks");
    pod.says("terminating the enclave", 1);
    pod.says("launching the enclave", 2);
    assert_eq!(pod.process().terminate(), Some(0));
}

#[test]
fn an_enclave_is_not_taken_for_dead_because_nitro_cli_does_not_answer() {
    let mut pod = Pod::new().start();
    pod.says("launched the enclave i-", 1);
    pod.write("nitro/fail-describe-enclaves", "2");
    pod.says("nitro-cli does not say whether the enclave runs", 2);
    assert_eq!(pod.process().terminate(), Some(0));
    assert_eq!(pod.launches(), 1);
}

#[test]
fn a_dead_parent_or_proxy_is_started_again_and_the_enclave_lives_on() {
    let mut pod = Pod::new().start();
    pod.says("launched the enclave i-", 1);
    pod.crash_of("cloister-proxy");
    pod.crash_of("cloister-parent");
    pod.says("cloister-proxy ended with 137", 1);
    pod.says("cloister-parent ended with 137", 1);
    pod.says("cloister_proxy: listening", 2);
    pod.says("cloister_parent: listening", 2);
    assert_eq!(pod.tell("ready"), 204);
    assert_eq!(pod.launches(), 1);
    assert_eq!(pod.process().terminate(), Some(0));
}

#[test]
fn a_parent_that_cannot_listen_ends_the_pod_with_71() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", taken.local_addr().unwrap());
    let pod = Pod::new().set("CLOISTER_RELAY_LISTEN", &address);
    let output = pod.ends();
    assert_eq!(output.code, 71, "{}", output.stderr);
    assert!(output.stderr.contains("cloister-parent ended 3 times in a row"), "{}", output.stderr);
    assert_eq!(pod.launches(), 0, "its neighbours do not listen");
}

#[test]
fn what_an_earlier_life_left_behind_is_terminated_and_nothing_else() {
    let pod = Pod::new();
    let image = pod.path("cloister.eif").display().to_string();
    for name in ["cloister", "cloister_1", "cloister-of-others"] {
        let launch = ["run-enclave", "--eif-path", &image, "--cpu-count", "1", "--memory", "64", "--enclave-cid", "20"];
        pod.nitro_cli(&[&launch[..], &["--enclave-name", name]].concat()).success();
    }
    let mut pod = pod.start();
    pod.says("launched the enclave i-", 1);
    let calls = pod.calls();
    let verbs: Vec<_> = calls.iter().map(|call| call.split(' ').next().unwrap()).collect();
    assert_eq!(verbs[3..], ["terminate-enclave", "terminate-enclave", "run-enclave"], "{calls:?}");
    assert_eq!(pod.process().terminate(), Some(0));
    assert_eq!(pod.enclaves().len(), 1);
}
