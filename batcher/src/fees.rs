//! What L1 asks for, what a transaction offers, and by how much a replacement must offer more.

use std::num::NonZeroU128;

use alloy_eips::eip4844::DATA_GAS_PER_BLOB;

use crate::record::Kind;

/// What inclusion in L1's next block costs, in wei a unit of gas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Market {
    /// The base fee.
    pub base_fee: u128,
    /// The base fee of blob gas.
    pub blob_base_fee: u128,
    /// The tip that gets included soon.
    pub tip: u128,
}

/// What a transaction offers at most, in wei a unit of gas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TxFees {
    /// The tip.
    pub tip: u128,
    /// Base fee and tip together.
    pub fee_cap: u128,
    /// Blob gas; nothing matters here for calldata.
    pub blob_fee_cap: u128,
}

/// What we offer at most, whatever L1 asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeCaps {
    /// The highest tip.
    pub tip_max: u128,
    /// The lowest tip, for chains whose suggestion is nothing.
    pub tip_min: u128,
    /// The highest base fee and tip together.
    pub fee_cap_max: u128,
    /// The highest price of blob gas.
    pub blob_fee_cap_max: u128,
}

impl Default for FeeCaps {
    /// 100 gwei of tip are out of proportion to anything seen in years, yet leave room for seven doublings from one
    /// gwei, and doubling is what replaces a blob transaction.
    fn default() -> Self {
        const GWEI: u128 = 1_000_000_000;
        Self {
            tip_max: 100 * GWEI,
            tip_min: GWEI / 10,
            fee_cap_max: 2_000 * GWEI,
            blob_fee_cap_max: 5_000 * GWEI,
        }
    }
}

/// Whose transaction shall be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rival {
    /// Our own earlier attempt.
    Ourselves,
    /// One that offers we don't know what, only that it is more than our last attempt did.
    Unknown,
}

impl Market {
    /// What to offer so that a doubling of the base fees (six full blocks) does no harm, within the caps.
    pub(crate) fn offer(&self, caps: &FeeCaps) -> TxFees {
        let tip = self.tip.clamp(caps.tip_min, caps.tip_max);
        let fee_cap = self.base_fee.saturating_mul(2).saturating_add(tip).min(caps.fee_cap_max);
        let blob_fee_cap = self.blob_base_fee.max(1).saturating_mul(2).min(caps.blob_fee_cap_max);
        TxFees { tip: tip.min(fee_cap), fee_cap, blob_fee_cap }
    }
}

impl TxFees {
    /// Whether a block that costs so much could include the transaction.
    pub(crate) fn covers(&self, market: &Market, kind: Kind) -> bool {
        self.fee_cap >= market.base_fee
            && (kind == Kind::Calldata || self.blob_fee_cap >= market.blob_base_fee)
    }

    /// The least that pools accept in this one's place.
    ///
    /// Each figure has to rise: by a tenth in the pool for ordinary transactions, to the double in that for blobs.
    fn replacement(&self, kind: Kind) -> Self {
        let raise = |fee: u128| match kind {
            Kind::Calldata => fee.saturating_add((fee / 10).saturating_add(1)),
            Kind::Blobs => fee.max(1).saturating_mul(2),
        };
        Self {
            tip: raise(self.tip),
            fee_cap: raise(self.fee_cap),
            blob_fee_cap: match kind {
                Kind::Calldata => 0,
                Kind::Blobs => raise(self.blob_fee_cap),
            },
        }
    }

    /// What replaces this offer, or its rival, and suits the market; nothing if that is more than the caps allow.
    pub(crate) fn bumped(
        &self,
        kind: Kind,
        rival: Rival,
        market: &Market,
        caps: &FeeCaps,
    ) -> Option<Self> {
        let (least, wanted) = (self.replacement(kind), market.offer(caps));
        let bold = match rival {
            Rival::Ourselves => 0,
            // Tips differ by orders of magnitude, caps don't: the tip is what we are likely to lack.
            Rival::Unknown => self.tip.saturating_mul(2).min(caps.tip_max),
        };
        let next = Self {
            tip: least.tip.max(wanted.tip).max(bold),
            fee_cap: least.fee_cap.max(wanted.fee_cap),
            blob_fee_cap: match kind {
                Kind::Calldata => 0,
                Kind::Blobs => least.blob_fee_cap.max(wanted.blob_fee_cap),
            },
        };
        let affordable = next.tip <= caps.tip_max
            && next.fee_cap <= caps.fee_cap_max
            && next.blob_fee_cap <= caps.blob_fee_cap_max;
        affordable.then_some(next)
    }
}

/// Gas that every transaction uses.
const BASE_GAS: u64 = 21_000;

/// The gas that a transaction with this input to a plain account uses since EIP-7623: at least 10 a token, where a zero
/// byte is a token and any other is four.
pub(crate) fn calldata_gas(input: &[u8]) -> u64 {
    let zeros = input.iter().filter(|byte| **byte == 0).count() as u64;
    let tokens = zeros + (input.len() as u64 - zeros) * 4;
    // 4 gas a token is the other price, for transactions that also execute: ours never do.
    BASE_GAS + tokens * 10
}

/// The gas of a blob transaction without input, beside its blob gas.
pub(crate) const BLOB_TX_GAS: u64 = BASE_GAS;

