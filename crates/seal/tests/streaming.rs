//! Sealing and opening take the memory of a few chunks, however long the content is.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod support;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::rc::Rc;

use cloister_seal::{Header, Purpose, Sealed, Sealer, limits};
use support::{content, header, key};

/// A file that exists only while it is read and written: it counts what stays between the two ends.
#[derive(Clone, Default)]
struct Pipe {
    waiting: Rc<RefCell<VecDeque<u8>>>,
    most: Rc<Cell<usize>>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut waiting = self.waiting.borrow_mut();
        waiting.extend(bytes);
        self.most.set(self.most.get().max(waiting.len()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.waiting.borrow_mut().read(buffer)
    }
}

#[test]
fn content_far_larger_than_a_chunk_streams_through_a_few_chunks_of_memory() {
    const TOTAL: usize = 64 * 1024 * 1024;
    let header = Header { chunk_size: limits::DEFAULT_CHUNK, ..header() };
    let chunk = limits::DEFAULT_CHUNK as usize;
    let pipe = Pipe::default();
    let mut sealer = Some(Sealer::new(pipe.clone(), &header, &key()).unwrap());
    let block = content(chunk / 2);
    let mut written = 0;
    let feed = Feed {
        pipe: pipe.clone(),
        refill: Box::new(move || {
            if written < TOTAL {
                sealer.as_mut().unwrap().write_all(&block).unwrap();
                written += block.len();
            } else if let Some(sealer) = sealer.take() {
                sealer.finish().unwrap();
            }
        }),
    };
    let mut opener = Sealed::read_header(feed).unwrap().open(&key(), Purpose::Model).unwrap();
    let (mut buffer, mut read) = (vec![0; 10_000], 0);
    loop {
        let count = opener.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        let expected = (read..read + count).map(|index| (index % (chunk / 2) % 251) as u8);
        assert!(expected.eq(buffer[..count].iter().copied()), "at byte {read}");
        read += count;
    }
    assert_eq!(read, TOTAL);
    assert!(pipe.most.get() <= 3 * chunk, "{} bytes waited between sealer and opener", pipe.most.get());
}

/// Lets the sealer write only when the opener has nothing left to read.
struct Feed {
    pipe: Pipe,
    refill: Box<dyn FnMut()>,
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for _ in 0..4 {
            if !self.pipe.waiting.borrow().is_empty() {
                break;
            }
            (self.refill)();
        }
        self.pipe.read(buffer)
    }
}
