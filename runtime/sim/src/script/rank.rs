//! A rank that runs a script, and its memory: plain pages, with the access rules of a real node.

use super::{KEPT_PAGES, Op, Script, image_of};
use crate::machine::{Answer, Machine, Request};
use runtime_core::id::{PageNo, Rank};
use runtime_core::limits::PAGE_SIZE;
use runtime_core::mem::{Access, PRIVATE_BASE, PageBytes, PageMem};
use runtime_core::node::Call;
use std::ops::Range;
use std::rc::Rc;

const PAGE: u64 = PAGE_SIZE as u64;

#[derive(Clone, Debug)]
struct Memory {
    shared: Vec<(PageBytes, Access)>,
    private: Vec<PageBytes>,
    /// Which private pages a write faults on.
    protected: Vec<bool>,
}

impl Memory {
    fn slot(&mut self, page: PageNo) -> &mut PageBytes {
        let number = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        if page.is_private() {
            &mut self.private[number(page.0 - PRIVATE_BASE)]
        } else {
            &mut self.shared[number(page.0)].0
        }
    }
}

/// Where the rank is, kept in its first private page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    op: u64,
    /// Steps of the operation that are done.
    stage: u64,
    register: u64,
}

/// How often a rank looks for what another publishes.
const TRIES: u64 = 8;

/// Memory and rank of one simulated node.
#[derive(Clone, Debug)]
pub struct ScriptMachine {
    script: Rc<Script>,
    memory: Memory,
    rank: Option<Rank>,
}

impl ScriptMachine {
    /// A node without a rank.
    #[must_use]
    pub fn new(script: Rc<Script>) -> Self {
        let shared = usize::try_from(script.shared_pages).unwrap_or_default();
        let private = usize::try_from(1 + KEPT_PAGES).unwrap_or_default();
        let memory = Memory {
            shared: vec![([0; PAGE_SIZE], Access::None); shared],
            private: vec![[0; PAGE_SIZE]; private],
            protected: vec![false; private],
        };
        Self { script, memory, rank: None }
    }

    fn place(&self) -> Place {
        let word = |i: usize| {
            let bytes = self.memory.private[0][i * 8..].first_chunk();
            u64::from_le_bytes(bytes.copied().unwrap_or_default())
        };
        Place { op: word(0), stage: word(1), register: word(2) }
    }

    fn set_place(&mut self, place: Place) {
        for (i, word) in [place.op, place.stage, place.register].into_iter().enumerate() {
            self.memory.private[0][i * 8..i * 8 + 8].copy_from_slice(&word.to_le_bytes());
        }
    }

    /// The pieces of `at..at+len` in each page.
    fn pieces(at: u64, len: u64) -> impl Iterator<Item = (PageNo, Range<usize>)> {
        let pages = at / PAGE..(at + len).div_ceil(PAGE);
        pages.map(move |page| {
            let start = at.max(page * PAGE) - page * PAGE;
            let end = (at + len).min((page + 1) * PAGE) - page * PAGE;
            let offset = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
            (PageNo(u32::try_from(page).unwrap_or(u32::MAX)), offset(start)..offset(end))
        })
    }

    /// The first page that must be asked for before `at..at+len` can be used so.
    fn missing(&self, at: u64, len: u64, access: Access) -> Option<Request> {
        let index = |page: PageNo| usize::try_from(page.0).unwrap_or(usize::MAX);
        let mut pages = Self::pieces(at, len).map(|(page, _)| page);
        let page = pages.find(|page| self.memory.shared[index(*page)].1 < access)?;
        Some(Request::Fault(page, access))
    }

    fn fill(&mut self, at: u64, len: u64, value: u8) {
        for (page, range) in Self::pieces(at, len) {
            self.memory.slot(page)[range].fill(value);
        }
    }

    fn find_other(&mut self, at: u64, len: u64, value: u8) -> Option<String> {
        for (page, range) in Self::pieces(at, len) {
            let bytes = self.memory.slot(page);
            if let Some(i) = range.clone().find(|i| bytes[*i] != value) {
                let found = bytes[i];
                return Some(format!("byte {i} of {page} is {found}, should be {value}"));
            }
        }
        None
    }

