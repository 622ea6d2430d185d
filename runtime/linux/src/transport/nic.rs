//! A descriptor on which one read or write is one Ethernet frame: a packet socket on a network card,
//! or a socket that stands in for one.

use core::ffi::c_int;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, getsockopt, recv, sendmsg, setsockopt, socket,
    sockopt,
};
use runtime_core::limits::{LINK_WINDOW, MAX_NODES, MIN_MTU};
use runtime_core::notice;
use runtime_driver::ethernet::{ETHERTYPE, Mac};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Largest MTU: what Ethernet calls jumbo.
pub const MAX_MTU: usize = 9000;
/// Bytes that the kernel may hold either way: what a full cluster may have in flight to one node at
/// a common MTU, with what the kernel adds to each frame.
const SOCKET_BYTES: usize = MAX_NODES * LINK_WINDOW * 2048;

/// Why a card cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NicError {
    /// The MTU.
    #[error("MTU {0} is not between {MIN_MTU} and {MAX_MTU}")]
    Mtu(usize),
    /// The address.
    #[error("{0} cannot be the address of a network card")]
    Address(Mac),
    /// Two nodes behind one card, or a peer behind this node's.
    #[error("{0} is the network card of two nodes")]
    Shared(Mac),
    /// The descriptor.
    #[error("the descriptor is no Unix datagram socket")]
    NotASocket,
    /// A system call.
    #[error("{what}: {errno}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the kernel says.
        errno: Errno,
    },
    /// The card does not work any more.
    #[error("the network card is gone: {0}")]
    Gone(Errno),
}

/// See the module.
#[derive(Debug)]
pub struct Nic {
    fd: OwnedFd,
    mac: Mac,
    mtu: usize,
    /// The kernel throws frames away when we are slow, and counts them.
    is_packet: bool,
}

impl Nic {
    /// Listens on a network card of this machine, for frames of our type only.
    ///
    /// # Errors
    /// Without the right to do so (`CAP_NET_RAW`), or when there is no such interface.
    pub fn open(interface: &str, mac: Mac, mtu: usize) -> Result<Self, NicError> {
        Self::listen(interface, ETHERTYPE, mac, mtu)
    }

    /// The same with an address that is not the card's own: several may share one.
    ///
    /// # Errors
    /// As [`Nic::open`].
    pub fn share(interface: &str, mac: Mac, mtu: usize) -> Result<Self, NicError> {
        let nic = Self::open(interface, mac, mtu)?;
        let index = if_nametoindex(interface).map_err(system("finding the interface"))?;
        hear(&nic.fd, index, mac).map_err(system("hearing what is for a second address"))?;
        Ok(nic)
    }

    /// Listens for what the switch says about its ports (see [`runtime_core::notice`]).
    ///
    /// # Errors
    /// As [`Nic::open`].
    pub fn notices(interface: &str, mac: Mac, mtu: usize) -> Result<Self, NicError> {
        Self::listen(interface, notice::ETHERTYPE, mac, mtu)
    }

    fn listen(interface: &str, ethertype: u16, mac: Mac, mtu: usize) -> Result<Self, NicError> {
        let index = if_nametoindex(interface).map_err(system("finding the interface"))?;
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        // Without a protocol nothing comes in before it is bound to the interface.
        let fd = socket(AddressFamily::Packet, SockType::Raw, flags, None)
            .map_err(system("opening a packet socket"))?;
        set(&fd, libc::PACKET_IGNORE_OUTGOING, 1)
            .map_err(system("leaving out what goes out (Linux 4.20 or newer)"))?;
        bind(&fd, index, ethertype).map_err(system("binding to the interface"))?;
        Self::new(fd, mac, mtu, true)
    }

