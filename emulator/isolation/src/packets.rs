//! The packets of a connection.

use std::io;
use std::mem::{MaybeUninit, offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd as _};

use nix::libc;

/// The number of packets that the other end of a TCP connection has sent so far and that have
/// arrived, from the first SYN on. Packets without data count as well.
///
/// # Errors
///
/// If it is no TCP connection, or on Linux before 4.2.
#[expect(unsafe_code, reason = "no library that is used here reads TCP_INFO")]
pub fn packets_received(connection: &impl AsFd) -> io::Result<u32> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>())
        .map_err(|_| io::ErrorKind::Unsupported)?;
    // SAFETY: the kernel writes at most `length` bytes to `info`, which is as long as that, and tells
    // how many it has written in `length`.
    let done = unsafe {
        libc::getsockopt(
            connection.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    let end = offset_of!(libc::tcp_info, tcpi_segs_in) + size_of::<u32>();
    if usize::try_from(length).is_ok_and(|length| length < end) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // SAFETY: it consists of numbers, and was zero where the kernel has not written.
    Ok(unsafe { info.assume_init() }.tcpi_segs_in)
}
