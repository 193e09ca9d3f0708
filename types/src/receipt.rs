//! Receipts, with the two fields that OP chains add to those of deposits.

use alloy_consensus::{Eip658Value, TxReceipt};
use alloy_eips::eip2718::Typed2718;
use alloy_primitives::{Bloom, Log};
use alloy_rlp::{BufMut, Encodable, Header};

use crate::TxType;

/// What executing one transaction left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The transaction's type, which prefixes the receipt's encoding.
    pub tx_type: TxType,
    /// Whether it ran to its end.
    pub success: bool,
    /// Gas used in the block up to and including this transaction.
    pub cumulative_gas_used: u64,
    /// What it logged.
    pub logs: Vec<Log>,
    /// Present for deposits.
    pub deposit: Option<DepositReceipt>,
}

/// What a deposit's receipt holds besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepositReceipt {
    /// The sender's nonce before the deposit: contract addresses follow from it.
    pub nonce: u64,
    /// The version of the receipt's encoding; 1 since Canyon.
    pub version: u64,
}

impl DepositReceipt {
    /// The only version that a chain with Canyon at genesis or behind it produces.
    pub const CANYON_VERSION: u64 = 1;
}

impl Receipt {
    /// The filter over all its logs.
    pub fn bloom(&self) -> Bloom {
        self.logs.iter().collect()
    }

    /// Appends the EIP-2718 encoding that the receipts root commits to.
    pub fn encode_2718(&self, bloom: &Bloom, out: &mut dyn BufMut) {
        if self.tx_type != TxType::Legacy {
            out.put_u8(self.tx_type.ty());
        }
        let payload_length = self.success.length()
            + self.cumulative_gas_used.length()
            + bloom.length()
            + self.logs.length()
            + self.deposit.map_or(0, |deposit| deposit.nonce.length() + deposit.version.length());
        Header { list: true, payload_length }.encode(out);
        self.success.encode(out);
        self.cumulative_gas_used.encode(out);
        bloom.encode(out);
        self.logs.encode(out);
        if let Some(deposit) = self.deposit {
            deposit.nonce.encode(out);
            deposit.version.encode(out);
        }
    }
}

impl TxReceipt for Receipt {
    type Log = Log;

    fn status_or_post_state(&self) -> Eip658Value {
        Eip658Value::Eip658(self.success)
    }

    fn status(&self) -> bool {
        self.success
    }

    fn bloom(&self) -> Bloom {
        Self::bloom(self)
    }

    fn cumulative_gas_used(&self) -> u64 {
        self.cumulative_gas_used
    }

    fn logs(&self) -> &[Log] {
        &self.logs
    }
}

#[cfg(test)]
mod tests {
    use alloy_consensus::ReceiptWithBloom;
    use alloy_eips::eip2718::Encodable2718;
    use alloy_primitives::{Bytes, address, b256};
    use op_alloy_consensus::{OpDepositReceipt, OpReceiptEnvelope};

    use super::*;

    fn encoded(receipt: &Receipt) -> Vec<u8> {
        let mut out = Vec::new();
        receipt.encode_2718(&receipt.bloom(), &mut out);
        out
    }

    #[test]
    fn encodes_as_the_published_types_do() {
        let logs = vec![Log::new_unchecked(
            address!("9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"),
            vec![b256!("d8a62f656a8d1615c1294fd71e9cfb3e4855a4fd8a62f656a8d1615c1294fd71")],
            Bytes::from_static(b"logged"),
        )];
        let plain = alloy_consensus::Receipt {
            status: true.into(),
            cumulative_gas_used: 21_000,
            logs: logs.clone(),
        };
        let ours = |tx_type, deposit| Receipt {
            tx_type,
            success: true,
            cumulative_gas_used: 21_000,
            logs: logs.clone(),
            deposit,
        };

        let legacy = OpReceiptEnvelope::Legacy(ReceiptWithBloom::from(plain.clone()));
        assert_eq!(encoded(&ours(TxType::Legacy, None)), legacy.encoded_2718());
        let dynamic = OpReceiptEnvelope::Eip1559(ReceiptWithBloom::from(plain.clone()));
        assert_eq!(encoded(&ours(TxType::Eip1559, None)), dynamic.encoded_2718());
        let deposit = OpReceiptEnvelope::Deposit(
            OpDepositReceipt {
                inner: plain,
                deposit_nonce: Some(7),
                deposit_receipt_version: Some(1),
            }
            .with_bloom(),
        );
        let ours = ours(TxType::Deposit, Some(DepositReceipt { nonce: 7, version: 1 }));
        assert_eq!(encoded(&ours), deposit.encoded_2718());
    }
}
