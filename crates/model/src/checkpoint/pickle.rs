//! The pickle machine, with only the instructions and names of a checkpoint of tensors.
//!
//! Made of Python's `pickletools` documentation. Values live in one list and refer to one another by index, so that neither
//! cycles nor depth can do harm.

use std::collections::HashMap;

use super::{
    CheckpointError,
    state::{Element, StorageKey, View},
};
use crate::limits;

/// A value, or where it is in [`Heap`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i128),
    Float,
    Global(Global),
    Object(usize),
}

/// The names that a pickle may ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Element),
}

#[derive(Debug)]
pub(super) enum Object {
    Text(String),
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Storage(StorageKey),
    Tensor(View),
}

/// Every object that a pickle made.
#[derive(Default)]
pub(super) struct Heap(Vec<Object>);

impl Heap {
    pub(super) fn get(&self, value: Value) -> Option<&Object> {
        match value {
            Value::Object(index) => self.0.get(index),
            _ => None,
        }
    }

    pub(super) fn text(&self, value: Value) -> Option<&str> {
        match self.get(value) {
            Some(Object::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn dict(&self, value: Value) -> Option<&[(Value, Value)]> {
        match self.get(value) {
            Some(Object::Dict(entries)) => Some(entries),
            _ => None,
        }
    }

    pub(super) fn list(&self, value: Value) -> Option<&[Value]> {
        match self.get(value) {
            Some(Object::List(values)) => Some(values),
            _ => None,
        }
    }

    pub(super) fn tuple(&self, value: Value) -> Option<&[Value]> {
        match self.get(value) {
            Some(Object::Tuple(values)) => Some(values),
            _ => None,
        }
    }

    /// The value of a text key in a dictionary; the last one if there are several, as in Python.
    pub(super) fn entry(&self, dict: Value, key: &str) -> Option<Value> {
        self.dict(dict)?.iter().rev().find(|(name, _)| self.text(*name) == Some(key)).map(|(_, value)| *value)
    }

    fn add(&mut self, object: Object) -> Value {
        self.0.push(object);
        Value::Object(self.0.len() - 1)
    }
}

/// What one pickle made, and how many bytes it took.
pub(super) struct Unpickled {
    pub(super) heap: Heap,
    pub(super) value: Value,
    pub(super) length: usize,
}

/// Reads the pickle that `bytes` start with.
pub(super) fn read(bytes: &[u8]) -> Result<Unpickled, CheckpointError> {
    let bytes = &bytes[..bytes.len().min(limits::MAX_PICKLE_BYTES)];
    let mut machine =
        Machine { bytes, at: 0, heap: Heap::default(), stack: vec![], marks: vec![], memo: HashMap::new(), pushed: 0 };
    let value = machine.run()?;
    Ok(Unpickled { heap: machine.heap, value, length: machine.at })
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    heap: Heap,
    stack: Vec<Value>,
    /// The stack's length at each mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    /// How many values were pushed in all.
    pushed: usize,
}

type Done = Result<(), CheckpointError>;

impl Machine<'_> {
    fn run(&mut self) -> Result<Value, CheckpointError> {
        loop {
            let offset = self.at;
            let opcode = self.byte()?;
            if opcode == b'.' {
                return self.pop();
            }
            self.step(opcode, offset)?;
        }
    }

    fn step(&mut self, opcode: u8, offset: usize) -> Done {
        match opcode {
            0x80 => self.protocol(),        // PROTO
            0x95 => self.take(8).map(drop), // FRAME
            b'(' => self.mark(),
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'J' | b'K' | b'M' | 0x8a => self.integer(opcode),
            b'G' => self.take(8).map(drop).and_then(|()| self.push(Value::Float)),
            b'X' | 0x8c => self.text(opcode),
            b'}' => self.push_new(Object::Dict(vec![])),
            b']' => self.push_new(Object::List(vec![])),
            b')' => self.push_new(Object::Tuple(vec![])),
            b't' => self.pop_mark().and_then(|values| self.push_new(Object::Tuple(values))),
            0x85..=0x87 => self.short_tuple(usize::from(opcode - 0x84)), // TUPLE1 to TUPLE3
            b'q' | b'r' | 0x94 => self.remember(opcode),
            b'h' | b'j' => self.recall(opcode),
            b'c' | 0x93 => self.global(opcode),
            b's' | b'u' => self.set_items(opcode),
            b'a' | b'e' => self.append(opcode),
            b'Q' => self.persistent(), // BINPERSID
            b'R' => self.reduce(),
            b'b' => self.build(),
            _ => Err(CheckpointError::Instruction { opcode, offset }),
        }
    }

    fn take(&mut self, count: usize) -> Result<&[u8], CheckpointError> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(if self.bytes.len() == limits::MAX_PICKLE_BYTES {
            CheckpointError::TooLarge("pickle")
        } else {
            CheckpointError::Truncated
        })?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, CheckpointError> {
        Ok(self.take(1)?[0])
    }

    /// A little-endian number without sign.
    fn number(&mut self, bytes: usize) -> Result<u32, CheckpointError> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn protocol(&mut self) -> Done {
        match self.byte()? {
            2..=5 => Ok(()),
            _ => Err(CheckpointError::Pickle("it is of another protocol than 2 to 5")),
        }
    }

    fn push(&mut self, value: Value) -> Done {
        self.pushed += 1;
        if self.pushed > limits::MAX_PICKLE_VALUES {
            return Err(CheckpointError::TooLarge("pickle"));
        }
        self.stack.push(value);
        Ok(())
    }

    fn push_new(&mut self, object: Object) -> Done {
        let value = self.heap.add(object);
        self.push(value)
    }

    fn mark(&mut self) -> Done {
        if self.marks.len() == limits::MAX_PICKLE_VALUES {
            return Err(CheckpointError::TooLarge("pickle"));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, CheckpointError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(CheckpointError::Pickle("it takes from an empty stack"));
        }
        self.stack.pop().ok_or(CheckpointError::Pickle("it takes from an empty stack"))
    }

    fn pop_mark(&mut self) -> Result<Vec<Value>, CheckpointError> {
        let mark = self.marks.pop().ok_or(CheckpointError::Pickle("a mark is missing"))?;
        Ok(self.stack.split_off(mark))
    }

    fn short_tuple(&mut self, count: usize) -> Done {
        let mut values = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        values.reverse();
        self.push_new(Object::Tuple(values))
    }

    fn integer(&mut self, opcode: u8) -> Done {
        let value = match opcode {
            b'J' => i128::from(self.number(4)?.cast_signed()),
            b'K' => i128::from(self.number(1)?),
            b'M' => i128::from(self.number(2)?),
            _ => {
                let length = usize::from(self.byte()?);
                let bytes = self.take(length)?;
                if length > 16 {
                    return Err(CheckpointError::Pickle("it has a number of more than 128 bits"));
                }
                let sign = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
                let mut wide = [sign; 16];
                wide[..length].copy_from_slice(bytes);
                i128::from_le_bytes(wide)
            }
        };
        self.push(Value::Int(value))
    }

    fn text(&mut self, opcode: u8) -> Done {
        let length = self.number(if opcode == b'X' { 4 } else { 1 })? as usize;
        let text =
            std::str::from_utf8(self.take(length)?).map_err(|_| CheckpointError::Pickle("a text is not UTF-8"))?;
        let text = text.to_owned();
        self.push_new(Object::Text(text))
    }

    fn remember(&mut self, opcode: u8) -> Done {
        let key = match opcode {
            b'q' => self.number(1)?,
            b'r' => self.number(4)?,
            _ => self.memo.len() as u32,
        };
        let value = *self.stack.last().ok_or(CheckpointError::Pickle("it remembers from an empty stack"))?;
        if self.memo.len() >= limits::MAX_PICKLE_VALUES {
            return Err(CheckpointError::TooLarge("pickle"));
        }
        self.memo.insert(key, value);
        Ok(())
    }

    fn recall(&mut self, opcode: u8) -> Done {
        let key = self.number(if opcode == b'h' { 1 } else { 4 })?;
        let value = *self.memo.get(&key).ok_or(CheckpointError::Pickle("it recalls what it did not remember"))?;
        self.push(value)
    }

    fn line(&mut self) -> Result<String, CheckpointError> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or(CheckpointError::Truncated)?;
        let line = String::from_utf8_lossy(&rest[..length]).into_owned();
        self.at += length + 1;
        Ok(line)
    }

    fn global(&mut self, opcode: u8) -> Done {
        let (module, name) = if opcode == b'c' {
            (self.line()?, self.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            let text = |value| self.heap.text(value).map(str::to_owned);
            text(module).zip(text(name)).ok_or(CheckpointError::Pickle("a name is not a text"))?
        };
        let global = match (module.as_str(), name.as_str()) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch", storage) => match Element::of_storage(storage) {
                Some(element) => Global::Storage(element),
                None => return Err(CheckpointError::Global(format!("{module}.{name}"))),
            },
            _ => return Err(CheckpointError::Global(format!("{module}.{name}"))),
        };
        self.push(Value::Global(global))
    }

