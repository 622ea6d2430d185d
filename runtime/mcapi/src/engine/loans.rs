//! What the transport lends this node, by the tokens by which the core knows it: of packets that the program has not taken.

use runtime_core::mcapi::Lent;
use runtime_shm::{Loan, MAX_LOANS};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// May be asked while the node's state is locked, not the other way round.
pub(super) struct Loans(Mutex<Table>);

struct Table {
    /// A token is a place here, from 1.
    loans: Vec<Option<Loan>>,
    free: Vec<NonZeroU32>,
}

impl Default for Loans {
    fn default() -> Self {
        Self(Mutex::new(Table {
            loans: Vec::with_capacity(MAX_LOANS),
            free: Vec::with_capacity(MAX_LOANS),
        }))
    }
}

impl Loans {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps one; `None`, and it is given back, if there are more than there can be.
    pub(super) fn put(&self, loan: Loan) -> Option<Lent> {
        let Table { loans, free } = &mut *self.table();
        let token = match free.pop() {
            Some(token) => token,
            None => {
                loans.push(None);
                u32::try_from(loans.len()).ok().and_then(NonZeroU32::new)?
            }
        };
        let len = u32::try_from(loan.len()).ok()?;
        *loans.get_mut(token.get() as usize - 1)? = Some(loan);
        Some(Lent { token, len })
    }

    /// Gives one out.
    pub(super) fn take(&self, lent: Lent) -> Option<Loan> {
        let Table { loans, free } = &mut *self.table();
        let loan = loans.get_mut(lent.token.get() as usize - 1)?.take()?;
        free.push(lent.token);
        Some(loan)
    }
}
