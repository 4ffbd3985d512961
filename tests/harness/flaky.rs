//! A relay that cuts every so many of the streams that it carries, each in another place.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cloister_transport::{Address, Listener, Stream, dial};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional, split};

/// After how many bytes, both ways together, a stream is cut: at once, within a handshake, within a small answer, within an image.
const PLACES: [usize; 5] = [0, 300, 2_000, 20_000, 150_000];

/// A relay in front of something.
pub struct Flaky {
    /// Where it listens.
    pub address: Address,
    cut: Arc<AtomicUsize>,
}

impl Flaky {
    /// Carries streams from `listen` to `target`, and cuts every `every`-th.
    pub async fn start(listen: &Address, target: Address, every: usize) -> Self {
        let listener = Listener::bind(listen).await.expect("the relay listens");
        let address = listener.local_address().clone();
        let cut = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&cut);
        tokio::spawn(async move {
            for stream in 1.. {
                let Ok((client, _)) = listener.accept().await else { return };
                let doomed =
                    (stream % every == 0).then(|| PLACES[counted.fetch_add(1, Ordering::SeqCst) % PLACES.len()]);
                tokio::spawn(carry(client, target.clone(), doomed));
            }
        });
        Self { address, cut }
    }

    /// How many streams were cut so far.
    pub fn cut(&self) -> usize {
        self.cut.load(Ordering::SeqCst)
    }
}

async fn carry(mut client: Stream, target: Address, doomed: Option<usize>) {
    let Ok(mut server) = dial(&target, Duration::from_secs(10)).await else { return };
    // Either side may hang up as it likes.
    match doomed {
        None => drop(copy_bidirectional(&mut client, &mut server).await),
        Some(bytes) => {
            let (client_reads, client_writes) = split(client);
            let (server_reads, server_writes) = split(server);
            let left = AtomicUsize::new(bytes);
            tokio::select! {
                () = copy_some(client_reads, server_writes, &left) => {}
                () = copy_some(server_reads, client_writes, &left) => {}
            }
        }
    }
}

async fn copy_some(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, left: &AtomicUsize) {
    let mut buffer = [0; 4096];
    loop {
        let may = left.load(Ordering::SeqCst).min(buffer.len());
        if may == 0 {
            return;
        }
        let Ok(length @ 1..) = from.read(&mut buffer[..may]).await else { return };
        left.fetch_sub(length.min(left.load(Ordering::SeqCst)), Ordering::SeqCst);
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
