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
    let (header, prescribed) = (&ours.header, &l1.prescribed);
    let check = |same: bool, difference| if same { Ok(()) } else { Err(difference) };
    check(header.parent_hash == l1.parent.id.hash, Difference::Parent)?;
    check(header.timestamp == l1.timestamp, Difference::Timestamp)?;
    check(header.gas_limit == prescribed.gas_limit, Difference::GasLimit)?;
    check(header.mix_hash == prescribed.prev_randao, Difference::PrevRandao)?;
    let beacon_root = Some(prescribed.parent_beacon_block_root);
    check(header.parent_beacon_block_root == beacon_root, Difference::BeaconRoot)?;
    check(header.extra_data == prescribed.eip1559.to_extra_data()[..], Difference::Eip1559)?;
    let count = ours.transactions.iter().take_while(|transaction| transaction.is_deposit()).count();
    let (deposits, signed) = ours.transactions.split_at(count);
    let deposits = deposits.iter().map(|transaction| transaction.as_deposit());
    check(deposits.eq(prescribed.deposits.iter().map(Some)), Difference::Deposits)?;
    let signed = signed.iter().map(|transaction| transaction.encoded());
    check(signed.eq(&l1.transactions), Difference::Transactions)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
    use millrace_derivation::{L2Ref, Provenance};
    use millrace_protocol::{BlockId, Eip1559Params, Prescribed};
    use millrace_types::{Header, SealedHeader, Transaction};
    use op_alloy_consensus::TxDeposit;

    use super::*;

    fn deposit(of: u8) -> TxDeposit {
        TxDeposit {
            source_hash: B256::repeat_byte(of),
            from: Address::repeat_byte(of),
            to: TxKind::Call(Address::ZERO),
            mint: 0,
            value: U256::from(of),
            gas_limit: 100_000,
            is_system_transaction: false,
            input: Bytes::new(),
        }
    }

    /// Nobody looks into it, but that its bytes are those of a transaction.
    fn signed(nonce: u64) -> Bytes {
        use alloy_consensus::SignableTransaction as _;
        use alloy_eips::eip2718::Encodable2718 as _;

        let transaction = alloy_consensus::TxEip1559 { chain_id: 901, nonce, ..Default::default() };
        let signature = alloy_primitives::Signature::test_signature();
        transaction.into_signed(signature).encoded_2718().into()
    }

    fn params(denominator: u32, elasticity: u32) -> Eip1559Params {
        Eip1559Params::new(denominator, elasticity).expect("not zero")
    }

    fn attributes() -> Attributes {
        let id = BlockId { number: 6, hash: B256::repeat_byte(6) };
        let parent = L2Ref {
            id,
            parent_hash: B256::repeat_byte(5),
            timestamp: 1_000,
            origin: BlockId::default(),
            sequence_number: 0,
        };
        Attributes {
            parent,
            timestamp: 1_002,
            origin: BlockId::default(),
            prescribed: Prescribed {
                sequence_number: 1,
                deposits: vec![deposit(1), deposit(2)],
                gas_limit: 30_000_000,
                eip1559: params(250, 6),
                prev_randao: B256::repeat_byte(7),
                parent_beacon_block_root: B256::repeat_byte(8),
            },
            transactions: vec![signed(0), signed(1)],
            derived_from: BlockId::default(),
            provenance: Provenance::Batch,
        }
    }

    /// The block that is made of these.
    fn block(of: &Attributes) -> Block {
        let prescribed = &of.prescribed;
        let header = Header {
            parent_hash: of.parent.id.hash,
            number: of.number(),
            timestamp: of.timestamp,
            gas_limit: prescribed.gas_limit,
            mix_hash: prescribed.prev_randao,
            parent_beacon_block_root: Some(prescribed.parent_beacon_block_root),
            extra_data: prescribed.eip1559.to_extra_data().into(),
            ..Header::default()
        };
        let deposits = prescribed.deposits.iter().cloned().map(Transaction::deposit);
        let sender = Address::repeat_byte(9);
        let decode = |bytes| Transaction::decode_with_sender(bytes, sender).expect("a transaction");
        let signed = of.transactions.iter().cloned().map(decode);
        let transactions = deposits.chain(signed).map(Arc::new).collect();
        Block { header: SealedHeader::new(header, B256::ZERO), transactions }
    }

    fn check(change: impl FnOnce(&mut Attributes), expected: Result<(), Difference>) {
        let mut l1 = attributes();
        change(&mut l1);
        assert_eq!(compare(&block(&attributes()), &l1), expected);
    }

    #[test]
    fn whatever_l1_decides_is_compared() {
        check(|_| {}, Ok(()));
        check(|l1| l1.parent.id.hash.0[0] ^= 1, Err(Difference::Parent));
        check(|l1| l1.timestamp += 1, Err(Difference::Timestamp));
        check(|l1| l1.prescribed.gas_limit += 1, Err(Difference::GasLimit));
        check(|l1| l1.prescribed.prev_randao.0[0] ^= 1, Err(Difference::PrevRandao));
        check(|l1| l1.prescribed.parent_beacon_block_root.0[0] ^= 1, Err(Difference::BeaconRoot));
        check(|l1| l1.prescribed.eip1559 = params(250, 7), Err(Difference::Eip1559));
        check(|l1| l1.prescribed.eip1559 = params(251, 6), Err(Difference::Eip1559));
        // How it was derived makes no other block of it.
        check(|l1| l1.provenance = Provenance::WindowExpired, Ok(()));
        check(|l1| l1.derived_from.number += 1, Ok(()));
    }

    #[test]
    fn deposits_and_transactions_are_compared_in_order_and_to_the_last() {
        let deposits: [fn(&mut Vec<TxDeposit>); 4] = [
            |deposits| deposits.truncate(1),
            |deposits| deposits.push(deposit(3)),
            |deposits| deposits.swap(0, 1),
            |deposits| deposits[1].mint = 1,
        ];
        for change in deposits {
            check(|l1| change(&mut l1.prescribed.deposits), Err(Difference::Deposits));
        }
        let transactions: [fn(&mut Vec<Bytes>); 5] = [
            Vec::clear,
            |transactions| transactions.truncate(1),
            |transactions| transactions.push(signed(2)),
            |transactions| transactions.swap(0, 1),
            |transactions| transactions[1] = Bytes::from_static(b"no transaction"),
        ];
        for change in transactions {
            check(|l1| change(&mut l1.transactions), Err(Difference::Transactions));
        }
    }
}
