//! The byte by which whoever launched the enclave knows that it has come up. Without an answer the launch counts as failed there, so
//! that going on would leave an enclave that nobody knows of.

use cloister_transport::{Address, dial};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::Error;
use crate::limits;

/// What is sent, and is to come back.
const BEAT: u8 = 0xb7;

/// Sends the byte to `address` and reads it back, in as many tries as [`limits::HEARTBEAT_TRIES`].
///
/// # Errors
/// [`Error::Heartbeat`] with the last try's failure.
pub async fn heartbeat(address: &Address) -> Result<(), Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        let reason = match timeout(limits::HEARTBEAT_TIMEOUT, beat(address)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(reason)) => reason,
            Err(_) => format!("no answer within {:?}", limits::HEARTBEAT_TIMEOUT),
        };
        if tries == limits::HEARTBEAT_TRIES {
            return Err(Error::Heartbeat { address: address.clone(), reason });
        }
        sleep(limits::HEARTBEAT_PAUSE).await;
    }
}

async fn beat(address: &Address) -> Result<(), String> {
    let broken = |error: std::io::Error| error.to_string();
    let mut stream = dial(address, limits::HEARTBEAT_TIMEOUT).await.map_err(|error| error.to_string())?;
    stream.write_u8(BEAT).await.map_err(broken)?;
    match stream.read_u8().await.map_err(broken)? {
        BEAT => Ok(()),
        other => Err(format!("it answered 0x{other:02x} in place of 0x{BEAT:02x}")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    /// Answers each connection with the next of `answers`; an absent one closes it.
    fn answering(answers: Vec<Option<u8>>) -> (tempfile::TempDir, Address) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heartbeat");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                assert_eq!(stream.read_u8().await.unwrap(), 0xb7);
                if let Some(answer) = answer {
                    stream.write_u8(answer).await.unwrap();
                }
            }
        });
        (folder, Address::Unix(path))
    }

    #[tokio::test]
    async fn the_byte_comes_back() {
        let (_folder, address) = answering(vec![Some(0xb7)]);
        heartbeat(&address).await.unwrap();
    }

    #[tokio::test]
    async fn a_parent_that_is_not_quite_there_is_asked_again() {
        let (_folder, address) = answering(vec![None, Some(0), Some(0xb7)]);
        heartbeat(&address).await.unwrap();
    }

    #[tokio::test]
    async fn another_byte_each_time_ends_the_boot() {
        let (_folder, address) = answering(vec![Some(0xb6); limits::HEARTBEAT_TRIES as usize]);
        let error = heartbeat(&address).await.unwrap_err();
        assert!(error.to_string().contains("0xb6"), "{error}");
    }

    #[tokio::test]
    async fn a_parent_that_is_not_there_ends_the_boot() {
        let error = heartbeat(&"unix:///nonexistent/heartbeat".parse().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("/nonexistent/heartbeat"), "{error}");
    }
}
