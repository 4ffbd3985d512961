//! Model packages, checkpoint conversion, and the network on tract.
