//! The process: how it is started, and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails as the test does")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use support::{Parent, command, until};

/// Starts the binary where it is to fail; its exit code, and what it says.
fn fails(changes: &[(&str, &str)]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("model"), "sealed").unwrap();
    let mut arguments = vec![
        ("--relay-listen", "tcp://127.0.0.1:0".to_owned()),
        ("--enclave", format!("unix://{}", path("enclave"))),
        ("--control-listen", format!("unix://{}", path("control"))),
        ("--http-listen", "tcp://127.0.0.1:0".to_owned()),
        ("--model", path("model")),
    ];
    for (name, value) in changes {
        arguments.retain(|(given, _)| given != name);
        arguments.push((name, value.replace("FOLDER", &path(""))));
    }
    let output = command(folder.path()).args(arguments.iter().flat_map(|(n, v)| [*n, v])).output().unwrap();
    (output.status.code().expect("it was not killed"), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn bad_usage_is_64_and_says_what_is_wrong() {
    for (changes, words) in [
        (("--enclave", "16:5000"), "vsock://CID:PORT"),
        (("--max-clients", "0"), "a number from 1"),
        (("--control-listen", "tcp://0.0.0.0:0"), "gives credentials to whoever can connect"),
        (("--set", "queue"), "not NAME=VALUE"),
        (("--enclaves", "FOLDER/list"), "cannot be used with"),
    ] {
        let (code, said) = fails(&[changes]);
        assert_eq!(code, 64, "{said}");
        assert!(said.contains(words), "{said}");
    }
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(command(folder.path()).output().unwrap().status.code(), Some(64));
    assert_eq!(command(folder.path()).arg("--help").output().unwrap().status.code(), Some(0));
}

#[test]
fn a_model_that_is_not_there_is_65() {
    for (model, words) in [("FOLDER/none", "cannot be read"), ("FOLDER", "is not a file")] {
        let (code, said) = fails(&[("--model", model)]);
        assert_eq!(code, 65, "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn an_address_in_use_and_an_address_file_nowhere_are_69() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("tcp://{}", other.local_addr().unwrap());
    for (name, value) in [("--relay-listen", taken.as_str()), ("--address-file", "FOLDER/no/such/folder/file")] {
        let (code, said) = fails(&[(name, value)]);
        assert_eq!(code, 69, "{said}");
        assert!(said.contains("cannot"), "{said}");
    }
}

#[test]
fn after_sigterm_nobody_new_is_taken_and_those_there_finish() {
    let mut parent = Parent::start(b"sealed", &[], &[]);
    let enclave = parent.enclave();
    let mut client = parent.client();
    let (mut inside, _) = enclave.accept().unwrap();
    assert_eq!(parent.tell("ready", "").status, 204);
    assert_eq!(parent.pod("/readyz").status, 200);
    let start = Instant::now();
    parent.terminate();
    until("the end of readiness", || (parent.pod("/readyz").status == 503).then_some(()));
    assert_eq!(parent.pod("/readyz").detail(), "the parent is stopping");
    assert!(TcpStream::connect(parent.relay).is_err(), "a client was taken");
    assert_eq!(parent.pod("/healthz").status, 200);
    client.write_all(b"question").unwrap();
    let mut question = [0; 8];
    inside.read_exact(&mut question).unwrap();
    inside.write_all(b"answer").unwrap();
    drop(inside);
    let mut answer = [0; 6];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"answer");
    drop(client);
    assert_eq!(parent.ended().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(15), "it waited although everybody had left");
    assert!(!parent.path("control").exists(), "the control socket stays behind");
}

#[test]
fn without_a_list_to_read_again_sighup_changes_nothing() {
    let parent = Parent::start(b"sealed", &[], &[]);
    parent.signal("-HUP");
    until("the log's line", || parent.log().contains("there is no list of enclaves").then_some(()));
    assert_eq!(parent.tell("waiting", "").status, 204);
}

#[test]
fn a_client_that_stays_after_sigterm_is_cut_when_the_time_is_up() {
    let mut parent = Parent::start(b"sealed", &["--drain-timeout", "1"], &[]);
    let enclave = parent.enclave();
    let mut client = parent.client();
    let (_inside, _) = enclave.accept().unwrap();
    let start = Instant::now();
    parent.terminate();
    assert_eq!(parent.ended().code(), Some(0));
    assert!((1..15).contains(&start.elapsed().as_secs()), "after {:?}", start.elapsed());
    client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
}
