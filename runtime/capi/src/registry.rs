//! The nodes of this process, and which of them a thread means.
//!
//! A thread that initialised a node is that node. One that never did is the process's node if there is exactly one:
//! many programs call from helper threads. After a `fork` the child has no nodes: its registry is a new one.

use crate::handle::Salt;
use crate::request::Targets;
use mcapi::limits::{MCAPI_MAX_BUFFERS, MCAPI_MAX_SMALL_BUFFERS};
use mcapi::{Address, Biased, Loan, MAX_LOANS, Node, NodeName, Status};
use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use std::sync::{Arc, Once};

const BUFFERS: usize = MCAPI_MAX_BUFFERS + MCAPI_MAX_SMALL_BUFFERS + MAX_LOANS;

/// A node as C sees it.
#[derive(Debug)]
pub(crate) struct CNode {
    pub(crate) node: Node,
    pub(crate) name: NodeName,
    pub(crate) salt: Salt,
    /// Not finalised.
    live: AtomicBool,
    pub(crate) targets: Biased<Targets>,
    pub(crate) buffers: Biased<Buffers>,
}

/// Every place where the program ever had a packet, by its address: the packet, unless it was released. They are buffers of a
/// node's own, or what is lent to it, so there are no more than it has.
type Buffers = HashMap<usize, Option<Held>, BuildHasherDefault<Spread>>;

/// A packet that the program has: in the buffer, or lent by the transport.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) buffer: Vec<u8>,
    pub(crate) loan: Option<Loan>,
}

/// A hash for addresses, which nobody chooses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_usize(byte.into()));
    }

    fn write_usize(&mut self, address: usize) {
        let mixed = (self.0 ^ address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}

#[derive(Debug, Default)]
pub(crate) struct Registry {
    nodes: Vec<Arc<CNode>>,
    pub(crate) named: Vec<Address>,
}

static REGISTRY: AtomicPtr<Biased<Registry>> = AtomicPtr::new(ptr::null_mut());
static FORKS: AtomicU32 = AtomicU32::new(0);
static COUNT: AtomicU32 = AtomicU32::new(1);

/// What a thread did, and in which fork. Without a destructor, so that it is there in handlers of `atexit`, which run after
/// those of a thread's variables.
#[derive(Clone, Copy, Debug)]
enum Mine {
    Never,
    /// It initialised this node, and has a part in it.
    Node(*const CNode, u32),
    Left(u32),
}

thread_local! {
    static MINE: Cell<Mine> = const { Cell::new(Mine::Never) };
}

// SAFETY: as POSIX declares it.
unsafe extern "C" {
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> i32;
}

/// The child leaves the parent's registry alone, which may be locked by a thread that is no more.
extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    REGISTRY.store(ptr::null_mut(), Ordering::Release);
}

pub(crate) fn with<R>(f: impl FnOnce(&mut Registry) -> R) -> R {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        // SAFETY: the handler only stores to atomics, which a child may do.
        let watched = unsafe { pthread_atfork(None, None, Some(in_child)) };
        // It only fails without memory, and then a fork inherits nodes that send nothing.
        debug_assert_eq!(watched, 0);
    });
    let mut registry = REGISTRY.load(Ordering::Acquire);
    if registry.is_null() {
        let fresh = Box::into_raw(Box::new(Biased::new(Registry::default())));
        let raced =
            REGISTRY.compare_exchange(ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire);
        registry = match raced {
            Ok(_) => fresh,
            Err(first) => {
                // SAFETY: it came from a box just above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(fresh) });
                first
            }
        };
    }
    // SAFETY: not NULL, from a box, and never freed: a fork forgets it.
    let registry = unsafe { &*registry };
    f(&mut registry.lock())
}

/// What this thread did, in this process.
fn mine() -> Mine {
    match MINE.get() {
        Mine::Node(_, of) | Mine::Left(of) if of != FORKS.load(Ordering::Relaxed) => Mine::Never,
        mine => mine,
    }
}

/// A node for the length of a call.
#[derive(Debug)]
pub(crate) enum Current {
    /// This thread has a part in it, until [`forget`]: so nobody counts.
    Mine(*const CNode),
    Only(Arc<CNode>),
}

impl Deref for Current {
    type Target = CNode;
    #[inline]
    fn deref(&self) -> &CNode {
        match self {
            // SAFETY: from an `Arc` in which this thread, which a pointer does not leave, has a part. `enter` and `leave`
            // alone forget it, and have no `Current` then.
            Self::Mine(node) => unsafe { &**node },
            Self::Only(node) => node,
        }
    }
}

impl Current {
    fn share(&self) -> Arc<CNode> {
        match self {
            // SAFETY: as above.
            Self::Mine(node) => unsafe {
                Arc::increment_strong_count(*node);
                Arc::from_raw(*node)
            },
            Self::Only(node) => Arc::clone(node),
        }
    }
}

/// The node that this thread means.
#[inline]
pub(crate) fn current() -> Result<Current, Status> {
    match mine() {
        Mine::Node(node, _) => {
            let node = Current::Mine(node);
            if node.live.load(Ordering::Acquire) { Ok(node) } else { Err(Status::NodeNotInit) }
        }
        Mine::Left(_) => Err(Status::NodeNotInit),
        Mine::Never => with(|registry| match registry.nodes.as_slice() {
            [only] => Ok(Current::Only(Arc::clone(only))),
            _ => Err(Status::NodeNotInit),
        }),
    }
}

/// This thread has no part in the node that it initialised. A thread that ends without that keeps it.
fn forget() {
    if let Mine::Node(node, _) = mine() {
        MINE.set(Mine::Never);
        // SAFETY: from an `Arc`; whoever replaces it in this thread's variable does this before.
        drop(unsafe { Arc::from_raw(node) });
    }
}

/// Has this thread a node of its own, that is not finalised?
pub(crate) fn is_initialized() -> bool {
    matches!(mine(), Mine::Node(..)) && current().is_ok()
}

pub(crate) fn enter(node: Node, name: NodeName) {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let node = Arc::new(CNode {
        node,
        name,
        salt: Salt::new(number),
        live: AtomicBool::new(true),
        targets: Biased::new(Targets::new()),
        buffers: Biased::new(HashMap::with_capacity_and_hasher(BUFFERS, BuildHasherDefault::new())),
    });
    forget();
    let own = Arc::into_raw(Arc::clone(&node));
    with(|registry| registry.nodes.push(node));
    MINE.set(Mine::Node(own, FORKS.load(Ordering::Relaxed)));
}

/// Forgets the node that this thread means.
pub(crate) fn leave() -> Result<Arc<CNode>, Status> {
    let node = current()?.share();
    let mut found = false;
    with(|registry| {
        registry.nodes.retain(|live| {
            let it = Arc::ptr_eq(live, &node);
            found |= it;
            if it {
                live.live.store(false, Ordering::Release);
            }
            !it
        });
    });
    forget();
    MINE.set(Mine::Left(FORKS.load(Ordering::Relaxed)));
    // Of two threads that finalise one node, one does.
    if found { Ok(node) } else { Err(Status::NodeNotInit) }
}

/// All nodes of this process.
pub(crate) fn all() -> Vec<Arc<CNode>> {
    with(|registry| registry.nodes.clone())
}
