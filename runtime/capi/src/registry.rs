//! The nodes of this process, and which of them a thread means.
//!
//! A thread that initialised a node is that node. One that never did is the process's node if there is exactly one:
//! many programs call from helper threads. After a `fork` the child has no nodes: its registry is a new one.

use crate::handle::Salt;
use crate::request::Targets;
use mcapi::{Address, Node, NodeName, Status};
use std::cell::Cell;
use std::collections::HashMap;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};

/// A node as C sees it.
#[derive(Debug)]
pub(crate) struct CNode {
    /// Which of the nodes that this process ever had.
    number: u32,
    pub(crate) node: Node,
    pub(crate) name: NodeName,
    pub(crate) salt: Salt,
    pub(crate) targets: Mutex<Targets>,
    pub(crate) buffers: Mutex<Buffers>,
}

/// Packets that the program has.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) lent: HashMap<usize, Vec<u8>>,
    /// Where buffers lay that were given back.
    pub(crate) released: std::collections::VecDeque<usize>,
}

#[derive(Debug, Default)]
pub(crate) struct Registry {
    nodes: Vec<Arc<CNode>>,
    pub(crate) named: Vec<Address>,
}

static REGISTRY: AtomicPtr<Mutex<Registry>> = AtomicPtr::new(ptr::null_mut());
static FORKS: AtomicU32 = AtomicU32::new(0);
static COUNT: AtomicU32 = AtomicU32::new(1);

/// What a thread did, and in which fork. Without a destructor, so that it is there in handlers of `atexit`, which run after
/// those of a thread's variables.
#[derive(Clone, Copy, Debug)]
enum Mine {
    Never,
    /// It initialised the node of this number.
    Node(u32, u32),
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
        let fresh = Box::into_raw(Box::<Mutex<Registry>>::default());
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
    f(&mut registry.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What this thread did, in this process.
fn mine() -> Mine {
    match MINE.get() {
        Mine::Node(_, of) | Mine::Left(of) if of != FORKS.load(Ordering::Relaxed) => Mine::Never,
        mine => mine,
    }
}

/// The node that this thread means.
pub(crate) fn current() -> Result<Arc<CNode>, Status> {
    let mine = mine();
    with(|registry| {
        match (mine, registry.nodes.as_slice()) {
            (Mine::Node(number, _), nodes) => nodes.iter().find(|node| node.number == number),
            (Mine::Never, [only]) => Some(only),
            (Mine::Never | Mine::Left(_), _) => None,
        }
        .map(Arc::clone)
        .ok_or(Status::NodeNotInit)
    })
}

/// Has this thread a node of its own, that is not finalised?
pub(crate) fn is_initialized() -> bool {
    matches!(mine(), Mine::Node(..)) && current().is_ok()
}

pub(crate) fn enter(node: Node, name: NodeName) {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let node = Arc::new(CNode {
        number,
        node,
        name,
        salt: Salt::new(number),
        targets: Mutex::default(),
        buffers: Mutex::default(),
    });
    with(|registry| registry.nodes.push(node));
    MINE.set(Mine::Node(number, FORKS.load(Ordering::Relaxed)));
}

/// Forgets the node that this thread means.
pub(crate) fn leave() -> Result<Arc<CNode>, Status> {
    let node = current()?;
    let mut found = false;
    with(|registry| {
        registry.nodes.retain(|live| {
            let it = Arc::ptr_eq(live, &node);
            found |= it;
            !it
        });
    });
    MINE.set(Mine::Left(FORKS.load(Ordering::Relaxed)));
    // Of two threads that finalise one node, one does.
    if found { Ok(node) } else { Err(Status::NodeNotInit) }
}

/// All nodes of this process.
pub(crate) fn all() -> Vec<Arc<CNode>> {
    with(|registry| registry.nodes.clone())
}
