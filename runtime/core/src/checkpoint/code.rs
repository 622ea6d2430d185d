//! The sums that parity is made of: XOR for one piece, Reed–Solomon for several.

use super::Parity;
use crate::limits::{MAX_LOSSES, PAGE_SIZE};
use crate::mem::PageBytes;
use crate::sorted::Set;
use alloc::boxed::Box;
#[cfg(feature = "reed-solomon")]
use {
    alloc::vec::Vec,
    reed_solomon_erasure::galois_8::{ReedSolomon, mul_slice_xor},
};

/// Most pieces of a group that this program can make: more than one need Reed–Solomon, which not every
/// image has.
pub const MOST_LOSSES: u16 = if cfg!(feature = "reed-solomon") { 3 } else { 1 };

const _: () = assert!(MOST_LOSSES as usize <= MAX_LOSSES);

/// What a rank's pages are multiplied with, in each piece of its group.
pub(super) type Coefficients = [u8; MAX_LOSSES];

/// Those of a member of a group.
pub(super) fn coefficients(parity: Parity, member: u16) -> Coefficients {
    #[cfg(feature = "reed-solomon")]
    if let Some(code) = code(parity) {
        // What a one contributes.
        let mut pieces: Vec<[u8; 1]> = alloc::vec![[0]; usize::from(parity.losses)];
        let member = usize::from(member);
        if code.encode_single_sep(member, &[1], &mut pieces).is_ok() {
            let mut all = [0; MAX_LOSSES];
            all.iter_mut().zip(pieces).for_each(|(coefficient, [one])| *coefficient = one);
            return all;
        }
    }
    let _ = (parity, member);
    [1; MAX_LOSSES]
}

/// The code of several pieces.
#[cfg(feature = "reed-solomon")]
fn code(parity: Parity) -> Option<ReedSolomon> {
    let Parity { group, losses } = parity;
    if losses < 2 {
        return None;
    }
    ReedSolomon::new(usize::from(group), usize::from(losses)).ok()
}

/// Adds a page, times a coefficient, to a sum.
pub(super) fn add(coefficient: u8, page: &PageBytes, sum: &mut PageBytes) {
    #[cfg(feature = "reed-solomon")]
    if coefficient != 1 {
        mul_slice_xor(coefficient, page, sum);
        return;
    }
    let _ = coefficient;
    for (sum, byte) in sum.iter_mut().zip(page) {
        *sum ^= byte;
    }
}

/// What of a group is not there: pages of these members, and nobody else's, are in the sums.
#[derive(Debug)]
pub(super) struct Gap {
    unknown: Set<u16>,
    /// The pieces that went into the sums.
    pieces: Set<u16>,
    #[cfg(feature = "reed-solomon")]
    code: Option<ReedSolomon>,
}

impl Gap {
    pub(super) fn new(parity: Parity, unknown: Set<u16>, pieces: Set<u16>) -> Self {
        let _ = parity;
        Self {
            unknown,
            pieces,
            #[cfg(feature = "reed-solomon")]
            code: code(parity),
        }
    }

    /// The page of a member that is not there, from the sums of each piece.
    pub(super) fn solve(&self, member: u16, sums: &[(u16, &PageBytes)]) -> Box<PageBytes> {
        let mut page = Box::new([0; PAGE_SIZE]);
        #[cfg(feature = "reed-solomon")]
        if let Some(code) = &self.code {
            let mut pages = self.shards(code, sums);
            if code.reconstruct_data(&mut pages).is_ok()
                && let Some(Some(bytes)) = pages.get(usize::from(member))
            {
                page.copy_from_slice(bytes);
            }
            return page;
        }
        let _ = (member, &self.unknown);
        if let Some((_, sum)) = sums.iter().find(|(index, _)| self.pieces.contains(index)) {
            page.copy_from_slice(&sum[..]);
        }
        page
    }

    /// As if all members that are there had nothing but zeros: that is what the sums were brought to.
    #[cfg(feature = "reed-solomon")]
    fn shards(&self, code: &ReedSolomon, sums: &[(u16, &PageBytes)]) -> Vec<Option<Vec<u8>>> {
        let zeros = || alloc::vec![0; PAGE_SIZE];
        let members = (0u16..).take(code.data_shard_count());
        let pieces = (0u16..).take(code.parity_shard_count());
        let data = members.map(|member| (!self.unknown.contains(&member)).then(zeros));
        let parity = pieces.map(|index| {
            let sum = sums.iter().find(|(piece, _)| *piece == index);
            self.pieces.contains(&index).then(|| sum.map_or_else(zeros, |(_, sum)| sum.to_vec()))
        });
        data.chain(parity).collect()
    }
}