    /// Takes a Unix datagram socket whose other end takes it for a card's cable.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_socket(fd: OwnedFd, mac: Mac, mtu: usize) -> Result<Self, NicError> {
        let kind = getsockopt(&fd, sockopt::SockType).map_err(|_| NicError::NotASocket)?;
        if kind != SockType::Datagram || domain(&fd) != Ok(libc::AF_UNIX) {
            return Err(NicError::NotASocket);
        }
        let flags = fcntl(&fd, FcntlArg::F_GETFL).map_err(system("reading its flags"))?;
        let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
        fcntl(&fd, FcntlArg::F_SETFL(flags)).map_err(system("making it non-blocking"))?;
        fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(system("keeping it"))?;
        Self::new(fd, mac, mtu, false)
    }

    fn new(fd: OwnedFd, mac: Mac, mtu: usize, is_packet: bool) -> Result<Self, NicError> {
        if !(MIN_MTU..=MAX_MTU).contains(&mtu) {
            return Err(NicError::Mtu(mtu));
        }
        if !mac.is_unicast() {
            return Err(NicError::Address(mac));
        }
        // The limits of the system hold for whoever may not pass them; the kernel cuts down to them.
        setsockopt(&fd, sockopt::RcvBufForce, &SOCKET_BYTES)
            .or_else(|_| setsockopt(&fd, sockopt::RcvBuf, &SOCKET_BYTES))
            .map_err(system("raising the receive buffer"))?;
        setsockopt(&fd, sockopt::SndBufForce, &SOCKET_BYTES)
            .or_else(|_| setsockopt(&fd, sockopt::SndBuf, &SOCKET_BYTES))
            .map_err(system("raising the send buffer"))?;
        Ok(Self { fd, mac, mtu, is_packet })
    }

    /// Its address.
    #[must_use]
    pub const fn mac(&self) -> Mac {
        self.mac
    }

    /// Largest payload of a frame, in bytes.
    #[must_use]
    pub const fn mtu(&self) -> usize {
        self.mtu
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// One frame into the buffer: its length, which may be more than the buffer holds.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        recv(self.fd.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC)
    }

    /// One frame out.
    pub(super) fn send(&self, header: &[u8], payload: &[u8]) -> Result<(), Errno> {
        let parts = [IoSlice::new(header), IoSlice::new(payload)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        sendmsg::<()>(self.fd.as_raw_fd(), &parts, &[], flags, None).map(drop)
    }

    /// Frames that the kernel threw away since this was last asked, for want of room.
    pub(super) fn overflowed(&self) -> u64 {
        if !self.is_packet {
            return 0; // the sender waits
        }
        let mut stats = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        match get(&self.fd, libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut stats) {
            Ok(()) => u64::from(stats.tp_drops),
            Err(errno) => {
                tracing::warn!(%errno, "the kernel does not say how many frames it dropped");
                0
            }
        }
    }
}

/// Makes an error say what was tried.
const fn system(what: &'static str) -> impl Fn(Errno) -> NicError {
    move |errno| NicError::System { what, errno }
}

fn bind(fd: &OwnedFd, interface: libc::c_uint, ethertype: u16) -> Result<(), Errno> {
    let index = c_int::try_from(interface).map_err(|_| Errno::ENODEV)?;
    let family = libc::sa_family_t::try_from(libc::AF_PACKET).map_err(|_| Errno::EAFNOSUPPORT)?;
    let address = libc::sockaddr_ll {
        sll_family: family,
        sll_protocol: ethertype.to_be(),
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = length_of::<libc::sockaddr_ll>();
    // SAFETY: the address is whole, of the length that is given, and lives through the call.
    let result = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) };
    Errno::result(result).map(drop)
}

/// Asks the card for what is sent to one more address.
fn hear(fd: &OwnedFd, interface: libc::c_uint, mac: Mac) -> Result<(), Errno> {
    let mut address = [0; 8];
    address[..mac.0.len()].copy_from_slice(&mac.0);
    #[expect(clippy::cast_possible_truncation, reason = "small constants")]
    let request = libc::packet_mreq {
        mr_ifindex: c_int::try_from(interface).map_err(|_| Errno::ENODEV)?,
        mr_type: libc::PACKET_MR_UNICAST as libc::c_ushort,
        mr_alen: mac.0.len() as libc::c_ushort,
        mr_address: address,
    };
    let length = length_of::<libc::packet_mreq>();
    // SAFETY: the request is whole, of the length that is given, and lives through the call.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const request).cast(),
            length,
        )
    };
    Errno::result(result).map(drop)
}

fn set(fd: &OwnedFd, option: c_int, value: c_int) -> Result<(), Errno> {
    let length = length_of::<c_int>();
    // SAFETY: the value is whole, of the length that is given, and lives through the call.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            (&raw const value).cast(),
            length,
        )
    };
    Errno::result(result).map(drop)
}

fn domain(fd: &OwnedFd) -> Result<c_int, Errno> {
    let mut domain = 0;
    get(fd, libc::SOL_SOCKET, libc::SO_DOMAIN, &mut domain)?;
    Ok(domain)
}

/// Plain numbers that the kernel may fill in.
trait Answer: Copy {}
impl Answer for c_int {}
impl Answer for libc::tpacket_stats {}

fn get<T: Answer>(fd: &OwnedFd, level: c_int, option: c_int, into: &mut T) -> Result<(), Errno> {
    let mut length = length_of::<T>();
    let into = core::ptr::from_mut(into).cast();
    // SAFETY: the kernel writes at most `length` bytes, and any bytes are a valid `Answer`.
    let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, option, into, &raw mut length) };
    Errno::result(result).map(drop)
}

#[expect(clippy::cast_possible_truncation, reason = "the size of a small struct")]
const fn length_of<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}
