//! The loopback interface, brought up by one message to the kernel's routing socket (rtnetlink(7)).

use std::io;
use std::mem::MaybeUninit;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{connect, recv, send, socket_with};

use super::Error;

/// A header (`nlmsghdr`, 16 bytes) and a link (`ifinfomsg`, 16 bytes).
const REQUEST_BYTES: usize = 32;

/// A header, the error's number, and the request again.
const ANSWER_BYTES: usize = 16 + 4 + REQUEST_BYTES;

/// Brings it up. A kernel without network interfaces has none, and needs none.
pub(super) fn bring_up() -> Result<(), Error> {
    match ask() {
        Ok(()) | Err(Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT | Errno::NODEV) => Ok(()),
        Err(error) => Err(Error::Loopback(io::Error::from(error))),
    }
}

fn ask() -> rustix::io::Result<()> {
    // No protocol is number 0, NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    connect(&socket, &SocketAddrNetlink::new(0, 0))?;
    send(&socket, &request(), SendFlags::empty())?;
    let mut buffer = [MaybeUninit::uninit(); ANSWER_BYTES];
    let ((answer, _), _) = recv(&socket, &mut buffer, RecvFlags::empty())?;
    let number = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match number.ok_or(Errno::BADMSG)? {
        0 => Ok(()),
        negative => Err(Errno::from_raw_os_error(negative.saturating_neg())),
    }
}

/// "Set the flag UP of link 1, and no other, and say whether that worked." Loopback is the first link of every network namespace.
fn request() -> [u8; REQUEST_BYTES] {
    const NEW_LINK: u16 = 16;
    const REQUEST_AND_ACKNOWLEDGE: u16 = 1 | 4;
    const LOOPBACK: u32 = 1;
    const UP: u32 = 1;
    let mut message = [0; REQUEST_BYTES];
    let mut put = |at: usize, bytes: &[u8]| message[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &32_u32.to_ne_bytes());
    put(4, &NEW_LINK.to_ne_bytes());
    put(6, &REQUEST_AND_ACKNOWLEDGE.to_ne_bytes());
    put(20, &LOOPBACK.to_ne_bytes());
    put(24, &UP.to_ne_bytes());
    put(28, &UP.to_ne_bytes());
    message
}
