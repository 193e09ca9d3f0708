//! What `eth_call` and its kin are given: a transaction half described, and overrides.

use std::collections::HashMap;

use alloy_eips::{eip2930::AccessList, eip7702::SignedAuthorization};
use alloy_primitives::{
    Address,
    map::{AddressMap, B256Map},
};
use serde::Deserialize;

use crate::{
    backend::{AccountOverride, BlockOverrides, CallFees, CallMessage, StorageOverride},
    error::RpcError,
    json::hex::{AddressText, Data, Hash, Price, Uint64, Uint256},
};

/// A transaction as clients describe it. Fields that nobody knows are ignored, as geth does.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CallArgs {
    from: Option<AddressText>,
    to: Option<AddressText>,
    gas: Option<Uint64>,
    gas_price: Option<Price>,
    max_fee_per_gas: Option<Price>,
    max_priority_fee_per_gas: Option<Price>,
    value: Option<Uint256>,
    nonce: Option<Uint64>,
    data: Option<Data>,
    input: Option<Data>,
    access_list: Option<AccessList>,
    authorization_list: Option<Vec<SignedAuthorization>>,
    chain_id: Option<Uint64>,
}

impl TryFrom<CallArgs> for CallMessage {
    type Error = RpcError;

    fn try_from(args: CallArgs) -> Result<Self, RpcError> {
        let fees = match (args.gas_price, args.max_fee_per_gas, args.max_priority_fee_per_gas) {
            (None, None, None) => CallFees::Free,
            (Some(price), None, None) => CallFees::GasPrice(price.0),
            (None, max_fee, tip) => CallFees::Dynamic {
                max_fee: max_fee.map_or(0, |price| price.0),
                max_priority_fee: tip.map_or(0, |price| price.0),
            },
            (Some(_), _, _) => {
                return Err(RpcError::failed(
                    "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified",
                ));
            }
        };
        Ok(Self {
            from: args.from.map_or(Address::ZERO, |from| from.0),
            to: args.to.map(|to| to.0),
            gas: args.gas.map(|gas| gas.0),
            fees,
            value: args.value.map(|value| value.0).unwrap_or_default(),
            // Both names are in use; where both are given the newer one wins, as in geth.
            input: args.input.or(args.data).map(|data| data.0).unwrap_or_default(),
            nonce: args.nonce.map(|nonce| nonce.0),
            chain_id: args.chain_id.map(|id| id.0),
            access_list: args.access_list,
            authorization_list: args.authorization_list,
        })
    }
}

/// Changes to the state, by account.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct StateOverrideArgs(HashMap<AddressText, AccountOverrideArgs>);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AccountOverrideArgs {
    balance: Option<Uint256>,
    nonce: Option<Uint64>,
    code: Option<Data>,
    state: Option<HashMap<Hash, Hash>>,
    state_diff: Option<HashMap<Hash, Hash>>,
    move_precompile_to_address: Option<AddressText>,
}

impl StateOverrideArgs {
    pub(crate) fn into_overrides(self) -> Result<AddressMap<AccountOverride>, RpcError> {
        let slots = |slots: HashMap<Hash, Hash>| -> B256Map<_> {
            slots.into_iter().map(|(slot, value)| (slot.0, value.0)).collect()
        };
        self.0
            .into_iter()
            .map(|(AddressText(address), args)| {
                let storage = match (args.state, args.state_diff) {
                    (None, None) => StorageOverride::Keep,
                    (Some(all), None) => StorageOverride::Replace(slots(all)),
                    (None, Some(some)) => StorageOverride::Patch(slots(some)),
                    (Some(_), Some(_)) => {
                        return Err(RpcError::failed(format!(
                            "account {address} has both 'state' and 'stateDiff'"
                        )));
                    }
                };
                let account = AccountOverride {
                    balance: args.balance.map(|balance| balance.0),
                    nonce: args.nonce.map(|nonce| nonce.0),
                    code: args.code.map(|code| code.0),
                    storage,
                    move_precompile_to: args.move_precompile_to_address.map(|to| to.0),
                };
                Ok((address, account))
            })
            .collect()
    }
}

/// Changes to the block's environment, under the names that geth uses now and used before.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct BlockOverrideArgs {
    number: Option<Uint256>,
    difficulty: Option<Uint256>,
    #[serde(alias = "timestamp")]
    time: Option<Uint64>,
    gas_limit: Option<Uint64>,
    #[serde(alias = "coinbase")]
    fee_recipient: Option<AddressText>,
    #[serde(alias = "random")]
    prev_randao: Option<Hash>,
    #[serde(alias = "baseFee")]
    base_fee_per_gas: Option<Uint256>,
    blob_base_fee: Option<Uint256>,
}

impl From<BlockOverrideArgs> for BlockOverrides {
    fn from(args: BlockOverrideArgs) -> Self {
        Self {
            number: args.number.map(|number| number.0),
            difficulty: args.difficulty.map(|difficulty| difficulty.0),
            timestamp: args.time.map(|time| time.0),
            gas_limit: args.gas_limit.map(|limit| limit.0),
            fee_recipient: args.fee_recipient.map(|to| to.0),
            prev_randao: args.prev_randao.map(|hash| hash.0),
            base_fee: args.base_fee_per_gas.map(|fee| fee.0),
            blob_base_fee: args.blob_base_fee.map(|fee| fee.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Bytes, address};

    use super::*;

    fn message(json: &str) -> Result<CallMessage, RpcError> {
        serde_json::from_str::<CallArgs>(json).unwrap().try_into()
    }

    #[test]
    fn a_call_takes_both_names_of_its_data() {
        let data = |json| message(json).unwrap().input;
        assert_eq!(data(r#"{"data":"0x01"}"#), Bytes::from([1]));
        assert_eq!(data(r#"{"input":"0x02"}"#), Bytes::from([2]));
        assert_eq!(data(r#"{"data":"0x01","input":"0x02"}"#), Bytes::from([2]));
        assert_eq!(data(r#"{"data":null,"somethingNew":[1]}"#), Bytes::new());
    }

    #[test]
    fn fees_are_of_one_kind() {
        assert_eq!(message("{}").unwrap().fees, CallFees::Free);
        assert_eq!(message(r#"{"gasPrice":"0x5"}"#).unwrap().fees, CallFees::GasPrice(5));
        assert_eq!(
            message(r#"{"maxFeePerGas":"0x5"}"#).unwrap().fees,
            CallFees::Dynamic { max_fee: 5, max_priority_fee: 0 }
        );
        assert!(message(r#"{"gasPrice":"0x5","maxFeePerGas":"0x5"}"#).is_err());
    }

    #[test]
    fn storage_is_patched_or_replaced() {
        let slot = format!(r#"{{"0x{}":"0x{}"}}"#, "01".repeat(32), "02".repeat(32));
        let account = address!("00000000000000000000000000000000000000aa");
        let overrides = |fields: &str| {
            serde_json::from_str::<StateOverrideArgs>(&format!(r#"{{"{account}":{{{fields}}}}}"#))
                .unwrap()
                .into_overrides()
        };
        let storage = |fields: &str| overrides(fields).unwrap()[&account].storage.clone();
        assert_eq!(storage(r#""balance":"0x1""#), StorageOverride::Keep);
        assert!(matches!(storage(&format!(r#""state":{slot}"#)), StorageOverride::Replace(_)));
        assert!(matches!(storage(&format!(r#""stateDiff":{slot}"#)), StorageOverride::Patch(_)));
        assert!(overrides(&format!(r#""state":{slot},"stateDiff":{slot}"#)).is_err());
    }
}
