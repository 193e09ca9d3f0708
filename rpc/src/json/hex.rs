//! Numbers and bytes as clients write them: `0x` and hex digits, read as strictly as geth does and refused in its words.
//!
//! For output, alloy's own types already have the right form; [`Quantity`] is an alias for the one used most.

use std::{borrow::Cow, fmt};

use alloy_primitives::{Address, B256, Bytes, U64, U256, hex};
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

/// A number in an answer.
pub(crate) type Quantity = U64;

/// Reads a JSON string, borrowed where possible.
pub(crate) fn string<'de, D: Deserializer<'de>>(from: D) -> Result<Cow<'de, str>, D::Error> {
    struct StringVisitor;
    impl<'de> Visitor<'de> for StringVisitor {
        type Value = Cow<'de, str>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a hex string")
        }

        fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(Cow::Borrowed(text))
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Cow::Owned(text.to_owned()))
        }
    }
    from.deserialize_str(StringVisitor)
}

fn digits(text: &str) -> Result<&str, &'static str> {
    if text.is_empty() {
        return Err("empty hex string");
    }
    text.strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .ok_or("hex string without 0x prefix")
}

/// Refuses what the decoders behind would let pass: a second prefix, signs, underscores.
fn all_hex(digits: &str) -> Result<(), &'static str> {
    if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        Ok(())
    } else {
        Err("invalid hex string")
    }
}

/// The digits of a number: at least one, and no zero in front.
fn number_digits(text: &str) -> Result<&str, &'static str> {
    let digits = digits(text)?;
    if digits.is_empty() {
        return Err("hex string \"0x\"");
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return Err("hex number with leading zero digits");
    }
    all_hex(digits)?;
    Ok(digits)
}

/// Reads a 64-bit quantity.
pub(crate) fn parse_u64(text: &str) -> Result<u64, &'static str> {
    u64::from_str_radix(number_digits(text)?, 16).map_err(|_| "hex number > 64 bits")
}

/// Reads a 256-bit quantity.
pub(crate) fn parse_u256(text: &str) -> Result<U256, &'static str> {
    U256::from_str_radix(number_digits(text)?, 16).map_err(|_| "hex number > 256 bits")
}

/// Reads bytes of any length.
pub(crate) fn parse_bytes(text: &str) -> Result<Bytes, &'static str> {
    let digits = digits(text)?;
    if digits.len() % 2 == 1 {
        return Err("hex string of odd length");
    }
    all_hex(digits)?;
    hex::decode(digits).map(Bytes::from).map_err(|_| "invalid hex string")
}

/// Reads exactly `N` bytes.
pub(crate) fn parse_fixed<const N: usize>(text: &str, name: &str) -> Result<[u8; N], String> {
    let digits = digits(text)?;
    if digits.len() != 2 * N {
        return Err(format!("hex string has length {}, want {} for {name}", digits.len(), 2 * N));
    }
    all_hex(digits)?;
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| "invalid hex string")?;
    Ok(bytes)
}

/// Declares a type that is read from a JSON string by a function.
macro_rules! from_text {
    ($($(#[$doc:meta])* $name:ident($inner:ty) = $parse:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub(crate) struct $name(pub(crate) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = string(from)?;
                let parse: fn(&str) -> Result<$inner, _> = $parse;
                parse(&text).map(Self).map_err(de::Error::custom)
            }
        }
    )*};
}

from_text! {
    /// A quantity of at most 64 bits.
    Uint64(u64) = parse_u64;
    /// A quantity of at most 256 bits.
    Uint256(U256) = parse_u256;
    /// A price for gas, of at most 128 bits: more wei than there will ever be.
    Price(u128) = |text| parse_u256(text)?.try_into().map_err(|_| "hex number > 128 bits");
    /// Bytes of any length.
    Data(Bytes) = parse_bytes;
    /// An address, whatever its letters' case.
    AddressText(Address) = |text| parse_fixed(text, "common.Address").map(Address::from);
    /// A hash.
    Hash(B256) = |text| parse_fixed(text, "common.Hash").map(B256::from);
    /// A storage slot: up to 32 bytes, short ones filled with zeros on the left, an odd number of digits allowed.
    Slot(B256) = parse_slot;
}

