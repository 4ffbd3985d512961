//! Files that another program sealed: Python's `cryptography` (OpenSSL), written from `docs/sealed-format.md`.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

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

/// A result under the same data key and prefix; its salt is c0 … df, its content the first 100 bytes of the same.
const RESULT: &str = "\
    89434c5345414c0a01000000bda66473616c745820c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf6563 \
    68756e6b184067636f6e74657874a26d636c6f69737465723a76696577644c2d434370636c6f69737465723a707572706f736565696d61 \
    6765676b65795f61726e782d61726e3a6177733a6b6d733a65752d776573742d313a3434343435353535363636363a6b65792f76656374 \
    6f7267707572706f736566726573756c746b777261707065645f6b65794777726170706564a0a1a2a3a4a5a6ab38e611d745ac66358201 \
    f3e32562aa344a4686da69192936300d7fa365ce6a906243304ed34a4e8f848ebbbee89815f4265508c4cdd702cbad33c41ede97732d90 \
    375066fd676fd56e667cdbcc2ef34c14dd1bd467df0df6f3026df5c8e670e355b8b79cbe0c378afcad78a12b9116c1fbc22b907adc4bc2 \
    e1194616da0c58a650f811 \
";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

fn content(file: Sealed<&[u8]>, purpose: Purpose) -> Vec<u8> {
    let key: [u8; 32] = std::array::from_fn(|index| index as u8);
    let mut content = Vec::new();
    file.open(&DataKey::new(key), purpose).unwrap().read_to_end(&mut content).unwrap();
    content
}

fn sevenfold(length: u32) -> Vec<u8> {
    (0..length).map(|index| (index * 7 % 256) as u8).collect()
}

#[test]
fn a_file_that_another_program_sealed_opens() {
    let file = bytes(FILE);
    let sealed = Sealed::read_header(&file[..]).unwrap();
    let expected = Header {
        purpose: Purpose::Model,
        key_arn: "arn:aws:kms:eu-west-1:111122223333:key/vector".into(),
        wrapped_key: b"wrapped".to_vec(),
        context: BTreeMap::from([("digest".into(), "00ff".into()), ("model".into(), "vector".into())]),
        chunk_size: 64,
        salt: None,
    };
    assert_eq!(*sealed.header(), expected);
    assert_eq!(content(sealed, Purpose::Model), sevenfold(150));
}

#[test]
fn a_result_that_another_program_sealed_opens_under_the_key_of_its_image() {
    let file = bytes(RESULT);
    let sealed = Sealed::read_header(&file[..]).unwrap();
    assert_eq!(sealed.header().salt, Some(std::array::from_fn(|index| 0xc0 + index as u8)));
    assert_eq!(content(sealed, Purpose::Result), sevenfold(100));
}
