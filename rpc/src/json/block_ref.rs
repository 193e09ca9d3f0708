//! Block parameters: a tag, a number, a hash, or EIP-1898's object.

use serde::{Deserialize, Deserializer, de};

use crate::{
    backend::BlockRef,
    json::hex::{Hash, parse_fixed, parse_u64, string},
};

/// A tag or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockNumber(pub(crate) BlockRef);

fn parse_number(text: &str) -> Result<BlockRef, &'static str> {
    match text {
        "latest" => Ok(BlockRef::Latest),
        "pending" => Ok(BlockRef::Pending),
        "safe" => Ok(BlockRef::Safe),
        "finalized" => Ok(BlockRef::Finalized),
        "earliest" => Ok(BlockRef::Earliest),
        _ => match parse_u64(text)? {
            number if number > i64::MAX as u64 => Err("block number larger than int64"),
            number => Ok(BlockRef::Number(number)),
        },
    }
}

impl<'de> Deserialize<'de> for BlockNumber {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parse_number(&string(from)?).map(Self).map_err(de::Error::custom)
    }
}

/// Anything that names a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockId(pub(crate) BlockRef);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockObject {
    block_number: Option<BlockNumber>,
    block_hash: Option<Hash>,
    // All that we serve is canonical, so requiring it changes nothing; its type is still checked.
    #[serde(default)]
    #[expect(dead_code, reason = "read to be type-checked")]
    require_canonical: Option<bool>,
}

impl<'de> Deserialize<'de> for BlockId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct IdVisitor;
        impl<'de> de::Visitor<'de> for IdVisitor {
            type Value = BlockId;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a block number, tag, hash or object")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<BlockId, E> {
                if text.len() == 66 {
                    let hash = parse_fixed::<32>(text, "common.Hash").map_err(E::custom)?;
                    return Ok(BlockId(BlockRef::Hash(hash.into())));
                }
                parse_number(text).map(BlockId).map_err(E::custom)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<BlockId, A::Error> {
                let object = BlockObject::deserialize(de::value::MapAccessDeserializer::new(map))?;
                match (object.block_number, object.block_hash) {
                    (Some(_), Some(_)) => Err(de::Error::custom(
                        "cannot specify both BlockHash and BlockNumber, choose one or the other",
                    )),
                    (Some(number), None) => Ok(BlockId(number.0)),
                    (None, Some(hash)) => Ok(BlockId(BlockRef::Hash(hash.0))),
                    (None, None) => {
                        Err(de::Error::custom("neither BlockHash nor BlockNumber is given"))
                    }
                }
            }
        }
        from.deserialize_any(IdVisitor)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;

    use super::*;

    #[test]
    fn every_way_to_name_a_block() {
        let hash = format!("0x{}", "11".repeat(32));
        let by_hash = BlockRef::Hash(B256::repeat_byte(0x11));
        for (json, expected) in [
            (r#""latest""#.to_owned(), BlockRef::Latest),
            (r#""pending""#.to_owned(), BlockRef::Pending),
            (r#""0x10""#.to_owned(), BlockRef::Number(16)),
            (format!(r#""{hash}""#), by_hash),
            (format!(r#"{{"blockHash":"{hash}","requireCanonical":true}}"#), by_hash),
            (r#"{"blockNumber":"safe"}"#.to_owned(), BlockRef::Safe),
        ] {
            assert_eq!(serde_json::from_str::<BlockId>(&json).unwrap().0, expected, "{json}");
        }
        for json in [
            r#""newest""#,
            r#""0x""#,
            r#""0x8000000000000000""#,
            "1",
            "{}",
            "[]",
            "true",
            &format!(r#"{{"blockHash":"{hash}","blockNumber":"0x1"}}"#),
            r#"{"blockHash":"0x11"}"#,
            r#"{"blockNumber":"0x1","requireCanonical":3}"#,
        ] {
            assert!(serde_json::from_str::<BlockId>(json).is_err(), "{json}");
        }
    }
}
