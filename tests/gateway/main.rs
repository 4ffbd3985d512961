//! The hospital's gateway: one module a story, real processes on real sockets.

mod access;
mod crash;
mod dicomweb;
mod exams;
mod intake;
mod life;
mod pacs;
mod provider;
mod unverified;
