//! Checkpoints of PyTorch's own making, and others that nobody should run.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails as the test does")]

mod forge;

use std::collections::BTreeMap;

use cloister_model::checkpoint::{Checkpoint, CheckpointError, Tensor};
use forge::{Described, dictionary, stream, tensor, zip};
use proptest::prelude::*;

const STREAM: &[u8] = include_bytes!("data/stream.p");
const ZIP: &[u8] = include_bytes!("data/zip.p");
const BARE: &[u8] = include_bytes!("data/bare.p");

fn expected() -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    serde_json::from_str(include_str!("data/tensors.json")).unwrap()
}

fn read(bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
    Checkpoint::from_bytes(bytes.to_vec())
}

fn refusal(bytes: &[u8]) -> CheckpointError {
    read(bytes).err().expect("to be refused")
}

/// A stream whose object is this pickle's body, with no storages.
fn object(body: &[u8]) -> Vec<u8> {
    stream(&[b"\x80\x02", body, b"."].concat(), &[])
}

#[test]
fn both_kinds_of_pytorchs_own_give_the_same_numbers() {
    for bytes in [STREAM, ZIP] {
        let checkpoint = read(bytes).unwrap();
        for (name, (shape, values)) in expected() {
            assert_eq!(checkpoint.tensor(&name).unwrap(), Tensor { shape, values }, "{name}");
        }
        assert_eq!(checkpoint.names().count(), expected().len() + 2);
    }
}

#[test]
fn a_state_dict_need_not_be_inside_of_another_dictionary() {
    let checkpoint = read(BARE).unwrap();
    let (shape, values) = expected().remove("0.weight").unwrap();
    assert_eq!(checkpoint.tensor("0.weight").unwrap(), Tensor { shape, values });
}

#[test]
fn numbers_of_another_type_are_refused_only_when_asked_for() {
    for bytes in [STREAM, ZIP] {
        let checkpoint = read(bytes).unwrap();
        for (name, found) in [("half", "float16"), ("1.num_batches_tracked", "int64")] {
            let error = checkpoint.tensor(name).unwrap_err();
            assert_eq!(error, CheckpointError::ElementType { name: name.to_owned(), found });
        }
        assert_eq!(checkpoint.tensor("absent"), Err(CheckpointError::MissingTensor("absent".to_owned())));
    }
}

#[test]
fn a_call_to_anything_else_is_refused_by_name_in_both_kinds() {
    for (body, name) in [
        (&b"cos\nsystem\n(X\x04\x00\x00\x00truetR"[..], "os.system"),
        (b"cposix\nsystem\n(X\x04\x00\x00\x00truetR", "posix.system"),
        (b"c__builtin__\neval\n(X\x01\x00\x00\x001tR", "__builtin__.eval"),
        (b"\x8c\x08builtins\x8c\x04exec\x93(X\x01\x00\x00\x001tR", "builtins.exec"),
        (b"ctorch.hub\nload\n)R", "torch.hub.load"),
        (b"ctorch\nload\n)R", "torch.load"),
        (b"ctorch._utils\n_rebuild_tensor\n)R", "torch._utils._rebuild_tensor"),
        (b"ccollections\ndefaultdict\n)R", "collections.defaultdict"),
    ] {
        assert_eq!(refusal(&object(body)), CheckpointError::Global(name.to_owned()));
        let zipped = zip(&[("a/data.pkl", &[b"\x80\x02", body, b"."].concat())]);
        assert_eq!(refusal(&zipped), CheckpointError::Global(name.to_owned()));
    }
}

#[test]
fn instructions_that_tensors_do_not_need_are_refused_with_their_place() {
    // INST, OBJ, NEWOBJ, NEWOBJ_EX, EXT1, PERSID, INT, STRING, UNICODE, POP, DUP, PUT, EMPTY_SET, BYTEARRAY8.
    for opcode in [b'i', b'o', 0x81, 0x92, 0x82, b'P', b'I', b'S', b'V', b'0', b'2', b'p', 0x8f, 0x96] {
        assert_eq!(refusal(&object(&[b'}', opcode])), CheckpointError::Instruction { opcode, offset: 3 });
    }
}

