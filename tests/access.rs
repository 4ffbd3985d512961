//! Who may ask: open unless the measured configuration says otherwise, and then to those that it names, each as often as it says.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use cloister_client::{ClientCertificate, Credentials, Error, Options, Session, Token, connect};
use cloister_imaging::View;
use cloister_tests::{
    Answer, ClientAuthority, EnclaveSetup, Front, Output, Setup, World, binary, image, impostor, run,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const VIEW: &str = "view=L-CC&crops=1";

/// A token's entry in the configuration.
fn entry(token: &str) -> String {
    let hash = hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes()));
    format!("[[access.tokens]]\nname = \"{token}\"\nsha256 = \"{hash}\"\n")
}

fn authority_entry(authority: &ClientAuthority) -> String {
    format!("client_ca = \"\"\"\n{}\"\"\"\n", authority.pem())
}

async fn guarded(access: &str) -> World {
    let extra = format!("[access]\n{access}");
    World::ready(Setup { enclave: EnclaveSetup { extra, ..EnclaveSetup::default() }, ..Setup::default() }).await
}

async fn with_header(world: &World, value: &str) -> Answer {
    Front::connect(&world.server).await.authorize(value).post_image(VIEW, image(View::LCc, 1)).await
}

/// Waits until the enclave has told its parent so.
fn told(world: &mut World, notice: &str) {
    world.parent.until(notice, |words| words.contains(notice).then_some(()));
}

#[track_caller]
fn assert_unauthorized(answer: &Answer, detail: &str, challenge: &str) {
    assert_eq!((answer.status, answer.problem().as_str()), (401, "unauthorized"));
    let words = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(words.contains(detail), "{words:?} does not say {detail:?}");
    assert_eq!(answer.challenge.as_deref(), Some(challenge));
}

const UNTRIED: &str = "Bearer";
const TRIED: &str = "Bearer error=\"invalid_token\"";

