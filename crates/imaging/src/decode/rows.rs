//! A file's rows on two threads: one inflates, the other takes the filters off, which is a third of the work.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use png::{DecodeOptions, Decoded, StreamingDecoder, UnfilterRegion, chunk};

use super::filter::{self, Unfilter};
use crate::memory::{self, Lent};

/// What has been inflated may be copied from that far back (PNG, third edition, section 10.1).
const LOOKBACK: usize = 32 << 10;

/// Bytes that are inflated before the other thread has them. An idle processor takes up to a tenth of a millisecond to be woken, which smaller
/// pieces let it be for each; larger ones make the last one's filters wait for the first.
const PIECE: usize = 512 << 10;

/// Pieces in memory: one being filled, one being read, and one between.
const PIECES: usize = 3;

/// How the greys of a file that is not interlaced lie in it.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Of a grey: 1 or 2.
    pub(super) bytes: usize,
}

impl Layout {
    /// Bytes of a row, without the filter's type before them.
    fn row(&self) -> usize {
        self.width * self.bytes
    }
}

/// The greys of the file's first image.
///
/// None where the file is not as it should be, or there is no thread to be had. The library's own reader, on one thread, tells what is wrong.
pub(super) fn read(file: &[u8], layout: Layout) -> Option<Vec<u16>> {
    in_pieces(file, layout, PIECE)
}

fn in_pieces(file: &[u8], layout: Layout, piece: usize) -> Option<Vec<u16>> {
    let (filled, pieces) = sync_channel(PIECES);
    let (give_back, spare) = channel();
    for _ in 0..PIECES {
        give_back.send(memory::piece(LOOKBACK + piece)).ok()?;
    }
    thread::scope(|scope| {
        let inflating = thread::Builder::new().spawn_scoped(scope, move || {
            Inflating::begin(file)?.all(layout.height * (1 + layout.row()), &filled, &spare)
        });
        let inflating = inflating.ok()?;
        let greys = match layout.bytes {
            1 => unfiltered::<1>(layout, &pieces, &give_back),
            _ => unfiltered::<2>(layout, &pieces, &give_back),
        };
        // Ends the other thread too, if this one found something wrong.
        drop((pieces, give_back));
        inflating.join().ok()??;
        greys
    })
}

/// A file whose image data is read.
struct Inflating<'a> {
    decoder: StreamingDecoder,
    rest: &'a [u8],
}

impl<'a> Inflating<'a> {
    /// Reads what stands before the image's data.
    fn begin(file: &'a [u8]) -> Option<Self> {
        let mut options = DecodeOptions::default();
        options.set_ignore_text_chunk(true);
        options.set_ignore_iccp_chunk(true);
        let mut this = Self { decoder: StreamingDecoder::new_with_options(options), rest: file };
        while !matches!(this.step(None)?, Decoded::ChunkBegin(_, chunk::IDAT)) {}
        Some(this)
    }

    /// Reads on; none where the file is damaged or has ended.
    fn step(&mut self, to: Option<(&mut UnfilterRegion, &mut Vec<u8>)>) -> Option<Decoded> {
        if self.rest.is_empty() {
            return None;
        }
        let (read, what) = match to {
            Some((region, bytes)) => self.decoder.update(self.rest, Some(&mut region.as_buf(bytes))),
            None => self.decoder.update(self.rest, None),
        }
        .ok()?;
        self.rest = self.rest.get(read..)?;
        Some(what)
    }

    /// Inflates so many bytes, in pieces that stand behind the bytes before them, and reads what follows in the image's data, as its checks
    /// are there.
    fn all(mut self, mut wanted: usize, filled: &SyncSender<Lent<u8>>, spare: &Receiver<Lent<u8>>) -> Option<()> {
        let mut piece = spare.recv().ok()?;
        let (mut kept, mut ended) = (0, false);
        while wanted > 0 {
            let length = LOOKBACK + wanted.min(piece.len() - LOOKBACK);
            piece.truncate(length);
            let mut region = UnfilterRegion { available: LOOKBACK - kept, filled: LOOKBACK };
            while region.filled < piece.len() {
                let before = (region.filled, self.rest.len());
                // What follows the image's data is none of it, and is not bounded.
                let what = (!ended).then(|| self.step(Some((&mut region, &mut piece))))??;
                ended = matches!(what, Decoded::ImageDataFlushed);
                if !ended && before == (region.filled, self.rest.len()) {
                    return None;
                }
            }
            wanted -= piece.len() - LOOKBACK;
            let mut next = spare.recv().ok()?;
            kept = LOOKBACK.min(kept + piece.len() - LOOKBACK);
            next[LOOKBACK - kept..LOOKBACK].copy_from_slice(&piece[piece.len() - kept..]);
            filled.send(std::mem::replace(&mut piece, next)).ok()?;
        }
        while !ended {
            ended = matches!(self.step(None)?, Decoded::ImageDataFlushed);
        }
        Some(())
    }
}

