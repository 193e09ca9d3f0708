//! Log filters as clients write them.

use alloy_primitives::B256;
use serde::Deserialize;

use crate::{
    backend::{BlockRef, LogFilter},
    error::RpcError,
    json::{
        block_ref::BlockNumber,
        hex::{AddressText, Hash},
    },
};

/// The most positions that a log has topics for.
const TOPICS_MAX: usize = 4;

/// A filter, of which every part may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct FilterArgs {
    from_block: Option<BlockNumber>,
    to_block: Option<BlockNumber>,
    block_hash: Option<Hash>,
    address: Option<OneOrMany<AddressText>>,
    topics: Option<Vec<Option<OneOrMany<Option<Hash>>>>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "neither a hex string nor an array of them")]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

/// Which blocks a filter is about, before its tags are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FilterScope {
    Block(B256),
    Range(BlockRef, BlockRef),
}

impl FilterArgs {
    /// Checks the filter. Errors name it as argument `index`.
    pub(crate) fn into_filter(
        self,
        index: usize,
        items_max: usize,
    ) -> Result<(FilterScope, LogFilter), RpcError> {
        let scope = match (self.block_hash, self.from_block, self.to_block) {
            (Some(hash), None, None) => FilterScope::Block(hash.0),
            (Some(_), _, _) => {
                return Err(RpcError::invalid_argument(
                    index,
                    "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other",
                ));
            }
            (None, from, to) => FilterScope::Range(
                from.map_or(BlockRef::Latest, |number| number.0),
                to.map_or(BlockRef::Latest, |number| number.0),
            ),
        };
        let addresses: Vec<_> = match self.address {
            None => Vec::new(),
            Some(OneOrMany::One(address)) => vec![address.0],
            Some(OneOrMany::Many(list)) => list.into_iter().map(|address| address.0).collect(),
        };
        if addresses.len() > items_max {
            return Err(RpcError::invalid_params(format!("exceed max addresses: {items_max}")));
        }
        let positions = self.topics.unwrap_or_default();
        if positions.len() > TOPICS_MAX {
            return Err(RpcError::invalid_params(format!("exceed max topics: {TOPICS_MAX}")));
        }
        let mut topics = Vec::with_capacity(positions.len());
        for position in positions {
            topics.push(match position {
                None | Some(OneOrMany::One(None)) => Vec::new(),
                Some(OneOrMany::One(Some(topic))) => vec![topic.0],
                Some(OneOrMany::Many(list)) if list.len() > items_max => {
                    return Err(RpcError::invalid_params(format!(
                        "exceed max topics in one position: {items_max}"
                    )));
                }
                // A null among alternatives makes the position accept anything.
                Some(OneOrMany::Many(list)) => list
                    .into_iter()
                    .map(|topic| topic.map(|hash| hash.0))
                    .collect::<Option<_>>()
                    .unwrap_or_default(),
            });
        }
        Ok((scope, LogFilter { addresses, topics }))
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Bytes, Log};

    use super::*;

    fn filter(json: &str) -> Result<(FilterScope, LogFilter), RpcError> {
        serde_json::from_str::<FilterArgs>(json).unwrap().into_filter(0, 2)
    }

    #[test]
    fn ranges_and_blocks() {
        let hash = format!("0x{}", "11".repeat(32));
        assert_eq!(filter("{}").unwrap().0, FilterScope::Range(BlockRef::Latest, BlockRef::Latest));
        assert_eq!(
            filter(r#"{"fromBlock":"0x1","toBlock":"pending"}"#).unwrap().0,
            FilterScope::Range(BlockRef::Number(1), BlockRef::Pending)
        );
        assert!(filter(&format!(r#"{{"blockHash":"{hash}","toBlock":"0x1"}}"#)).is_err());
        assert_eq!(
            filter(&format!(r#"{{"blockHash":"{hash}"}}"#)).unwrap().0,
            FilterScope::Block(B256::repeat_byte(0x11))
        );
    }

    #[test]
    fn topics_by_position() {
        let (a, b) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let log = Log::new_unchecked(Address::repeat_byte(9), vec![a, b], Bytes::new());
        let matches =
            |topics: &str| filter(&format!(r#"{{"topics":{topics}}}"#)).unwrap().1.matches(&log);
        assert!(matches("[]"));
        assert!(matches(&format!(r#"["{a}"]"#)));
        assert!(!matches(&format!(r#"["{b}"]"#)));
        assert!(matches(&format!(r#"[null,["{a}","{b}"]]"#)));
        assert!(matches(&format!(r#"[["{b}",null]]"#)));
        assert!(matches("[null,[]]"));
        assert!(!matches("[null,null,null]"));
        assert!(filter(r#"{"topics":[null,null,null,null,null]}"#).is_err());
        let address = Address::repeat_byte(9);
        assert!(filter(&format!(r#"{{"address":"{address}"}}"#)).unwrap().1.matches(&log));
        assert!(filter(&format!(r#"{{"address":["{address}","{address}"]}}"#)).is_ok());
        assert!(
            filter(&format!(r#"{{"address":["{address}","{address}","{address}"]}}"#)).is_err()
        );
    }
}
