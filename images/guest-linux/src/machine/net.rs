//! Network cards by the classic ioctls.

use anyhow::{Context, Result, bail, ensure};
use images_control::{Card, Nic};
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

#[cfg(test)]
mod tests;

nix::ioctl_write_ptr_bad!(set_address, libc::SIOCSIFADDR, libc::ifreq);
nix::ioctl_write_ptr_bad!(set_netmask, libc::SIOCSIFNETMASK, libc::ifreq);
nix::ioctl_write_ptr_bad!(set_mtu, libc::SIOCSIFMTU, libc::ifreq);
nix::ioctl_write_ptr_bad!(set_hardware_address, libc::SIOCSIFHWADDR, libc::ifreq);
nix::ioctl_write_ptr_bad!(set_flags, libc::SIOCSIFFLAGS, libc::ifreq);

/// Brings up an interface as it is.
pub(super) fn set_up(name: &str) -> Result<()> {
    let request = up_request(name)?;
    let socket = any_socket()?;
    // SAFETY: the kernel only reads the request, which lives through the call.
    unsafe { set_flags(socket.as_raw_fd(), &raw const request) }.context("cannot set it up")?;
    Ok(())
}

/// Gives a card its MTU and address, and brings it up; returns the name of its interface.
pub(super) fn configure(nic: &Nic) -> Result<String> {
    let name = find(&nic.mac)?;
    let address: Ipv4Addr =
        nic.address.parse().with_context(|| format!("bad IPv4 address \"{}\"", nic.address))?;
    let mask = netmask(nic.prefix)?;
    let mut request = request(&name)?;
    let socket = any_socket()?;
    let fd = socket.as_raw_fd();

    let mtu = i32::try_from(nic.mtu).with_context(|| format!("bad MTU {}", nic.mtu))?;
    request.ifr_ifru.ifru_mtu = mtu;
    // SAFETY: as in `set_up`.
    unsafe { set_mtu(fd, &raw const request) }.with_context(|| format!("cannot set MTU {mtu}"))?;
    request.ifr_ifru.ifru_addr = inet(address);
    // SAFETY: as in `set_up`.
    unsafe { set_address(fd, &raw const request) }
        .with_context(|| format!("cannot set address {address}"))?;
    request.ifr_ifru.ifru_netmask = inet(mask);
    // SAFETY: as in `set_up`.
    unsafe { set_netmask(fd, &raw const request) }
        .with_context(|| format!("cannot set netmask {mask}"))?;
    set_up(&name)?;
    Ok(name)
}

/// Gives a card that is down another MAC.
pub(super) fn rename(card: &Card) -> Result<()> {
    let mut request = request(&find(&card.was)?)?;
    let mac: runtime_driver::ethernet::Mac =
        card.mac.parse().with_context(|| format!("bad address \"{}\"", card.mac))?;
    let mut data = [0; 14];
    for (to, from) in data.iter_mut().zip(mac.0) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    request.ifr_ifru.ifru_hwaddr = libc::sockaddr { sa_family: libc::ARPHRD_ETHER, sa_data: data };
    // SAFETY: as in `set_up`.
    unsafe { set_hardware_address(any_socket()?.as_raw_fd(), &raw const request) }
        .with_context(|| format!("cannot give {} the address {}", card.was, card.mac))?;
    Ok(())
}

/// Name of the card with this MAC.
pub(super) fn find(mac: &str) -> Result<String> {
    let mut seen = Vec::new();
    for card in fs::read_dir("/sys/class/net").context("cannot list network cards")?.flatten() {
        let name = card.file_name().to_string_lossy().into_owned();
        let address = fs::read_to_string(card.path().join("address")).unwrap_or_default();
        if address.trim().eq_ignore_ascii_case(mac) {
            return Ok(name);
        }
        seen.push(format!("{name} {}", address.trim()));
    }
    seen.sort();
    bail!("no card has this address; there are: {}", seen.join(", "))
}

fn any_socket() -> Result<OwnedFd> {
    socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .context("cannot open a socket")
}

fn request(name: &str) -> Result<libc::ifreq> {
    ensure!(name.len() < libc::IFNAMSIZ, "interface name \"{name}\" is too long");
    // SAFETY: all-zero bytes are a valid `ifreq`: numbers and a union of plain data.
    let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    Ok(request)
}

fn up_request(name: &str) -> Result<libc::ifreq> {
    let mut request = request(name)?;
    let flags = libc::IFF_UP | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(flags).context("bad flags")?;
    Ok(request)
}

/// An IPv4 address as the generic `sockaddr` that `ifreq` wants: family, port, address.
fn inet(address: Ipv4Addr) -> libc::sockaddr {
    let mut data = [0; 14];
    for (to, from) in data[2..].iter_mut().zip(address.octets()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    // AF_INET is 2 in both types.
    #[expect(clippy::cast_possible_truncation, reason = "a small constant")]
    libc::sockaddr { sa_family: libc::AF_INET as libc::sa_family_t, sa_data: data }
}

fn netmask(prefix: u8) -> Result<Ipv4Addr> {
    ensure!(prefix <= 32, "bad network prefix /{prefix}, at most /32");
    Ok(Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)))
}
