//! Virtio devices behind registers in memory: queues and transport are those of `virtio_drivers`, the
//! protocols of the devices are ours. Its drivers wait for the device to take each frame, and notify
//! it by a rule that loses notifications when a counter of 16 bits wraps; the way of the flags, taken here, does not.

mod nic;
mod port;
mod queues;

pub use nic::{Nic, Received};
pub use port::{Port, PortState};

use crate::apic;
use crate::frames::FRAME;
use crate::heap;
use crate::start::Device;
use core::ptr::NonNull;
use virtio_drivers::transport::mmio::{MmioError, MmioTransport, VirtIOHeader};
use virtio_drivers::transport::{DeviceStatus, DeviceType, Transport};
use virtio_drivers::{BufferDirection, Hal, PhysAddr};

/// Bytes of a device's registers.
const REGISTERS: usize = 0x200;
/// The device follows version 1 of the standard, or a later one.
const VERSION_1: u64 = 1 << 32;

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VirtioError {
    /// Nothing of this kind is on the command line.
    #[error(
        "no {0}: QEMU must have {1}, and the machine acpi=off, so that it is on the command line"
    )]
    Missing(&'static str, &'static str),
    /// It does not offer what is needed.
    #[error(
        "{0} at {1:#x} does not offer features {2:#x}: is virtio-mmio.force-legacy=off missing?"
    )]
    Features(&'static str, usize, u64),
    /// A queue is missing or too short.
    #[error("queue {index} of {what} has {has} entries, {wanted} are needed{remedy}")]
    Queue {
        /// Of which device.
        what: &'static str,
        /// Which.
        index: u16,
        /// How many entries it has.
        has: u32,
        /// How many are needed.
        wanted: usize,
        /// What to do.
        remedy: &'static str,
    },
    /// Its line does not exist.
    #[error("{0} has interrupt line {1}, which no controller of this machine has")]
    Line(&'static str, u32),
    /// The library refused.
    #[error("{0}: {1}")]
    Other(&'static str, virtio_drivers::Error),
}

/// Memory and addresses for devices: all of it is mapped to itself.
#[derive(Debug)]
pub(crate) struct Metal;

// SAFETY: memory from the pool is nobody else's, and an address is the same for device and processor.
unsafe impl Hal for Metal {
    fn dma_alloc(pages: usize, _direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let start = take_pages(pages);
        let pointer = core::ptr::with_exposed_provenance_mut(start);
        (start as PhysAddr, NonNull::new(pointer).unwrap_or(NonNull::dangling()))
    }

    unsafe fn dma_dealloc(start: PhysAddr, _pointer: NonNull<u8>, pages: usize) -> i32 {
        let start = usize::try_from(start).unwrap_or(0);
        for page in 0..pages {
            heap::with_pool(|pool| pool.give_back(start + page * FRAME));
        }
        0
    }

    unsafe fn mmio_phys_to_virt(address: PhysAddr, _bytes: usize) -> NonNull<u8> {
        let pointer = core::ptr::with_exposed_provenance_mut(usize::try_from(address).unwrap_or(0));
        NonNull::new(pointer).unwrap_or(NonNull::dangling())
    }

    unsafe fn share(buffer: NonNull<[u8]>, _direction: BufferDirection) -> PhysAddr {
        buffer.as_ptr().cast::<u8>().expose_provenance() as PhysAddr
    }

    unsafe fn unshare(_address: PhysAddr, _buffer: NonNull<[u8]>, _direction: BufferDirection) {}
}

/// Frames side by side, zeroed; the address of the lowest.
fn take_pages(pages: usize) -> usize {
    let Some(start) = heap::with_pool(|pool| pool.take_run(pages)) else {
        heap::exhausted(pages * FRAME)
    };
    let pointer = core::ptr::with_exposed_provenance_mut::<u8>(start);
    // SAFETY: nobody else has these frames.
    unsafe { pointer.write_bytes(0, pages * FRAME) };
    start
}

/// The devices of one kind, in the order of the command line.
///
/// # Safety
/// These are devices of the machine, and nobody drives those of this kind.
unsafe fn find(
    devices: &[Device],
    kind: DeviceType,
) -> impl Iterator<Item = (Device, MmioTransport<'static>)> {
    devices.iter().filter_map(move |device| {
        let pointer = core::ptr::with_exposed_provenance_mut::<VirtIOHeader>(device.address);
        let header = NonNull::new(pointer)?;
        // A transport that is dropped resets its device, so there must be none for one that is in use.
        // SAFETY: a register of a device, as the caller promises.
        let number = unsafe { pointer.cast::<u32>().add(2).read_volatile() };
        if number != kind as u32 {
            return None;
        }
        // SAFETY: the registers of a device, which are mapped to themselves.
        let transport: Result<_, MmioError> = unsafe { MmioTransport::new(header, REGISTERS) };
        transport.ok().map(|found| (*device, found))
    })
}

/// Resets a device and agrees on exactly these features, and version 1.
fn agree(
    what: &'static str,
    device: Device,
    transport: &mut MmioTransport<'static>,
    features: u64,
) -> Result<(), VirtioError> {
    let wanted = features | VERSION_1;
    let refused = VirtioError::Features(what, device.address, wanted);
    transport.set_status(DeviceStatus::empty());
    let mut status = DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER;
    transport.set_status(status);
    if transport.read_device_features() & wanted != wanted {
        return Err(refused);
    }
    transport.write_driver_features(wanted);
    status |= DeviceStatus::FEATURES_OK;
    transport.set_status(status);
    if transport.get_status().contains(status) { Ok(()) } else { Err(refused) }
}

/// Takes a device's line down. What the interrupt was for is not asked: that is one more way out of the machine
/// for each, and the queues tell.
fn acknowledge(registers: usize) {
    const ACKNOWLEDGE: usize = 0x64;
    /// A queue was served; the configuration changed.
    const ALL: u32 = 0b11;
    let register = core::ptr::with_exposed_provenance_mut::<u32>(registers + ACKNOWLEDGE);
    // SAFETY: a register of a device that is driven, which is mapped to itself.
    unsafe { register.write_volatile(ALL) };
}

/// Lets a device's interrupts through, once it is driven.
fn route(what: &'static str, device: Device) -> Result<(), VirtioError> {
    if apic::route(device.line) { Ok(()) } else { Err(VirtioError::Line(what, device.line)) }
}
