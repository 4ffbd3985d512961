//! A file that another program sealed: Python's `cryptography` (OpenSSL), written from `docs/sealed-format.md`.

use std::collections::BTreeMap;
use std::io::Read;

use cloister_seal::{DataKey, Header, Purpose, Sealed};

/// Key 00 01 … 1f, nonce prefix a0 … a6, 64 bytes in a chunk; the content is 150 bytes, the one at index i being 7i modulo 256.
const FILE: &str = "\
    89434c5345414c0a0100000084a5656368756e6b184067636f6e74657874a2656d6f64656c66766563746f726664696765737464303066 \
    66676b65795f61726e782d61726e3a6177733a6b6d733a65752d776573742d313a3131313132323232333333333a6b65792f766563746f \
    7267707572706f7365656d6f64656c6b777261707065645f6b65794777726170706564a0a1a2a3a4a5a60ad612bc8a776f0c541c82cdcd \
    5b3402a2b631c0f7f467a0a7f84c5ff0049f2ca8b7ed72a0c182fa941717c45a82fe46c32d1f1de1089cc07c6d92666442ca20663b2b97 \
    fcfe9963e9ec590786530ca89125d91251df1c7e1872b879d9398c191b0af9400ec1981c78180af2903322b9a05edf4dbedd5bb889162b \
    6d48c92f522067090f9b9392260be3c2b9f59ac4d08798442acf89ca06d5607f26c357dbd3612a0f7b6a4db5f567707a0e6c740619e06d \
    c7a73df822dcbb42d8ab59ca9badc5333b3b8a8b \
";

#[test]
fn a_file_that_another_program_sealed_opens() {
    let digits: Vec<u8> = FILE.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let file: Vec<u8> = digits.chunks(2).map(pair).collect();
    let sealed = Sealed::read_header(&file[..]).unwrap();
    let expected = Header {
        purpose: Purpose::Model,
        key_arn: "arn:aws:kms:eu-west-1:111122223333:key/vector".into(),
        wrapped_key: b"wrapped".to_vec(),
        context: BTreeMap::from([("digest".into(), "00ff".into()), ("model".into(), "vector".into())]),
        chunk_size: 64,
    };
    assert_eq!(*sealed.header(), expected);
    let key: [u8; 32] = std::array::from_fn(|index| index as u8);
    let mut content = Vec::new();
    sealed.open(&DataKey::new(key), Purpose::Model).unwrap().read_to_end(&mut content).unwrap();
    let expected: Vec<u8> = (0..150u32).map(|index| (index * 7 % 256) as u8).collect();
    assert_eq!(content, expected);
}
