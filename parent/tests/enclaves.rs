//! Several enclaves behind one parent: who gets clients, and how one hands over to another.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails as the test does")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::spawn;
use std::time::Duration;

use support::{Parent, until};

fn listed(name: &str, more: &str) -> String {
    format!(
        "[[enclave]]\nname = \"{name}\"\naddress = \"unix://FOLDER/{name}\"\nmodel = \"FOLDER/model\"\n\
         control = \"unix://FOLDER/{name}-control\"\n{more}\n"
    )
}

/// Takes an enclave's place: greets each client with its name, then repeats what the client says.
fn enclave(parent: &Parent, name: &'static str) {
    let listener = UnixListener::bind(parent.path(name)).unwrap();
    spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            spawn(move || {
                let mut said = [0; 64];
                let mut more = stream.write_all(name.as_bytes()).is_ok();
                while more {
                    let count = stream.read(&mut said).unwrap_or(0);
                    more = count > 0 && stream.write_all(&said[..count]).is_ok();
                }
            });
        }
    });
}

/// Whom a new client reaches, and its connection.
fn client(parent: &Parent) -> (String, TcpStream) {
    let mut client = parent.client();
    let mut name = [0; 3];
    client.read_exact(&mut name).unwrap();
    (String::from_utf8(name.to_vec()).unwrap(), client)
}

fn echoes(client: &mut TcpStream) -> bool {
    let mut back = [0; 5];
    client.write_all(b"hello").is_ok() && client.read_exact(&mut back).is_ok() && back == *b"hello"
}

#[test]
fn the_last_listed_that_is_ready_gets_new_clients_and_the_other_steps_in() {
    let parent = Parent::start_list(&(listed("old", "") + &listed("new", "")));
    enclave(&parent, "old");
    enclave(&parent, "new");
    assert_eq!(parent.tell_of("old-control", "ready", "").status, 204);
    assert_eq!(client(&parent).0, "old", "the new one has said nothing yet");
    assert_eq!(parent.pod("/readyz").status, 200);
    assert_eq!(parent.tell_of("new-control", "ready", "").status, 204);
    let (name, mut kept) = client(&parent);
    assert_eq!(name, "new");
    assert_eq!(parent.metric("cloister_parent_enclave_connections{enclave=\"new\"}"), Some(1.0));
    assert_eq!(parent.tell_of("new-control", "waiting", "the clock").status, 204);
    assert_eq!(client(&parent).0, "old");
    assert!(echoes(&mut kept), "who is there stays");
    // One that says it is ready and cannot be reached is passed over.
    assert_eq!(parent.tell_of("new-control", "ready", "").status, 204);
    std::fs::remove_file(parent.path("new")).unwrap();
    assert_eq!(client(&parent).0, "old");
}

#[test]
fn one_that_is_no_longer_listed_drains_and_is_forgotten_when_nobody_is_left() {
    let parent = Parent::start_list(&listed("old", ""));
    enclave(&parent, "old");
    parent.tell_of("old-control", "ready", "");
    let (_, mut kept) = client(&parent);

    parent.list_again(&(listed("old", "") + &listed("new", "set = { queue = 3 }")));
    // There before it listens.
    until("the new one's endpoint", || UnixStream::connect(parent.path("new-control")).ok());
    enclave(&parent, "new");
    assert_eq!(parent.tell_of("new-control", "ready", "").status, 204);
    assert_eq!(client(&parent).0, "new");
    assert_eq!(parent.tell_of("old-control", "ready", "").status, 204, "it is listed still");

    parent.list_again(&listed("new", "set = { queue = 3 }"));
    until("the old one's draining", || parent.log().contains("it gets no new clients").then_some(()));
    assert_eq!(parent.tell_of("old-control", "ready", "").status, 205, "it is asked to end");
    parent.tell_of("new-control", "waiting", "");
    assert_eq!(client(&parent).0, "new", "what drains gets nobody, whatever the others say");
    assert!(echoes(&mut kept), "who is there stays to the end");
    std::fs::remove_file(parent.path("old")).unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    assert!(parent.path("old-control").exists() && echoes(&mut kept), "somebody is left");
    drop(kept);
    parent.tell_of("old-control", "stopping", "");
    until("the old one's end", || parent.log().contains("has drained and ended").then_some(()));
    assert_eq!(
        parent.control_of("new-control", "GET", "/v1/settings", &[], b"").json(),
        serde_json::json!({"queue": 3})
    );
}

#[test]
fn all_drain_when_none_is_listed() {
    let parent = Parent::start_list(&listed("old", ""));
    enclave(&parent, "old");
    parent.tell_of("old-control", "ready", "");
    let (_, mut kept) = client(&parent);
    parent.list_again("enclave = []");
    until("its draining", || parent.log().contains("it gets no new clients").then_some(()));
    assert_eq!(parent.tell_of("old-control", "ready", "").status, 205, "it is asked to end");
    let answer = parent.pod("/readyz");
    assert_eq!((answer.status, answer.detail().as_str()), (503, "no enclave is listed that does not drain"));
    let mut late = parent.client();
    assert!(matches!(late.read(&mut [0]), Ok(0) | Err(_)), "a client was taken");
    assert!(echoes(&mut kept), "who is there stays to the end");
    assert_eq!(parent.metric("cloister_parent_enclave_connections{enclave=\"old\"}"), Some(1.0));
    drop(kept);
    until("nobody's being there", || {
        (parent.metric("cloister_parent_enclave_connections{enclave=\"old\"}") == Some(0.0)).then_some(())
    });
}

