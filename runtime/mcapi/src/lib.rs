//! MCAPI 2.x for Rust programs: nodes that are threads or processes, endpoints, messages, packet and scalar channels.
//!
//! The rules are `runtime_core::mcapi`'s; here they get types. Numbers in parentheses are sections of the
//! specification. A [`Node`] may be called from any thread; a blocking call waits as long as the `TIMEOUT` attribute of
//! its endpoint says (in microseconds, for ever by default), and everything that takes a while is also there as a
//! [`Pending`] value.
//!
//! ```no_run
//! use mcapi::{DomainId, McapiNode, Node, NodeName, Options, Port};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Node::join(NodeName { domain: 1, node: 1 }, &Options::default())?;
//! let here = node.endpoint(Port(5))?;
//! let there = node.find(DomainId(1), McapiNode(2), Port(5))?.wait(None)?;
//! here.send(there, b"hello", 0)?;
//! println!("{:?}", here.recv()?.data);
//! # Ok(()) }
//! ```
//!
//! # Async
//!
//! A [`Pending`] is a future, for tokio or any other executor. The thread that each node has wakes the tasks: no thread
//! and no polling for each request. It may be dropped at any moment, and nothing is lost with it.
//!
//! ```
//! use mcapi::{Buffer, Endpoint, Node, Port, Status, local::Hub};
//! use std::time::Duration;
//!
//! /// The next message of either endpoint, if one comes in time.
//! async fn either(a: &Endpoint, b: &Endpoint) -> Result<Option<Buffer>, Status> {
//!     let message = tokio::select! {
//!         message = a.recv_i()? => message?,
//!         message = b.recv_i()? => message?,
//!         () = tokio::time::sleep(Duration::from_millis(10)) => return Ok(None),
//!     };
//!     Ok(Some(message.data))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let name = mcapi::NodeName { domain: 1, node: 1 };
//! # let node = Node::over(name, Hub::default().join(name).ok_or("taken")?)?;
//! let (a, b) = (node.endpoint(Port(1))?, node.endpoint(Port(2))?);
//! a.send_i(b.address(), b"hello", 0)?.await?;
//! assert_eq!(either(&a, &b).await?.as_deref(), Some(&b"hello"[..]));
//! assert_eq!(either(&a, &b).await?, None);
//! # Ok(()) }
//! ```
//!
//! Each channel end has `close_i` beside `close`, and opening one is a [`Pending`] anyway.

mod buffer;
mod channel;
mod endpoint;
mod engine;
pub mod local;
pub mod net;
mod pending;
pub mod transport;

pub use buffer::{Buffer, Message, Packet};
pub use channel::{PacketReceiver, PacketSender, Scalar, ScalarReceiver, ScalarSender};
pub use endpoint::Endpoint;
pub use pending::{Pending, wait_any};
pub use runtime_core::limits;
pub use runtime_core::mcapi::{
    Attribute, Begun, Completion, DomainId, Endpoint as Address, FAIL_ON_MEM_LIMIT, Mcapi,
    McapiNode, NodeAttributes, Packet as RawPacket, Port, RecvHandle, Request, Road, SendHandle,
    Status, TIMEOUT_INFINITE,
};
pub use runtime_shm::{Biased, JoinError, Loan, MAX_LOANS, NodeName, Options};

use engine::Engine;
use std::sync::Arc;
use std::time::Duration;
use transport::Transport;

