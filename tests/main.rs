//! Whole-system tests: one module a story, real processes on real sockets.

mod access;
mod archive;
mod boot;
mod bystander;
mod canary;
mod classify;
mod clock;
mod credentials;
mod deploy;
mod ending;
mod first_process;
mod flaky;
mod handover;
mod images;
mod interface;
mod killed;
mod launch;
mod overload;
mod pod;
mod receipts;
mod reference;
mod rollback;
mod rotation;
mod sealed;
mod sizes;
mod verification;