#[test]
fn a_list_that_cannot_be_used_changes_nothing() {
    let good = listed("old", "");
    let parent = Parent::start_list(&good);
    enclave(&parent, "old");
    parent.tell_of("old-control", "ready", "");
    for (times, bad) in [
        (1, "nonsense".to_owned()),
        (2, String::new()),
        (3, good.clone() + &good),
        (4, good.replace("model\"", "none\"")),
    ] {
        parent.list_again(&bad);
        until("the refusal", || (parent.log().matches("stays as it was").count() == times).then_some(()));
        assert_eq!(client(&parent).0, "old");
        assert_eq!(parent.tell_of("old-control", "ready", "").status, 204);
    }
}

#[test]
fn each_enclave_gets_its_own_model_and_settings_and_speaks_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let with_model = |name: &str, more: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("for {name}")).unwrap();
        listed(name, more).replace("FOLDER/model", &path.display().to_string())
    };
    let parent = Parent::start_list(&(with_model("old", "") + &with_model("new", "set = { queue = 1 }")));
    let given = |name: &str, path: &str| parent.control_of(&format!("{name}-control"), "GET", path, &[], b"");
    assert_eq!(
        (given("old", "/v1/model").body, given("new", "/v1/model").body),
        (b"for old".to_vec(), b"for new".to_vec())
    );
    assert_eq!(given("old", "/v1/settings").json(), serde_json::json!({}));
    assert_eq!(given("new", "/v1/settings").json(), serde_json::json!({"queue": 1}));
    assert_eq!(parent.tell_of("old-control", "failed", "the known answers differ").status, 204);
    assert_eq!(parent.pod("/readyz").detail(), "the enclave has said nothing yet", "the preferred one's reason");
    assert!(parent.log().lines().any(|line| line.contains("enclave=\"old\"") && line.contains("event=\"failed\"")));
}

#[test]
fn one_that_is_listed_again_before_it_ended_takes_clients_again() {
    let both = listed("old", "") + &listed("new", "");
    let parent = Parent::start_list(&both);
    enclave(&parent, "old");
    enclave(&parent, "new");
    parent.tell_of("old-control", "ready", "");
    parent.list_again(&listed("new", ""));
    until("the old one's draining", || (parent.tell_of("old-control", "ready", "").status == 205).then_some(()));
    // Its place is not free yet.
    let other = listed("old", "").replace("\"old\"", "\"other\"");
    parent.list_again(&(listed("new", "") + &other));
    until("the refusal", || parent.log().contains("of one that is to drain").then_some(()));
    parent.list_again(&(listed("new", "set = { queue = 5 }") + &listed("old", "")));
    until("the old one's return", || parent.log().contains("drains no more").then_some(()));
    assert_eq!(parent.tell_of("old-control", "ready", "").status, 204);
    assert_eq!(client(&parent).0, "old");
    let settings = parent.control_of("new-control", "GET", "/v1/settings", &[], b"");
    assert_eq!(settings.json(), serde_json::json!({"queue": 5}), "what is set may change in place");
}

#[test]
fn a_client_that_the_preferred_enclave_does_not_take_is_told_of_in_log_and_metrics() {
    let parent = Parent::start_list(&(listed("old", "") + &listed("new", "")));
    enclave(&parent, "old");
    parent.tell_of("old-control", "ready", "");
    parent.tell_of("new-control", "ready", "");
    for _ in 0..10 {
        assert_eq!(client(&parent).0, "old");
    }
    let missed = parent.metric("cloister_parent_relay_missed_total{enclave=\"new\"}").unwrap();
    // It is not dialled for each client, and the log is not flooded.
    assert!((1.0..10.0).contains(&missed), "{missed}");
    let log = parent.log();
    assert!(
        log.lines().any(|line| line.contains("a client was not taken") && line.contains("enclave=\"new\"")),
        "{log}"
    );
    assert_eq!(parent.metric("cloister_parent_relay_refused_total{reason=\"unreachable\"}"), Some(0.0));
    enclave(&parent, "new");
    until("the new one's turn", || (client(&parent).0 == "new").then_some(()));
}

#[test]
fn what_the_operator_sets_is_given_to_the_enclave() {
    let parent = Parent::start(b"sealed", &[], &[]);
    assert_eq!(parent.control("GET", "/v1/settings", &[], b"").json(), serde_json::json!({}));
    let parent = Parent::start(b"sealed", &["--set", "queue=4", "--set", "mode=fast"], &[]);
    let answer = parent.control("GET", "/v1/settings", &[], b"");
    assert_eq!(answer.json(), serde_json::json!({"queue": 4, "mode": "fast"}));
}
