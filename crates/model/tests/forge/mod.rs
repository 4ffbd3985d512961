//! Checkpoints written by hand, right and wrong.

/// What a pickle says of the tensor "t". Its storage "k" has six numbers, 0 to 5, whatever `count` says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Described<'a> {
    pub(crate) offset: i64,
    pub(crate) shape: &'a [i64],
    pub(crate) strides: &'a [i64],
    pub(crate) count: i64,
}

/// A stream with one tensor.
pub(crate) fn tensor(described: Described<'_>) -> Vec<u8> {
    let Described { offset, shape, strides, count } = described;
    stream(&dictionary("k", count, offset, shape, strides), &[("k", &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])])
}

/// The pickle of `{"model": {"t": tensor}}`.
pub(crate) fn dictionary(key: &str, count: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let mut out = b"\x80\x02}".to_vec();
    text(&mut out, "model");
    out.extend(b"ccollections\nOrderedDict\n)R");
    text(&mut out, "t");
    out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    text(&mut out, "storage");
    out.extend(b"ctorch\nFloatStorage\n");
    text(&mut out, key);
    text(&mut out, "cpu");
    integer(&mut out, count);
    out.extend(b"NtQ");
    integer(&mut out, offset);
    for numbers in [shape, strides] {
        out.push(b'(');
        numbers.iter().for_each(|number| integer(&mut out, *number));
        out.push(b't');
    }
    out.extend(b"\x89ccollections\nOrderedDict\n)RtRss.");
    out
}

/// PyTorch's stream around a pickle.
pub(crate) fn stream(pickle: &[u8], storages: &[(&str, &[f32])]) -> Vec<u8> {
    let mut out = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}".to_vec();
    text(&mut out, "little_endian");
    out.extend(b"\x88s.");
    out.extend(pickle);
    out.extend(b"\x80\x02](");
    storages.iter().for_each(|(key, _)| text(&mut out, key));
    out.extend(b"e.");
    for (_, numbers) in storages {
        out.extend((numbers.len() as u64).to_le_bytes());
        out.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }
    out
}

/// A zip of stored entries (PKWARE's APPNOTE, section 4.3).
pub(crate) fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = vec![];
    let mut directory = vec![];
    for (name, bytes) in entries {
        let offset = out.len() as u32;
        let mut common = [0, 0, 0, 0, 0, 0].to_vec();
        common.extend([0; 4]);
        common.extend(crc32fast::hash(bytes).to_le_bytes());
        common.extend((bytes.len() as u32).to_le_bytes());
        common.extend((bytes.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0; 2]);
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.bytes());
        out.extend(*bytes);
        directory.extend(b"PK\x01\x02\x00\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.bytes());
    }
    let (at, length, count) = (out.len() as u32, directory.len() as u32, entries.len() as u16);
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend([0; 2]);
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.bytes());
}

fn integer(out: &mut Vec<u8>, number: i64) {
    out.extend([0x8a, 8]);
    out.extend(number.to_le_bytes());
}
