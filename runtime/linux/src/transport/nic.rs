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
        Self::listen(interface, ETHERTYPE, Some(mac), mac, mtu)
    }

    /// The same under a second address of the card, beside whoever has its first: two nodes share one card, and
    /// neither hears the frames of the other. They do not hear each other either.
    ///
    /// # Errors
    /// As [`Nic::open`], or when the card takes no second address.
    pub fn beside(interface: &str, mac: Mac, mtu: usize) -> Result<Self, NicError> {
        let nic = Self::open(interface, mac, mtu)?;
        let index = if_nametoindex(interface).map_err(system("finding the interface"))?;
        also_known_as(&nic.fd, index, mac).map_err(system("giving the card a second address"))?;
        Ok(nic)
    }

    /// Listens for what the switch says about its ports (see [`runtime_core::notice`]).
    ///
    /// # Errors
    /// As [`Nic::open`].
    pub fn notices(interface: &str, mac: Mac, mtu: usize) -> Result<Self, NicError> {
        Self::listen(interface, notice::ETHERTYPE, None, mac, mtu)
    }

    /// `only`: no other frames than those to this address.
    fn listen(
        interface: &str,
        ethertype: u16,
        only: Option<Mac>,
        mac: Mac,
        mtu: usize,
    ) -> Result<Self, NicError> {
        let index = if_nametoindex(interface).map_err(system("finding the interface"))?;
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        // Without a protocol nothing comes in before it is bound to the interface.
        let fd = socket(AddressFamily::Packet, SockType::Raw, flags, None)
            .map_err(system("opening a packet socket"))?;
        set(&fd, libc::PACKET_IGNORE_OUTGOING, 1)
            .map_err(system("leaving out what goes out (Linux 4.20 or newer)"))?;
        if let Some(only) = only {
            filter(&fd, only).map_err(system("leaving out frames to others"))?;
        }
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

/// Lets in only frames to this address, so that others do not even wake us: a program for the kernel's
/// packet filter that compares the first six bytes.
fn filter(fd: &OwnedFd, mac: Mac) -> Result<(), Errno> {
    let [a, b, c, d, e, f] = mac.0;
    let (load, load_half) = (0x20, 0x28); // BPF_LD | BPF_ABS with BPF_W, with BPF_H
    let (is, end) = (0x15, 0x06); // BPF_JMP | BPF_JEQ | BPF_K, BPF_RET | BPF_K
    let step = |code, jf, k| libc::sock_filter { code, jt: 0, jf, k };
    let mut steps = [
        step(load, 0, 0),
        step(is, 3, u32::from_be_bytes([a, b, c, d])),
        step(load_half, 0, 4),
        step(is, 1, u32::from(u16::from_be_bytes([e, f]))),
        step(end, 0, u32::MAX), // all of it
        step(end, 0, 0),        // nothing
    ];
    let program = libc::sock_fprog { len: 6, filter: steps.as_mut_ptr() };
    set_at(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// The card takes frames to this address too, for as long as the socket lives.
fn also_known_as(fd: &OwnedFd, interface: libc::c_uint, mac: Mac) -> Result<(), Errno> {
    let index = c_int::try_from(interface).map_err(|_| Errno::ENODEV)?;
    let kind = libc::c_ushort::try_from(libc::PACKET_MR_UNICAST).map_err(|_| Errno::EINVAL)?;
    let [a, b, c, d, e, f] = mac.0;
    let request = libc::packet_mreq {
        mr_ifindex: index,
        mr_type: kind,
        mr_alen: 6,
        mr_address: [a, b, c, d, e, f, 0, 0],
    };
    set_at(fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
}

fn set(fd: &OwnedFd, option: c_int, value: c_int) -> Result<(), Errno> {
    set_at(fd, libc::SOL_PACKET, option, &value)
}

/// Plain data that the kernel may read, with what it points to.
trait Question {}
impl Question for c_int {}
impl Question for libc::packet_mreq {}
impl Question for libc::sock_fprog {}

fn set_at<T: Question>(fd: &OwnedFd, level: c_int, option: c_int, value: &T) -> Result<(), Errno> {
    let (value, length) = (core::ptr::from_ref(value).cast(), length_of::<T>());
    // SAFETY: the value is whole, of the length that is given, and lives through the call, as does the program
    // that a filter points to.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, value, length) };
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
