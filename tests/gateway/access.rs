//! Who may use it: passwords, sessions, roles, TLS of its own, and what is written down of it.

use std::io::Write;
use std::process::{Command, Stdio};

use cloister_tests::{Client, Gateway, Said, Setup, World, binary, run};
use serde_json::json;

/// What `cloister gateway password` makes of a password.
fn hashed(password: &str) -> String {
    let mut command = Command::new(binary("cloister"));
    command.args(["gateway", "password"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn users() -> String {
    let user = |name: &str, role: &str, password: &str| {
        format!(
            "[[user]]\nname = {name:?}\ndisplay = \"Dr {name}\"\nrole = {role:?}\npassword = {:?}\n",
            hashed(password)
        )
    };
    user("ruth", "reader", "correct horse") + &user("ada", "administrator", "battery staple")
}

struct Stand {
    world: World,
    gateway: Gateway,
}

async fn stand(more: &str) -> Stand {
    let world = World::start(Setup::default()).await;
    let folder = world.folder().join("gateway");
    let path = world.folder().join("users.toml");
    std::fs::write(&path, users()).unwrap();
    let more = format!("[access]\nusers = {path:?}\n{more}");
    let gateway = Gateway::start(&folder, &[&world.server], &world.policy_file(), &more);
    Stand { world, gateway }
}

async fn sign_in(client: &Client, user: &str, password: &str) -> Said {
    let body = json!({"user": user, "password": password}).to_string();
    client.ask("POST", "/api/v1/session", "application/json", body).await
}

/// A browser that has signed in, and the word that says that a change is meant.
async fn browser(client: Client, user: &str, password: &str) -> (Client, String) {
    let session = sign_in(&client, user, password).await;
    assert_eq!(session.status, 200, "{}", String::from_utf8_lossy(&session.body));
    let cookie = session.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let csrf = session.json()["csrf"].as_str().unwrap().to_owned();
    (client.with("cookie", cookie.split(';').next().unwrap()), csrf)
}

#[tokio::test(flavor = "multi_thread")]
async fn users_sign_in_do_what_their_role_allows_and_sign_out() {
    let Stand { world, gateway } = stand("").await;
    let stranger = gateway.client();
    let session = stranger.get("/api/v1/session").await.json();
    assert_eq!((&session["user"], &session["sign_in"]), (&json!(null), &json!("password")));
    for path in ["/api/v1/exams", "/api/v1/enclaves", "/api/v1/events", "/api/v1/exams/0/receipt"] {
        assert_eq!(stranger.get(path).await.problem(), "signed-out", "{path}");
    }
    assert_eq!(sign_in(&stranger, "ruth", "correct horsf").await.problem(), "sign-in-refused");
    assert_eq!(sign_in(&stranger, "nobody", "correct horse").await.problem(), "sign-in-refused");

    let (reader, csrf) = browser(gateway.client(), "ruth", "correct horse").await;
    let session = reader.get("/api/v1/session").await.json();
    assert_eq!(session["user"], json!({"name": "ruth", "display": "Dr ruth", "role": "reader"}));
    let check = ("POST", "/api/v1/enclaves/check", "text/plain");
    assert_eq!(reader.ask(check.0, check.1, check.2, "").await.problem(), "not-meant");
    let (other, _) = browser(gateway.client(), "ada", "battery staple").await;
    assert_eq!(
        other.clone().with("x-cloister-csrf", &csrf).ask(check.0, check.1, check.2, "").await.problem(),
        "not-meant"
    );
    let reader = reader.with("x-cloister-csrf", &csrf);
    assert_eq!(reader.ask(check.0, check.1, check.2, "").await.status, 200);

    // A machine brings its password each time, and needs no such word.
    let machine = gateway.client().with("authorization", "Basic YWRhOmJhdHRlcnkgc3RhcGxl");
    gateway.ready().await;
    let picture = cloister_tests::image(cloister_imaging::View::LCc, 1);
    let sent = machine.send_exam("?missing=allow", &[("L-CC", &picture)]).await;
    assert_eq!(sent.status, 201, "{}", String::from_utf8_lossy(&sent.body));
    let exam = sent.json();
    assert_eq!((&exam["by"], &exam["source"]), (&json!("ada"), &json!("api")));
    let path = format!("/api/v1/exams/{}", exam["id"].as_str().unwrap());
    assert_eq!(reader.ask("DELETE", &path, "text/plain", "").await.problem(), "not-allowed");
    assert_eq!(machine.ask("DELETE", &path, "text/plain", "").await.status, 204);
    assert_eq!(machine.get(&path).await.status, 404);

    assert_eq!(reader.ask("DELETE", "/api/v1/session", "text/plain", "").await.status, 204);
    assert_eq!(reader.get("/api/v1/exams").await.problem(), "signed-out");

    let log = std::fs::read_to_string(gateway.audit()).unwrap();
    for part in ["\"ruth\"", "\"sign-in\"", "\"sign-out\"", "\"delete\"", "\"receive\"", "not-known"] {
        assert!(log.contains(part), "{part} is not in\n{log}");
    }
    for secret in ["correct horse", "battery", "YWRhO", &csrf] {
        assert!(!log.contains(secret) && !gateway.process.words().contains(secret), "{secret}");
    }
    drop(world);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_lock_and_idle_sessions_end() {
    let Stand { world: _world, gateway } = stand("session_idle_seconds = 2\n").await;
    let (reader, _) = browser(gateway.client(), "ruth", "correct horse").await;
    assert_eq!(reader.get("/api/v1/exams").await.status, 200);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(reader.get("/api/v1/exams").await.problem(), "signed-out");
    for _ in 0..5 {
        assert_eq!(sign_in(&gateway.client(), "ruth", "guess").await.problem(), "sign-in-refused");
    }
    let locked = sign_in(&gateway.client(), "ruth", "correct horse").await;
    assert_eq!((locked.status, locked.problem().as_str()), (429, "sign-in-locked"));
    assert!(locked.header("retry-after").unwrap().parse::<u64>().unwrap() <= 301);
    // A machine's wrong password is written down too; that there is a wait, once.
    let machine = gateway.client().with("authorization", "Basic cnV0aDpndWVzcw==");
    assert_eq!(machine.get("/api/v1/exams").await.problem(), "sign-in-locked");
    let other = gateway.client().with("authorization", "Basic bm9ib2R5Om5vdGhpbmc=");
    assert_eq!(other.get("/api/v1/exams").await.problem(), "sign-in-locked", "its address waits");
    let log = std::fs::read_to_string(gateway.audit()).unwrap();
    assert_eq!((log.matches("not-known").count(), log.matches("\"locked\"").count()), (5, 1), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_that_come_at_once_are_not_judged_past_the_count() {
    let Stand { world: _world, gateway } = stand("").await;
    let guesses = (0..20).map(|_| {
        let client = gateway.client();
        tokio::spawn(async move { sign_in(&client, "ruth", "guess").await.problem() })
    });
    let guesses: Vec<_> = guesses.collect();
    let mut judged = 0;
    for guess in guesses {
        judged += usize::from(guess.await.unwrap() == "sign-in-refused");
    }
    // Two are hashed at once, of which the second may come in between.
    assert!((5..=6).contains(&judged), "{judged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machines_wrong_password_is_written_down_and_a_stream_of_events_ends_with_its_session() {
    let Stand { world: _world, gateway } = stand("").await;
    let machine = gateway.client().with("authorization", "Basic cnV0aDpndWVzcw==");
    assert_eq!(machine.get("/api/v1/exams").await.problem(), "signed-out");
    let log = std::fs::read_to_string(gateway.audit()).unwrap();
    assert_eq!(log.matches("not-known").count(), 1, "{log}");

    let (reader, csrf) = browser(gateway.client(), "ruth", "correct horse").await;
    let following = reader.clone();
    // The answer comes when the stream has ended.
    let stream = tokio::spawn(async move { following.get("/api/v1/events").await });
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(!stream.is_finished());
    let signed_out = reader.with("x-cloister-csrf", &csrf).ask("DELETE", "/api/v1/session", "text/plain", "").await;
    assert_eq!(signed_out.status, 204);
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), stream).await;
    assert_eq!(ended.expect("the stream ends").unwrap().status, 200);
}

#[test]
fn a_watched_folder_that_is_not_there_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gateway.toml");
    let missing = folder.path().join("exmas");
    let data = folder.path().join("data");
    let text = format!(
        "listen = \"tcp://127.0.0.1:0\"\ndata = {data:?}\npolicy = \"/nowhere\"\n[[enclave]]\naddress = \"tcp://127.0.0.1:1\"\n[intake.folder]\npath = {missing:?}\n"
    );
    std::fs::write(&config, text).unwrap();
    let refused = run(Command::new(binary("cloister")).args(["gateway", "--config"]).arg(&config));
    assert_eq!(refused.code, 65, "{refused:?}");
    assert!(refused.stderr.contains("[intake.folder]"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_log_that_was_touched_is_found_out_and_not_gone_on_with() {
    let Stand { world: _world, mut gateway } = stand("").await;
    for _ in 0..3 {
        browser(gateway.client(), "ruth", "correct horse").await;
    }
    gateway.process.terminate();
    let verify = |more: &[&str]| {
        let mut command = Command::new(binary("cloister"));
        run(command.args(["gateway", "audit", "verify"]).arg(gateway.audit()).args(more))
    };
    let said = verify(&[]).success();
    let head = said.trim().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(verify(&["--head", &head]).code, 0);
    let whole = std::fs::read_to_string(gateway.audit()).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    assert_eq!(lines.len(), 5, "start, three sign-ins, stop");
    for (what, touched) in [
        ("changed", whole.replacen("ruth", "anna", 1)),
        ("follow on", whole.replacen(&format!("{}\n", lines[1]), "", 1)),
        ("follow on", format!("{}\n{}\n{}\n", lines[0], lines[2], lines[1])),
    ] {
        std::fs::write(gateway.audit(), touched).unwrap();
        let said = verify(&[]);
        assert!(said.code == 77 && said.stderr.contains(what), "{said:?}");
    }
    std::fs::write(gateway.audit(), lines[..3].join("\n") + "\n").unwrap();
    assert_eq!(verify(&[]).code, 0, "a missing end does not show in the file itself");
    assert_eq!(verify(&["--head", &head]).code, 77);
    // The gateway knows where it was.
    let mut command = Command::new(binary("cloister"));
    let config = gateway.data.parent().unwrap().join("gateway.toml");
    let refused = run(command.args(["gateway", "--config"]).arg(config));
    assert!(refused.code == 77 && refused.stderr.contains("event 3"), "{refused:?}");
}

#[test]
fn nobody_is_let_in_unseen_but_on_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let start = |listen: &str| {
        let mut command = Command::new(binary("cloister"));
        command.args(["gateway", "--enclave", "tcp://127.0.0.1:1", "--policy", "/nowhere", "--listen", listen]);
        run(command.arg("--data").arg(folder.path().join("data")))
    };
    let refused = start("tcp://0.0.0.0:0");
    assert_eq!(refused.code, 65);
    assert!(refused.stderr.contains("sign in") && refused.stderr.contains("loopback"), "{}", refused.stderr);
    assert!(!folder.path().join("data").exists(), "nothing was begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_has_tls_of_its_own_and_says_so_to_browsers() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let [pem, key_pem] = ["c.pem", "k.pem"].map(|name| folder.path().join(name));
    std::fs::write(&pem, certificate.pem()).unwrap();
    std::fs::write(&key_pem, key.serialize_pem()).unwrap();
    let Stand { world: _world, gateway } = stand(&format!("[tls]\ncertificate = {pem:?}\nkey = {key_pem:?}\n")).await;
    let port = gateway.address.to_string().rsplit(':').next().unwrap().to_owned();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--include", "--max-time", "30", "--cacert"]).arg(&pem);
    let body = json!({"user": "ruth", "password": "correct horse"}).to_string();
    curl.args(["--json", &body, &format!("https://localhost:{port}/api/v1/session")]);
    let said = run(&mut curl).success().to_lowercase();
    assert!(said.starts_with("http/2 200"), "{said}");
    for line in [
        "strict-transport-security: max-age=63072000",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cache-control: no-store",
        "content-security-policy: default-src 'self'; script-src 'self' 'wasm-unsafe-eval'",
        "set-cookie: __host-cloister=",
        "; secure",
    ] {
        assert!(said.contains(line), "{line} is not in\n{said}");
    }
    let mut plain = Command::new("curl");
    let plain = run(plain.args(["--silent", "--max-time", "10", &format!("http://localhost:{port}/healthz")]));
    assert_ne!(plain.code, 0, "{plain:?}");
}