#[tokio::test(flavor = "multi_thread")]
async fn without_access_in_its_configuration_an_enclave_answers_whoever_reaches_it_and_says_so() {
    let mut world = World::ready(Setup::default()).await;
    told(&mut world, "open to whoever reaches the port");
    let mut anyone = Front::connect(&world.server).await;
    assert_eq!(anyone.post_image(VIEW, image(View::LCc, 1)).await.status, 200);
    // A credential that nobody asked for is not looked at.
    assert_eq!(with_header(&world, "Bearer whatever").await.status, 200);
    // No certificate is asked for either; a client that has one is as good as any.
    let client = ClientAuthority::default().issue();
    let mut certified = Front::connect_as(&world.server, &client).await;
    assert_eq!(certified.post_image(VIEW, image(View::LCc, 1)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_classification_needs_a_token_and_nothing_else_does() {
    let mut world = guarded(&(entry("one") + &entry("two"))).await;
    told(&mut world, "open to those alone whom [access] of the measured configuration names");
    let png = image(View::LCc, 1);
    for token in ["Bearer one", "bearer two"] {
        assert_eq!(with_header(&world, token).await.status, 200, "{token}");
    }
    let mut anyone = Front::connect(&world.server).await;
    for path in ["/v1/images?view=L-CC", "/v1/exams", "/invocations"] {
        let answer = anyone.send("POST", path, "image/png", png.clone()).await;
        assert_unauthorized(&answer, "neither a client certificate nor", UNTRIED);
    }
    let nonce = "ab".repeat(32);
    let attestation = format!("/v1/attestation?nonce={nonce}");
    for path in [attestation.as_str(), "/healthz", "/readyz", "/ping", "/metrics", "/openapi.json"] {
        assert_eq!(anyone.get(path).await.status, 200, "{path}");
    }
    assert_eq!(anyone.get("/v1/images").await.status, 405, "a path that is guarded tells its methods all the same");

    for value in ["Bearer three", "Bearer on", "Bearer onee", "Bearer ONE"] {
        assert_unauthorized(&with_header(&world, value).await, "none that this enclave's configuration lists", TRIED);
    }
    assert_unauthorized(&with_header(&world, "Basic b25lOm9uZQ==").await, "another scheme", TRIED);
    let long = format!("Bearer {}", "x".repeat(513));
    for value in ["Bearer", "Bearer one two", long.as_str()] {
        assert_unauthorized(&with_header(&world, value).await, "at most 512 characters", TRIED);
    }

    let metrics = String::from_utf8(anyone.get("/metrics").await.body).unwrap();
    for line in ["cloister_unauthorized_total{reason=\"nothing\"} 3", "cloister_unauthorized_total{reason=\"token\"} 8"]
    {
        assert!(metrics.lines().any(|l| l == line), "{line:?} is not in:\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_refused_is_told_before_sending_a_body() {
    let world = guarded(&entry("one")).await;
    let mut asking = Front::tls(&world.server).await;
    let head = "POST /v1/images?view=L-CC HTTP/1.1\r\nHost: enclave.invalid\r\nExpect: 100-continue\r\n\
                Connection: close\r\nContent-Length: 4000000\r\n\r\n";
    asking.write_all(head.as_bytes()).await.unwrap();
    asking.flush().await.unwrap();
    let (begun, mut answer) = (Instant::now(), Vec::new());
    let ended = tokio::time::timeout(Duration::from_secs(20), asking.read_to_end(&mut answer)).await;
    let text = String::from_utf8_lossy(&answer);
    assert!(ended.is_ok() && text.starts_with("HTTP/1.1 401"), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(1), "it waited for a body that never comes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_must_be_of_the_authority_and_of_today() {
    let authority = ClientAuthority::default();
    let world = guarded(&authority_entry(&authority)).await;
    let png = image(View::LCc, 1);
    let mut right = Front::connect_as(&world.server, &authority.issue()).await;
    for _ in 0..2 {
        assert_eq!(right.post_image(VIEW, png.clone()).await.status, 200);
    }
    // Whatever their certificate is, clients may verify the enclave, and read why they are refused.
    for (client, why) in [
        (authority.issue_expired(), "the client certificate has expired"),
        (ClientAuthority::default().issue(), "is of no authority that this enclave's configuration names"),
    ] {
        let mut wrong = Front::connect_as(&world.server, &client).await;
        assert_eq!(wrong.get(&format!("/v1/attestation?nonce={}", "ab".repeat(32))).await.status, 200);
        assert_unauthorized(&wrong.post_image(VIEW, png.clone()).await, why, UNTRIED);
    }
    let mut none = Front::connect(&world.server).await;
    assert_unauthorized(&none.post_image(VIEW, png.clone()).await, "neither a client certificate nor", UNTRIED);
    // No token is listed, so that none is right.
    assert_unauthorized(
        &with_header(&world, "Bearer one").await,
        "none that this enclave's configuration lists",
        TRIED,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_both_kinds_are_taken_either_will_do() {
    let authority = ClientAuthority::default();
    let world = guarded(&(authority_entry(&authority) + &entry("one"))).await;
    let png = image(View::LCc, 1);
    let (right, expired) = (authority.issue(), authority.issue_expired());
    for (client, value, status) in [
        (Some(&right), None, 200),
        (None, Some("Bearer one"), 200),
        (Some(&right), Some("Bearer one"), 200),
        (Some(&right), Some("Bearer wrong"), 200),
        (Some(&expired), Some("Bearer one"), 200),
        (Some(&expired), Some("Bearer wrong"), 401),
        (Some(&expired), None, 401),
        (None, None, 401),
    ] {
        let mut front = match client {
            Some(client) => Front::connect_as(&world.server, client).await,
            None => Front::connect(&world.server).await,
        };
        if let Some(value) = value {
            front = front.authorize(value);
        }
        let answer = front.post_image(VIEW, png.clone()).await;
        assert_eq!(answer.status, status, "certificate {:?}, {value:?}", client.map(|client| client == &right));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_client_has_a_rate_of_its_own() {
    let authority = ClientAuthority::default();
    let rate = "requests_per_minute = 20\n".to_owned();
    let world = guarded(&(rate + &authority_entry(&authority) + &entry("one") + &entry("two"))).await;
    let (mut served, mut refused) = (0, None);
    let mut one = Front::connect(&world.server).await.authorize("Bearer one");
    // Refused for its image and not for its rate, it counts all the same: what is bounded is how often a client asks.
    while served < 40 && refused.is_none() {
        let answer = one.post_image(VIEW, "no image").await;
        match answer.status {
            415 => served += 1,
            _ => refused = Some(answer),
        }
    }
    let refused = refused.expect("a rate that is kept");
    assert_eq!((refused.status, refused.problem().as_str()), (429, "too-many-requests"));
    assert!((20..24).contains(&served), "{served} were let in");

    // Another connection does not make another client; others go on meanwhile.
    assert_eq!(with_header(&world, "Bearer one").await.status, 429);
    assert_eq!(with_header(&world, "Bearer two").await.status, 200);
    let mut certified = Front::connect_as(&world.server, &authority.issue()).await;
    assert_eq!(certified.post_image(VIEW, image(View::LCc, 1)).await.status, 200);
    let unknown = with_header(&world, "Bearer three").await;
    assert_eq!(unknown.status, 401, "who is not known has no rate");

    let seconds: u64 = refused.retry_after.unwrap().parse().unwrap();
    assert!((1..=3).contains(&seconds), "{seconds} seconds to the next of 20 a minute");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    assert_eq!(one.post_image(VIEW, "no image").await.status, 415, "the time it was told was true");
}

async fn session(world: &World, credentials: Credentials) -> Session {
    let options = Options { credentials, ..Options::default() };
    connect(&world.server, options).await.unwrap().verify(&world.policy, SystemTime::now()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_shows_its_credentials_with_each_request_of_a_verified_session() {
    let authority = ClientAuthority::default();
    let world = guarded(&(authority_entry(&authority) + &entry("one"))).await;
    let pair = authority.issue();
    let certificate = ClientCertificate::from_pem(pair.certificate.as_bytes(), pair.key.as_bytes()).unwrap();
    for credentials in [
        Credentials { token: Some(Token::parse("one\n").unwrap()), certificate: None },
        Credentials { token: None, certificate: Some(certificate) },
    ] {
        let mut session = session(&world, credentials).await;
        for seed in 0..2 {
            session.classify(image(View::RCc, seed), View::RCc, Some(1), None).await.unwrap();
        }
        let exam = View::ALL.into_iter().map(|view| (view, image(view, 1))).collect();
        session.exam(exam, Some(1), None).await.unwrap();
    }
    let mut nobody = session(&world, Credentials::default()).await;
    let error = nobody.classify(image(View::RCc, 1), View::RCc, Some(1), None).await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 401, .. }), "{error}");
}

fn classify(server: &str, world: &World, arguments: &[(&str, &Path)]) -> Output {
    let file = world.folder().join("image.png");
    std::fs::write(&file, image(View::LCc, 1)).unwrap();
    let mut command = Command::new(binary("cloister"));
    command.args(["classify", "--server", server, "--view", "L-CC", "--crops", "1", "--image"]).arg(&file);
    command.arg("--policy").arg(world.policy_file());
    for (flag, path) in arguments {
        command.arg(flag).arg(path);
    }
    run(&mut command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_made_on_the_command_line_opens_the_enclave_that_lists_it() {
    let folder = tempfile::TempDir::new().unwrap();
    let token = folder.path().join("token");
    let make = || {
        let mut command = Command::new(binary("cloister"));
        run(command.args(["access", "token", "--name", "reading-room", "--out"]).arg(&token))
    };
    let lines = make().success();
    let again = make();
    assert_eq!(again.code, 65, "a token that is there is not replaced: {again:?}");

    let authority = ClientAuthority::default();
    let pair = authority.issue();
    let (certificate, key) = (folder.path().join("client.pem"), folder.path().join("client.key"));
    std::fs::write(&certificate, &pair.certificate).unwrap();
    std::fs::write(&key, &pair.key).unwrap();
    let world = guarded(&(authority_entry(&authority) + &lines)).await;
    let server = world.server.to_string();
    classify(&server, &world, &[("--token-file", &token)]).success();
    classify(&server, &world, &[("--client-cert", &certificate), ("--client-key", &key)]).success();

    let nobody = classify(&server, &world, &[]);
    assert_eq!(nobody.code, 65, "{nobody:?}");
    assert!(nobody.stderr.contains("(401)") && nobody.stderr.contains("neither a client certificate"), "{nobody:?}");
    let alone = classify(&server, &world, &[("--client-cert", &certificate)]);
    assert_eq!(alone.code, 64, "a certificate without its key: {alone:?}");
    let exchanged = classify(&server, &world, &[("--client-cert", &key), ("--client-key", &certificate)]);
    assert_eq!(exchanged.code, 65, "{exchanged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impostor_is_sent_no_token() {
    let world = guarded(&entry("one")).await;
    let enclave = world.server.clone();
    let (server, loot) = impostor(move |path| {
        let enclave = enclave.clone();
        async move { Front::connect(&enclave).await.get(&path).await.body }
    })
    .await;
    let token = world.folder().join("token");
    std::fs::write(&token, "one\n").unwrap();
    let output = classify(&server.to_string(), &world, &[("--token-file", &token)]);
    assert_eq!(output.code, 77, "{output:?}");
    assert_eq!((loot.images(), loot.tokens()), (0, 0));
    // The same token is sent to whoever proves to be the enclave.
    classify(&world.server.to_string(), &world, &[("--token-file", &token)]).success();
}