/// Why a node could not be initialised.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The transport did not let it in.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The file that places nodes on machines does not have it here.
    #[error(transparent)]
    Net(#[from] net::NetError),
    /// The thread that serves it could not be started.
    #[error("no thread for the node: {0}")]
    Thread(#[from] std::io::Error),
}

/// A node (3.2). It leaves when the last of all that belongs to it is dropped, or by [`Node::finalize`].
#[derive(Clone, Debug)]
pub struct Node(Arc<Live>);

#[derive(Debug)]
struct Live(Arc<Engine>);

impl Drop for Live {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Node {
    /// Initialises a node where the environment says (4.2.1): with `MCAPI_TOPOLOGY` on one of the machines of that file
    /// (`MCAPI_MACHINE` may say on which), among those of this machine without.
    ///
    /// # Errors
    /// As [`Self::join`] and [`Self::place`].
    pub fn initialize(name: NodeName) -> Result<Self, InitError> {
        let is_set = |value: &std::ffi::OsString| !value.is_empty();
        match std::env::var_os("MCAPI_TOPOLOGY").filter(is_set) {
            None => Self::join(name, &Options::default()),
            Some(file) => {
                let machine = std::env::var("MCAPI_MACHINE").ok().filter(|name| !name.is_empty());
                let map = net::Map::load(file.as_ref())?;
                Self::place(name, map, machine.as_deref(), &Options::default())
            }
        }
    }

    /// Initialises a node that reaches those of all machines of a file. `machine`: the one that this is said to be;
    /// `options`: how its own nodes meet.
    ///
    /// # Errors
    /// The node is not in the file, or lives elsewhere; its name, its port or its card is taken or missing.
    pub fn place(
        name: NodeName,
        map: net::Map,
        machine: Option<&str>,
        options: &Options,
    ) -> Result<Self, InitError> {
        Self::over(name, net::Net::join(name, map, machine, options)?)
    }

    /// Initialises a node that reaches others of this machine (4.2.1).
    ///
    /// # Errors
    /// The name is taken, or the system refuses.
    pub fn join(name: NodeName, options: &Options) -> Result<Self, InitError> {
        Self::over(name, runtime_shm::Fabric::join(name, options)?)
    }

    /// Initialises a node over any transport.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn over(name: NodeName, transport: impl Transport) -> Result<Self, InitError> {
        Ok(Self(Arc::new(Live(Engine::start(name, Box::new(transport))?))))
    }

    /// Leaves (4.2.2): whatever waits on this node ends with [`Status::NodeNotInit`].
    pub fn finalize(self) {
        self.0.0.close();
    }

    /// Its domain (4.2.3).
    #[must_use]
    pub fn domain_id(&self) -> DomainId {
        self.core(|core| core.domain_id())
    }

    /// Its number (4.2.4).
    #[must_use]
    pub fn node_id(&self) -> McapiNode {
        self.core(|core| core.node_id())
    }

    /// Makes an endpoint (4.3.1); [`Port::ANY`] for any number.
    ///
    /// # Errors
    /// [`Status::PortInvalid`], [`Status::EndpExists`], [`Status::EndpLimit`].
    pub fn endpoint(&self, port: Port) -> Result<Endpoint, Status> {
        let address = self.core(|core| core.endpoint_create(port))?;
        Ok(Endpoint { node: self.clone(), address })
    }

    /// Asks for an endpoint (4.3.2), of a node that may be yet to come.
    ///
    /// # Errors
    /// [`Status::PortInvalid`], [`Status::NodeInvalid`], [`Status::DomainInvalid`], [`Status::RequestLimit`].
    pub fn find(
        &self,
        domain: DomainId,
        node: McapiNode,
        port: Port,
    ) -> Result<Pending<Address>, Status> {
        self.catch_up();
        let request = self.core(|core| {
            core.expect_node(domain, node)?;
            core.endpoint_get_i(domain, node, port)
        })?;
        Ok(Pending::new(self, request, |_, completion| match completion {
            Completion::Endpoint(address) => Ok(address),
            _ => Err(Status::General),
        }))
    }

    /// Gives back an endpoint that was found: one that is connected to a channel can then be found again. Waits until its owner
    /// knows that.
    ///
    /// # Errors
    /// [`Status::EndpInvalid`] if it does not exist, [`Status::Transmission`] if its node is gone, [`Status::RequestLimit`].
    pub fn release(&self, endpoint: Address) -> Result<(), Status> {
        let request = self.core(|core| core.endpoint_release_i(endpoint))?;
        self.complete(request, None).map(drop)
    }

    /// Connects a packet channel between any two endpoints (4.5.1).
    ///
    /// # Errors
    /// See [`Mcapi::pktchan_connect_i`].
    pub fn connect_packets(&self, send: Address, recv: Address) -> Result<Pending<()>, Status> {
        self.catch_up();
        let request = self.core(|core| core.pktchan_connect_i(send, recv))?;
        Ok(Pending::unit(self, request))
    }

    /// Connects a scalar channel between any two endpoints (4.6.1).
    ///
    /// # Errors
    /// See [`Mcapi::sclchan_connect_i`].
    pub fn connect_scalars(&self, send: Address, recv: Address) -> Result<Pending<()>, Status> {
        self.catch_up();
        let request = self.core(|core| core.sclchan_connect_i(send, recv))?;
        Ok(Pending::unit(self, request))
    }

    /// For another rendering of MCAPI, before a call that depends on what others did to channels or on which nodes are there, and
    /// after a close: takes in all that other nodes have sent so far, and sends what waits, for programs may know of it
    /// by another way.
    pub fn catch_up(&self) {
        self.0.0.catch_up();
    }

    fn engine(&self) -> &Engine {
        &self.0.0
    }

    /// For another rendering of MCAPI: one call of the rules. It must not wait.
    pub fn core<R>(&self, call: impl FnOnce(&mut Mcapi) -> R) -> R {
        self.0.0.call(|core, _| call(core))
    }

    /// The same for calls that send data, which go at once if they can.
    pub fn core_on<R>(&self, call: impl FnOnce(&mut Mcapi, &mut dyn Road) -> R) -> R {
        self.0.0.call(call)
    }

    /// For another rendering of MCAPI: where a packet lies that a call gave out, if it is not in its buffer; to be asked once, also
    /// within a call of the rules.
    pub fn loan(&self, packet: &mut RawPacket) -> Option<Loan> {
        self.0.0.loan(packet)
    }

    /// For another rendering of MCAPI: a blocking call. `begin` says what to wait for, and how long in microseconds;
    /// `end` gets what came of it. Neither may wait.
    ///
    /// # Errors
    /// What `begin` or `end` says, what the operation failed with, [`Status::Timeout`], [`Status::NodeNotInit`] when
    /// the node was finalised meanwhile.
    pub fn run<R>(
        &self,
        begin: impl FnOnce(&mut Mcapi, &mut dyn Road) -> Result<(Begun, u32), Status>,
        end: impl FnOnce(&mut Mcapi, Completion) -> Result<R, Status>,
    ) -> Result<R, Status> {
        self.0.0.run(begin, end)
    }

    /// The same for what is received: `take` gives it while it is there, and only who looks for it in vain for a while begins
    /// to wait.
    ///
    /// # Errors
    /// As [`Self::run`], and those of `take`.
    pub fn receive<R>(
        &self,
        take: impl FnMut(&mut Mcapi) -> Result<Option<R>, Status>,
        timeout: impl FnOnce(&Mcapi) -> u32,
        begin: impl FnOnce(&mut Mcapi) -> Result<Begun, Status>,
        end: impl FnOnce(&mut Mcapi, Completion) -> Result<R, Status>,
    ) -> Result<R, Status> {
        self.0.0.receive(take, timeout, begin, end)
    }

    /// The same for what is sent: there is nothing to wait for if there is no request. `timeout` is asked for if there is.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn send(
        &self,
        begin: impl FnOnce(&mut Mcapi, &mut dyn Road) -> Result<Option<Request>, Status>,
        timeout: impl FnOnce(&Mcapi) -> u32,
    ) -> Result<(), Status> {
        self.0.0.send(begin, timeout)
    }

    /// For another rendering of MCAPI: the first of some requests that is done.
    ///
    /// # Errors
    /// [`Status::Timeout`], [`Status::WaitPending`], [`Status::RequestInvalid`]; [`Status::NodeNotInit`] when the node
    /// was finalised meanwhile.
    pub fn wait_any(
        &self,
        requests: &[Request],
        timeout: Option<Duration>,
    ) -> Result<(usize, Completion), Status> {
        let found = |_: &mut Mcapi, at, completion| (at, completion);
        self.0.0.wait_any(requests.len(), &|at| Ok(requests[at]), timeout, found)
    }

    /// The same over requests that are kept in another form, each by its place; `end` gets what came of it, and must
    /// not wait.
    ///
    /// # Errors
    /// As [`Self::wait_any`], and what `request` says.
    pub fn wait_any_of<R>(
        &self,
        number: usize,
        request: &dyn Fn(usize) -> Result<Request, Status>,
        timeout: Option<Duration>,
        end: impl FnOnce(&mut Mcapi, usize, Completion) -> R,
    ) -> Result<R, Status> {
        self.0.0.wait_any(number, request, timeout, end)
    }

    /// For one request before [`Self::wait_any_of`]: whether it is done with nothing to be told but that, as a send is. Then
    /// it is no more.
    #[inline]
    pub fn take_plain(&self, request: Request) -> bool {
        self.0.0.take_plain(request)
    }

    /// The end of a blocking call: waits, and takes the request back after the timeout.
    ///
    /// # Errors
    /// [`Status::Timeout`], or what the operation failed with.
    pub fn complete(
        &self,
        request: Request,
        timeout: Option<Duration>,
    ) -> Result<Completion, Status> {
        let completion = match self.wait_any(&[request], timeout) {
            Ok((_, completion)) => completion,
            Err(Status::Timeout) => self.core(|core| match core.cancel(request) {
                Ok(()) => Err(Status::Timeout),
                // It was done at the last moment.
                Err(_) => core.test(request)?.ok_or(Status::Timeout),
            })?,
            Err(status) => return Err(status),
        };
        match completion {
            Completion::Failed(status) => Err(status),
            done => Ok(done),
        }
    }
}

/// A timeout in the unit of this API, microseconds; all ones is for ever.
#[must_use]
pub fn duration(timeout: u32) -> Option<Duration> {
    engine::duration(timeout)
}
