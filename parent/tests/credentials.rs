//! AWS credentials over the control endpoint, from each source of the default chain, played by a server on a real socket.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails as the test does")]

mod support;

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::{Duration, SystemTime};

use support::{Answer, Parent};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const SECRET: &str = "wJalrXUtnFEMI-hush-bPxRfiCY";
const TOKEN: &str = "IQoJb3JpZ2luX2Vj-hush-token";

fn get(parent: &Parent) -> Answer {
    parent.control("GET", "/v1/credentials", &[], b"")
}

fn assert_log_is_silent(parent: &Parent) {
    let log = parent.log();
    assert!(!log.contains("hush"), "a secret stands in the log:\n{log}");
}

/// A server that answers each request with what `answer` makes of its head and body: a status, and a body.
struct Fake {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn start(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = request(&mut stream);
                let (status, body) = answer(&request);
                let length = body.len();
                let ttl = "x-aws-ec2-metadata-token-ttl-seconds: 21600";
                seen.lock().unwrap().push(request);
                // A client that has left is no concern of the server's.
                let _ = write!(stream, "HTTP/1.1 {status} X\r\n{ttl}\r\ncontent-length: {length}\r\n\r\n{body}");
            }
        });
        Self { url, heads }
    }

    /// Requests whose first line begins so.
    fn asked(&self, line: &str) -> usize {
        self.heads.lock().unwrap().iter().filter(|head| head.starts_with(line)).count()
    }
}

fn request(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer).unwrap_or(0);
        text += &String::from_utf8_lossy(&buffer[..count]);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if count == 0 {
                return text;
            }
            continue;
        };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        if body.len() >= length || count == 0 {
            return text;
        }
    }
}

fn after(duration: Duration) -> String {
    let end = OffsetDateTime::from(SystemTime::now() + duration).replace_nanosecond(0).unwrap();
    end.format(&Rfc3339).unwrap()
}

fn keys(id: &str, expiration: &str) -> String {
    format!(
        "{{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"{id}\",\"SecretAccessKey\":\"{SECRET}\",\
         \"Token\":\"{TOKEN}\",\"Expiration\":\"{expiration}\",\"LastUpdated\":\"2026-01-01T00:00:00Z\"}}"
    )
}

const ROLE: &str = "GET /latest/meta-data/iam/security-credentials/role-of-the-node ";

/// Instance metadata, version 2, that gives what `role` makes for the role.
fn instance_metadata(role: impl Fn() -> (u16, String) + Send + 'static) -> Fake {
    Fake::start(move |request| {
        if request.starts_with("PUT /latest/api/token ") {
            (200, "session-of-metadata".to_owned())
        } else if !request.contains("session-of-metadata") {
            (401, String::new())
        } else if request.starts_with(ROLE) {
            role()
        } else if request.starts_with("GET /latest/meta-data/iam/security-credentials/ ") {
            (200, "role-of-the-node".to_owned())
        } else {
            (404, String::new())
        }
    })
}

fn on_an_instance(fake: &Fake) -> Parent {
    let metadata = [
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", fake.url.as_str()),
        ("RUST_LOG", "trace"),
    ];
    Parent::start(b"sealed", &[], &metadata)
}

