//! The sealed model, fetched in ranges, so that a broken connection costs one block and memory holds one block.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use http::{Method, Response, StatusCode, header};
use http_body_util::Full;
use tokio::runtime::Handle;

use super::{Error, Parent, backoff, expect, request};
use crate::disclose::{Disclose, Record, log};
use crate::limits;

const WHAT: &str = "the sealed model";

/// A blocking reader over `GET /v1/model` with ranges (RFC 9110, section 14). Read it from a thread that may block.
pub struct SealedFile {
    parent: Parent,
    runtime: Handle,
    block: Bytes,
    offset: u64,
    total: Option<u64>,
    etag: Option<header::HeaderValue>,
}

impl SealedFile {
    /// A reader from the file's first byte.
    pub fn new(parent: Parent, runtime: Handle) -> Self {
        Self { parent, runtime, block: Bytes::new(), offset: 0, total: None, etag: None }
    }

    async fn next_block(&mut self) -> Result<(), Error> {
        let mut attempt = 0;
        loop {
            match self.fetch().await {
                Ok(()) => return Ok(()),
                Err(Error::Replaced) => return Err(Error::Replaced),
                Err(error) if attempt + 1 >= limits::PARENT_TRIES => return Err(error),
                Err(error) => {
                    log(Record::BlockMissed { attempt, reason: error.words() });
                    tokio::time::sleep(backoff(attempt)).await;
                    attempt += 1;
                }
            }
        }
    }

    async fn fetch(&mut self) -> Result<(), Error> {
        let last = self.offset + limits::MODEL_BLOCK_BYTES - 1;
        let range = format!("bytes={}-{last}", self.offset);
        let request = request(Method::GET, "/v1/model").header(header::RANGE, range).body(Full::default())?;
        let answer = self.parent.exchange(WHAT, request, block_limit()).await?;
        expect(WHAT, &answer, StatusCode::PARTIAL_CONTENT)?;
        self.take(answer)
    }

    fn take(&mut self, answer: Response<Bytes>) -> Result<(), Error> {
        let malformed = |reason| Error::Malformed { what: WHAT, reason };
        let (first, total) = content_range(&answer).ok_or_else(|| malformed("no Content-Range that can be read"))?;
        let etag = answer.headers().get(header::ETAG).cloned();
        if etag.is_none() {
            return Err(malformed("no ETag"));
        }
        if (self.etag.is_some() && self.etag != etag) || self.total.is_some_and(|t| t != total) {
            return Err(Error::Replaced);
        }
        if first != self.offset || answer.body().is_empty() || self.offset + answer.body().len() as u64 > total {
            return Err(malformed("another range than the one asked for"));
        }
        if total > limits::MAX_MODEL_BYTES {
            return Err(malformed("larger than a model may be"));
        }
        self.etag = etag;
        self.total = Some(total);
        self.block = answer.into_body();
        self.offset += self.block.len() as u64;
        Ok(())
    }
}

impl Read for SealedFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.block.is_empty() && self.total != Some(self.offset) {
            let runtime = self.runtime.clone();
            runtime.block_on(self.next_block()).map_err(io::Error::other)?;
        }
        let length = out.len().min(self.block.len());
        self.block.copy_to_slice(&mut out[..length]);
        Ok(length)
    }
}

fn block_limit() -> usize {
    usize::try_from(limits::MODEL_BLOCK_BYTES).unwrap_or(usize::MAX)
}

/// `bytes FIRST-LAST/TOTAL`: the first byte's position and the file's length.
fn content_range(answer: &Response<Bytes>) -> Option<(u64, u64)> {
    let value = answer.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _last) = range.split_once('-')?;
    Some((first.parse().ok()?, total.parse().ok()?))
}
