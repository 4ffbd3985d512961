//! Looking for what must not be there, in the forms that a program would write it in.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cloister_tests::holds;
use serde_json::Value;

/// The word that stands in everything that is sent.
pub const CORE: &str = "zq7canary";

/// Pixels that stand in every image: 16 bits each, big-endian, as PNG has them.
pub const PIXELS: [u8; 16] = *b"\x5a\x51\x37\x43\x41\x4e\x41\x52\x59\x5a\x51\x37\x43\x41\x4e\x41";

/// What is looked for.
pub struct Search {
    exact: Vec<Vec<u8>>,
    /// Looked for in any case.
    words: Vec<String>,
}

impl Search {
    /// What stands in the requests.
    pub fn of_requests() -> Self {
        let mut search =
            Self { exact: Vec::new(), words: vec![CORE.to_owned(), hex::encode(PIXELS), hex::encode(CORE)] };
        search.add(CORE.as_bytes());
        search.add(&PIXELS);
        let little: Vec<u8> = PIXELS.chunks(2).flat_map(|pixel| [pixel[1], pixel[0]]).collect();
        search.add(&little);
        let numbers = |separator: &str, numbers: Vec<String>| numbers.join(separator).into_bytes();
        let pixels = || PIXELS.chunks(2).map(|pixel| u16::from_be_bytes([pixel[0], pixel[1]]).to_string()).collect();
        let bytes = || PIXELS.iter().map(u8::to_string).collect();
        for separator in [",", ", "] {
            search.exact.push(numbers(separator, pixels()));
            search.exact.push(numbers(separator, bytes()));
        }
        search
    }

    /// Looks for those bytes too, in the clear, in hexadecimal and in base64 at any offset.
    pub fn add(&mut self, bytes: &[u8]) {
        self.exact.push(bytes.to_vec());
        self.words.push(hex::encode(bytes));
        for offset in 0..3 {
            let shifted = [vec![0; offset], bytes.to_vec()].concat();
            // What stands at its ends depends on its neighbours too.
            let (begin, end) = ((offset * 8).div_ceil(6), shifted.len() * 8 / 6);
            for text in [STANDARD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
                self.exact.push(text.as_bytes()[begin..end].to_vec());
            }
        }
    }

    /// Looks for an answer's scores too, in all their digits.
    pub fn add_scores(&mut self, answer: &Value) {
        for label in ["benign", "malignant"] {
            let score = answer[label].as_f64().unwrap();
            self.exact.push(score.to_string().into_bytes());
            self.add(&score.to_be_bytes());
        }
    }

    /// The first of it that is there.
    pub fn find(&self, bytes: &[u8]) -> Option<String> {
        let lower = bytes.to_ascii_lowercase();
        let word = self.words.iter().find(|word| holds(&lower, word.as_bytes())).cloned();
        word.or_else(|| {
            self.exact.iter().find(|part| holds(bytes, part)).map(|part| String::from_utf8_lossy(part).into_owned())
        })
    }
}

#[test]
fn the_search_finds_a_canary_in_whatever_form_it_is_written() {
    let search = Search::of_requests();
    assert_eq!(search.find(b"nothing of the kind: zq7 canary, WlE3"), None);
    let shifted = |offset: usize| STANDARD.encode(format!("{}{CORE} and more", "x".repeat(offset)));
    for text in [
        "a ZQ7Canary in a log".to_owned(),
        hex::encode_upper(CORE),
        shifted(0),
        shifted(1),
        shifted(2),
        "[23121, 14147, 16718, 16722, 22874, 20791, 17217, 20033]".to_owned(),
        format!("{:?}", PIXELS),
        String::from_utf8(PIXELS.to_vec()).unwrap(),
    ] {
        assert!(search.find(text.as_bytes()).is_some(), "{text}");
    }
}
