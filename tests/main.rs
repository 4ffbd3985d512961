//! Whole-system tests: one module a story, real processes on real sockets.