    /// Does what it can of the current operation: `Some` when it must wait.
    fn advance(&mut self, op: Op, place: &mut Place) -> Option<Request> {
        if let Op::Await { .. } = op {
            return self.wait_for(op, place);
        }
        let (at, len, access) = needs(op);
        if let Some(fault) = self.missing(at, len, access) {
            return Some(fault);
        }
        match op {
            Op::Call(call, _) => {
                if place.stage == 0 {
                    place.stage = 1;
                    return Some(Request::Call(call));
                }
            }
            Op::Write { at, len, value } => self.fill(at, len, value),
            Op::Check { at, len, value } => {
                if let Some(wrong) = self.find_other(at, len, value) {
                    return Some(Request::Fail(wrong));
                }
            }
            Op::Touch { .. } | Op::Await { .. } => {}
            Op::Load { at } => place.register = self.read_counter(at),
            Op::Bump { at } => {
                place.register += 1;
                self.write_counter(at, place.register);
            }
            Op::Set { at, value } => self.write_counter(at, value),
            Op::CheckImage { at, len } => {
                if let Some(wrong) = self.find_other(at, len, image_of(place.register)) {
                    return Some(Request::Fail(format!("under a lock: {wrong}")));
                }
            }
            Op::FillImage { at, len } => self.fill(at, len, image_of(place.register)),
            Op::CheckCounter { at, value } => {
                let found = self.read_counter(at);
                if found != value {
                    let wrong = format!("the counter at {at} is {found}, should be {value}");
                    return Some(Request::Fail(wrong));
                }
            }
            Op::Keep { page, value } => {
                let number = PRIVATE_BASE + 1 + page;
                if self.memory.is_protected(number) {
                    return Some(Request::Fault(PageNo(number), Access::Write));
                }
                *self.kept(page) = [value; PAGE_SIZE];
            }
            Op::CheckKept { page, value } => {
                if *self.kept(page) != [value; PAGE_SIZE] {
                    return Some(Request::Fail(format!("private page {page} is not {value}")));
                }
            }
        }
        *place = Place { op: place.op + 1, stage: 0, register: place.register };
        None
    }

    /// Lock, load, unlock, and again until the number is there.
    fn wait_for(&mut self, op: Op, place: &mut Place) -> Option<Request> {
        let Op::Await { lock, at, value, skip } = op else { return None };
        match place.stage % 3 {
            0 => {
                place.stage += 1;
                return Some(Request::Call(Call::Lock(lock)));
            }
            1 => {
                if let Some(fault) = self.missing(at, 8, Access::Read) {
                    return Some(fault);
                }
                place.register = self.read_counter(at);
                place.stage += 1;
                return Some(Request::Call(Call::Unlock(lock)));
            }
            _ if place.register == value => {
                *place = Place { op: place.op + 1, ..Place::default() };
            }
            _ if place.stage >= 3 * TRIES => {
                *place = Place { op: place.op + 1 + skip, ..Place::default() };
            }
            _ => place.stage += 1,
        }
        None
    }

    fn kept(&mut self, page: u32) -> &mut PageBytes {
        self.memory.slot(PageNo(PRIVATE_BASE + 1 + page))
    }

    fn read_counter(&mut self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        for (i, (page, range)) in Self::pieces(at, 8).enumerate() {
            debug_assert_eq!(i, 0, "counters are aligned");
            bytes.copy_from_slice(&self.memory.slot(page)[range]);
        }
        u64::from_le_bytes(bytes)
    }

    fn write_counter(&mut self, at: u64, value: u64) {
        for (page, range) in Self::pieces(at, 8) {
            self.memory.slot(page)[range].copy_from_slice(&value.to_le_bytes());
        }
    }

    fn expected_offset(&self, place: Place) -> Option<u64> {
        let ops = self.script.ops.get(self.rank?.index())?;
        match ops.get(usize::try_from(place.op).ok()?)? {
            Op::Call(_, offset) if place.stage == 1 => *offset,
            _ => None,
        }
    }
}