    fn top(&mut self) -> Result<&mut Object, CheckpointError> {
        match self.stack.last() {
            Some(Value::Object(index)) => self.heap.0.get_mut(*index),
            _ => None,
        }
        .ok_or(CheckpointError::Pickle("it fills something that holds nothing"))
    }

    fn set_items(&mut self, opcode: u8) -> Done {
        let items = if opcode == b's' {
            let (value, key) = (self.pop()?, self.pop()?);
            vec![key, value]
        } else {
            self.pop_mark()?
        };
        let (pairs, []) = items.as_chunks::<2>() else {
            return Err(CheckpointError::Pickle("a key has no value"));
        };
        match self.top()? {
            Object::Dict(entries) => entries.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            _ => return Err(CheckpointError::Pickle("it sets an item of something that is no dictionary")),
        }
        Ok(())
    }

    fn append(&mut self, opcode: u8) -> Done {
        let items = if opcode == b'a' { vec![self.pop()?] } else { self.pop_mark()? };
        match self.top()? {
            Object::List(values) => values.extend(items),
            _ => return Err(CheckpointError::Pickle("it appends to something that is no list")),
        }
        Ok(())
    }

    /// A reference to a storage: `("storage", type, key, location, numbers)` and, in the stream, a view that must be `None`.
    fn persistent(&mut self) -> Done {
        let id = self.pop()?;
        let malformed = CheckpointError::Pickle("a storage is not described as PyTorch does");
        let (kind, element, key, count, view) = match self.heap.tuple(id) {
            Some([kind, Value::Global(Global::Storage(element)), key, _, Value::Int(count)]) => {
                (*kind, *element, *key, *count, Value::None)
            }
            Some([kind, Value::Global(Global::Storage(element)), key, _, Value::Int(count), view]) => {
                (*kind, *element, *key, *count, *view)
            }
            _ => return Err(malformed),
        };
        let (Some("storage"), Some(key), Ok(count), Value::None) =
            (self.heap.text(kind), self.heap.text(key), usize::try_from(count), view)
        else {
            return Err(malformed);
        };
        let storage = StorageKey { key: key.to_owned(), element, count };
        self.push_new(Object::Storage(storage))
    }

