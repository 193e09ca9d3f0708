//! What a transaction will probably touch, learned from what others like it have touched.
//!
//! Calls of one function of one contract mostly touch the same places, or places that follow from the sender and the
//! arguments in the same way: Solidity keeps `balances[to]` at `keccak(to ‖ position)`. When a call has run, each slot that
//! was changed is explained that way if it can be; for the next call the explanation gives the place without hashing
//! anything, because equal words under the same position are the same slot.
//!
//! A forecast decides in which lane a transaction runs and nothing else. A wrong one costs time: lanes prove afterwards
//! that they did not meet.

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, TxKind, U256, keccak256, map::HashMap};
use millrace_types::Transaction;

use super::place::{Place, fold};

/// What is known about the functions that were called lately.
#[derive(Debug, Default)]
pub(crate) struct Forecast {
    functions: HashMap<Function, Profile>,
    window: u64,
}

/// A function of a contract.
type Function = (Address, [u8; 4]);

/// Past this many functions everything is learned anew, which takes a few calls each.
const FUNCTIONS_MAX: usize = 1 << 14;

/// Calls that are looked at before a function counts as known.
const SAMPLES_MIN: u32 = 4;

/// After this many samples old ones count half: what a function does may change.
const SAMPLES_MAX: u32 = 64;

/// In how many windows a function may lately have been forecast wrongly before its calls share one lane.
const MISSES_MAX: u32 = 8;

/// Such windows count half after so many others.
const MISSES_HALF_LIFE: u64 = 16;

/// Positions of mappings in a contract's storage that are tried, and words of calldata.
const POSITIONS: u64 = 12;
const ARGUMENTS: usize = 5;

/// A struct in a mapping takes several slots in a row.
const STRUCT_SLOTS: u64 = 4;

#[derive(Debug, Default)]
struct Profile {
    samples: u32,
    gas_used: u64,
    /// Windows with wrong forecasts, as they counted in the last of them.
    misses: u32,
    last_miss: u64,
    rules: Vec<Rule>,
}

/// One place that calls of a function change.
#[derive(Debug)]
struct Rule {
    owner: Owner,
    slot: Position,
    /// In how many of the samples.
    seen: u32,
}

/// Whose storage it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Contract(Address),
    Argument(usize),
    Sender,
}

/// Where in the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// The account itself.
    Account,
    /// Always the same slot.
    Fixed(U256),
    /// A mapping's value: the mapping's position and the key.
    Mapping(u64, Source),
    /// A value of a mapping of mappings.
    Nested(u64, Source, Source),
}

/// Where a key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Sender,
    /// The contract that was called, which others may keep balances and allowances of.
    Contract,
    Argument(usize),
}

/// What a transaction that has run touched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) address: Address,
    pub(crate) slot: Option<U256>,
}

/// How long a transaction will take, in units of gas of a contract call; a plain transfer is far cheaper than its gas.
const TRANSFER_WEIGHT: u64 = 4_000;

impl Forecast {
    /// The places that a transaction will change, and what it will weigh. Places that it only adds ether to go to `credits`:
    /// they matter only if somebody else reads them.
    pub(super) fn of(
        &self,
        transaction: &Transaction,
        changes: &mut Vec<Place>,
        credits: &mut Vec<Place>,
    ) -> u64 {
        let sender = transaction.sender();
        changes.push(Place::account(&sender));
        let TxKind::Call(to) = transaction.kind() else { return transaction.gas_limit() };
        let input = transaction.input();
        let profile = self.functions.get(&function(to, input));
        if !transaction.value().is_zero() {
            let plain = input.is_empty() && profile.is_none();
            if plain { &mut *credits } else { &mut *changes }.push(Place::account(&to));
        }
        let Some(profile) = profile else {
            return if input.is_empty() { TRANSFER_WEIGHT } else { transaction.gas_limit() };
        };
        if profile.recent_misses(self.window) >= MISSES_MAX {
            changes.push(Place::account(&to).within(u64::MAX, 0));
        }
        let likely = profile.rules.iter().filter(|rule| profile.expects(rule));
        let call = Call { sender, to, input };
        changes.extend(likely.filter_map(|rule| rule.place(call)));
        profile.gas_used.min(transaction.gas_limit())
    }

    /// Whether another call of this kind would still teach something.
    pub(crate) fn wants(&self, transaction: &Transaction) -> bool {
        let TxKind::Call(to) = transaction.kind() else { return false };
        let profile = self.functions.get(&function(to, transaction.input()));
        match profile {
            Some(profile) => profile.samples < SAMPLES_MIN,
            None => !transaction.input().is_empty(),
        }
    }