/// The shared memory that an operation uses, and how.
const fn needs(op: Op) -> (u64, u64, Access) {
    match op {
        Op::Write { at, len, .. } | Op::FillImage { at, len } => (at, len, Access::Write),
        Op::Check { at, len, .. } | Op::CheckImage { at, len } => (at, len, Access::Read),
        Op::Touch { at } => (at, 1, Access::Read),
        Op::Load { at } | Op::CheckCounter { at, .. } => (at, 8, Access::Read),
        Op::Bump { at } | Op::Set { at, .. } => (at, 8, Access::Write),
        Op::Call(..) | Op::Await { .. } | Op::Keep { .. } | Op::CheckKept { .. } => {
            (0, 0, Access::None)
        }
    }
}

impl Machine for ScriptMachine {
    fn mem(&mut self) -> &mut dyn PageMem {
        &mut self.memory
    }

    fn start(&mut self, rank: Rank, _ranks: u16, _restored: bool) {
        self.rank = Some(rank);
    }

    fn resume(&mut self, answer: Answer) -> Request {
        let Some(rank) = self.rank else { return Request::Fail("no rank runs here".into()) };
        let script = Rc::clone(&self.script);
        let ops = &script.ops[rank.index()];
        let mut place = self.place();
        match answer {
            Answer::Complete(Err(error)) => return Request::Fail(error.to_string()),
            Answer::Complete(Ok(offset))
                if self.expected_offset(place).is_some_and(|e| e != offset) =>
            {
                return Request::Fail(format!("an allocation is at {offset}"));
            }
            _ => {}
        }
        loop {
            let op = usize::try_from(place.op).ok().and_then(|op| ops.get(op));
            let Some(op) = op else { return Request::Call(Call::Exit) };
            let request = self.advance(*op, &mut place);
            self.set_place(place);
            if let Some(request) = request {
                return request;
            }
        }
    }

    fn stop(&mut self) {
        self.rank = None;
    }
}

impl PageMem for Memory {
    fn read(&self, page: PageNo, into: &mut PageBytes) {
        *into = *self.clone_slot(page);
    }

    fn write(&mut self, page: PageNo, from: &PageBytes) {
        *self.slot(page) = *from;
    }

    fn patch(&mut self, page: PageNo, offset: usize, bytes: &[u8]) {
        self.slot(page)[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn protect(&mut self, pages: Range<u32>, access: Access) {
        for page in pages {
            if PageNo(page).is_private() {
                assert!(page > PRIVATE_BASE, "the place in the script is written without faults");
                let index = usize::try_from(page - PRIVATE_BASE).unwrap_or(usize::MAX);
                self.protected[index] = access < Access::Write;
                continue;
            }
            if let Some(slot) = usize::try_from(page).ok().and_then(|p| self.shared.get_mut(p)) {
                slot.1 = access;
            }
        }
    }

    fn reset_shared(&mut self) {
        self.shared.fill(([0; PAGE_SIZE], Access::None));
    }

    fn reset_private(&mut self) {
        self.private.fill([0; PAGE_SIZE]);
        self.protected.fill(false);
    }

    fn private_in_use(&self) -> Vec<Range<u32>> {
        let pages = u32::try_from(self.private.len()).unwrap_or_default();
        core::iter::once(PRIVATE_BASE..PRIVATE_BASE + pages).collect()
    }

    fn heap_start(&self) -> u32 {
        PRIVATE_BASE + 1
    }

    fn context(&self) -> u64 {
        0x7363_7269_7074
    }

    fn set_context(&mut self, context: u64) {
        debug_assert_eq!(context, self.context(), "the context word comes back as it was");
    }
}

impl Memory {
    fn is_protected(&self, page: u32) -> bool {
        usize::try_from(page - PRIVATE_BASE).is_ok_and(|index| self.protected[index])
    }

    fn clone_slot(&self, page: PageNo) -> &PageBytes {
        let number = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        if page.is_private() {
            &self.private[number(page.0 - PRIVATE_BASE)]
        } else {
            &self.shared[number(page.0)].0
        }
    }
}
