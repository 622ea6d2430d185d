//! Endpoints and messages (4.3, 4.4).

use crate::{
    Address, Attribute, Buffer, Completion, Mcapi, Message, Node, PacketReceiver, PacketSender,
    Pending, Road, Scalar, ScalarReceiver, ScalarSender, Status, TIMEOUT_INFINITE,
};

/// An endpoint that this node made (3.3). It is deleted when dropped; an end of a channel, when the channel is
/// over: when both its ends are closed, or the other node is gone. An end that was not opened closes.
#[derive(Debug)]
pub struct Endpoint {
    pub(crate) node: Node,
    pub(crate) address: Address,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // For who makes it anew at once, and knows that its channel is over.
        self.node.catch_up();
        self.node.core(|core| core.endpoint_drop(self.address));
    }
}

fn message(node: &Node, completion: Completion) -> Result<Message, Status> {
    match completion {
        Completion::Message(message) => Ok(Message {
            data: Buffer::new(node, message.data),
            priority: message.priority,
            from: message.from,
        }),
        _ => Err(Status::General),
    }
}

impl Endpoint {
    /// Its name, which means the same on every node.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Sends a message and waits until it is in the receiver's queue (4.4.2); 0 is the highest priority.
    ///
    /// # Errors
    /// See [`crate::Mcapi::msg_send_i`]; [`Status::MemLimit`] when the queue is full, [`Status::Timeout`].
    pub fn send(&self, to: Address, data: &[u8], priority: u32) -> Result<(), Status> {
        let begin = |core: &mut Mcapi, road: &mut dyn Road| {
            core.msg_send_on(road, (self.address, to), data, priority).map(Some)
        };
        self.node.send(begin, |core| {
            core.endpoint_attributes(self.address).map_or(TIMEOUT_INFINITE, |a| a.timeout)
        })
    }

    /// Sends a message (4.4.1).
    ///
    /// # Errors
    /// See [`crate::Mcapi::msg_send_i`].
    pub fn send_i(&self, to: Address, data: &[u8], priority: u32) -> Result<Pending<()>, Status> {
        let ends = (self.address, to);
        let send =
            |core: &mut Mcapi, road: &mut dyn Road| core.msg_send_i_on(road, ends, data, priority);
        let sent = self.node.core_on(send)?;
        Ok(Pending::unit(&self.node, sent))
    }

    /// Waits for a message (4.4.4).
    ///
    /// # Errors
    /// See [`crate::Mcapi::msg_recv_i`]; [`Status::Timeout`].
    pub fn recv(&self) -> Result<Message, Status> {
        let take = |core: &mut Mcapi| {
            core.msg_take(self.address, |message| runtime_core::mcapi::Message {
                data: std::mem::take(&mut message.data),
                ..*message
            })
        };
        let timeout = |core: &Mcapi| {
            core.endpoint_attributes(self.address).map_or(TIMEOUT_INFINITE, |a| a.timeout)
        };
        let begin = |core: &mut Mcapi| core.msg_recv(self.address);
        let end = |_: &mut Mcapi, completion| match completion {
            Completion::Message(message) => Ok(message),
            _ => Err(Status::General),
        };
        let received = self.node.receive(take, timeout, begin, end)?;
        message(&self.node, Completion::Message(received))
    }

    /// Receives a message (4.4.3).
    ///
    /// # Errors
    /// See [`crate::Mcapi::msg_recv_i`].
    pub fn recv_i(&self) -> Result<Pending<Message>, Status> {
        let received = self.node.core(|core| core.msg_recv_i(self.address))?;
        Ok(Pending::new(&self.node, received, message))
    }

    /// How many messages can be received at once (4.4.5).
    ///
    /// # Errors
    /// [`Status::NodeNotInit`] after the node was finalised.
    pub fn available(&self) -> Result<usize, Status> {
        self.node.core(|core| core.msg_available(self.address))
    }

    /// Sets an attribute (4.3.6) that is a number.
    ///
    /// # Errors
    /// See [`crate::Mcapi::endpoint_set_attribute`].
    pub fn set(&self, attribute: Attribute, value: u32) -> Result<(), Status> {
        let value = value.to_le_bytes();
        self.node.catch_up();
        self.node.core(|core| core.endpoint_set_attribute(self.address, attribute as u32, &value))
    }

    /// The value of an attribute (4.3.5).
    ///
    /// # Errors
    /// See [`crate::Mcapi::endpoint_get_attribute_i`].
    pub fn get(&self, attribute: Attribute) -> Result<u64, Status> {
        let (number, size) = (attribute as u32, attribute.size());
        let asked =
            self.node.core(|core| core.endpoint_get_attribute_i(self.address, number, size))?;
        match self.node.complete(asked, None)? {
            Completion::Attribute(value) => Ok(value),
            _ => Err(Status::General),
        }
    }

    /// Opens the send end of a packet channel here (4.5.3).
    ///
    /// # Errors
    /// See [`crate::Mcapi::pktchan_send_open_i`].
    pub fn packet_sender(&self) -> Result<Pending<PacketSender>, Status> {
        PacketSender::open(&self.node, self.address)
    }

    /// Opens the receive end of a packet channel here (4.5.2).
    ///
    /// # Errors
    /// See [`crate::Mcapi::pktchan_recv_open_i`].
    pub fn packet_receiver(&self) -> Result<Pending<PacketReceiver>, Status> {
        PacketReceiver::open(&self.node, self.address)
    }

    /// Opens the send end of a channel of scalars here (4.6.3).
    ///
    /// # Errors
    /// See [`crate::Mcapi::sclchan_send_open_i`].
    pub fn scalar_sender<T: Scalar>(&self) -> Result<Pending<ScalarSender<T>>, Status> {
        ScalarSender::open(&self.node, self.address)
    }

    /// Opens the receive end of a channel of scalars here (4.6.2).
    ///
    /// # Errors
    /// See [`crate::Mcapi::sclchan_recv_open_i`].
    pub fn scalar_receiver<T: Scalar>(&self) -> Result<Pending<ScalarReceiver<T>>, Status> {
        ScalarReceiver::open(&self.node, self.address)
    }
}
