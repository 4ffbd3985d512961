//! What a checkpoint's pickle describes: named views of storages.

use std::collections::BTreeMap;

use super::{
    CheckpointError, Tensor,
    pickle::{Object, Unpickled, Value},
};
use crate::limits;

/// The types of numbers that PyTorch stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl Element {
    pub(super) fn of_storage(name: &str) -> Option<Self> {
        Some(match name {
            "DoubleStorage" => Self::F64,
            "FloatStorage" => Self::F32,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::BF16,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ShortStorage" => Self::I16,
            "CharStorage" => Self::I8,
            "ByteStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::F64 => "float64",
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::I64 => "int64",
            Self::I32 => "int32",
            Self::I16 => "int16",
            Self::I8 => "int8",
            Self::U8 => "uint8",
            Self::Bool => "bool",
        }
    }
}

/// How a pickle names a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StorageKey {
    pub(super) key: String,
    pub(super) element: Element,
    /// How many numbers it holds.
    pub(super) count: usize,
}

impl StorageKey {
    pub(super) fn byte_length(&self) -> Result<usize, CheckpointError> {
        self.count.checked_mul(self.element.bytes()).ok_or(CheckpointError::TooLarge("storage"))
    }
}

/// A tensor as a window of a storage, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) storage: StorageKey,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// The bytes of each storage, little-endian.
#[derive(Default)]
pub(super) struct Storages(pub(super) BTreeMap<String, Vec<u8>>);

impl Storages {
    pub(super) fn add(&mut self, tensor: &Tensor) -> View {
        let storage = StorageKey { key: self.0.len().to_string(), element: Element::F32, count: tensor.values.len() };
        self.0.insert(storage.key.clone(), tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect());
        let strides = (0..tensor.shape.len()).map(|axis| tensor.shape[axis + 1..].iter().product()).collect();
        View { storage, offset: 0, shape: tensor.shape.clone(), strides }
    }

    pub(super) fn copy(&self, name: &str, view: &View) -> Result<Tensor, CheckpointError> {
        let View { storage, offset, shape, strides } = view;
        if storage.element != Element::F32 {
            return Err(CheckpointError::ElementType { name: name.to_owned(), found: storage.element.name() });
        }
        let bytes = self.0.get(&storage.key).ok_or_else(|| CheckpointError::Storage(storage.key.clone()))?;
        let (numbers, _) = bytes.as_chunks::<4>();
        let outside = || CheckpointError::OutOfBounds(name.to_owned());
        let count = shape.iter().try_fold(1_usize, |count, size| count.checked_mul(*size)).ok_or_else(outside)?;
        // More numbers than the storage has can only come from strides of 0: a small file must not become a large tensor.
        if count > numbers.len() || count > limits::MAX_TENSOR_VALUES {
            return Err(outside());
        }
        let mut values = Vec::with_capacity(count);
        let mut index = vec![0; shape.len()];
        for _ in 0..count {
            let steps = index.iter().zip(strides).try_fold(*offset, |at, (index, stride): (&usize, &usize)| {
                index.checked_mul(*stride).and_then(|step| at.checked_add(step))
            });
            let number = steps.and_then(|at| numbers.get(at)).ok_or_else(outside)?;
            values.push(f32::from_le_bytes(*number));
            advance(&mut index, shape);
        }
        if !values.iter().all(|value| value.is_finite()) {
            return Err(CheckpointError::NotFinite(name.to_owned()));
        }
        Ok(Tensor { shape: shape.clone(), values })
    }
}

/// The next index in row-major order.
fn advance(index: &mut [usize], shape: &[usize]) {
    for (position, size) in index.iter_mut().zip(shape).rev() {
        *position += 1;
        if *position < *size {
            return;
        }
        *position = 0;
    }
}

/// The tensors of a state_dict, which is the pickle's value or its entry "model". Whatever else is in there is left out.
pub(super) fn tensors(unpickled: &Unpickled) -> Result<BTreeMap<String, View>, CheckpointError> {
    let Unpickled { heap, value, .. } = unpickled;
    let model = heap.entry(*value, "model").filter(|model| heap.dict(*model).is_some()).unwrap_or(*value);
    let entries = heap.dict(model).ok_or(CheckpointError::NotACheckpoint)?;
    let mut tensors = BTreeMap::new();
    for (name, value) in entries {
        if let (Some(name), Some(Object::Tensor(view))) = (heap.text(*name), heap.get(*value)) {
            tensors.insert(name.to_owned(), view.clone());
        }
        if tensors.len() > limits::MAX_TENSORS {
            return Err(CheckpointError::TooLarge("number of tensors"));
        }
    }
    Ok(tensors)
}

/// Whether a dictionary says that its numbers are little-endian.
pub(super) fn is_little_endian(system: &Unpickled) -> bool {
    system.heap.entry(system.value, "little_endian") == Some(Value::Bool(true))
}
