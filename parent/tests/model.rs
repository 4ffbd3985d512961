//! The sealed model over the control endpoint: ranges, conditions, replacement (RFC 9110, sections 13 and 14).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails as the test does")]

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use support::{Answer, Parent, head, pattern, send};

const LENGTH: usize = 300_001;
const MIB: usize = 1024 * 1024;

fn parent() -> (Parent, Vec<u8>) {
    let model = pattern(LENGTH);
    (Parent::start(&model, &[], &[]), model)
}

fn get(parent: &Parent, headers: &[(&str, &str)]) -> Answer {
    parent.control("GET", "/v1/model", headers, b"")
}

#[test]
fn the_whole_model_comes_with_its_length_and_a_strong_tag() {
    let (parent, model) = parent();
    let answer = get(&parent, &[]);
    assert_eq!(answer.status, 200);
    assert!(answer.body == model);
    assert_eq!(answer.header("content-length"), LENGTH.to_string());
    assert_eq!(answer.header("accept-ranges"), "bytes");
    let tag = answer.header("etag");
    assert!(tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    let again = get(&parent, &[]);
    assert_eq!(again.header("etag"), tag);
    let head = parent.control("HEAD", "/v1/model", &[("range", "bytes=0-1")], b"");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "300001", 0));
}

#[test]
fn the_first_the_middle_the_last_and_an_open_range_are_served() {
    let (parent, model) = parent();
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=0-65535", 0, 65_535),
        ("bytes=100000-299999", 100_000, 299_999),
        ("bytes=300000-300000", 300_000, 300_000),
        ("bytes=-10", LENGTH - 10, LENGTH - 1),
        ("bytes=299990-", 299_990, LENGTH - 1),
        ("bytes=200000-9999999", 200_000, LENGTH - 1),
    ] {
        let answer = get(&parent, &[("range", range)]);
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {first}-{last}/{LENGTH}"), "{range}");
        assert_eq!(answer.header("content-length"), (last - first + 1).to_string(), "{range}");
        assert!(answer.body == model[first..=last], "{range}");
    }
}

#[test]
fn a_range_past_the_end_is_refused_with_the_length() {
    let (parent, _) = parent();
    for range in ["bytes=300001-", "bytes=400000-500000", "bytes=-0"] {
        let answer = get(&parent, &[("range", range)]);
        assert_eq!(answer.status, 416, "{range}");
        assert_eq!(answer.header("content-range"), "bytes */300001");
        assert_eq!(answer.problem(), "range");
    }
}

#[test]
fn several_ranges_are_answered_with_the_whole() {
    let (parent, model) = parent();
    let answer = get(&parent, &[("range", "bytes=0-1,5-6")]);
    assert_eq!(answer.status, 200);
    assert!(answer.body == model);
}

#[test]
fn a_replaced_model_has_another_tag_and_old_conditions_fail() {
    let (parent, model) = parent();
    let old = get(&parent, &[]).header("etag").to_owned();
    let part = get(&parent, &[("range", "bytes=1-2"), ("if-range", &old), ("if-match", &old)]);
    assert_eq!((part.status, &part.body[..]), (206, &model[1..=2]));
    // The same length, and the same file written to in place.
    let mut other = model.clone();
    other[0] ^= 1;
    std::fs::write(parent.path("model"), &other).unwrap();
    let new = get(&parent, &[]);
    assert!(new.body == other);
    assert_ne!(new.header("etag"), old);
    let whole = get(&parent, &[("range", "bytes=1-2"), ("if-range", &old)]);
    assert_eq!((whole.status, whole.body.len()), (200, LENGTH));
    let refused = get(&parent, &[("range", "bytes=1-2"), ("if-match", &old)]);
    assert_eq!((refused.status, refused.problem().as_str()), (412, "precondition"));
    let unchanged = get(&parent, &[("if-none-match", new.header("etag"))]);
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
}

/// Reads an answer's head, does something, and reads the rest.
fn interrupted(parent: &Parent, what: impl FnOnce()) -> Vec<u8> {
    let mut stream = UnixStream::connect(parent.path("control")).unwrap();
    send(&mut stream, "GET", "/v1/model", &[], b"");
    assert_eq!(head(&mut stream).status, 200);
    what();
    let mut body = Vec::new();
    // A connection that is cut is one of the outcomes.
    let _ = stream.read_to_end(&mut body);
    body
}

#[test]
fn a_download_under_way_stays_with_the_file_that_it_began_with() {
    let model = pattern(16 * MIB);
    let parent = Parent::start(&model, &[], &[]);
    let body = interrupted(&parent, || {
        std::fs::write(parent.path("next"), b"another").unwrap();
        std::fs::rename(parent.path("next"), parent.path("model")).unwrap();
    });
    assert!(body == model);
    assert_eq!(get(&parent, &[]).body, b"another");
}

#[test]
fn a_model_that_becomes_shorter_gives_a_short_answer_and_no_filling() {
    let model = pattern(16 * MIB);
    let parent = Parent::start(&model, &[], &[]);
    let body = interrupted(&parent, || {
        std::fs::File::options().write(true).open(parent.path("model")).unwrap().set_len(8 * MIB as u64).unwrap();
    });
    assert!(body.len() < model.len(), "{} bytes", body.len());
    assert!(body == model[..body.len()]);
}

#[test]
fn a_large_model_takes_constant_memory() {
    let parent = Parent::start(&pattern(128 * MIB), &[], &[]);
    get(&parent, &[("range", "bytes=0-1048575")]);
    let before = parent.memory();
    let mut stream = UnixStream::connect(parent.path("control")).unwrap();
    send(&mut stream, "GET", "/v1/model", &[], b"");
    let (mut buffer, mut most) = (vec![0; 8 * MIB], 0);
    while stream.read(&mut buffer).unwrap() > 0 {
        most = most.max(parent.memory());
    }
    let grown = most.saturating_sub(before);
    assert!(grown < 8 * MIB as u64, "it grew by {grown} bytes");
}

#[test]
fn a_model_that_is_gone_is_said_to_be_and_comes_back() {
    let (parent, model) = parent();
    std::fs::rename(parent.path("model"), parent.path("away")).unwrap();
    let answer = get(&parent, &[]);
    assert_eq!((answer.status, answer.problem().as_str()), (503, "model-unavailable"));
    std::fs::create_dir(parent.path("model")).unwrap();
    assert_eq!(get(&parent, &[]).status, 503);
    std::fs::remove_dir(parent.path("model")).unwrap();
    std::fs::rename(parent.path("away"), parent.path("model")).unwrap();
    assert!(get(&parent, &[]).body == model);
}

#[test]
fn other_paths_and_methods_are_problems() {
    let (parent, _) = parent();
    let answer = parent.control("GET", "/v1/weights", &[], b"");
    assert_eq!((answer.status, answer.problem().as_str()), (404, "not-found"));
    let answer = parent.control("DELETE", "/v1/model", &[], b"");
    assert_eq!((answer.status, answer.problem().as_str()), (405, "method"));
    // The control endpoint's paths are not on the pod's.
    assert_eq!(parent.pod("/v1/credentials").status, 404);
}

#[test]
fn a_head_without_end_is_cut() {
    let (parent, _) = parent();
    let mut stream = UnixStream::connect(parent.path("control")).unwrap();
    let filler = [b'a'; 4096];
    let wrote = (0..256).take_while(|_| stream.write_all(&filler).is_ok()).count();
    assert!(wrote < 256, "a megabyte of head was taken");
}
