//! What a program for QEMU's Nitro machine does beside its work: it says again what it hears, so that tests can see bulk go through vsock.

use cloister_transport::{Address, Listener, Stream};

/// Where it listens.
const ECHO: Address = Address::Vsock { cid: u32::MAX, port: 5001 };

/// Serves until the process ends.
pub async fn echo() {
    let Ok(listener) = Listener::bind(&ECHO).await else { return };
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(say_again(stream));
    }
}

async fn say_again(stream: Stream) {
    let (mut from, mut to) = tokio::io::split(stream);
    // The other side counts what comes back.
    let _ = tokio::io::copy(&mut from, &mut to).await;
    let _ = tokio::io::AsyncWriteExt::shutdown(&mut to).await;
}