#[test]
fn instructions_that_make_no_sense_together_are_refused() {
    for body in [
        &b""[..],
        b"t",
        b"(NNs",
        b"}u",
        b"}(Nu",
        b"](NNu",
        b"}a",
        b"Na",
        b"q\x00",
        b"h\x07",
        b"NR",
        b")NR",
        b"N)R",
        b"ccollections\nOrderedDict\nK\x01\x85R",
        b"ctorch\nFloatStorage\n)R",
        b"ctorch._utils\n_rebuild_parameter\nN\x85R",
        b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))tR",
        b"NQ",
        b"X\x02\x00\x00\x00\xff\xff",
        b"\x80\x01}",
        b"\x8a\x11\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01",
        b"]}b",
        b"K\x01\x8c\x01a\x93",
    ] {
        assert!(matches!(refusal(&object(body)), CheckpointError::Pickle(_)), "{:?}", body.escape_ascii().to_string());
    }
    for body in [&b"N"[..], b"]", b"K\x01", b"ccollections\nOrderedDict\n"] {
        assert_eq!(refusal(&object(body)), CheckpointError::NotACheckpoint, "{:?}", body.escape_ascii().to_string());
    }
}

#[test]
fn depth_cycles_and_floods_do_no_harm() {
    let deep = [vec![b']'; 400_000], vec![b'a'; 399_999]].concat();
    assert_eq!(refusal(&object(&deep)), CheckpointError::NotACheckpoint);
    let own_entry = b"}q\x00X\x05\x00\x00\x00modelh\x00s";
    assert_eq!(read(&object(own_entry)).unwrap().names().count(), 0);
    assert_eq!(refusal(&object(&vec![b'N'; 1 << 21])), CheckpointError::TooLarge("pickle"));
    assert_eq!(refusal(&object(&vec![b'('; 1 << 21])), CheckpointError::TooLarge("pickle"));
    let flood = [b"N".to_vec(), [b'r', 0, 0, 0, 0].repeat(1 << 22)].concat();
    assert_eq!(refusal(&object(&flood)), CheckpointError::TooLarge("pickle"));
}

#[test]
fn a_tensor_stays_inside_of_its_storage() {
    let fits = Described { offset: 1, shape: &[2, 2], strides: &[3, 1], count: 6 };
    let copied = read(&tensor(fits)).unwrap().tensor("t").unwrap();
    assert_eq!(copied, Tensor { shape: vec![2, 2], values: vec![1.0, 2.0, 4.0, 5.0] });
    for wrong in [
        Described { offset: 2, ..fits },
        Described { offset: i64::MAX, ..fits },
        Described { strides: &[4, 1], ..fits },
        Described { strides: &[i64::MAX, 1], ..fits },
        Described { shape: &[3, 2], ..fits },
        Described { shape: &[i64::MAX, i64::MAX], strides: &[0, 0], ..fits },
        Described { shape: &[100, 100], strides: &[0, 0], ..fits },
    ] {
        let error = read(&tensor(wrong)).unwrap().tensor("t").unwrap_err();
        assert_eq!(error, CheckpointError::OutOfBounds("t".to_owned()), "{wrong:?}");
    }
    for wrong in [
        Described { offset: -1, ..fits },
        Described { strides: &[-1, 1], ..fits },
        Described { strides: &[1], ..fits },
        Described { shape: &[1; 9], strides: &[1; 9], ..fits },
        Described { count: -1, ..fits },
    ] {
        assert!(matches!(refusal(&tensor(wrong)), CheckpointError::Pickle(_)), "{wrong:?}");
    }
    assert!(matches!(refusal(&tensor(Described { count: 7, ..fits })), CheckpointError::Storage(_)));
    assert!(read(&tensor(Described { count: i64::MAX, ..fits })).is_err());
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    for value in [f32::NAN, f32::INFINITY] {
        let bytes = stream(&dictionary("k", 1, 0, &[1], &[1]), &[("k", &[value])]);
        assert_eq!(read(&bytes).unwrap().tensor("t"), Err(CheckpointError::NotFinite("t".to_owned())));
    }
}

