//! CBOR in its one accepted encoding.

use ciborium::Value;

/// Why bytes are not what [`decode`] accepts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// No CBOR item, or one nested too deep.
    Invalid,
    /// Bytes follow the item.
    Trailing,
    /// Another encoding than the shortest, definite-length one.
    NotCanonical,
}

/// Reads one item that fills `bytes` in shortest form and definite lengths (RFC 8949, section 4.2.1, but for the order
/// of map keys, which is each format's own). Encoding again what was read is what proves it: two readers of the same
/// bytes then cannot disagree.
pub(crate) fn decode(bytes: &[u8], depth: usize) -> Result<Value, Fault> {
    let mut rest = bytes;
    let value: Value = ciborium::de::from_reader_with_recursion_limit(&mut rest, depth).map_err(|_| Fault::Invalid)?;
    if !rest.is_empty() {
        return Err(Fault::Trailing);
    }
    if encode(&value) != bytes {
        return Err(Fault::NotCanonical);
    }
    Ok(value)
}

/// Writes an item in shortest form and definite lengths.
pub(crate) fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A vector takes every byte and a `Value` has no serializer that fails. Were it otherwise, what is cut short here
    // would be refused by `decode` and by every signature.
    let _ = ciborium::into_writer(value, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_encodings_of_the_same_value_are_refused() {
        assert_eq!(decode(&[0x17], 2), Ok(Value::from(23)));
        assert_eq!(decode(&[0x18, 0x17], 2), Err(Fault::NotCanonical), "23 in two bytes");
        assert_eq!(decode(&[0x5f, 0x41, 0x00, 0xff], 2), Err(Fault::NotCanonical), "a byte string of chunks");
        assert_eq!(decode(&[0x9f, 0xff], 2), Err(Fault::NotCanonical), "an array without length");
        assert_eq!(decode(&[0xf7], 2), Err(Fault::NotCanonical), "undefined instead of null");
        assert_eq!(decode(&[0x17, 0x17], 2), Err(Fault::Trailing));
        assert_eq!(decode(&[], 2), Err(Fault::Invalid));
        assert_eq!(decode(&[0x42, 0x00], 2), Err(Fault::Invalid), "cut short");
        assert_eq!(decode(&[0x81; 64], 4), Err(Fault::Invalid), "nested 64 deep");
    }
}
