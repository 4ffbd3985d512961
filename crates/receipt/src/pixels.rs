//! The digest of an image's decoded pixels, which is the same whatever file format they came in.

use aws_lc_rs::digest::{Context, SHA256};

use crate::limits;

/// How many bytes are hashed at a time: enough that the hash function decides the speed, and nothing in memory.
const BUFFER: usize = 16 * 1024;

/// SHA-256 over `rows` and `columns`, each as 4 bytes big-endian, then each pixel as 2 bytes big-endian, row by row from the top
/// left. `pixels` gives `rows` times `columns` of them.
pub fn pixels_sha256(rows: u32, columns: u32, pixels: impl Iterator<Item = u16>) -> [u8; limits::INPUT_DIGEST] {
    let mut context = Context::new(&SHA256);
    context.update(&rows.to_be_bytes());
    context.update(&columns.to_be_bytes());
    let mut buffer = Vec::with_capacity(BUFFER);
    pixels.for_each(|pixel| {
        buffer.extend_from_slice(&pixel.to_be_bytes());
        if buffer.len() == BUFFER {
            context.update(&buffer);
            buffer.clear();
        }
    });
    context.update(&buffer);
    let mut digest = [0; limits::INPUT_DIGEST];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_documented_one() {
        // printf '\0\0\0\1\0\0\0\3\0\1\1\0\377\376' | sha256sum
        let expected = "abbdb5dba583e9ec1e3755fe2635e62aed8c3f72eeb37e3bf8d4bfbd3f72c51e";
        assert_eq!(hex::encode(pixels_sha256(1, 3, [1, 256, 0xfffe].into_iter())), expected);
    }

    #[test]
    fn an_image_larger_than_the_buffer_is_hashed_whole() {
        let pixels = || (0..3 * BUFFER as u32).map(|pixel| pixel as u16);
        let bytes = [3_u32.to_be_bytes(), (BUFFER as u32).to_be_bytes()].concat().into_iter();
        let bytes: Vec<u8> = bytes.chain(pixels().flat_map(u16::to_be_bytes)).collect();
        let digest = pixels_sha256(3, BUFFER as u32, pixels());
        assert_eq!(digest, aws_lc_rs::digest::digest(&SHA256, &bytes).as_ref());
    }

    #[test]
    fn the_shape_and_each_pixel_count() {
        let digest = |rows, columns, pixels: [u16; 4]| pixels_sha256(rows, columns, pixels.into_iter());
        let image = digest(2, 2, [1, 2, 3, 4]);
        assert_ne!(image, digest(1, 4, [1, 2, 3, 4]));
        assert_ne!(image, digest(4, 1, [1, 2, 3, 4]));
        assert_ne!(image, digest(2, 2, [1, 3, 2, 4]));
    }
}