#[test]
fn storages_of_a_stream_are_those_that_its_pickle_describes() {
    let pickle = dictionary("k", 1, 0, &[1], &[1]);
    assert!(read(&stream(&pickle, &[("k", &[1.0])])).is_ok());
    for storages in [
        &[][..],
        &[("other", &[1.0][..])],
        &[("k", &[1.0, 2.0])],
        &[("k", &[1.0]), ("k", &[1.0])],
        &[("k", &[1.0]), ("other", &[1.0])],
    ] {
        assert!(matches!(refusal(&stream(&pickle, storages)), CheckpointError::Storage(_)), "{storages:?}");
    }
}

#[test]
fn a_zip_is_whole_stored_and_has_every_storage() {
    let pickle = dictionary("k", 1, 0, &[1], &[1]);
    let numbers = 2.5_f32.to_le_bytes();
    let good = zip(&[("a/data.pkl", &pickle), ("a/data/k", &numbers)]);
    assert_eq!(read(&good).unwrap().tensor("t").unwrap().values, [2.5]);
    let missing = |bytes: &[u8], name: &str| {
        assert_eq!(refusal(bytes), CheckpointError::MissingEntry(name.to_owned()));
    };
    missing(&zip(&[("a/data.pkl", &pickle)]), "a/data/k");
    missing(&zip(&[("data.pkl", &pickle)]), "data.pkl");
    let short = zip(&[("a/data.pkl", &pickle), ("a/data/k", &numbers[..3])]);
    assert_eq!(refusal(&short), CheckpointError::Storage("k".to_owned()));
    let big = zip(&[("a/data.pkl", &pickle), ("a/data/k", &numbers), ("a/byteorder", b"big")]);
    assert_eq!(refusal(&big), CheckpointError::BigEndian);
    let twice = zip(&[("a/data.pkl", &pickle), ("a/data/k", &numbers), ("a/data/k", &numbers)]);
    assert!(matches!(refusal(&twice), CheckpointError::Zip(_)));
    // In the first entry's description: flags at 8, method at 10, checksum at 16.
    let directory = good.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    for (at, bit) in [(8, 1), (10, 8), (16, 1)] {
        let mut changed = good.clone();
        changed[directory + at] ^= bit;
        assert!(matches!(refusal(&changed), CheckpointError::Zip(_)), "{at}");
    }
}

#[test]
fn other_files_are_said_to_be_no_checkpoints() {
    for bytes in [&b""[..], b"hello", b"\x80\x02K\x01.", b"\x89PNG\r\n\x1a\n", b"\x80\x02}q\x00."] {
        assert_eq!(refusal(bytes), CheckpointError::NotACheckpoint);
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    for whole in [STREAM, ZIP] {
        assert!((0..whole.len()).all(|length| read(&whole[..length]).is_err()));
    }
}

/// Reads a checkpoint and every tensor in it.
fn read_all(bytes: &[u8]) {
    if let Ok(checkpoint) = read(bytes) {
        for name in checkpoint.names().map(str::to_owned).collect::<Vec<_>>() {
            let _ = checkpoint.tensor(&name);
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(body in prop::collection::vec(any::<u8>(), 0..512)) {
        read_all(&body);
        read_all(&object(&body));
        read_all(&zip(&[("a/data.pkl", &body)]));
        read_all(&[b"PK\x03\x04", body.as_slice()].concat());
    }

    #[test]
    fn no_changes_to_a_checkpoint_make_the_reader_panic(changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..8)) {
        for whole in [STREAM, ZIP] {
            let mut bytes = whole.to_vec();
            for (at, value) in &changes {
                let at = at % bytes.len();
                bytes[at] = *value;
            }
            read_all(&bytes);
        }
    }
}
