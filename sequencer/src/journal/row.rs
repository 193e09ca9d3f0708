//! The encoding of a block's row: the only place that knows it.
//!
//! ```text
//! header    RLP, as consensus has it
//! body      frame([sender, encoded transaction]…)
//! receipts  frame([rlp[type, success, cumulative gas, logs, (nonce, version)?]…])
//! ```
//!
//! Senders are stored beside their transactions because recovering one costs 33 µs and reading one back nothing.
//! Receipts leave out the bloom filter, which follows from the logs.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_rlp::{Decodable, Encodable, Header as RlpHeader};
use millrace_protocol::Eip1559ParamsError;
use millrace_types::{
    Block, DepositReceipt, ExecutedBlock, Header, Receipt, SealedHeader, Transaction,
    TransactionError, TxType,
};

use super::{
    StoredBlock,
    frame::{FrameError, compress, decompress},
};

/// The most that a body, or the receipts, may hold before compression. A block of 100,000 transfers has 13 MB.
pub const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;

/// A block's row, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The block's number.
    pub number: u64,
    /// The block's hash.
    pub hash: B256,
    /// The hash of the block before it.
    pub parent_hash: B256,
    /// The header.
    pub header: Vec<u8>,
    /// The transactions with their senders.
    pub body: Vec<u8>,
    /// The receipts.
    pub receipts: Vec<u8>,
}

