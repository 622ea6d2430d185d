//! A network card: frames of Ethernet in and out.

use super::queues::{Filled, In, Out, queue};
use super::{VirtioError, acknowledge, agree, find, route};
use crate::apic;
use crate::start::Device;
use alloc::vec::Vec;
use runtime_driver::ethernet::{HEADER_BYTES, Header, Mac};
use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::transport::{DeviceType, Transport};

const WHAT: &str = "network card";
/// Feature: the device knows its address.
const MAC: u64 = 1 << 5;
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
/// Entries of the queues.
const RECEIVE_DEPTH: usize = 1024;
const TRANSMIT_DEPTH: usize = 256;
/// Before each frame, in both directions: all zero, for nothing is left to the device.
const VIRTIO_HEADER: usize = 12;
/// Frames that may wait for room in the queue before more are lost.
const MAX_WAITING: usize = 4096;

/// A network card.
pub struct Nic {
    transport: MmioTransport<'static>,
    line: u32,
    /// Address of the device's registers.
    registers: usize,
    mac: Mac,
    receive: In<RECEIVE_DEPTH>,
    transmit: Out<TRANSMIT_DEPTH>,
    lost: u64,
}

impl core::fmt::Debug for Nic {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Nic({})", self.mac)
    }
}

/// A frame that came in, until it is given back.
#[derive(Debug)]
pub struct Received(Filled);

impl Received {
    /// The frame, from its destination address on.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.content().get(VIRTIO_HEADER..).unwrap_or_default()
    }
}

impl Nic {
    /// Drives the card with this address, for packets of at most `mtu` bytes.
    ///
    /// # Errors
    /// When there is none, or it is not as it must be.
    ///
    /// # Safety
    /// These are devices of the machine, and nobody drives this one.
    pub unsafe fn open(devices: &[Device], mac: Mac, mtu: usize) -> Result<Self, VirtioError> {
        // SAFETY: as the caller promises.
        let mut cards = unsafe { find(devices, DeviceType::Network) };
        let (device, mut transport) = cards
            .find(|(_, card)| card.read_config_space(0).is_ok_and(|found| Mac(found) == mac))
            .ok_or(VirtioError::Missing(
                "network card with the configured address",
                "-device virtio-net-device,mac=…",
            ))?;
        agree(WHAT, device, &mut transport, MAC)?;
        let deep = "; give the device rx_queue_size=1024";
        let receive = queue(WHAT, &mut transport, RECEIVE, deep)?;
        let transmit = queue(WHAT, &mut transport, TRANSMIT, "")?;
        let bytes = VIRTIO_HEADER + HEADER_BYTES + mtu;
        let receive = In::new(receive, RECEIVE, bytes).map_err(|e| VirtioError::Other(WHAT, e))?;
        // Before the device does anything: an edge that nobody waits for is lost.
        route(WHAT, device)?;
        transport.finish_init();
        let mut nic = Self {
            line: device.line,
            registers: device.address,
            mac,
            receive,
            transmit: Out::new(transmit, TRANSMIT),
            lost: 0,
            transport,
        };
        nic.receive.settle(&mut nic.transport);
        Ok(nic)
    }

    /// Its address.
    #[must_use]
    pub const fn mac(&self) -> Mac {
        self.mac
    }

    /// Frames that were not sent because too many were waiting.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Sends a frame of the link; never waits.
    pub fn send(&mut self, to: Mac, frame: Vec<u8>) {
        if self.transmit.waiting() >= MAX_WAITING {
            self.lost += 1;
            return;
        }
        let mut head = [0; VIRTIO_HEADER + HEADER_BYTES];
        if let Some(into) = head.last_chunk_mut() {
            Header { to, from: self.mac }.emit(into);
        }
        self.transmit.send(&head, frame, &mut self.transport);
    }

    /// The next frame that came in.
    pub fn receive(&mut self) -> Option<Received> {
        self.receive.next().map(Received)
    }

    /// Takes the memory of a frame back.
    pub fn give_back(&mut self, received: Received) {
        self.receive.give_back(received.0);
    }

    /// From now on it is looked after: no interrupts are wanted.
    pub fn attend(&mut self) {
        if apic::pulled(self.line) {
            acknowledge(self.registers);
        }
        self.receive.listen(false);
        self.transmit.go_on(&mut self.transport);
    }

    /// From now on an interrupt says that something came in. Says whether something is there already.
    #[must_use]
    pub fn leave_alone(&mut self) -> bool {
        self.receive.settle(&mut self.transport);
        self.receive.listen(true) | self.transmit.listen()
    }
}
