//! The digest of a map of where a network looked.

use aws_lc_rs::digest::{Context, SHA256};

use crate::limits;

/// SHA-256 over the number of the label's bytes and the label; then `rows` and `columns`; then each of the `rows` times `columns` values as a
/// byte, row by row from the top left. The three numbers are 4 bytes each, big-endian.
pub fn map_sha256(label: &str, rows: u32, columns: u32, values: &[u8]) -> [u8; limits::INPUT_DIGEST] {
    let mut context = Context::new(&SHA256);
    // A label of more bytes than that is in no receipt.
    context.update(&u32::try_from(label.len()).unwrap_or(u32::MAX).to_be_bytes());
    context.update(label.as_bytes());
    context.update(&rows.to_be_bytes());
    context.update(&columns.to_be_bytes());
    context.update(values);
    let mut digest = [0; limits::INPUT_DIGEST];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_documented_one() {
        // printf '\0\0\0\4hand\0\0\0\2\0\0\0\3\0\1\2\375\376\377' | sha256sum
        let expected = "4534ac83d79b5a3735d4e306155ef94a43f7df83fe877a9f425e66705bc1b985";
        assert_eq!(hex::encode(map_sha256("hand", 2, 3, &[0, 1, 2, 253, 254, 255])), expected);
    }

    #[test]
    fn the_label_the_shape_and_each_value_count() {
        let values = [1, 2, 3, 4, 5, 6];
        let map = map_sha256("hand", 2, 3, &values);
        assert_ne!(map, map_sha256("hans", 2, 3, &values));
        assert_ne!(map, map_sha256("hand", 3, 2, &values));
        assert_ne!(map, map_sha256("hand", 2, 3, &[1, 2, 3, 4, 6, 5]));
    }
}