    fn reduce(&mut self) -> Done {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let arguments = self.heap.tuple(arguments).ok_or(CheckpointError::Pickle("a call has no arguments"))?;
        match (callable, arguments) {
            (Value::Global(Global::OrderedDict), []) => self.push_new(Object::Dict(vec![])),
            (Value::Global(Global::RebuildTensor), [storage, offset, shape, strides, ..]) => {
                let view = self.tensor(*storage, *offset, *shape, *strides)?;
                self.push_new(Object::Tensor(view))
            }
            (Value::Global(Global::RebuildParameter), [tensor, ..]) => match self.heap.get(*tensor) {
                Some(Object::Tensor(_)) => self.push(*tensor),
                _ => Err(CheckpointError::Pickle("a parameter is no tensor")),
            },
            _ => Err(CheckpointError::Pickle("it calls something that is no tensor's")),
        }
    }

    fn tensor(&self, storage: Value, offset: Value, shape: Value, strides: Value) -> Result<View, CheckpointError> {
        let malformed = CheckpointError::Pickle("a tensor is not described as PyTorch does");
        let size = |value: &Value| match value {
            Value::Int(number) => usize::try_from(*number).ok(),
            _ => None,
        };
        let sizes = |value| self.heap.tuple(value)?.iter().map(size).collect::<Option<Vec<_>>>();
        match (self.heap.get(storage), size(&offset), sizes(shape), sizes(strides)) {
            (Some(Object::Storage(storage)), Some(offset), Some(shape), Some(strides))
                if shape.len() == strides.len() && shape.len() <= limits::MAX_DIMENSIONS =>
            {
                Ok(View { storage: storage.clone(), offset, shape, strides })
            }
            _ => Err(malformed),
        }
    }

    /// Attributes of a dictionary, such as a state_dict's `_metadata`: of no interest.
    fn build(&mut self) -> Done {
        self.pop()?;
        match self.top()? {
            Object::Dict(_) => Ok(()),
            _ => Err(CheckpointError::Pickle("it sets attributes of something that is no dictionary")),
        }
    }
}