/// Why a row cannot be written, or isn't what was written.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// The header has another hash than the row says.
    #[error("the header's hash is {computed}, not {recorded}")]
    Hash {
        /// What the row says.
        recorded: B256,
        /// What the header has.
        computed: B256,
    },
    /// The header says another number or parent than the row.
    #[error("the header belongs to block {header}, not {row}")]
    Number {
        /// What the header says.
        header: u64,
        /// What the row says.
        row: u64,
    },
    /// Not one receipt a transaction.
    #[error("{transactions} transactions, but {receipts} receipts")]
    Counts {
        /// How many transactions there are.
        transactions: usize,
        /// How many receipts there are.
        receipts: usize,
    },
    /// The body or the receipts are not in a frame of ours.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The inside is not RLP of the right shape.
    #[error("decode: {0}")]
    Rlp(#[from] alloy_rlp::Error),
    /// A transaction inside cannot be decoded.
    #[error("decode transaction {index}: {source}")]
    Transaction {
        /// Which one.
        index: usize,
        /// What is wrong with it.
        source: TransactionError,
    },
    /// What a promise begins with holds another transaction than a deposit.
    #[error("transaction {index} of the head is no deposit")]
    NoDeposit {
        /// Which one.
        index: usize,
    },
    /// What a promise begins with has no EIP-1559 parameters.
    #[error(transparent)]
    Eip1559(#[from] Eip1559ParamsError),
    /// A part of a promise is missing.
    #[error("the promise has a gap")]
    Gap,
    /// A receipt of no known transaction type.
    #[error("a receipt has the unknown type {0}")]
    ReceiptType(u8),
}

impl Row {
    /// Encodes a block, first making sure that it will be readable again.
    pub fn encode(executed: &ExecutedBlock) -> Result<Self, RowError> {
        let block = &executed.block;
        check_counts(block.transactions.len(), executed.receipts.len())?;
        let header = alloy_rlp::encode(block.header.header());
        check_hash(&header, block.header.hash())?;
        Ok(Self {
            number: block.number(),
            hash: block.header.hash(),
            parent_hash: block.header.parent_hash,
            header,
            body: encode_body(&block.transactions)?,
            receipts: encode_receipts(&executed.receipts)?,
        })
    }

    /// Decodes the row and checks everything that it says twice.
    pub fn decode(self) -> Result<StoredBlock, RowError> {
        let header = decode_header(&self.header, self.number, self.hash)?;
        let transactions = decode_body(&self.body)?;
        let receipts = decode_receipts(&self.receipts)?;
        check_counts(transactions.len(), receipts.len())?;
        Ok(StoredBlock {
            block: Arc::new(Block { header, transactions }),
            receipts: Arc::new(receipts),
        })
    }
}

/// Decodes a header and checks it against the row's number and hash.
pub fn decode_header(encoded: &[u8], number: u64, hash: B256) -> Result<SealedHeader, RowError> {
    check_hash(encoded, hash)?;
    let header: Header = alloy_rlp::decode_exact(encoded)?;
    if header.number != number {
        return Err(RowError::Number { header: header.number, row: number });
    }
    Ok(SealedHeader::new(header, hash))
}

/// Encodes the transactions with their senders.
pub fn encode_body(transactions: &[Arc<Transaction>]) -> Result<Vec<u8>, RowError> {
    let length = transactions.iter().map(|tx| tx.encoded().length() + tx.sender().length()).sum();
    let mut payload = Vec::with_capacity(length);
    for tx in transactions {
        tx.sender().encode(&mut payload);
        tx.encoded().encode(&mut payload);
    }
    Ok(compress(&payload, DECOMPRESSED_BYTES_MAX)?)
}

/// Decodes what [`encode_body`] made.
pub fn decode_body(stored: &[u8]) -> Result<Vec<Arc<Transaction>>, RowError> {
    let payload = Bytes::from(decompress(stored, DECOMPRESSED_BYTES_MAX)?);
    let mut rest = payload.as_ref();
    let mut transactions = Vec::new();
    while !rest.is_empty() {
        let sender = Address::decode(&mut rest)?;
        let encoded = RlpHeader::decode_bytes(&mut rest, false)?;
        // A view of the one buffer: the transactions of a block live and die together.
        let encoded = Bytes(payload.0.slice_ref(encoded));
        let tx = Transaction::decode_with_sender(encoded, sender)
            .map_err(|source| RowError::Transaction { index: transactions.len(), source })?;
        transactions.push(Arc::new(tx));
    }
    Ok(transactions)
}

/// Encodes the receipts.
pub fn encode_receipts(receipts: &[Receipt]) -> Result<Vec<u8>, RowError> {
    let mut payload = Vec::with_capacity(receipts.len() * 16);
    for receipt in receipts {
        encode_receipt(receipt, &mut payload);
    }
    Ok(compress(&payload, DECOMPRESSED_BYTES_MAX)?)
}

/// Decodes what [`encode_receipts`] made.
pub fn decode_receipts(stored: &[u8]) -> Result<Vec<Receipt>, RowError> {
    let payload = decompress(stored, DECOMPRESSED_BYTES_MAX)?;
    let mut rest = payload.as_slice();
    let mut receipts = Vec::new();
    while !rest.is_empty() {
        receipts.push(decode_receipt(&mut rest)?);
    }
    Ok(receipts)
}

fn encode_receipt(receipt: &Receipt, out: &mut Vec<u8>) {
    let ty = u8::from(receipt.tx_type);
    let deposit_length =
        receipt.deposit.map_or(0, |deposit| deposit.nonce.length() + deposit.version.length());
    let payload_length = ty.length()
        + receipt.success.length()
        + receipt.cumulative_gas_used.length()
        + receipt.logs.length()
        + deposit_length;
    RlpHeader { list: true, payload_length }.encode(out);
    ty.encode(out);
    receipt.success.encode(out);
    receipt.cumulative_gas_used.encode(out);
    receipt.logs.encode(out);
    if let Some(deposit) = receipt.deposit {
        deposit.nonce.encode(out);
        deposit.version.encode(out);
    }
}

fn decode_receipt(rest: &mut &[u8]) -> Result<Receipt, RowError> {
    let mut fields = RlpHeader::decode_bytes(rest, true)?;
    let ty = u8::decode(&mut fields)?;
    let mut receipt = Receipt {
        tx_type: TxType::try_from(ty).map_err(|_| RowError::ReceiptType(ty))?,
        success: bool::decode(&mut fields)?,
        cumulative_gas_used: u64::decode(&mut fields)?,
        logs: Vec::decode(&mut fields)?,
        deposit: None,
    };
    if !fields.is_empty() {
        let (nonce, version) = (u64::decode(&mut fields)?, u64::decode(&mut fields)?);
        receipt.deposit = Some(DepositReceipt { nonce, version });
    }
    if !fields.is_empty() {
        return Err(alloy_rlp::Error::UnexpectedLength.into());
    }
    Ok(receipt)
}

fn check_hash(encoded_header: &[u8], recorded: B256) -> Result<(), RowError> {
    let computed = keccak256(encoded_header);
    if computed == recorded { Ok(()) } else { Err(RowError::Hash { recorded, computed }) }
}

fn check_counts(transactions: usize, receipts: usize) -> Result<(), RowError> {
    if transactions == receipts { Ok(()) } else { Err(RowError::Counts { transactions, receipts }) }
}
