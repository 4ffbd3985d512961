//! Bulk through vsock, both ways at once.

use std::sync::Arc;
use std::time::Duration;

use cloister_tests::{Machine, MachineSetup, Tools};
use cloister_transport::{Address, dial};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

/// Where a program that was built for these tests says again what it hears.
const ECHO_PORT: u32 = 5001;

const BYTES: usize = 64 * 1024 * 1024;
const CHUNK: usize = 16 * 1024;

/// What may be on its way: rust-vmm's device grants the guest more than its Unix socket holds (212,992 bytes), and loses what does not fit.
const CHUNKS_ON_THE_WAY: usize = 8;

/// The transfer takes seconds; on a busy machine more.
const PATIENCE: Duration = Duration::from_secs(180);

/// Bytes that do not repeat within the transfer: a counter, in eighths.
fn stream() -> Vec<u8> {
    (0..BYTES as u64 / 8).flat_map(|count| (count.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_megabytes_go_through_vsock_and_come_back_intact() {
    let Some(tools) = Tools::prepared() else { return };
    let mut machine = Machine::start(&tools, &MachineSetup::default()).await;
    drop(machine.session().await);
    let echo = Address::Hybrid { path: machine.vsock.clone(), port: ECHO_PORT };
    let connection = dial(&echo, Duration::from_secs(30)).await.unwrap();
    let (mut from, mut to) = tokio::io::split(connection);
    let bytes = Arc::new(stream());
    let window = Arc::new(Semaphore::new(CHUNKS_ON_THE_WAY));
    let (sent, open) = (Arc::clone(&bytes), Arc::clone(&window));
    let sender = tokio::spawn(async move {
        for chunk in sent.chunks(CHUNK) {
            open.acquire().await.unwrap().forget();
            to.write_all(chunk).await.unwrap();
        }
        to
    });
    let receiver = async {
        let mut heard = vec![0; CHUNK];
        for chunk in bytes.chunks(CHUNK) {
            from.read_exact(&mut heard).await.unwrap();
            assert!(heard == chunk, "bytes were changed on the way");
            window.add_permits(1);
        }
    };
    tokio::time::timeout(PATIENCE, receiver).await.expect("bytes are missing");
    drop(sender.await.unwrap());
}
