//! The relay, between real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails as the test does")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use support::{PATIENCE, Parent, pattern, until};

const MIB: usize = 1024 * 1024;

#[test]
fn a_client_that_has_said_everything_still_hears_the_answer() {
    let parent = Parent::start(b"sealed", &[], &[]);
    let enclave = parent.enclave();
    let mut client = parent.client();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (mut inside, _) = enclave.accept().unwrap();
    let mut heard = Vec::new();
    inside.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, b"question");
    inside.write_all(b"answer").unwrap();
    drop(inside);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"answer");
}

#[test]
fn an_enclave_that_has_said_everything_still_hears_the_client() {
    let parent = Parent::start(b"sealed", &[], &[]);
    let enclave = parent.enclave();
    let mut client = parent.client();
    let (mut inside, _) = enclave.accept().unwrap();
    inside.write_all(b"enough").unwrap();
    inside.shutdown(Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, b"enough");
    client.write_all(b"one more thing").unwrap();
    drop(client);
    let mut more = Vec::new();
    inside.read_to_end(&mut more).unwrap();
    assert_eq!(more, b"one more thing");
}

#[test]
fn sixty_four_mebibytes_pass_both_ways_at_once_and_are_counted() {
    let parent = Parent::start(b"sealed", &[], &[]);
    let enclave = parent.enclave();
    let mut out = pattern(64 * MIB);
    let mut back = out.clone();
    back.reverse();
    let client = parent.client();
    let (inside, _) = enclave.accept().unwrap();
    let (mut client_reads, mut inside_reads) = (client.try_clone().unwrap(), inside.try_clone().unwrap());
    let (mut client_writes, mut inside_writes) = (client, inside);
    let (sent_out, sent_back) = (out.clone(), back.clone());
    let writers = [
        spawn(move || {
            client_writes.write_all(&sent_out).unwrap();
            client_writes.shutdown(Shutdown::Write).unwrap();
        }),
        spawn(move || {
            inside_writes.write_all(&sent_back).unwrap();
            inside_writes.shutdown(Shutdown::Write).unwrap();
        }),
    ];
    let reader = spawn(move || {
        let mut got = Vec::new();
        inside_reads.read_to_end(&mut got).unwrap();
        got
    });
    let mut got_back = Vec::new();
    client_reads.read_to_end(&mut got_back).unwrap();
    let got_out = reader.join().unwrap();
    for writer in writers {
        writer.join().unwrap();
    }
    assert!(got_out == out, "what the enclave got is not what the client sent");
    assert!(got_back == back, "what the client got is not what the enclave sent");
    out.clear();
    let bytes = |direction| parent.metric(&format!("cloister_parent_relay_bytes_total{{direction=\"{direction}\"}}"));
    assert_eq!(bytes("to_enclave"), Some((64 * MIB) as f64));
    assert_eq!(bytes("from_enclave"), Some((64 * MIB) as f64));
}

#[test]
fn a_reader_that_is_slow_makes_the_writer_wait_and_costs_no_memory() {
    const TOTAL: usize = 128 * MIB;
    let parent = Parent::start(b"sealed", &[], &[]);
    let enclave = parent.enclave();
    let mut client = parent.client();
    let (mut inside, _) = enclave.accept().unwrap();
    let before = parent.memory();
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let writer = spawn(move || {
        let piece = pattern(MIB);
        for _ in 0..TOTAL / MIB {
            client.write_all(&piece).unwrap();
            counted.fetch_add(MIB, Ordering::Relaxed);
        }
        client.shutdown(Shutdown::Write).unwrap();
    });
    let mut last = usize::MAX;
    until("the writer's stop", || {
        sleep(Duration::from_millis(500));
        let now = sent.load(Ordering::Relaxed);
        (std::mem::replace(&mut last, now) == now).then_some(())
    });
    let stalled = sent.load(Ordering::Relaxed);
    // The kernel's socket buffers hold some; the process may not.
    assert!(stalled < TOTAL / 2, "{stalled} bytes were taken from a client whose bytes nobody reads");
    let grown = parent.memory().saturating_sub(before);
    assert!(grown < 4 * MIB as u64, "the relay grew by {grown} bytes for one connection");
    let mut buffer = vec![0; MIB];
    let mut got = 0;
    loop {
        match inside.read(&mut buffer).unwrap() {
            0 => break,
            count => got += count,
        }
    }
    writer.join().unwrap();
    assert_eq!(got, TOTAL);
}

