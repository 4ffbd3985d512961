//! The digest of an image's decoded pixels, which is the same whatever file format they came in.

use aws_lc_rs::digest::{Context, SHA256};

use crate::limits;

/// How many pixels are hashed at a time: enough that the hash function decides the speed, and nothing in memory.
const BUFFER: usize = 8 * 1024;

/// SHA-256 over `rows` and `columns`, each as 4 bytes big-endian, then each pixel as 2 bytes big-endian, row by row from the top
/// left. `parts` are `rows` times `columns` pixels together, a row or more or less each.
pub fn pixels_sha256<P: AsRef<[u16]>>(
    rows: u32,
    columns: u32,
    parts: impl IntoIterator<Item = P>,
) -> [u8; limits::INPUT_DIGEST] {
    let mut context = Context::new(&SHA256);
    context.update(&rows.to_be_bytes());
    context.update(&columns.to_be_bytes());
    let mut buffer = vec![[0; size_of::<u16>()]; BUFFER];
    for part in parts {
        for pixels in part.as_ref().chunks(BUFFER) {
            let bytes = &mut buffer[..pixels.len()];
            bytes.iter_mut().zip(pixels).for_each(|(to, pixel)| *to = pixel.to_be_bytes());
            context.update(bytes.as_flattened());
        }
    }
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
        assert_eq!(hex::encode(pixels_sha256(1, 3, [[1, 256, 0xfffe]])), expected);
        assert_eq!(hex::encode(pixels_sha256(1, 3, [vec![1], vec![], vec![256, 0xfffe]])), expected);
    }

    #[test]
    fn an_image_larger_than_the_buffer_is_hashed_whole() {
        let pixels: Vec<u16> = (0..3 * BUFFER as u32 + 3).map(|pixel| pixel as u16).collect();
        let columns = BUFFER as u32 + 1;
        let bytes = [3_u32.to_be_bytes(), columns.to_be_bytes()].concat().into_iter();
        let bytes: Vec<u8> = bytes.chain(pixels.iter().copied().flat_map(u16::to_be_bytes)).collect();
        let digest = aws_lc_rs::digest::digest(&SHA256, &bytes);
        assert_eq!(pixels_sha256(3, columns, [&pixels]), digest.as_ref());
        assert_eq!(pixels_sha256(3, columns, pixels.chunks(columns as usize)), digest.as_ref());
    }

    #[test]
    fn the_shape_and_each_pixel_count() {
        let digest = |rows, columns, pixels: [u16; 4]| pixels_sha256(rows, columns, [pixels]);
        let image = digest(2, 2, [1, 2, 3, 4]);
        assert_ne!(image, digest(1, 4, [1, 2, 3, 4]));
        assert_ne!(image, digest(4, 1, [1, 2, 3, 4]));
        assert_ne!(image, digest(2, 2, [1, 3, 2, 4]));
    }
}
