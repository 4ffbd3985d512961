//! The enclave as PID 1, in namespaces of its own and a root with nothing but mount points: what it sets up there, whose orphans it takes,
//! and how it ends.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use cloister_sim::nsm::Authority;
use cloister_tests::{Process, binary, run};
use tempfile::TempDir;

const HEARTBEAT: u8 = 0xb7;

/// What a restart looks like from outside of a PID namespace (reboot(2)): its first process is killed by SIGHUP.
const RESTARTED: Option<i32> = Some(1);

const PATIENCE: Duration = Duration::from_secs(30);

/// A bare root is made, what the test's build needs is bound into it, and the enclave becomes the namespaces' first process. `nomodules`
/// is a word that a kernel would hand to it.
const SCRIPT: &str = r#"
set -eu
root=$1 world=$2 binary=$3
mkdir -p "$root/world"
mount -t tmpfs root "$root"
mkdir "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/run" "$root/world"
for folder in usr lib lib64; do
    if [ -L "/$folder" ]; then cp -d "/$folder" "$root/$folder"; continue; fi
    [ -d "/$folder" ] || continue
    mkdir "$root/$folder"
    mount --bind "/$folder" "$root/$folder"
done
mount --bind "$world" "$root/world"
touch "$root/init"
mount --bind "$binary" "$root/init"
exec chroot "$root" /init nomodules --config=/world/enclave.toml --simulated-nsm=/world/nsm \
    --simulated-heartbeat=unix:///world/heartbeat
"#;

/// The namespaces, what is in them, and the parent's side of the heartbeat.
struct Machine {
    outside: Process,
    _world: TempDir,
    heartbeat: JoinHandle<u8>,
}

impl Machine {
    /// None, with the reason, where this user may not make one.
    fn start(answer: u8) -> Option<Self> {
        let mut trial = Command::new("unshare");
        trial.args(["--mount", "--pid", "--net", "--fork", "mount", "-t", "devtmpfs", "devices", "/mnt"]);
        let trial = run(&mut trial);
        if trial.code != 0 {
            println!("skipped: no namespaces or no mounts for this user: {}", trial.stderr.trim());
            return None;
        }
        let world = TempDir::new().unwrap();
        let dir = world.path();
        Authority::create(&dir.join("nsm")).unwrap();
        fs::write(dir.join("enclave.toml"), configuration()).unwrap();
        let heartbeat = parent_side(&dir.join("heartbeat"), answer);
        let root = dir.join("root");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c", SCRIPT, "sh"]);
        command.arg(root).arg(dir).arg(binary("cloister-enclave"));
        let outside = Process::start(dir, "machine", &mut command);
        Some(Self { outside, _world: world, heartbeat })
    }
}

fn configuration() -> &'static str {
    r#"
        version = 1
        [model]
        name = "m"
        minimum_version = 1
        key_arns = ["arn:aws:kms:us-east-1:111122223333:key/00000000-0000-4000-8000-000000000000"]
        [parent]
        control = "unix:///world/control"
        [serve]
        listen = "unix:///world/enclave"
    "#
}

/// Reads one byte, and answers with that.
fn parent_side(path: &Path, answer: u8) -> JoinHandle<u8> {
    let listener = UnixListener::bind(path).unwrap();
    spawn(move || {
        let mut heard = [0];
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            connection.read_exact(&mut heard).unwrap();
            connection.write_all(&[answer]).unwrap();
            if answer == heard[0] {
                break;
            }
        }
        heard[0]
    })
}

fn children(of: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    text.split_ascii_whitespace().map(|number| number.parse().unwrap()).collect()
}

fn children_of_any_thread(process: &Path) -> usize {
    let threads = fs::read_dir(process.join("task")).unwrap();
    let children =
        threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default());
    children.map(|children| children.split_ascii_whitespace().count()).sum()
}

fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < end, "never {what}");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_first_process_mounts_answers_reaps_and_restarts_the_machine_when_it_is_asked_to_end() {
    let Some(mut machine) = Machine::start(HEARTBEAT) else { return };
    machine.outside.until("listening", |words| words.contains("listening").then_some(()));
    assert_eq!(machine.heartbeat.join().unwrap(), HEARTBEAT);
    let outside = &mut machine.outside;
    let [number] = children(outside.id())[..] else { panic!("{}", outside.words()) };
    let first = PathBuf::from(format!("/proc/{number}"));

    let mounts = fs::read_to_string(first.join("mounts")).unwrap();
    for (target, kind, options) in [
        ("/dev", "devtmpfs", "nosuid,noexec"),
        ("/proc", "proc", "nosuid,nodev,noexec"),
        ("/sys", "sysfs", "nosuid,nodev,noexec"),
        ("/tmp", "tmpfs", "nosuid,nodev,noexec"),
        ("/run", "tmpfs", "nosuid,nodev,noexec"),
    ] {
        let there = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let there = there.filter(|fields| fields[1] == target && fields[2] == kind);
        assert!(there.clone().any(|fields| fields[3].contains(options)), "{target}: {mounts}");
        assert!(kind != "tmpfs" || there.clone().all(|fields| fields[3].contains("size=16384k")), "{target}: {mounts}");
    }
    let loopback = fs::read_to_string(first.join("root/sys/class/net/lo/flags")).unwrap();
    assert_eq!(loopback.trim(), "0x9", "up, and loopback");

    let number = number.to_string();
    let mut orphan = Command::new("nsenter");
    orphan.args(["--target", &number]).args(["--pid", "sh", "-c", "sleep 1 >/dev/null 2>&1 &"]);
    run(&mut orphan).success();
    until("an orphan", || children_of_any_thread(&first) == 1);
    until("a reaped orphan", || children_of_any_thread(&first) == 0);

    run(Command::new("kill").args(["-TERM", &number])).success();
    let status = outside.status();
    assert_eq!(status.signal(), RESTARTED, "{status}\n{}", outside.words());
    assert!(outside.words().contains("\"stopping\""), "{}", outside.words());
}

#[test]
fn a_first_process_whose_heartbeat_is_answered_wrongly_says_so_and_restarts_the_machine() {
    let Some(mut machine) = Machine::start(0) else { return };
    let status = machine.outside.status();
    let words = machine.outside.words();
    assert_eq!(status.signal(), RESTARTED, "{status}\n{words}");
    assert!(words.contains("does not answer the heartbeat") && !words.contains("listening"), "{words}");
}