#[test]
fn those_of_the_environment_are_given_and_neither_stored_nor_logged() {
    let environment = [
        ("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_SESSION_TOKEN", TOKEN),
        ("RUST_LOG", "trace"),
    ];
    let parent = Parent::start(b"sealed", &[], &environment);
    let answer = get(&parent);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let expected = serde_json::json!({
        "access_key_id": "AKIDENVIRONMENT", "secret_access_key": SECRET, "session_token": TOKEN, "expiration": null,
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(parent.metric("cloister_parent_credentials_expiry_seconds"), Some(f64::INFINITY));
    assert_log_is_silent(&parent);
}

#[test]
fn those_of_the_instance_are_kept_until_they_near_their_end() {
    let expiration = after(Duration::from_secs(3600));
    let given = keys("ASIAINSTANCE", &expiration);
    let fake = instance_metadata(move || (200, given.clone()));
    let parent = on_an_instance(&fake);
    for _ in 0..5 {
        let answer = get(&parent);
        assert_eq!(answer.status, 200, "{:?}", String::from_utf8_lossy(&answer.body));
        let expected = serde_json::json!({
            "access_key_id": "ASIAINSTANCE", "secret_access_key": SECRET, "session_token": TOKEN,
            "expiration": expiration,
        });
        assert_eq!(answer.json(), expected);
    }
    assert_eq!(fake.asked(ROLE), 1);
    let left = parent.metric("cloister_parent_credentials_expiry_seconds").unwrap();
    assert!((3500.0..=3600.0).contains(&left), "{left}");
    assert_log_is_silent(&parent);
}

#[test]
fn those_that_have_expired_are_replaced() {
    let count = AtomicUsize::new(0);
    let fake = instance_metadata(move || {
        let id = format!("ASIANUMBER{}", count.fetch_add(1, Ordering::Relaxed));
        (200, keys(&id, &after(Duration::from_secs(3))))
    });
    let parent = on_an_instance(&fake);
    let first = get(&parent).json();
    assert_eq!(first["access_key_id"], "ASIANUMBER0");
    sleep(Duration::from_millis(3200));
    let second = get(&parent).json();
    assert_eq!(second["access_key_id"], "ASIANUMBER1");
    assert_ne!(first["expiration"], second["expiration"]);
}

/// Asks for others than those at hand, as an enclave does whose request was refused with them.
fn renew(parent: &Parent) -> Answer {
    parent.control("GET", "/v1/credentials", &[("cache-control", "no-cache")], b"")
}

#[test]
fn those_that_were_refused_as_expired_are_fetched_anew_and_not_at_every_request() {
    let count = AtomicUsize::new(0);
    let fake = instance_metadata(move || {
        let id = format!("ASIANUMBER{}", count.fetch_add(1, Ordering::Relaxed));
        (200, keys(&id, &after(Duration::from_secs(3600))))
    });
    let parent = on_an_instance(&fake);
    assert_eq!(get(&parent).json()["access_key_id"], "ASIANUMBER0");
    for _ in 0..20 {
        assert_eq!(renew(&parent).json()["access_key_id"], "ASIANUMBER0", "they were only just fetched");
    }
    sleep(Duration::from_millis(3200));
    assert_eq!(get(&parent).json()["access_key_id"], "ASIANUMBER0", "nobody refused them");
    assert_eq!(renew(&parent).json()["access_key_id"], "ASIANUMBER1");
    assert_eq!(get(&parent).json()["access_key_id"], "ASIANUMBER1", "the new ones are those at hand");
    assert_eq!(fake.asked(ROLE), 2);
}

#[test]
fn fresh_ones_are_given_before_the_old_ones_end_and_the_old_ones_while_there_are_none() {
    let count = AtomicUsize::new(0);
    // All of these end so soon that they are to be replaced at the next occasion.
    let fake = instance_metadata(move || match count.fetch_add(1, Ordering::Relaxed) {
        1 => (404, String::new()),
        number => (200, keys(&format!("ASIANUMBER{number}"), &after(Duration::from_secs(240)))),
    });
    let parent = on_an_instance(&fake);
    assert_eq!(get(&parent).json()["access_key_id"], "ASIANUMBER0");
    sleep(Duration::from_millis(10_200));
    assert_eq!(get(&parent).json()["access_key_id"], "ASIANUMBER0", "they still hold, and there are no others");
    assert_eq!(fake.asked(ROLE), 2);
    sleep(Duration::from_millis(10_200));
    assert_eq!(get(&parent).json()["access_key_id"], "ASIANUMBER2", "although the old ones would hold for minutes");
}

#[test]
fn those_of_a_profile_that_are_replaced_on_disk_are_followed() {
    let parent = Parent::start(b"sealed", &[], &[("AWS_CONFIG_FILE", "/nonexistent")]);
    let folder = parent.path(".aws");
    std::fs::create_dir(&folder).unwrap();
    for id in ["AKIDFIRST", "AKIDSECOND"] {
        let profile = format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {SECRET}\n");
        std::fs::write(folder.join("credentials"), profile).unwrap();
        assert_eq!(renew(&parent).json()["access_key_id"], id);
        sleep(Duration::from_millis(3200));
    }
}

#[test]
fn a_source_that_fails_is_not_asked_at_every_request() {
    let count = AtomicUsize::new(0);
    let fake = instance_metadata(move || match count.fetch_add(1, Ordering::Relaxed) {
        0 => (200, keys("ASIAONCE", &after(Duration::from_secs(3600)))),
        _ => (404, String::new()),
    });
    let parent = on_an_instance(&fake);
    assert_eq!(get(&parent).status, 200);
    sleep(Duration::from_millis(3200));
    for _ in 0..10 {
        assert_eq!(renew(&parent).json()["access_key_id"], "ASIAONCE", "they hold, and there are no others");
    }
    assert!((2..=3).contains(&fake.asked(ROLE)), "{} times", fake.asked(ROLE));

    let fake = instance_metadata(|| (404, String::new()));
    let parent = on_an_instance(&fake);
    for _ in 0..10 {
        assert_eq!((get(&parent).status, renew(&parent).status), (503, 503));
    }
    assert!((1..=2).contains(&fake.asked(ROLE)), "{} times", fake.asked(ROLE));
}

#[test]
fn a_pods_token_that_is_replaced_on_disk_is_followed() {
    let fake = Fake::start(|request| {
        match ["first", "second"].iter().position(|word| request.contains(&format!("hush-{word}"))) {
            Some(number) => (200, keys(&format!("ASIAPOD{number}"), &after(Duration::from_secs(3600)))),
            None => (401, String::new()),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let url = format!("{}/v1/credentials", fake.url);
    let environment = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap()),
        ("RUST_LOG", "trace"),
    ];
    let parent = Parent::start(b"sealed", &[], &environment);
    for (word, id) in [("first", "ASIAPOD0"), ("second", "ASIAPOD1")] {
        std::fs::write(&token, format!("hush-{word}")).unwrap();
        assert_eq!(renew(&parent).json()["access_key_id"], id);
        sleep(Duration::from_millis(3200));
    }
    assert_log_is_silent(&parent);
}

#[test]
fn those_that_have_expired_are_not_given_when_there_are_no_others() {
    let count = AtomicUsize::new(0);
    let fake = instance_metadata(move || match count.fetch_add(1, Ordering::Relaxed) {
        0 => (200, keys("ASIAONCE", &after(Duration::from_secs(2)))),
        _ => (404, String::new()),
    });
    let parent = on_an_instance(&fake);
    assert_eq!(get(&parent).status, 200);
    sleep(Duration::from_millis(2200));
    let answer = get(&parent);
    assert_eq!((answer.status, answer.problem().as_str()), (503, "credentials"));
    assert!(!String::from_utf8_lossy(&answer.body).contains("hush"));
    assert_eq!(parent.metric("cloister_parent_credentials_failures_total"), Some(1.0));
}

#[test]
fn those_of_the_pods_identity_are_given() {
    let given = keys("ASIAPOD", &after(Duration::from_secs(3600)));
    let fake = Fake::start(move |request| match request.to_ascii_lowercase() {
        request if request.contains("authorization: token-of-the-pod") => (200, given.clone()),
        _ => (401, String::new()),
    });
    let url = format!("{}/v1/credentials", fake.url);
    let environment = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "token-of-the-pod"),
        ("RUST_LOG", "trace"),
    ];
    let parent = Parent::start(b"sealed", &[], &environment);
    let answer = get(&parent);
    assert_eq!(answer.status, 200, "{}\n{}", String::from_utf8_lossy(&answer.body), parent.log());
    assert_eq!(answer.json()["access_key_id"], "ASIAPOD");
    assert_eq!(answer.json()["session_token"], TOKEN);
    assert_log_is_silent(&parent);
}

#[test]
fn those_of_a_web_identity_are_given() {
    let expiration = after(Duration::from_secs(3600));
    let mut answer = String::new();
    write!(
        answer,
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAWEB</AccessKeyId>\
         <SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken>{TOKEN}</SessionToken>\
         <Expiration>{expiration}</Expiration></Credentials>\
         <AssumedRoleUser><Arn>arn:aws:sts::111122223333:assumed-role/r/s</Arn><AssumedRoleId>A:s</AssumedRoleId>\
         </AssumedRoleUser></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )
    .unwrap();
    let fake = Fake::start(move |request| {
        let asks = request.contains("Action=AssumeRoleWithWebIdentity") && request.contains("hush-identity");
        if asks { (200, answer.clone()) } else { (400, String::new()) }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("identity");
    std::fs::write(&file, "hush-identity").unwrap();
    let environment = [
        ("AWS_ENDPOINT_URL_STS", fake.url.as_str()),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/r"),
        ("RUST_LOG", "trace"),
    ];
    let parent = Parent::start(b"sealed", &["--region", "eu-central-1"], &environment);
    let answer = get(&parent);
    assert_eq!(answer.status, 200, "{}\n{}", String::from_utf8_lossy(&answer.body), parent.log());
    assert_eq!(answer.json()["access_key_id"], "ASIAWEB");
    assert_eq!(answer.json()["expiration"], expiration);
    assert_log_is_silent(&parent);
}

#[test]
fn without_any_the_answer_says_where_they_were_looked_for() {
    let parent = Parent::start(b"sealed", &[], &[]);
    let answer = get(&parent);
    assert_eq!((answer.status, answer.problem().as_str()), (503, "credentials"));
    assert_eq!(answer.header("retry-after"), "2");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.detail().contains("environment, profile, web identity, container, instance metadata"));
    assert_eq!(parent.metric("cloister_parent_credentials_expiry_seconds"), None);
}

#[test]
fn a_source_that_answers_nonsense_leaks_nothing_of_it() {
    // An answer that holds the secret and ends early; one whose end is no time; and a refusal that quotes it.
    let broken = keys("ASIABROKEN", "2099-01-01T00:00:00Z").replace("\"Expiration\"", "Expiration");
    let timeless = keys("ASIATIMELESS", "hush");
    for (status, body, cause) in [(200, broken, ""), (200, timeless, ""), (500, SECRET.to_owned(), "status 500")] {
        let answered = body.clone();
        let fake = instance_metadata(move || (status, answered.clone()));
        let parent = on_an_instance(&fake);
        let answer = get(&parent);
        assert_eq!((answer.status, answer.problem().as_str()), (503, "credentials"), "{body}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("hush"), "{body}");
        assert_log_is_silent(&parent);
        let log = parent.log();
        assert!(log.lines().any(|line| line.contains("no AWS credentials") && line.contains(cause)), "{log}");
    }
}
