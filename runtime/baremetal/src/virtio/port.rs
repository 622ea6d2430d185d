//! A named port of a virtio console: bytes in and out, and whether somebody is at the other end.

use super::queues::{In, Out, queue};
use super::{VirtioError, agree, find, route};
use crate::apic;
use crate::start::Device;
use alloc::vec::Vec;
use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::transport::{DeviceType, Transport};

const WHAT: &str = "virtio console";
/// Feature: several ports, each with a name.
const MULTIPORT: u64 = 1 << 1;
/// Queues by which device and driver speak of ports; the driver's after the device's.
const CONTROL: u16 = 2;
/// Queues of the first port that is not a console. Port 0 is one.
const PORT: u16 = 4;
/// The number of that port.
const NUMBER: u32 = 1;
/// Entries of the queues.
const CONTROL_DEPTH: usize = 16;
const DEPTH: usize = 32;
/// Bytes of a buffer.
const BUFFER: usize = 4096;

/// What is said of ports.
const DEVICE_READY: u16 = 0;
const PORT_ADD: u16 = 1;
const PORT_READY: u16 = 3;
const PORT_OPEN: u16 = 6;
const PORT_NAME: u16 = 7;

/// How a port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortState {
    /// Nobody was at the other end so far.
    New,
    /// Somebody is there.
    Open,
    /// Nobody is there any more.
    Closed,
}

/// A port.
pub struct Port {
    transport: MmioTransport<'static>,
    line: u32,
    control_in: In<CONTROL_DEPTH>,
    control_out: Out<CONTROL_DEPTH>,
    input: In<DEPTH>,
    output: Out<DEPTH>,
    name: &'static str,
    /// The device said that the first port has the right name.
    named: bool,
    state: PortState,
}

impl core::fmt::Debug for Port {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Port({}, {:?})", self.name, self.state)
    }
}

impl Port {
    /// Drives the console and asks for its port.
    ///
    /// # Errors
    /// When there is none, or it is not as it must be.
    ///
    /// # Safety
    /// These are devices of the machine, and nobody drives the console.
    pub unsafe fn open(devices: &[Device], name: &'static str) -> Result<Self, VirtioError> {
        // SAFETY: as the caller promises.
        let mut consoles = unsafe { find(devices, DeviceType::Console) };
        let (device, mut transport) = consoles.next().ok_or(VirtioError::Missing(
            "control port",
            "-device virtio-serial-device -device virtserialport,…",
        ))?;
        agree(WHAT, device, &mut transport, MULTIPORT)?;
        let t = &mut transport;
        let (control_in, control_out) =
            (queue(WHAT, t, CONTROL, "")?, queue(WHAT, t, CONTROL + 1, "")?);
        let (input, output) = (queue(WHAT, t, PORT, "")?, queue(WHAT, t, PORT + 1, "")?);
        let other = |e| VirtioError::Other(WHAT, e);
        let control_in = In::new(control_in, CONTROL, BUFFER).map_err(other)?;
        let input = In::new(input, PORT, BUFFER).map_err(other)?;
        // Before the device does anything: an edge that nobody waits for is lost.
        route(WHAT, device)?;
        transport.finish_init();
        let mut port = Self {
            control_in,
            control_out: Out::new(control_out, CONTROL + 1),
            input,
            output: Out::new(output, PORT + 1),
            name,
            line: device.line,
            named: false,
            state: PortState::New,
            transport,
        };
        port.control_in.settle(&mut port.transport);
        port.input.settle(&mut port.transport);
        port.tell(u32::MAX, DEVICE_READY);
        Ok(port)
    }

    /// How it is.
    #[must_use]
    pub const fn state(&self) -> PortState {
        self.state
    }

    fn tell(&mut self, number: u32, event: u16) {
        let mut message = Vec::with_capacity(8);
        message.extend(number.to_le_bytes());
        message.extend(event.to_le_bytes());
        message.extend(1_u16.to_le_bytes());
        self.control_out.send(&[], message, &mut self.transport);
    }

    /// Something that the device says of ports.
    fn heard(&mut self, message: &[u8]) {
        let Some((&[a, b, c, d, e, f, g, h], rest)) = message.split_first_chunk() else { return };
        let number = u32::from_le_bytes([a, b, c, d]);
        let (event, value) = (u16::from_le_bytes([e, f]), u16::from_le_bytes([g, h]));
        match event {
            PORT_ADD => self.tell(number, PORT_READY),
            PORT_NAME if number == NUMBER => {
                self.named = rest.split(|byte| *byte == 0).next() == Some(self.name.as_bytes());
                if self.named {
                    self.tell(number, PORT_OPEN);
                }
            }
            PORT_OPEN if number == NUMBER => {
                self.state = if value == 0 { PortState::Closed } else { PortState::Open };
            }
            _ => {}
        }
    }

    /// Appends what came in to `bytes`; from now on no interrupts are wanted.
    pub fn attend(&mut self, bytes: &mut Vec<u8>) {
        if apic::pulled(self.line) {
            let _ = self.transport.ack_interrupt();
        }
        self.control_in.listen(false);
        self.input.listen(false);
        while let Some(filled) = self.control_in.next() {
            self.heard(filled.content());
            self.control_in.give_back(filled);
        }
        while let Some(filled) = self.input.next() {
            bytes.extend(filled.content());
            self.input.give_back(filled);
        }
        self.control_out.go_on(&mut self.transport);
        self.output.go_on(&mut self.transport);
    }

    /// From now on an interrupt says that something came in. Says whether something is there already.
    #[must_use]
    pub fn leave_alone(&mut self) -> bool {
        self.control_in.settle(&mut self.transport);
        self.input.settle(&mut self.transport);
        self.control_in.listen(true)
            | self.input.listen(true)
            | self.control_out.listen()
            | self.output.listen()
    }

    /// Sends bytes; never waits.
    pub fn send(&mut self, bytes: Vec<u8>) {
        self.output.send(&[], bytes, &mut self.transport);
    }

    /// Sends last words, without allocating, and waits until the device has them or time is up.
    pub fn send_last(&mut self, bytes: &[u8]) {
        self.output.send_last(bytes, &mut self.transport);
    }

    /// Has the other end everything that was sent?
    #[must_use]
    pub fn is_done(&mut self) -> bool {
        self.output.go_on(&mut self.transport);
        self.output.is_done()
    }
}