    /// Learns from a transaction that has run. Explaining a slot may take many hashes, which come out of the patience.
    pub(crate) fn learn(
        &mut self,
        transaction: &Transaction,
        gas_used: u64,
        changed: impl Iterator<Item = Seen>,
        patience: &mut Patience,
    ) {
        let TxKind::Call(to) = transaction.kind() else { return };
        if self.functions.len() >= FUNCTIONS_MAX {
            self.functions.clear();
        }
        let (sender, input) = (transaction.sender(), transaction.input());
        let profile = self.functions.entry(function(to, input)).or_default();
        if profile.samples >= SAMPLES_MAX {
            profile.forget_half();
        }
        profile.gas_used =
            if profile.samples == 0 { gas_used } else { (3 * profile.gas_used + gas_used) / 4 };
        let call = Call { sender, to, input };
        let mut counted = Vec::new();
        for Seen { address, slot } in changed {
            if slot.is_none() && (address == sender || address == to) {
                // The sender is known anyway, and the recipient follows from the value.
                continue;
            }
            let owner = owner(address, sender, input);
            let slot = match slot {
                None => Position::Account,
                Some(slot) => {
                    let known = profile.rules.iter().map(|rule| rule.slot);
                    match explain(slot, call, known, patience) {
                        Some(position) => position,
                        // Half a lesson: another call will teach the rest.
                        None => return,
                    }
                }
            };
            let known =
                profile.rules.iter().position(|rule| (rule.owner, rule.slot) == (owner, slot));
            let index = known.unwrap_or_else(|| {
                profile.rules.push(Rule { owner, slot, seen: 0 });
                profile.rules.len() - 1
            });
            if !counted.contains(&index) {
                counted.push(index);
                profile.rules[index].seen += 1;
            }
        }
        profile.samples += 1;
        // Slots that nothing explains come in ever new places, each seen once.
        if profile.rules.len() > 4 * RULES_KEPT {
            profile.rules.sort_by_key(|rule| std::cmp::Reverse(rule.seen));
            profile.rules.truncate(RULES_KEPT);
        }
    }

    /// Tells that time passes: what went wrong long ago counts less.
    pub(crate) fn next_window(&mut self) {
        self.window += 1;
    }

    /// Keeps count of windows in which forecasts for a function did not come true.
    pub(crate) fn was_wrong(&mut self, transaction: &Transaction) {
        let TxKind::Call(to) = transaction.kind() else { return };
        if let Some(profile) = self.functions.get_mut(&function(to, transaction.input()))
            && profile.last_miss < self.window
        {
            profile.misses = profile.recent_misses(self.window) + 1;
            profile.last_miss = self.window;
        }
    }
}

/// How many rules a function keeps when there are far too many.
const RULES_KEPT: usize = 16;

impl Profile {
    /// Whether the next call will probably change this place.
    fn expects(&self, rule: &Rule) -> bool {
        let explained = match rule.slot {
            Position::Fixed(slot) => is_declared(slot) || rule.seen > 1,
            _ => true,
        };
        explained && 2 * rule.seen >= self.samples
    }

    fn recent_misses(&self, window: u64) -> u32 {
        let halvings = (window - self.last_miss) / MISSES_HALF_LIFE;
        self.misses.checked_shr(halvings as u32).unwrap_or_default()
    }

    fn forget_half(&mut self) {
        self.samples /= 2;
        for rule in &mut self.rules {
            rule.seen /= 2;
        }
        self.rules.retain(|rule| rule.seen > 0);
    }
}

impl Rule {
    fn place(&self, call: Call<'_>) -> Option<Place> {
        let owner = match self.owner {
            Owner::Contract(address) => address,
            Owner::Sender => call.sender,
            Owner::Argument(index) => Address::from_word(argument(call.input, index)?.into()),
        };
        let account = Place::account(&owner);
        let word = |source: Source| call.word(source).map(fold);
        Some(match self.slot {
            Position::Account => account,
            Position::Fixed(slot) => account.within(u64::MAX - 1, fold(slot)),
            Position::Mapping(position, key) => account.within(position, word(key)?),
            Position::Nested(position, outer, inner) => {
                account.within(position, word(outer)?).within(position, word(inner)?)
            }
        })
    }
}

fn function(to: Address, input: &[u8]) -> Function {
    (to, input.first_chunk().copied().unwrap_or_default())
}

fn argument(input: &[u8], index: usize) -> Option<U256> {
    let word = input.get(4 + 32 * index..)?.get(..32)?;
    Some(U256::from_be_slice(word))
}

fn owner(address: Address, sender: Address, input: &[u8]) -> Owner {
    let word = U256::from_be_slice(address.as_slice());
    let named = (0..ARGUMENTS).find(|index| argument(input, *index) == Some(word));
    match named {
        _ if address == sender => Owner::Sender,
        Some(index) => Owner::Argument(index),
        None => Owner::Contract(address),
    }
}

/// Whether a slot is where the compiler puts variables, rather than the values of a mapping.
fn is_declared(slot: U256) -> bool {
    slot < U256::from(1_u64 << 32)
}

/// How many hashes may still be spent on explaining slots.
#[derive(Debug)]
pub(crate) struct Patience(usize);

