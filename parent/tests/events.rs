//! What the enclave tells, and what the pod's endpoint makes of it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails as the test does")]

mod support;

use support::{Parent, until};

fn parent() -> Parent {
    Parent::start(b"sealed", &[], &[])
}

#[test]
fn the_pod_is_ready_only_while_the_enclave_says_so_and_answers() {
    let parent = parent();
    let not_ready = |expected: &str| {
        let answer = parent.pod("/readyz");
        assert_eq!((answer.status, answer.problem().as_str()), (503, "not-ready"));
        assert!(answer.detail().contains(expected), "{}", answer.detail());
        assert_eq!(parent.metric("cloister_parent_ready"), Some(0.0));
    };
    assert_eq!(parent.pod("/healthz").status, 200);
    not_ready("nothing yet");
    assert_eq!(parent.tell("starting", "").status, 204);
    not_ready("the enclave is starting");
    assert_eq!(parent.tell("waiting", "the key's policy refuses PCR0").status, 204);
    not_ready("the enclave is waiting: the key's policy refuses PCR0");
    assert_eq!(parent.tell("ready", "demo version 1").status, 204);
    not_ready("cannot be reached");
    let enclave = parent.enclave();
    until("readiness", || (parent.pod("/readyz").status == 200).then_some(()));
    assert_eq!(parent.metric("cloister_parent_ready"), Some(1.0));
    drop(enclave);
    std::fs::remove_file(parent.path("enclave")).unwrap();
    until("the end of readiness", || (parent.pod("/readyz").status == 503).then_some(()));
    assert_eq!(parent.tell("failed", "the known answers differ").status, 204);
    not_ready("the enclave is failed: the known answers differ");
    assert_eq!(parent.pod("/healthz").status, 200);
}

#[test]
fn a_notice_is_logged_and_changes_nothing() {
    let parent = parent();
    let enclave = parent.enclave();
    assert_eq!(parent.tell("ready", "").status, 204);
    until("readiness", || (parent.pod("/readyz").status == 200).then_some(()));
    assert_eq!(parent.tell("notice", "open to whoever reaches the port").status, 204);
    assert_eq!(parent.pod("/readyz").status, 200);
    assert!(parent.log().contains("open to whoever reaches the port"));
    assert_eq!(parent.tell("draining", "").status, 204);
    assert_eq!(parent.pod("/readyz").status, 503);
    drop(enclave);
}

#[test]
fn log_records_come_into_the_log_under_the_enclaves_name_and_cannot_forge_it() {
    let parent = parent();
    let record = |words: &str| {
        serde_json::json!({"time": "2026-01-01T00:00:00Z", "level": "warn", "event": "block_missed", "reason": words})
            .to_string()
    };
    let forged = "x\n2026-01-01T00:00:00Z ERROR cloister_parent: the enclave says ready";
    let body = [record("why"), record(forged)].join("\n");
    assert_eq!(parent.control("POST", "/v1/logs", &[], body.as_bytes()).status, 204);
    let log = parent.log();
    assert!(log.contains("WARN") && log.contains("block_missed") && log.contains("enclave=\"enclave\""), "{log}");
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01T00:00:00Z ERROR")), "{log}");
    assert_eq!(parent.metric("cloister_parent_log_records_total"), Some(2.0));

    let too_many = vec![record("r"); 65].join("\n");
    for (body, status, problem) in [
        ("{}".to_owned(), 400, "log-malformed"),
        (record("r") + "\n[]", 400, "log-malformed"),
        (record("r").replace("2026", "\\n2026"), 400, "log-malformed"),
        ("\n".to_owned(), 400, "logs-broken"),
        ("x".repeat(70_000), 413, "logs-too-large"),
        (too_many, 413, "logs-too-large"),
    ] {
        let answer = parent.control("POST", "/v1/logs", &[], body.as_bytes());
        assert_eq!((answer.status, answer.problem().as_str()), (status, problem));
    }
    let dropped = |reason| format!("cloister_parent_log_records_dropped_total{{reason=\"{reason}\"}}");
    assert_eq!(parent.metric(&dropped("malformed")), Some(4.0));
    assert_eq!(parent.metric(&dropped("too_large")), Some(2.0));
    let many = vec![record("again"); 60].join("\n");
    let statuses: Vec<_> = (0..12).map(|_| parent.control("POST", "/v1/logs", &[], many.as_bytes()).status).collect();
    assert!(statuses.contains(&204) && statuses.contains(&429), "{statuses:?}");
}

#[test]
fn an_unknown_event_is_refused_and_changes_nothing() {
    let parent = parent();
    assert_eq!(parent.tell("waiting", "for the model").status, 204);
    let good = r#"{"time":"2026-01-01T00:00:00Z","event":"ready"}"#;
    for bad in [
        r#"{"time":"2026-01-01T00:00:00Z","event":"classified","detail":"malignant 0.9"}"#,
        r#"{"time":"now","event":"ready"}"#,
        r#"{"time":"2026-01-01T00:00:00Z","event":"ready","score":0.9}"#,
        "ready",
    ] {
        let answer = parent.control("POST", "/v1/events", &[], format!("{good}\n{bad}\n").as_bytes());
        assert_eq!((answer.status, answer.problem().as_str()), (400, "event-malformed"), "{bad}");
        assert!(answer.detail().starts_with("line 2"), "{}", answer.detail());
    }
    assert!(parent.pod("/readyz").detail().ends_with("for the model"));
    assert_eq!(parent.metric("cloister_parent_events_dropped_total{reason=\"malformed\"}"), Some(4.0));
    assert!(!parent.log().contains("malignant"), "what was refused stands in the log");
}

#[test]
fn a_detail_is_made_printable_and_cut() {
    let parent = parent();
    let detail = format!("\u{1b}[2Jgone\r\n2026-01-01 ERROR forged{}", "x".repeat(5000));
    assert_eq!(parent.tell("waiting", &detail).status, 204);
    let shown = parent.pod("/readyz").detail();
    assert!(shown.contains("\u{fffd}[2Jgone\u{fffd}\u{fffd}2026"), "{shown}");
    assert!(!shown.chars().any(char::is_control));
    assert!(shown.len() < 1100, "{} bytes", shown.len());
    let log = parent.log();
    assert!(log.contains("the enclave says") && !log.contains('\u{1b}'), "{log}");
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01 ERROR forged")));
}

#[test]
fn a_flood_of_events_is_bounded() {
    let parent = parent();
    let taken = (0..300).filter(|_| parent.tell("waiting", "flood").status == 204).count();
    assert!((32..200).contains(&taken), "{taken} of 300 were taken");
    let refused = parent.tell("waiting", "flood");
    assert_eq!((refused.status, refused.problem().as_str()), (429, "events-too-many"));
    assert_eq!(refused.header("retry-after"), "2");
    let lines = parent.log().lines().filter(|line| line.contains("flood")).count();
    assert_eq!(lines, taken);
}

#[test]
fn too_large_a_body_and_too_many_events_are_refused() {
    let parent = parent();
    let line = "{\"time\":\"2026-01-01T00:00:00Z\",\"event\":\"ready\"}\n";
    for body in [line.repeat(17), "x".repeat(64 * 1024 + 1), line.repeat(5000)] {
        let answer = parent.control("POST", "/v1/events", &[], body.as_bytes());
        assert_eq!((answer.status, answer.problem().as_str()), (413, "events-too-large"));
    }
    let answer = parent.control("POST", "/v1/events", &[], b"");
    assert_eq!((answer.status, answer.problem().as_str()), (400, "events-broken"));
    assert!(parent.pod("/readyz").detail().contains("nothing yet"));
}
