//! The client's side of HTTP CONNECT (RFC 9110, section 9.3.6): a stream to a host through a proxy.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::address::Authority;
use crate::{Address, Error, Stream, dial, limits};

/// Opens a tunnel to `host:port` through the HTTP CONNECT proxy at `proxy`. `within` covers dialling and the proxy's answer.
///
/// # Errors
/// [`Error::ProxyRefused`] with the proxy's own reason, [`Error::ProxyMalformed`], [`Error::InvalidAddress`] for a host that
/// is none, or what [`dial`] can fail with.
pub async fn connect_through(proxy: &Address, host: &str, port: u16, within: Duration) -> Result<Stream, Error> {
    if !Address::is_host(host) {
        return Err(Error::InvalidAddress { text: host.to_owned(), reason: "it is neither a name nor an IP address" });
    }
    let tunnel = async {
        let mut stream = dial(proxy, within).await?;
        ask(&mut stream, proxy, host, port).await?;
        Ok(stream)
    };
    timeout(within, tunnel).await.unwrap_or_else(|_| Err(Error::Timeout { address: proxy.clone(), after: within }))
}

async fn ask(stream: &mut Stream, proxy: &Address, host: &str, port: u16) -> Result<(), Error> {
    let broken = |source| Error::Unreachable { address: proxy.clone(), source };
    let malformed = |reason| Error::ProxyMalformed { proxy: proxy.clone(), reason };
    let authority = Authority { host, port };
    let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    let mut head = Vec::with_capacity(256);
    // Byte by byte: what follows the head is the tunnel's, and belongs to the caller.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == limits::CONNECT_HEAD_BYTES {
            return Err(malformed("its head is too long"));
        }
        let mut byte = [0];
        if stream.read(&mut byte).await.map_err(broken)? == 0 {
            return Err(malformed("it ends within its head"));
        }
        head.extend(byte);
    }
    let status = status(&head).ok_or_else(|| malformed("it does not begin with an HTTP status line"))?;
    // Whatever else the head of a success says about a body is to be ignored.
    if (200..300).contains(&status) {
        return Ok(());
    }
    let reason = reason(stream).await;
    Err(Error::ProxyRefused { proxy: proxy.clone(), host: host.to_owned(), port, status, reason })
}

fn status(head: &[u8]) -> Option<u16> {
    let head = std::str::from_utf8(head).ok()?;
    let (version, rest) = head.lines().next()?.split_once(' ')?;
    let code = rest.get(..3).filter(|_| matches!(rest.as_bytes().get(3), None | Some(b' ')))?;
    let known = matches!(version, "HTTP/1.1" | "HTTP/1.0") && code.bytes().all(|byte| byte.is_ascii_digit());
    code.parse().ok().filter(|_| known)
}

/// What a refusing proxy has to say, for a person's eyes.
async fn reason(stream: &mut Stream) -> String {
    let mut text = Vec::new();
    let mut body = stream.take(limits::CONNECT_REASON_BYTES as u64);
    // Broken, slow or whole: what arrived is what there is to show.
    let _ = timeout(limits::CONNECT_REASON_TIMEOUT, body.read_to_end(&mut text)).await;
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    String::from_utf8_lossy(&text).chars().map(printable).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::status;

    #[test]
    fn a_status_line_is_read_and_nothing_else_is() {
        assert_eq!(status(b"HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 403\r\n\r\n"), Some(403));
        for other in [
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 +20 OK\r\n\r\n",
            "\r\n\r\n",
            "SSH-2.0\r\n\r\n",
        ] {
            assert_eq!(status(other.as_bytes()), None, "{other}");
        }
    }
}
