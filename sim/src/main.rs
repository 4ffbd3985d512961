//! Entry point: wires the library to the command line.
fn main() {}
