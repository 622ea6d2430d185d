//! Diffs: what a rank changed in a page, byte for byte, as runs.
//!
//! Format: any number of `offset u16, length u16, bytes`, in ascending order. Only bytes that differ
//! from the twin are in it, so that diffs of two ranks that wrote different bytes of one page can be
//! applied in any order.

use crate::limits::PAGE_SIZE;
use crate::mem::PageBytes;
use crate::wire::{Malformed, Reader, Writer};
use alloc::vec::Vec;

const WORD: usize = 8;

/// The bytes of `page` that differ from `twin`. Empty if none do.
pub(super) fn make(twin: &PageBytes, page: &PageBytes) -> Vec<u8> {
    let mut w = Writer::new();
    let mut at = 0;
    while let Some(start) = next_difference(twin, page, at) {
        let length = twin[start..].iter().zip(&page[start..]).take_while(|(t, p)| t != p).count();
        // Both are at most PAGE_SIZE.
        w.u16(u16::try_from(start).unwrap_or(u16::MAX));
        w.u16(u16::try_from(length).unwrap_or(u16::MAX));
        w.bytes(&page[start..start + length]);
        at = start + length;
    }
    w.into_vec()
}

fn next_difference(twin: &PageBytes, page: &PageBytes, mut at: usize) -> Option<usize> {
    while at < PAGE_SIZE {
        if at.is_multiple_of(WORD) && twin[at..at + WORD] == page[at..at + WORD] {
            at += WORD;
        } else if twin[at] == page[at] {
            at += 1;
        } else {
            return Some(at);
        }
    }
    None
}

/// Checks a diff and hands out its runs as `(offset, bytes)`.
pub(super) fn parse(diff: &[u8]) -> Result<Vec<(usize, &[u8])>, Malformed> {
    let mut r = Reader::new(diff);
    let mut runs = Vec::new();
    while r.remaining() > 0 {
        let offset = usize::from(r.u16("diff offset")?);
        let length = usize::from(r.u16("diff length")?);
        if offset + length > PAGE_SIZE {
            return Err(r.malformed("diff length"));
        }
        runs.push((offset, r.bytes(length, "diff bytes")?));
    }
    Ok(runs)
}