impl Patience {
    /// For one window: a hash takes a quarter to half a microsecond.
    pub(crate) const fn new() -> Self {
        Self(4096)
    }

    /// Whether there is some left.
    pub(crate) const fn is_left(&self) -> bool {
        self.0 > 0
    }

    fn spend(&mut self) -> Option<()> {
        self.0 = self.0.checked_sub(1)?;
        Some(())
    }
}

/// The words that a slot's position may follow from.
#[derive(Debug, Clone, Copy)]
struct Call<'a> {
    sender: Address,
    to: Address,
    input: &'a [u8],
}

/// How a slot's position may follow from the words of a call: as other slots do, if one of the known ways fits. Nothing when
/// patience ends first.
fn explain(
    slot: U256,
    call: Call<'_>,
    known: impl Iterator<Item = Position>,
    patience: &mut Patience,
) -> Option<Position> {
    if is_declared(slot) {
        return Some(Position::Fixed(slot));
    }
    let fits = |start: U256| slot.wrapping_sub(start) < U256::from(STRUCT_SLOTS);
    for position in known {
        let start = match position {
            Position::Mapping(base, key) => call.mapping(U256::from(base), key),
            Position::Nested(base, outer, inner) => call
                .mapping(U256::from(base), outer)
                .and_then(|mapping| call.mapping(mapping, inner)),
            Position::Account | Position::Fixed(_) => None,
        };
        patience.spend()?;
        if start.is_some_and(fits) {
            return Some(position);
        }
    }
    let sources = || Source::all().filter(|source| call.word(*source).is_some());
    for base in 0..POSITIONS {
        for outer in sources() {
            patience.spend()?;
            let Some(mapping) = call.mapping(U256::from(base), outer) else { continue };
            if fits(mapping) {
                return Some(Position::Mapping(base, outer));
            }
            for inner in sources() {
                patience.spend()?;
                if call.mapping(mapping, inner).is_some_and(fits) {
                    return Some(Position::Nested(base, outer, inner));
                }
            }
        }
    }
    Some(Position::Fixed(slot))
}

impl Call<'_> {
    fn word(&self, source: Source) -> Option<U256> {
        match source {
            Source::Sender => Some(U256::from_be_slice(self.sender.as_slice())),
            Source::Contract => Some(U256::from_be_slice(self.to.as_slice())),
            Source::Argument(index) => argument(self.input, index),
        }
    }

    /// Where a mapping keeps the value of a word.
    fn mapping(&self, position: U256, key: Source) -> Option<U256> {
        Some(value_of(self.word(key)?, position))
    }
}

impl Source {
    fn all() -> impl Iterator<Item = Self> {
        [Self::Sender, Self::Contract].into_iter().chain((0..ARGUMENTS).map(Self::Argument))
    }
}

/// Where a mapping at a position keeps the value of a key.
fn value_of(key: U256, position: U256) -> U256 {
    let mut preimage = [0; 64];
    preimage[..32].copy_from_slice(&key.to_be_bytes::<32>());
    preimage[32..].copy_from_slice(&position.to_be_bytes::<32>());
    keccak256(preimage).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDER: Address = Address::repeat_byte(0x51);
    const CONTRACT: Address = Address::repeat_byte(0xc0);

    fn check(slot: U256, expected: Position) {
        let words = [U256::from(7), U256::from(0xa11ce)];
        let input =
            [&[1, 2, 3, 4][..], &words.map(|word| word.to_be_bytes::<32>()).concat()].concat();
        let call = Call { sender: SENDER, to: CONTRACT, input: &input };
        let explained = explain(slot, call, std::iter::empty(), &mut Patience::new());
        assert_eq!(explained, Some(expected));
    }

    #[test]
    fn slots_are_explained_by_sender_and_arguments() {
        let sender = U256::from_be_slice(SENDER.as_slice());
        let [first, second] = [U256::from(7), U256::from(0xa11ce)];
        let position = U256::from(3);
        check(U256::from(5), Position::Fixed(U256::from(5)));
        check(value_of(sender, position), Position::Mapping(3, Source::Sender));
        check(
            value_of(second, position) + U256::from(2),
            Position::Mapping(3, Source::Argument(1)),
        );
        check(
            value_of(first, value_of(sender, position)),
            Position::Nested(3, Source::Sender, Source::Argument(0)),
        );
        let nothing = U256::MAX / U256::from(3);
        check(nothing, Position::Fixed(nothing));
    }

    #[test]
    fn patience_ends() {
        let mut patience = Patience::new();
        let nothing = U256::MAX / U256::from(3);
        let call = Call { sender: SENDER, to: CONTRACT, input: &[1; 200] };
        let lessons =
            std::iter::repeat_with(|| explain(nothing, call, std::iter::empty(), &mut patience));
        assert!(lessons.take(20).any(|lesson| lesson.is_none()));
        assert!(!patience.is_left());
    }
}
