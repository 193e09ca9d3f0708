//! Where a block differs from what was expected: the first field, the first transaction, the first account.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    io::Write,
};

use alloy_consensus::constants::KECCAK_EMPTY;
use alloy_primitives::{Address, U64};
use millrace_types::{AccountDiff, ExecutedBlock, Header, Receipt, SlotDiff, StateDiff};

use super::witness::{ExpectedAccount, ExpectedReceipt};

/// Names the first field that differs from the reference; without one, prints them all.
pub(super) fn header(
    computed: &Header,
    reference: Option<&Header>,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let computed = fields(computed);
    let Some(reference) = reference else {
        writeln!(out, "  no reference header at hand; the computed one:")?;
        for (name, value) in computed {
            writeln!(out, "    {name}: {value}")?;
        }
        return Ok(());
    };
    for ((name, computed), (_, expected)) in computed.into_iter().zip(fields(reference)) {
        if computed != expected {
            return writeln!(
                out,
                "  header field {name}: computed {computed}, expected {expected}"
            );
        }
    }
    writeln!(
        out,
        "  no header field differs from the reference, which does not hash to the expected hash"
    )
}

/// Names the first transaction whose receipt differs; without a reference, prints what became of each.
pub(super) fn receipts(
    executed: &ExecutedBlock,
    reference: Option<&[ExpectedReceipt]>,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let mut gas_before = 0;
    for (index, receipt) in executed.receipts.iter().enumerate() {
        let hash = executed.block.transactions[index].hash();
        let gas_used = receipt.cumulative_gas_used - gas_before;
        gas_before = receipt.cumulative_gas_used;
        let status = u8::from(receipt.success);
        let Some(reference) = reference else {
            let logs = receipt.logs.len();
            writeln!(
                out,
                "  transaction {index} {hash}: status {status}, gas {gas_used}, logs {logs}"
            )?;
            continue;
        };
        let Some(expected) = reference.get(index) else {
            return writeln!(out, "  transaction {index} {hash}: not expected");
        };
        if let Some((name, computed, expected)) = receipt_difference(receipt, expected) {
            return writeln!(
                out,
                "  transaction {index} {hash}: {name}: computed {computed}, expected {expected}"
            );
        }
    }
    match reference {
        Some(reference) if reference.len() > executed.receipts.len() => {
            writeln!(out, "  transaction {}: missing", executed.receipts.len())
        }
        _ => Ok(()),
    }
}

/// Names the first account, by address, that does not become what it should.
pub(super) fn accounts(
    diff: &StateDiff,
    reference: &BTreeMap<Address, Option<ExpectedAccount>>,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    for (address, expected) in reference {
        let Some((computed, slots)) = diff.account(address) else {
            return writeln!(out, "  account {address}: computed unchanged, expected changed");
        };
        if let Some((name, computed, expected)) =
            account_difference(computed, slots, expected.as_ref())
        {
            return writeln!(
                out,
                "  account {address}: {name}: computed {computed}, expected {expected}"
            );
        }
    }
    let changed = diff.accounts().map(|(computed, _)| computed.address);
    match changed.filter(|address| !reference.contains_key(address)).min() {
        Some(address) => {
            writeln!(out, "  account {address}: computed changed, expected unchanged")
        }
        None => Ok(()),
    }
}

/// What differs, what it is, and what it should be.
type Difference = (String, String, String);

fn first<T: Debug + PartialEq>(name: &str, computed: T, expected: T) -> Option<Difference> {
    (computed != expected)
        .then(|| (name.to_owned(), format!("{computed:?}"), format!("{expected:?}")))
}

fn receipt_difference(computed: &Receipt, expected: &ExpectedReceipt) -> Option<Difference> {
    let nonce = computed.deposit.map(|deposit| U64::from(deposit.nonce));
    first("status", U64::from(computed.success), expected.status)
        .or_else(|| {
            let gas = U64::from(computed.cumulative_gas_used);
            first("cumulativeGasUsed", gas, expected.cumulative_gas_used)
        })
        .or_else(|| first("depositNonce", nonce, expected.deposit_nonce))
        .or_else(|| first("number of logs", computed.logs.len(), expected.logs.len()))
        .or_else(|| {
            let mut logs = computed.logs.iter().zip(&expected.logs).enumerate();
            logs.find_map(|(index, (computed, expected))| {
                first(&format!("log {index}"), computed, expected)
            })
        })
}

fn account_difference(
    computed: &AccountDiff,
    slots: &[SlotDiff],
    expected: Option<&ExpectedAccount>,
) -> Option<Difference> {
    let (account, expected) = match (computed.account, expected) {
        (Some(account), Some(expected)) => (account, expected),
        (None, None) => return None,
        (account, expected) => {
            let existence = |exists| if exists { "there" } else { "gone" };
            return first("account", existence(account.is_some()), existence(expected.is_some()));
        }
    };
    first("nonce", U64::from(account.nonce), expected.nonce)
        .or_else(|| first("balance", account.balance, expected.balance))
        .or_else(|| {
            let code_hash = account.bytecode_hash.unwrap_or(KECCAK_EMPTY);
            first("codeHash", code_hash, expected.code_hash.unwrap_or(KECCAK_EMPTY))
        })
        .or_else(|| {
            let computed: BTreeMap<_, _> = slots.iter().copied().collect();
            let slots: BTreeSet<_> = computed.keys().chain(expected.storage.keys()).collect();
            slots.into_iter().find_map(|slot| {
                let (computed, expected) = (computed.get(slot), expected.storage.get(slot));
                first(&format!("slot {slot:#x}"), computed, expected)
            })
        })
}

/// The header's fields in the order of their encoding.
fn fields(header: &Header) -> Vec<(&'static str, String)> {
    fn optional<T: ToString>(value: &Option<T>) -> String {
        value.as_ref().map_or_else(|| "absent".to_owned(), ToString::to_string)
    }
    vec![
        ("parentHash", header.parent_hash.to_string()),
        ("sha3Uncles", header.ommers_hash.to_string()),
        ("miner", header.beneficiary.to_string()),
        ("stateRoot", header.state_root.to_string()),
        ("transactionsRoot", header.transactions_root.to_string()),
        ("receiptsRoot", header.receipts_root.to_string()),
        ("logsBloom", header.logs_bloom.to_string()),
        ("difficulty", header.difficulty.to_string()),
        ("number", header.number.to_string()),
        ("gasLimit", header.gas_limit.to_string()),
        ("gasUsed", header.gas_used.to_string()),
        ("timestamp", header.timestamp.to_string()),
        ("extraData", header.extra_data.to_string()),
        ("mixHash", header.mix_hash.to_string()),
        ("nonce", header.nonce.to_string()),
        ("baseFeePerGas", optional(&header.base_fee_per_gas)),
        ("withdrawalsRoot", optional(&header.withdrawals_root)),
        ("blobGasUsed", optional(&header.blob_gas_used)),
        ("excessBlobGas", optional(&header.excess_blob_gas)),
        ("parentBeaconBlockRoot", optional(&header.parent_beacon_block_root)),
        ("requestsHash", optional(&header.requests_hash)),
    ]
}
