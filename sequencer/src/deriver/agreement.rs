//! Whether a block of ours is the one that L1 says.

use millrace_derivation::Attributes;
use millrace_types::Block;

/// In what a block of ours differs from what L1 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Difference {
    #[error("the parent differs")]
    Parent,
    #[error("the timestamp differs")]
    Timestamp,
    #[error("the gas limit differs")]
    GasLimit,
    #[error("the randomness differs")]
    PrevRandao,
    #[error("the parent beacon block root differs")]
    BeaconRoot,
    #[error("the EIP-1559 parameters differ")]
    Eip1559,
    #[error("the deposits differ")]
    Deposits,
    #[error("the transactions differ")]
    Transactions,
}

/// Compares all that L1 decides about a block. With the parent the same, execution gives the same for both.
pub(super) fn compare(ours: &Block, l1: &Attributes) -> Result<(), Difference> {
    let header = &ours.header;
    let check = |same: bool, difference| if same { Ok(()) } else { Err(difference) };
    check(header.parent_hash == l1.parent.id.hash, Difference::Parent)?;
    check(header.timestamp == l1.timestamp, Difference::Timestamp)?;
    check(header.gas_limit == l1.gas_limit, Difference::GasLimit)?;
    check(header.mix_hash == l1.prev_randao, Difference::PrevRandao)?;
    let beacon_root = Some(l1.parent_beacon_block_root);
    check(header.parent_beacon_block_root == beacon_root, Difference::BeaconRoot)?;
    check(header.extra_data == l1.eip1559.to_extra_data()[..], Difference::Eip1559)?;
    let count = ours.transactions.iter().take_while(|transaction| transaction.is_deposit()).count();
    let (deposits, signed) = ours.transactions.split_at(count);
    let deposits = deposits.iter().map(|transaction| transaction.as_deposit());
    check(deposits.eq(l1.deposits.iter().map(Some)), Difference::Deposits)?;
    let signed = signed.iter().map(|transaction| transaction.encoded());
    check(signed.eq(&l1.transactions), Difference::Transactions)
}