/// The greys of the rows that come out of the pieces; none where rows are too few, too many, or of no known filter.
fn unfiltered<const BYTES: usize>(
    layout: Layout,
    pieces: &Receiver<Lent<u8>>,
    give_back: &Sender<Lent<u8>>,
) -> Option<Vec<u16>> {
    let mut greys = memory::greys(layout.width * layout.height);
    let mut rows = greys.chunks_exact_mut(layout.width);
    let zeros = vec![0; layout.width];
    let mut above: &[u16] = &zeros;
    // What there is of a row that lies in two pieces.
    let length = 1 + layout.row();
    let mut begun: Vec<u8> = Vec::with_capacity(length);
    while let Ok(piece) = pieces.recv() {
        let mut rest = &piece[LOOKBACK..];
        while begun.len() + rest.len() >= length {
            let (part, others) = rest.split_at(length - begun.len());
            let filtered = if begun.is_empty() {
                part
            } else {
                begun.extend_from_slice(part);
                &begun
            };
            let (kind, filtered) = filtered.split_first()?;
            let row = rows.next()?;
            Unfilter { filtered: filtered.as_chunks::<BYTES>().0, above, row }.by(filter::Type::of(*kind)?);
            above = row;
            begun.clear();
            rest = others;
        }
        begun.extend_from_slice(rest);
        // When the last piece is read, nobody wants one.
        let _ = give_back.send(piece);
    }
    rows.next().is_none().then_some(())?;
    Some(greys)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use png::{BitDepth, ColorType, Encoder, Filter};
    use proptest::prelude::*;

    use super::super::{DecodeLimits, decode};
    use super::*;

    const FILTERS: [Filter; 6] =
        [Filter::NoFilter, Filter::Sub, Filter::Up, Filter::Avg, Filter::Paeth, Filter::Adaptive];

    /// A file of pieces of image data of so many bytes.
    fn file(layout: Layout, bytes: &[u8], filter: Filter, chunk: usize) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, layout.width as u32, layout.height as u32);
        encoder.set_color(ColorType::Grayscale);
        encoder.set_depth(if layout.bytes == 1 { BitDepth::Eight } else { BitDepth::Sixteen });
        encoder.set_filter(filter);
        let mut writer = encoder.write_header().unwrap();
        let mut stream = writer.stream_writer_with_size(chunk).unwrap();
        stream.write_all(bytes).unwrap();
        stream.finish().unwrap();
        drop(writer);
        file
    }

    /// By the library's reader alone, which small images are read by.
    fn by_one_thread(file: &[u8]) -> Option<Vec<u16>> {
        decode(file, &DecodeLimits::default()).ok().map(|greys| greys.into_raw_vec_and_offset().0)
    }

    /// Smooth, with some noise, so that filters and matches are worth their while.
    fn bytes(layout: Layout, noise: u8, seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        };
        (0..layout.height * layout.row()).map(|at| (at / 7) as u8 ^ (next() % noise.max(1))).collect()
    }

    #[test]
    fn an_image_of_many_pieces_is_read_as_by_one_thread() {
        for (bytes_each, filter) in [1, 2].into_iter().flat_map(|bytes| FILTERS.map(|filter| (bytes, filter))) {
            let layout = Layout { width: 509, height: 511, bytes: bytes_each };
            assert!(layout.width * layout.height < super::super::TWO_THREADS);
            let piece = 2 * LOOKBACK;
            assert!(layout.row() * layout.height > PIECES * piece, "memory is used again");
            let file = file(layout, &bytes(layout, 40, 3), filter, 30_000);
            let greys = in_pieces(&file, layout, piece).unwrap();
            assert_eq!(Some(&greys), by_one_thread(&file).as_ref(), "{filter:?}");
        }
    }

    proptest! {
        #[test]
        fn any_image_is_read_as_by_one_thread_and_a_damaged_one_no_more_leniently(
            (width, height, each) in (1usize..400, 1usize..60, 1usize..=2),
            (noise, seed) in (any::<u8>(), any::<u64>()),
            filter in prop::sample::select(FILTERS.to_vec()),
            (chunk, piece) in (1usize..5000, 1usize..20_000),
            damage in prop::option::of((any::<prop::sample::Index>(), 1u8..)),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let layout = Layout { width, height, bytes: each };
            let mut file = file(layout, &bytes(layout, noise, seed), filter, chunk);
            let greys = by_one_thread(&file);
            prop_assert!(greys.is_some());
            prop_assert_eq!(&in_pieces(&file, layout, piece), &greys);
            if let Some((at, flip)) = damage {
                let at = at.index(file.len());
                file[at] ^= flip;
            }
            if let Some(cut) = cut {
                file.truncate(cut.index(file.len()));
            }
            // The header was read before, and says what is to be expected.
            let same_header = file.get(8..33) == self::file(layout, &vec![0; height * layout.row()], filter, chunk).get(8..33);
            if let Some(greys) = in_pieces(&file, layout, piece).filter(|_| same_header && file.starts_with(super::super::SIGNATURE)) {
                prop_assert_eq!(Some(greys), by_one_thread(&file));
            }
        }
    }

    /// What zlib 1.3 makes of 128 KiB of zeros: two bits for each 258 of them, so that thousands are left when all of it has been read.
    fn zeros() -> Vec<u8> {
        let begin = b"\x78\xda\xed\xc1\x31\x01\x00\x00\x00\xc2\xa0\xf5\x4f\xed\x61\x0d\xa0";
        [begin.as_slice(), &[0; 127], b"\x6e\x00\x1e\x00\x01"].concat()
    }

    /// A grey file of 1023 x `height` pixels and 8 bits.
    fn of_parts(height: u32, parts: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let header = [&1023u32.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
        let parts = [(b"IHDR", header.as_slice())].into_iter().chain(parts.iter().copied()).chain([(b"IEND", &[][..])]);
        super::super::SIGNATURE.iter().copied().chain(parts.flat_map(|(kind, data)| part(kind, data))).collect()
    }

    #[test]
    fn an_image_ends_where_its_data_ends_even_if_that_is_where_a_piece_does() {
        let layout = Layout { width: 1023, height: 128, bytes: 1 };
        let whole = of_parts(128, &[(b"IDAT", &zeros())]);
        // Twice as high, with the other half in a frame of an animation that is not announced.
        let frame = [&[0; 6], &1023u16.to_be_bytes()[..], &256u32.to_be_bytes(), &[0; 9], &[1, 0, 1, 0, 0]].concat();
        let more = [&[0, 0, 0, 1], &zeros()[..]].concat();
        let animated = of_parts(256, &[(b"IDAT", &zeros()), (b"fcTL", &frame), (b"fdAT", &more)]);
        assert_eq!(by_one_thread(&animated), None);
        for piece in (100..140_000).step_by(511).chain([1 << 17, 1 << 16, 1 << 15]) {
            assert!(in_pieces(&whole, layout, piece) == Some(vec![0; 1023 * 128]), "{piece}");
            assert_eq!(in_pieces(&animated, Layout { height: 256, ..layout }, piece), None, "{piece}");
        }
    }

    #[test]
    fn a_frame_of_an_animation_is_not_taken_for_the_image() {
        let layout = Layout { width: 1023, height: 128, bytes: 1 };
        let frame = [&[0; 6], &1023u16.to_be_bytes()[..], &128u32.to_be_bytes(), &[0; 9], &[1, 0, 1, 0, 0]].concat();
        let first = [&[0, 0, 0, 1], &zeros()[..]].concat();
        let file = of_parts(128, &[(b"fcTL", &frame), (b"fdAT", &first), (b"IDAT", &zeros())]);
        assert_eq!(read(&file, layout), None, "the library's reader says which is the image");
    }

    /// A chunk, with its check (PNG, third edition, section 5.3 and annex D).
    fn part(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let bit = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
        let checked = [kind, data].concat();
        let crc = !checked.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit));
        [&(data.len() as u32).to_be_bytes(), checked.as_slice(), &crc.to_be_bytes()].concat()
    }
}