#[test]
fn a_client_past_the_limit_is_closed_and_a_place_that_is_left_is_given_again() {
    let parent = Parent::start(b"sealed", &["--max-clients", "2"], &[]);
    let enclave = parent.enclave();
    let first = parent.client();
    let (_first_inside, _) = enclave.accept().unwrap();
    let _second = parent.client();
    let (_second_inside, _) = enclave.accept().unwrap();
    assert_eq!(parent.metric("cloister_parent_relay_connections"), Some(2.0));
    let mut third = parent.client();
    assert_closed(&mut third);
    assert_eq!(parent.metric("cloister_parent_relay_refused_total{reason=\"full\"}"), Some(1.0));
    drop(first);
    drop(_first_inside);
    until("a place", || (parent.metric("cloister_parent_relay_connections") == Some(1.0)).then_some(()));
    let mut fourth = parent.client();
    fourth.write_all(b"x").unwrap();
    let (mut inside, _) = enclave.accept().unwrap();
    let mut byte = [0];
    inside.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
}

#[test]
fn clients_that_stay_silent_after_the_enclave_hung_up_give_their_places_back() {
    let parent = Parent::start(b"sealed", &["--max-clients", "2"], &[]);
    let enclave = parent.enclave();
    let _silent = [parent.client(), parent.client()];
    let inside = [enclave.accept().unwrap(), enclave.accept().unwrap()];
    assert_eq!(parent.metric("cloister_parent_relay_connections"), Some(2.0));
    drop(inside);
    let start = Instant::now();
    until("both places", || (parent.metric("cloister_parent_relay_connections") == Some(0.0)).then_some(()));
    assert!(start.elapsed() < Duration::from_secs(40), "only after {:?}", start.elapsed());
    let mut next = parent.client();
    next.write_all(b"x").unwrap();
    let (mut inside, _) = enclave.accept().unwrap();
    let mut byte = [0];
    inside.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
}

#[test]
fn without_an_enclave_clients_are_closed_and_the_log_is_not_flooded() {
    const CLIENTS: usize = 50;
    let parent = Parent::start(b"sealed", &[], &[]);
    let start = Instant::now();
    for _ in 0..CLIENTS {
        assert_closed(&mut parent.client());
    }
    let refused = parent.metric("cloister_parent_relay_refused_total{reason=\"unreachable\"}");
    assert_eq!(refused, Some(CLIENTS as f64));
    let lines = parent.log().lines().filter(|line| line.contains("the enclave cannot be reached")).count();
    let most = 1 + usize::try_from(start.elapsed().as_secs()).unwrap();
    assert!((1..=most).contains(&lines), "{lines} lines");
}

#[test]
fn a_connection_on_which_nothing_moves_is_cut() {
    let parent = Parent::start(b"sealed", &["--idle-timeout", "1"], &[]);
    let enclave = parent.enclave();
    let mut client = parent.client();
    let (mut inside, _) = enclave.accept().unwrap();
    let start = Instant::now();
    assert_closed(&mut client);
    assert!(start.elapsed() >= Duration::from_millis(900), "cut after {:?}", start.elapsed());
    inside.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(inside.read(&mut [0]).unwrap(), 0);
    until("the count", || {
        (parent.metric("cloister_parent_relay_ended_total{how=\"idle\"}") == Some(1.0)).then_some(())
    });
}

fn assert_closed(client: &mut impl Read) {
    match client.read(&mut [0]) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("not closed: {other:?}"),
    }
}
