//! Why a checkpoint was refused.

/// Why a checkpoint was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Last layers of each view and of each angle in one file.
    #[error(
        "it has last layers for each view (fc1_lcc) and for both breasts of an angle (fc1_cc): a checkpoint is of one family of networks, so \
         save the one to be converted alone"
    )]
    TwoFamilies,
    /// Neither a zip nor a stream of pickles with PyTorch's magic number.
    #[error("it is not a PyTorch checkpoint: save one with torch.save({{\"model\": model.state_dict()}}, file)")]
    NotACheckpoint,
    /// The bytes end in the middle.
    #[error("it is cut short")]
    Truncated,
    /// An instruction that a checkpoint of tensors does not need.
    #[error(
        "its pickle has the instruction {opcode:#04x} at byte {offset}, which a dictionary of tensors does not need; save \
         the state_dict only"
    )]
    Instruction {
        /// The instruction.
        opcode: u8,
        /// Where in the pickle.
        offset: usize,
    },
    /// A class or function that a checkpoint of tensors does not need. It was not called.
    #[error("its pickle asks for {0:?}, which a dictionary of tensors does not need; it was not called")]
    Global(String),
    /// A pickle whose instructions make no sense together.
    #[error("its pickle is malformed: {0}")]
    Pickle(&'static str),
    /// More of something than is allowed.
    #[error("its {0} is larger than is allowed")]
    TooLarge(&'static str),
    /// Written on a big-endian machine.
    #[error("it was written on a big-endian machine, which is not supported")]
    BigEndian,
    /// A zip that cannot be read.
    #[error("its zip cannot be read: {0}")]
    Zip(String),
    /// A zip without one of the entries that a checkpoint has.
    #[error("its zip has no entry {0:?}")]
    MissingEntry(String),
    /// The numbers of a tensor are not where the pickle says.
    #[error("the numbers of its storage {0:?} do not fit what its pickle says of them")]
    Storage(String),
    /// A tensor that is needed and not there.
    #[error("it has no tensor {0:?}: is it a checkpoint of the four-view screening network?")]
    MissingTensor(String),
    /// A tensor that reaches outside of its storage, or covers a number more than once.
    #[error("its tensor {0:?} reaches outside of its storage")]
    OutOfBounds(String),
    /// A tensor of another type than f32.
    #[error("its tensor {name:?} holds {found}, and float32 is needed")]
    ElementType {
        /// Which tensor.
        name: String,
        /// Its type, as PyTorch names it.
        found: &'static str,
    },
    /// A tensor of another shape than the network needs.
    #[error("its tensor {name:?} has the shape {found:?}, and the network needs {expected}")]
    Shape {
        /// Which tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// What would fit.
        expected: String,
    },
    /// A tensor with numbers that are not finite.
    #[error("its tensor {0:?} holds numbers that are not finite")]
    NotFinite(String),
}
