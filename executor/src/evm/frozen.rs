//! An overlay that nobody changes for a while, as the state that several lanes read.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U256};
use millrace_types::Account;

use super::Overlay;
use crate::{StateError, StateView};

/// Reads go past whatever fees the overlay holds back: lanes must not rely on accounts that are owed some.
#[derive(Debug)]
pub(crate) struct Frozen(Overlay);

impl Frozen {
    /// Freezes an overlay.
    pub(crate) fn new(overlay: Overlay) -> Arc<Self> {
        Arc::new(Self(overlay))
    }

    /// Gives it back, when the last lane has let go of it.
    pub(crate) fn thaw(self: Arc<Self>) -> Overlay {
        #[expect(clippy::expect_used, reason = "a lane that still reads would see half a change")]
        let frozen = Arc::into_inner(self).expect("every lane has let go of the frozen state");
        frozen.0
    }
}

impl StateView for Frozen {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        self.0.peek_account(address)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        self.0.peek_slot(address, slot)
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        self.0.peek_code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.0.peek_block_hash(number)
    }
}

/// The state of an overlay that is elsewhere: it knows nothing and answers nothing.
#[derive(Debug)]
struct Absent;

impl Absent {
    fn error() -> StateError {
        StateError::new("the state is lent out")
    }
}

impl StateView for Absent {
    fn account(&self, _: &Address) -> Result<Option<Account>, StateError> {
        Err(Self::error())
    }

    fn storage(&self, _: &Address, _: &U256) -> Result<U256, StateError> {
        Err(Self::error())
    }

    fn code(&self, _: &B256) -> Result<Bytes, StateError> {
        Err(Self::error())
    }

    fn block_hash(&self, _: u64) -> Result<B256, StateError> {
        Err(Self::error())
    }
}

impl Overlay {
    /// An overlay on nothing, to hold the place of one that is lent out.
    pub(crate) fn absent() -> Self {
        Self::new(Self::nothing())
    }

    /// An overlay for a lane, which will be told on what: it notes what transactions touch.
    pub(crate) fn for_lane() -> Self {
        let mut overlay = Self::absent();
        overlay.note_touches();
        overlay
    }

    /// Lets go of the state below. What was read or changed stays.
    pub(crate) fn let_go(&mut self) {
        self.view = Self::nothing();
    }

    /// Forgets everything but code.
    pub(crate) fn clear(&mut self) {
        self.reset(Self::nothing());
    }

    fn nothing() -> Arc<dyn StateView> {
        Arc::new(Absent)
    }
}
