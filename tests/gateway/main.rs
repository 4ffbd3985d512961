//! The hospital's gateway: one module a story, real processes on real sockets.

mod access;
mod crash;
mod dicomweb;
mod exams;
mod intake;
mod pacs;
mod provider;
mod unverified;