/// Decides how channels travel: by price, but not back and forth with its every flicker.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    current: Kind,
    /// By how many percent the other kind must be cheaper before we change.
    hysteresis_percent: NonZeroU128,
}

impl Choice {
    pub(crate) const fn new(start: Kind, hysteresis_percent: NonZeroU128) -> Self {
        Self { current: start, hysteresis_percent }
    }

    pub(crate) const fn current(&self) -> Kind {
        self.current
    }

    /// The kind for a channel of so many compressed bytes.
    pub(crate) fn decide(&mut self, bytes: usize, market: &Market) -> Kind {
        let (calldata, blobs) = (calldata_price(bytes, market), blobs_price(bytes, market));
        let (ours, theirs) = match self.current {
            Kind::Calldata => (calldata, blobs),
            Kind::Blobs => (blobs, calldata),
        };
        let margin = 100 + self.hysteresis_percent.get();
        if theirs.saturating_mul(margin) < ours.saturating_mul(100) {
            self.current = self.current.other();
        }
        self.current
    }
}

fn calldata_price(bytes: usize, market: &Market) -> u128 {
    let transactions = bytes.div_ceil(crate::limits::CALLDATA_ROOM).max(1) as u128;
    // Compressed bytes are hardly ever zero: all of them count for four tokens.
    let gas = transactions * u128::from(BASE_GAS) + bytes as u128 * 40;
    gas.saturating_mul(market.base_fee.saturating_add(market.tip))
}

fn blobs_price(bytes: usize, market: &Market) -> u128 {
    let blobs = bytes.div_ceil(crate::limits::BLOB_ROOM).max(1);
    let transactions = blobs.div_ceil(crate::limits::BLOBS_MAX) as u128;
    let gas = (transactions * u128::from(BLOB_TX_GAS))
        .saturating_mul(market.base_fee.saturating_add(market.tip));
    let blob_gas = blobs as u128 * u128::from(DATA_GAS_PER_BLOB);
    gas.saturating_add(blob_gas.saturating_mul(market.blob_base_fee.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GWEI: u128 = 1_000_000_000;

    fn market(base_fee: u128, blob_base_fee: u128) -> Market {
        Market { base_fee, blob_base_fee, tip: GWEI }
    }

    #[test]
    fn a_replacement_pays_what_pools_ask_for() {
        let fees = TxFees { tip: 10, fee_cap: 100, blob_fee_cap: 7 };
        let quiet = Market::default();
        let caps = FeeCaps { tip_min: 0, ..FeeCaps::default() };
        let calldata = fees.bumped(Kind::Calldata, Rival::Ourselves, &quiet, &caps).unwrap();
        assert_eq!(calldata, TxFees { tip: 12, fee_cap: 111, blob_fee_cap: 0 });
        let blobs = fees.bumped(Kind::Blobs, Rival::Ourselves, &quiet, &caps).unwrap();
        assert_eq!(blobs, TxFees { tip: 20, fee_cap: 200, blob_fee_cap: 14 });
        // Zero must rise as well, or the pool says no for ever.
        let zero =
            TxFees::default().bumped(Kind::Calldata, Rival::Ourselves, &quiet, &caps).unwrap();
        assert_eq!((zero.tip, zero.fee_cap), (1, 1));
    }

    #[test]
    fn one_bump_follows_a_spike_and_the_cap_ends_it() {
        let caps = FeeCaps::default();
        let fees = market(GWEI, 1).offer(&caps);
        let spike = market(100 * GWEI, 100);
        assert!(!fees.covers(&spike, Kind::Calldata));
        let bumped = fees.bumped(Kind::Blobs, Rival::Ourselves, &spike, &caps).unwrap();
        assert!(bumped.covers(&spike, Kind::Blobs));
        let absurd = market(5_000 * GWEI, 1);
        let offered = absurd.offer(&caps);
        assert_eq!(offered.fee_cap, caps.fee_cap_max);
        assert_eq!(offered.bumped(Kind::Calldata, Rival::Ourselves, &absurd, &caps), None);
    }

    #[test]
    fn the_choice_follows_the_price_with_hysteresis() {
        let mut choice = Choice::new(Kind::Blobs, NonZeroU128::new(20).unwrap());
        let bytes = 100_000;
        assert_eq!(choice.decide(bytes, &market(10 * GWEI, 1)), Kind::Blobs);
        // A blob costs 131,072 units where calldata costs 40 × 100,000 and its transaction.
        let even = 11 * GWEI * 4_000_000 / 131_072;
        assert_eq!(choice.decide(bytes, &market(10 * GWEI, even * 110 / 100)), Kind::Blobs);
        assert_eq!(choice.decide(bytes, &market(10 * GWEI, even * 130 / 100)), Kind::Calldata);
        assert_eq!(choice.decide(bytes, &market(10 * GWEI, even * 90 / 100)), Kind::Calldata);
        assert_eq!(choice.decide(bytes, &market(10 * GWEI, even * 70 / 100)), Kind::Blobs);
    }

    #[test]
    fn calldata_gas_is_the_floor_of_eip_7623() {
        assert_eq!(calldata_gas(&[]), 21_000);
        assert_eq!(calldata_gas(&[0, 1]), 21_050);
    }
}