fn parse_slot(text: &str) -> Result<B256, &'static str> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if digits.len() > 64 {
        return Err("hex string too long, want at most 32 bytes");
    }
    all_hex(digits)?;
    if digits.is_empty() {
        return Ok(B256::ZERO);
    }
    U256::from_str_radix(digits, 16).map(B256::from).map_err(|_| "invalid hex string")
}

/// A time in milliseconds: a number as EIP-7966 has it, or a quantity as clients wrote it after the first draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Milliseconds(pub(crate) u64);

impl<'de> Deserialize<'de> for Milliseconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct MillisecondsVisitor;
        impl Visitor<'_> for MillisecondsVisitor {
            type Value = Milliseconds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number of milliseconds")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Milliseconds, E> {
                Ok(Milliseconds(number))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Milliseconds, E> {
                parse_u64(text).map(Milliseconds).map_err(E::custom)
            }
        }
        from.deserialize_any(MillisecondsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: for<'a> Deserialize<'a> + fmt::Debug>(json: &str, expected: Result<&str, &str>) {
        let got = serde_json::from_str::<T>(json);
        match (got, expected) {
            (Ok(value), Ok(debug)) => assert_eq!(format!("{value:?}"), debug, "{json}"),
            (Err(error), Err(start)) => {
                assert!(error.to_string().starts_with(start), "{json}: {error}");
            }
            (got, expected) => panic!("{json}: {got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn numbers_are_read_as_strictly_as_geth_reads_them() {
        check::<Uint64>(r#""0x0""#, Ok("Uint64(0)"));
        check::<Uint64>(r#""0xffffffffffffffff""#, Ok("Uint64(18446744073709551615)"));
        check::<Uint64>(r#""0x10000000000000000""#, Err("hex number > 64 bits"));
        check::<Uint64>(r#""0x""#, Err("hex string \"0x\""));
        check::<Uint64>(r#""""#, Err("empty hex string"));
        check::<Uint64>(r#""10""#, Err("hex string without 0x prefix"));
        check::<Uint64>(r#""0x01""#, Err("hex number with leading zero digits"));
        check::<Uint64>(r#""0xg""#, Err("invalid hex string"));
        check::<Uint64>(r#""0x+1""#, Err("invalid hex string"));
        check::<Uint64>(r#""0x1_0""#, Err("invalid hex string"));
        check::<Uint64>("5", Err("invalid type: integer `5`, expected a hex string"));
        check::<Uint256>(&format!(r#""0x{}""#, "f".repeat(65)), Err("hex number > 256 bits"));
        check::<Uint256>(r#""0x1_0""#, Err("invalid hex string"));
        check::<Price>(&format!(r#""0x{}""#, "f".repeat(33)), Err("hex number > 128 bits"));
    }

    #[test]
    fn times_are_numbers_or_quantities() {
        check::<Milliseconds>("5000", Ok("Milliseconds(5000)"));
        check::<Milliseconds>(r#""0x1388""#, Ok("Milliseconds(5000)"));
        check::<Milliseconds>(r#""5000""#, Err("hex string without 0x prefix"));
        for wrong in ["-1", "1.5", "1e3", "true", "{}"] {
            let error = serde_json::from_str::<Milliseconds>(wrong).unwrap_err().to_string();
            assert!(error.contains("expected a whole number of milliseconds"), "{wrong}: {error}");
        }
    }

    #[test]
    fn bytes_keep_their_length() {
        check::<Data>(r#""0x""#, Ok("Data(0x)"));
        check::<Data>(r#""0xABcd""#, Ok("Data(0xabcd)"));
        check::<Data>(r#""0xabc""#, Err("hex string of odd length"));
        check::<Data>(r#""0x0xab""#, Err("invalid hex string"));
        check::<AddressText>(
            r#""0x12""#,
            Err("hex string has length 2, want 40 for common.Address"),
        );
        check::<Hash>(r#""12""#, Err("hex string without 0x prefix"));
        assert_eq!(serde_json::from_str::<Slot>(r#""0x7""#).unwrap().0, B256::with_last_byte(7));
        assert_eq!(serde_json::from_str::<Slot>(r#""0x""#).unwrap().0, B256::ZERO);
        check::<Slot>(&format!(r#""0x{}""#, "0".repeat(65)), Err("hex string too long"));
        check::<Slot>(r#""0xé""#, Err("invalid hex string"));
        check::<Data>(r#""é""#, Err("hex string without 0x prefix"));
    }
}
