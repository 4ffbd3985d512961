//! AWS credentials that KMS takes for expired, in the hands of a parent that does not know it yet, or does not care.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use cloister_sim::kms::Principals;
use cloister_tests::{Setup, World};

/// The model owner, and two sets of credentials of the parent's role: one that ended long ago, one that holds.
fn principals() -> Principals {
    let parent = r#"arn = "arn:aws:sts::444455556666:assumed-role/cloister-parent/pod"
        iam_allows = ["kms:Decrypt"]"#;
    let text = format!(
        r#"
        [[principal]]
        access_key_id = "CLOISTERSIMMODELOWNER"
        secret_access_key = "simulated-secret-of-the-model-owner"
        arn = "arn:aws:iam::111122223333:role/model-owner"
        [[principal]]
        access_key_id = "ASIAOLD"
        secret_access_key = "old-secret"
        session_token = "token"
        expiration = "2026-01-01T00:00:00Z"
        {parent}
        [[principal]]
        access_key_id = "ASIANEW"
        secret_access_key = "new-secret"
        session_token = "token"
        {parent}
        "#
    );
    Principals::parse(&text).expect("principals")
}

/// A container's credentials endpoint that says of everything it gives that it holds for long. It gives the old ones until told
/// otherwise.
struct Endpoint {
    url: String,
    renewed: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Endpoint {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let (renewed, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (new, count) = (Arc::clone(&renewed), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if stream.read_exact(&mut byte).is_err() {
                        break;
                    }
                    head.extend(byte);
                }
                count.fetch_add(1, Ordering::SeqCst);
                let (id, secret) =
                    if new.load(Ordering::SeqCst) { ("ASIANEW", "new-secret") } else { ("ASIAOLD", "old-secret") };
                let body = serde_json::json!({
                    "AccessKeyId": id, "SecretAccessKey": secret, "Token": "token", "Expiration": "2099-01-01T00:00:00Z",
                })
                .to_string();
                // A client that has left is no concern of the endpoint's.
                let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            }
        });
        Self { url, renewed, asked }
    }

    fn setup(&self) -> Setup {
        let parent_environment = vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", self.url.clone())];
        Setup { principals: Some(principals()), parent_environment, ..Setup::default() }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_with_old_credentials_says_so_and_boots_once_the_parent_gets_new_ones() {
    let endpoint = Endpoint::start();
    let world = World::start(endpoint.setup()).await;
    let reason = world.not_ready_because("credentials have expired").await;
    assert!(reason.contains("not released"), "{reason}");
    assert!(endpoint.asked.load(Ordering::SeqCst) >= 2, "the parent was not asked for renewed ones");
    endpoint.renewed.store(true, Ordering::SeqCst);
    drop(world.session().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_the_parent_keeps_for_good_ones_are_renewed_within_the_same_try() {
    let endpoint = Endpoint::start();
    let setup = endpoint.setup();
    // The old ones are what the parent has at hand when the enclave asks; its next look finds the new ones.
    let renewed = Arc::clone(&endpoint.renewed);
    let asked = Arc::clone(&endpoint.asked);
    std::thread::spawn(move || {
        while asked.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        renewed.store(true, Ordering::SeqCst);
    });
    let mut world = World::start(setup).await;
    drop(world.session().await);
    let said = world.parent.until("readiness", |words| words.contains("ready").then(|| words.to_owned()));
    assert!(!said.contains("not released"), "the boot had to begin again:\n{said}");
}
