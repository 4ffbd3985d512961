//! Processes that end with the test, and leave their words behind when it fails.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to come up, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One of the project's binaries, built beside this test.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let folder = test.ancestors().nth(2).expect("tests stand in a folder below the binaries");
    let path = folder.join(name);
    assert!(path.is_file(), "{} is not built: run ./run.sh test, or cargo build --workspace", path.display());
    path
}

/// A running process.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts one, with both outputs in `NAME.log` of `folder`.
    pub fn start(folder: &Path, name: &str, command: &mut Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let out = File::create(&log).expect("a log can be made");
        let err = out.try_clone().expect("a log can be shared");
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().expect("the process starts");
        Self { name: name.to_owned(), child, log }
    }

    /// Its words so far.
    pub fn words(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until `ready` gives something, and fails when the process ends or takes too long.
    pub fn until<T>(&mut self, what: &str, mut ready: impl FnMut(&str) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            let words = self.words();
            if let Some(found) = ready(&words) {
                return found;
            }
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                panic!("{} ended with {status} before {what}:\n{words}", self.name);
            }
            assert!(Instant::now() < end, "{} did not come to {what}:\n{words}", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Sends a signal, such as `-HUP`.
    pub fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill runs").success());
    }

    /// Ends it at once, in whatever it is doing, and leaves it to be looked after.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Asks it to end (SIGTERM) and waits for its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.signal("-TERM");
        self.ended()
    }

    /// Waits until it has ended by itself, for its exit code.
    pub fn ended(&mut self) -> Option<i32> {
        self.status().code()
    }

    /// Waits until it has ended by itself, for how it did.
    pub fn status(&mut self) -> ExitStatus {
        self.status_within(PATIENCE)
    }

    /// The same, with another patience.
    pub fn status_within(&mut self, patience: Duration) -> ExitStatus {
        let end = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                return status;
            }
            assert!(Instant::now() < end, "{} did not end:\n{}", self.name, self.words());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The most memory that it ever held, in bytes (`VmHWM` of proc(5)).
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("proc(5) names it");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib * 1024
    }

    /// Processor time that it spent so far, its own and the system's for it (`utime` and `stime` of proc(5), in ticks of 10 ms).
    pub fn processor_time(&self) -> Duration {
        let ticks: u64 = self.stat(11..13).into_iter().sum();
        Duration::from_millis(ticks * 10)
    }

    /// How often it touched a page that it had to be given first (`minflt` of proc(5)).
    pub fn fresh_pages(&self) -> u64 {
        self.stat(7..8).into_iter().sum()
    }

    /// Fields of `/proc/PID/stat`, counted from the state on, which is the first behind the name.
    fn stat(&self, fields: Range<usize>) -> Vec<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("the process lives");
        // The name may hold anything.
        let (_, rest) = stat.rsplit_once(')').expect("proc(5) names it");
        let fields = rest.split_whitespace().skip(fields.start).take(fields.len());
        fields.map(|field| field.parse().expect("a number")).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {}:\n{}", self.name, self.words());
        }
    }
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Output {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// The output of a command that must have succeeded.
    pub fn success(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().expect("the command starts");
    Output {
        code: output.status.code().expect("the command was not killed"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}
