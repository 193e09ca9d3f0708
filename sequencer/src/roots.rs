//! From what a block changed to what its header says about the state: the same for a new block and a journaled one.

use std::{sync::Arc, time::Duration};

use alloy_primitives::BlockNumber;
use millrace_executor::StateRoots;
use millrace_protocol::predeploys::L2_TO_L1_MESSAGE_PASSER;
use millrace_state::{ApplyError, ProofError, RootError, State, View};
use millrace_types::StateDiff;

/// How long to wait at a time when checkpoints are behind.
const ROOM_WAIT: Duration = Duration::from_millis(500);

/// Why a block is not on the state.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootsError {
    /// The state did not take it.
    #[error("apply block to the state: {0}")]
    Apply(#[from] ApplyError),
    /// The state has no root.
    #[error("compute the state root: {0}")]
    Root(#[from] RootError),
    /// The message passer's storage has no root.
    #[error("compute a storage root: {0}")]
    StorageRoot(#[from] ProofError),
}

/// Puts a block on the state and finds out its roots.
///
/// While checkpoints are too far behind to take it, `waiting` hears so again and again.
pub(crate) fn apply_for_roots(
    state: &State,
    number: BlockNumber,
    diff: &Arc<StateDiff>,
    waiting: impl Fn(&ApplyError),
) -> Result<(View, StateRoots), RootsError> {
    let view = loop {
        match state.apply(number, diff.clone()) {
            Ok(view) => break view,
            Err(error @ ApplyError::Full { .. }) => {
                waiting(&error);
                state.wait_for_room(ROOM_WAIT);
            }
            Err(error) => return Err(error.into()),
        }
    };
    let roots = StateRoots {
        state_root: state.root(number)?.state_root,
        message_passer_storage_root: state.storage_root(number, L2_TO_L1_MESSAGE_PASSER)?,
    };
    Ok((view, roots))
}
