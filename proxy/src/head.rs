//! The head of a CONNECT request (RFC 9110, section 9.3.6; RFC 9112, sections 3.2.3 and 5), and nothing of what follows it.

use std::net::Ipv6Addr;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{Error, limits};

const END: &[u8] = b"\r\n\r\n";

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What came with the head and belongs to the tunnel.
    pub(crate) early: Vec<u8>,
}

pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Request, Error> {
    let mut bytes = Vec::with_capacity(512);
    let mut block = [0; 1024];
    loop {
        let searched = bytes.len().saturating_sub(END.len() - 1);
        match stream.read(&mut block).await.map_err(Error::Client)? {
            0 => return Err(Error::Left),
            count => bytes.extend_from_slice(&block[..count]),
        }
        let end = bytes[searched..].windows(END.len()).position(|window| window == END);
        let length = end.map(|end| searched + end + END.len());
        match length {
            Some(length) if length <= limits::HEAD_BYTES => {
                let early = bytes.split_off(length);
                let (host, port) = parse(&bytes)?;
                return Ok(Request { host, port, early });
            }
            None if bytes.len() < limits::HEAD_BYTES => {}
            _ => return Err(Error::HeadTooLong),
        }
    }
}

fn parse(head: &[u8]) -> Result<(String, u16), Error> {
    let text = std::str::from_utf8(head).map_err(|_| Error::Malformed("it is not text"))?;
    let text = text.strip_suffix("\r\n\r\n").ok_or(Error::Malformed("it does not end"))?;
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Error::Malformed("its first line is not `CONNECT HOST:PORT HTTP/1.1`"));
    };
    if !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        return Err(Error::Malformed("its version is neither HTTP/1.1 nor HTTP/1.0"));
    }
    if method != "CONNECT" {
        return Err(Error::Method);
    }
    if !lines.all(is_field) {
        return Err(Error::Malformed("one of its fields is not `name: value`"));
    }
    authority(target).ok_or(Error::Malformed("its target is not HOST:PORT"))
}

fn is_field(line: &str) -> bool {
    let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    line.split_once(':').is_some_and(|(name, value)| {
        !name.is_empty() && name.bytes().all(of_a_name) && !value.chars().any(|c| c.is_control() && c != '\t')
    })
}

fn authority(target: &str) -> Option<(String, u16)> {
    let (host, port) = target.rsplit_once(':')?;
    let port = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok())??;
    let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inside) => inside.parse::<Ipv6Addr>().ok()?.to_string(),
        None if !host.is_empty() && host.bytes().all(of_a_name) => host.to_owned(),
        None => return None,
    };
    (port != 0).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn request(text: &str) -> Result<Request, Error> {
        read(&mut text.as_bytes()).await
    }

    #[tokio::test]
    async fn a_request_is_read_and_what_follows_it_is_kept() {
        let read =
            request("CONNECT kms.example.org:443 HTTP/1.1\r\nHost: kms.example.org:443\r\n\r\nhello").await.unwrap();
        assert_eq!(read, Request { host: "kms.example.org".into(), port: 443, early: b"hello".to_vec() });
        let read = request("CONNECT [2001:db8::1]:443 HTTP/1.0\r\n\r\n").await.unwrap();
        assert_eq!(read.host, "2001:db8::1");
    }

    #[tokio::test]
    async fn what_is_malformed_is_refused() {
        for text in [
            "\r\n\r\n",
            "CONNECT\r\n\r\n",
            "CONNECT a:1\r\n\r\n",
            "CONNECT a:1 HTTP/2\r\n\r\n",
            "CONNECT  a:1 HTTP/1.1\r\n\r\n",
            "CONNECT a HTTP/1.1\r\n\r\n",
            "CONNECT a: HTTP/1.1\r\n\r\n",
            "CONNECT a:0 HTTP/1.1\r\n\r\n",
            "CONNECT a:65536 HTTP/1.1\r\n\r\n",
            "CONNECT a:+1 HTTP/1.1\r\n\r\n",
            "CONNECT :1 HTTP/1.1\r\n\r\n",
            "CONNECT [::1:1 HTTP/1.1\r\n\r\n",
            "CONNECT a@b:1 HTTP/1.1\r\n\r\n",
            "CONNECT http://a:1 HTTP/1.1\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\nno field\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\nX : y\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\nX: y\nZ: z\r\n\r\n",
        ] {
            let read = request(text).await;
            assert!(matches!(read, Err(Error::Malformed(_))), "{text:?}: {read:?}");
        }
        assert!(matches!(request("GET / HTTP/1.1\r\n\r\n").await, Err(Error::Method)));
        assert!(matches!(request("CONNECT a:1 HTTP/1.1\r\n").await, Err(Error::Left)));
    }

    #[tokio::test]
    async fn a_head_that_never_ends_is_given_up_at_its_limit() {
        let fits = |bytes: usize| {
            let start = "CONNECT a:1 HTTP/1.1\r\nX: ";
            format!("{start}{}\r\n\r\n", "x".repeat(bytes - start.len() - 4))
        };
        assert!(request(&fits(limits::HEAD_BYTES)).await.is_ok());
        assert!(matches!(request(&fits(limits::HEAD_BYTES + 1)).await, Err(Error::HeadTooLong)));
        assert!(matches!(request(&"x".repeat(1 << 20)).await, Err(Error::HeadTooLong)));
    }

    /// Reads `bytes` as they come over a slow connection, `piece` at a time.
    fn in_pieces(bytes: &[u8], piece: usize) -> Result<Request, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut near, mut far) = tokio::io::duplex(piece);
            let write = async move {
                // Breaks off when the head was refused before its end.
                tokio::io::AsyncWriteExt::write_all(&mut near, bytes).await.ok();
            };
            let read = async move { read(&mut far).await };
            tokio::join!(write, read).1
        })
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), piece in 1usize..100) {
            drop(in_pieces(&bytes, piece));
        }

        #[test]
        fn a_head_means_the_same_however_it_is_cut(
            host in "[a-z][a-z0-9.-]{0,40}",
            port in 1u16..,
            field in "[ -~]{0,60}",
            piece in 1usize..64,
        ) {
            let head = format!("CONNECT {host}:{port} HTTP/1.1\r\nX-Any: {field}\r\n\r\n");
            let read = in_pieces(head.as_bytes(), piece).unwrap();
            prop_assert_eq!(read, Request { host, port, early: Vec::new() });
        }
    }
}
