//! The commitment to L2's state that L1 sees.

use alloy_primitives::{B256, FixedBytesSliceExt, keccak256};

/// What an output root of version 0 commits to; withdrawals are proven against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputV0 {
    /// The block's state root.
    pub state_root: B256,
    /// The message passer's storage root: from Isthmus on, the header's `withdrawalsRoot`.
    pub message_passer_storage_root: B256,
    /// The block's hash.
    pub block_hash: B256,
}

impl OutputV0 {
    /// The root itself.
    pub fn root(&self) -> B256 {
        const VERSION: B256 = B256::ZERO;
        let parts = [VERSION, self.state_root, self.message_passer_storage_root, self.block_hash];
        keccak256(parts.as_flattened())
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::b256;

    use super::*;

    /// The vector that op-node and its descendants test with.
    #[test]
    fn published_vector() {
        let output = OutputV0 {
            state_root: B256::left_padding_from(&[0xbe, 0xef]),
            message_passer_storage_root: B256::left_padding_from(&[0xba, 0xbe]),
            block_hash: B256::left_padding_from(&[0xc0, 0xde]),
        };
        assert_eq!(
            output.root(),
            b256!("0c39fb6b07cf6694b13e63e59f7b15255be1c93a4d6d3e0da6c99729647c0d11")
        );
    }
}
