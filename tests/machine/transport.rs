//! Bulk through vsock, both ways at once.

use std::time::Duration;

use cloister_tests::{Machine, MachineSetup, Tools};
use cloister_transport::{Address, dial};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Where a program that was built for these tests says again what it hears.
const ECHO_PORT: u32 = 5001;

/// The transfer takes seconds; on a busy machine more.
const PATIENCE: Duration = Duration::from_secs(120);

const BYTES: usize = 64 * 1024 * 1024;

/// Bytes that do not repeat within the transfer: a counter, in eighths.
fn stream() -> Vec<u8> {
    (0..BYTES as u64 / 8).flat_map(|count| (count.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_megabytes_go_through_vsock_and_come_back_intact() {
    let Some(tools) = Tools::prepared() else { return };
    let machine = Machine::start(&tools, &MachineSetup::default()).await;
    drop(machine.session().await);
    let echo = Address::Hybrid { path: machine.vsock.clone(), port: ECHO_PORT };
    let connection = dial(&echo, Duration::from_secs(30)).await.unwrap();
    let (mut from, mut to) = tokio::io::split(connection);
    let sender = tokio::spawn(async move {
        to.write_all(&stream()).await.unwrap();
        to
    });
    // Nobody closes before all is there: rust-vmm's device drops what it still holds of a connection that ends.
    let mut heard = vec![0; BYTES];
    tokio::time::timeout(PATIENCE, from.read_exact(&mut heard)).await.expect("bytes are missing").unwrap();
    drop(sender.await.unwrap());
    assert!(heard == stream(), "bytes were changed on the way");
}
