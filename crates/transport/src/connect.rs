//! The client's side of HTTP CONNECT (RFC 9110, section 9.3.6).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::limits::MAX_CONNECT_ANSWER;
use crate::{Address, Error, Stream, dial};

/// Asks the proxy for a connection to `host:port` and gives the stream once the proxy has agreed, all within `after`.
///
/// # Errors
/// [`Error::ProxyRefused`] with the proxy's status, [`Error::ProxyAnswer`], or as [`dial`].
pub async fn connect_through(proxy: &Address, host: &str, port: u16, after: Duration) -> Result<Stream, Error> {
    // A name goes into the request's head: nothing but names and addresses may.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    if host.is_empty() || !host.bytes().all(allowed) {
        return Err(Error::HostName(host.chars().take(255).collect()));
    }
    let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let ask = async {
        let mut stream = dial(proxy, after).await?;
        stream.write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes()).await?;
        let head = head(&mut stream, proxy).await?;
        agreed(&head, proxy, &target)?;
        Ok(stream)
    };
    timeout(after, ask).await.map_err(|_| Error::Timeout { address: proxy.clone(), after })?
}

/// Reads to the empty line and no further: what follows belongs to the tunnel.
async fn head(stream: &mut Stream, proxy: &Address) -> Result<Vec<u8>, Error> {
    let problem = |problem| Error::ProxyAnswer { proxy: proxy.clone(), problem };
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_CONNECT_ANSWER {
            return Err(problem("its head is too long"));
        }
        head.push(stream.read_u8().await.map_err(|_| problem("the connection ended"))?);
    }
    Ok(head)
}

fn agreed(head: &[u8], proxy: &Address, target: &str) -> Result<(), Error> {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).unwrap_or_default();
    let status = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "));
    let Some(status) = status else {
        return Err(Error::ProxyAnswer { proxy: proxy.clone(), problem: "its first line is not a status" });
    };
    if status.len() >= 3 && status.starts_with('2') {
        Ok(())
    } else {
        Err(Error::ProxyRefused { proxy: proxy.clone(), target: target.to_owned(), status: status.to_owned() })
    }
}
