//! What stretches of a block changed, recorded when it was built.

use std::sync::Arc;

use crate::StateDiff;

/// Where the state stood after a stretch of a block's transactions, told as the change since the stretch before.
///
/// A block's waypoints follow each other without a gap and end with its last transaction. Whoever executes the block
/// again may start each stretch at once, from the state that the waypoints before it promise, and compare what comes out
/// with the promise of the stretch itself: if every one is kept, so is the order. They are hints: a block without them,
/// or with wrong ones, executes to the same result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waypoint {
    /// How many of the block's transactions lie before its end.
    pub transactions: usize,
    /// What the stretch changed. The first includes what precedes the block's first transaction.
    pub diff: Arc<StateDiff>,
}
