//! What a transaction will probably change, learned from what others like it have changed.
//!
//! Calls of one function mostly change the same places, or places that follow from the sender and the arguments in the same
//! way: Solidity keeps `balances[to]` at `keccak(to ‖ position)`. Lanes remember what they hashed, so the key and the
//! position behind a slot are known when it changes, and mostly the key is a word of the call. For the next call that tells
//! the place without hashing anything, because equal words under the same position are the same slot. What one contract
//! teaches goes for all that have its code: of a thousand pools, each gains from what was seen of the others.
//!
//! A forecast decides in which lane a transaction runs and nothing else. A wrong one costs time: lanes prove afterwards
//! that they did not meet.

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, TxKind, U256, map::HashMap};
use millrace_types::Transaction;

use super::place::{Place, fold};
use crate::evm::{Call, CodeFunction, CodeName, Owner, Preimages, Selector, Word};

/// What is known about the functions that were called lately.
#[derive(Debug, Default)]
pub(crate) struct Forecast {
    /// Which profile a contract's function has.
    functions: HashMap<Function, u32>,
    /// The same by the contract's code.
    by_code: HashMap<CodeFunction, u32>,
    /// How many functions of some code have profiles of their own.
    selectors: HashMap<CodeName, usize>,
    profiles: Vec<Profile>,
    window: u64,
}

/// A function of a contract.
pub(crate) type Function = (Address, Selector);

/// Past so many functions, or profiles, everything is learned anew, which takes a few calls each.
const FUNCTIONS_MAX: usize = 1 << 16;
const PROFILES_MAX: usize = 1 << 12;

/// Functions of some code that have profiles of their own. Calldata may begin with whatever its sender likes, so the rest,
/// and all that accounts without code are sent, share one.
const SELECTORS_MAX: usize = 128;
const OTHERS: Selector = [0; 4];
const CODELESS: CodeName = 0;

/// Of a call that changes more, only the first changes are looked at.
const CHANGES_MAX: usize = 64;

/// Calls of a function that are looked at, until its forecasts go wrong.
const SAMPLES: u32 = 32;

/// As many again after a wrong one.
const SAMPLES_AGAIN: u32 = 8;

/// After this many samples old ones count half: what a function does may change.
const SAMPLES_MAX: u32 = 64;

/// In how many windows a function may lately have been forecast wrongly before its calls share one lane.
const MISSES_MAX: u32 = 8;

/// Such windows count half after so many others.
const MISSES_HALF_LIFE: u64 = 16;

/// A struct in a mapping takes several slots in a row.
const STRUCT_SLOTS: u64 = 4;

#[derive(Debug)]
struct Profile {
    samples: u32,
    /// How many are to be taken still.
    wanted: u32,
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

/// Where in the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// The account itself.
    Account,
    /// Always the same slot.
    Fixed(U256),
    /// A mapping's value: the mapping's position, folded, and the key.
    Mapping(u64, Word),
    /// A value of a mapping of mappings.
    Nested(u64, Word, Word),
}

/// What a transaction that has run touched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) address: Address,
    pub(crate) slot: Option<U256>,
}

/// How long a transaction will take, in units of gas of a contract call; a plain transfer is far cheaper than its gas.
const TRANSFER_WEIGHT: u64 = 4_000;

/// For a creation, whose gas goes into storing code and takes little time: limits are often far higher.
const CREATION_WEIGHT: u64 = 500_000;

impl Forecast {
    /// What a transaction will weigh, at most.
    pub(super) fn weight_limit(transaction: &Transaction) -> u64 {
        let most = match transaction.kind() {
            TxKind::Create => CREATION_WEIGHT,
            TxKind::Call(_) if transaction.input().is_empty() => TRANSFER_WEIGHT,
            TxKind::Call(_) => u64::MAX,
        };
        transaction.gas_limit().min(most)
    }

    /// The places that a transaction will change, and what it will weigh.
    pub(super) fn of(&self, transaction: &Transaction, expected: &mut Expected) -> u64 {
        let sender = transaction.sender();
        expected.changes.push(Place::account(&sender));
        let TxKind::Call(to) = transaction.kind() else { return Self::weight_limit(transaction) };
        let input = transaction.input();
        if !transaction.value().is_zero() {
            let places =
                if input.is_empty() { &mut expected.credits } else { &mut expected.changes };
            places.push(Place::account(&to));
        }
        let Some(call) = Call::of(transaction) else { return Self::weight_limit(transaction) };
        let function = (to, call.selector());
        let Some(index) = self.functions.get(&function) else {
            expected.strangers.push(function);
            return transaction.gas_limit();
        };
        let profile = &self.profiles[*index as usize];
        if profile.recent_misses(self.window) >= MISSES_MAX {
            expected.changes.push(Place::account(&to).within(u64::MAX, 0));
        }
        let likely = profile.rules.iter().filter(|rule| profile.expects(rule));
        expected.changes.extend(likely.filter_map(|rule| rule.place(call)));
        profile.gas_used.min(transaction.gas_limit())
    }

    /// Makes a function known, of a contract with this code, or of an account without any.
    pub(crate) fn introduce(&mut self, function: Function, code: Option<CodeName>) {
        if self.functions.contains_key(&function) {
            return;
        }
        if self.functions.len() >= FUNCTIONS_MAX || self.profiles.len() >= PROFILES_MAX {
            self.functions.clear();
            self.by_code.clear();
            self.selectors.clear();
            self.profiles.clear();
        }
        let of_code = match code {
            Some(code) => {
                let known = self.selectors.entry(code).or_default();
                let is_new = !self.by_code.contains_key(&(code, function.1));
                let has_room = *known < SELECTORS_MAX;
                *known += usize::from(is_new && has_room);
                (code, if is_new && !has_room { OTHERS } else { function.1 })
            }
            None => (CODELESS, OTHERS),
        };
        let index = *self.by_code.entry(of_code).or_insert_with(|| {
            self.profiles.push(Profile::new());
            self.profiles.len() as u32 - 1
        });
        self.functions.insert(function, index);
    }

    /// Whether another call of this kind would still teach something.
    pub(crate) fn wants(&self, call: Call<'_>) -> bool {
        let index = self.functions.get(&(call.to, call.selector()));
        index.is_some_and(|index| self.profiles[*index as usize].wanted > 0)
    }

    /// Learns from a call that has run.
    pub(crate) fn learn(
        &mut self,
        call: Call<'_>,
        gas_used: u64,
        changed: impl Iterator<Item = Seen>,
        preimages: &Preimages,
    ) {
        let Some(index) = self.functions.get(&(call.to, call.selector())) else { return };
        let profile = &mut self.profiles[*index as usize];
        if profile.samples >= SAMPLES_MAX {
            profile.forget_half();
        }
        profile.gas_used =
            if profile.samples == 0 { gas_used } else { (3 * profile.gas_used + gas_used) / 4 };
        let mut counted = Vec::new();
        for Seen { address, slot } in changed.take(CHANGES_MAX) {
            if slot.is_none() && (address == call.sender || address == call.to) {
                // The sender is known anyway, and the recipient follows from the value.
                continue;
            }
            let owner = call.owner_of(address);
            let slot = slot.map_or(Position::Account, |slot| explain(slot, call, preimages));
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
        profile.wanted = profile.wanted.saturating_sub(1);
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
    pub(crate) fn was_wrong(&mut self, call: Call<'_>) {
        let Some(index) = self.functions.get(&(call.to, call.selector())) else { return };
        let profile = &mut self.profiles[*index as usize];
        if profile.last_miss < self.window {
            profile.misses = profile.recent_misses(self.window) + 1;
            profile.last_miss = self.window;
            profile.wanted = profile.wanted.max(SAMPLES_AGAIN);
        }
    }
}

/// What a window's transactions will probably do. The planner empties it after each.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) changes: Vec<Place>,
    /// Accounts that only get ether: it matters only if somebody else reads them.
    pub(super) credits: Vec<Place>,
    /// Functions that nothing is known of.
    pub(super) strangers: Vec<Function>,
}

/// How many rules a function keeps when there are far too many.
const RULES_KEPT: usize = 16;

impl Profile {
    const fn new() -> Self {
        let rules = Vec::new();
        Self { samples: 0, wanted: SAMPLES, gas_used: 0, misses: 0, last_miss: 0, rules }
    }

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
        let account = Place::account(&call.owner(self.owner)?);
        let key = |word: Word| call.word(word).map(|word| fold(word.into()));
        Some(match self.slot {
            Position::Account => account,
            Position::Fixed(slot) => account.within(u64::MAX - 1, fold(slot)),
            Position::Mapping(position, word) => account.within(position, key(word)?),
            Position::Nested(position, outer, inner) => {
                account.within(position, key(outer)?).within(position, key(inner)?)
            }
        })
    }
}

/// Whether a slot is where the compiler puts variables, rather than the values of a mapping.
fn is_declared(slot: U256) -> bool {
    slot < U256::from(1_u64 << 32)
}

/// How a slot's position follows from the words of a call. If it does not, it is taken for one that never changes.
fn explain(slot: U256, call: Call<'_>, preimages: &Preimages) -> Position {
    if is_declared(slot) {
        return Position::Fixed(slot);
    }
    let starts = (0..STRUCT_SLOTS).map(|offset| slot.wrapping_sub(U256::from(offset)));
    let mapping = |start: B256| {
        let (key, position) = preimages.of(start)?;
        Some((call.find(key)?, position))
    };
    let Some((key, position)) = starts.map(B256::from).find_map(mapping) else {
        return Position::Fixed(slot);
    };
    match mapping(position) {
        Some((outer, position)) => Position::Nested(fold(position.into()), outer, key),
        None => Position::Mapping(fold(position.into()), key),
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;

    use super::*;

    const SENDER: Address = Address::repeat_byte(0x51);
    const CONTRACT: Address = Address::repeat_byte(0xc0);

    fn words(words: [u64; 2]) -> Vec<u8> {
        let words = words.iter().flat_map(|word| U256::from(*word).to_be_bytes::<32>());
        [1, 2, 3, 4].into_iter().chain(words).collect()
    }

    /// Where a mapping keeps the value of a word, which is noted.
    fn value_of(preimages: &mut Preimages, key: B256, position: B256) -> B256 {
        let message: [u8; 64] = [key.0, position.0].concat().try_into().unwrap();
        let hash = keccak256(message);
        preimages.add(hash, message);
        hash
    }

    #[test]
    fn slots_are_explained_by_sender_and_arguments() {
        let input = words([7, 0xa11ce]);
        let call = Call { sender: SENDER, to: CONTRACT, input: &input };
        let [first, second] = [7, 0xa11ce].map(|word| B256::from(U256::from(word)));
        let position = B256::with_last_byte(3);
        let folded = fold(position.into());
        let mut preimages = Preimages::default();
        let by_sender = value_of(&mut preimages, SENDER.into_word(), position);
        let nested = value_of(&mut preimages, first, by_sender);
        let by_second = value_of(&mut preimages, second, position);
        let by_stranger = value_of(&mut preimages, B256::repeat_byte(9), position);

        let check = |slot: U256, expected: Position| {
            assert_eq!(explain(slot, call, &preimages), expected);
        };
        check(U256::from(5), Position::Fixed(U256::from(5)));
        check(by_sender.into(), Position::Mapping(folded, Word::Sender));
        let in_struct = U256::from_be_bytes(by_second.0) + U256::from(2);
        check(in_struct, Position::Mapping(folded, Word::Argument(1)));
        check(nested.into(), Position::Nested(folded, Word::Sender, Word::Argument(0)));
        check(by_stranger.into(), Position::Fixed(by_stranger.into()));
        let nothing = U256::MAX / U256::from(3);
        check(nothing, Position::Fixed(nothing));
    }

    #[test]
    fn what_one_contract_taught_goes_for_its_twins() {
        let mut forecast = Forecast::default();
        let pools = [Address::repeat_byte(1), Address::repeat_byte(2)];
        let input = words([0, 0]);
        let code = 77;
        let call = |to: Address| Call { sender: SENDER, to, input: &input };
        for pool in pools {
            forecast.introduce((pool, call(pool).selector()), Some(code));
        }
        let reserve = U256::from(8);
        let changed = [Seen { address: pools[0], slot: Some(reserve) }];
        forecast.learn(call(pools[0]), 100_000, changed.into_iter(), &Preimages::default());

        let profile = &forecast.profiles[forecast.functions[&(pools[1], [1, 2, 3, 4])] as usize];
        let places: Vec<_> =
            profile.rules.iter().filter_map(|rule| rule.place(call(pools[1]))).collect();
        let expected = Place::account(&pools[1]).within(u64::MAX - 1, fold(reserve));
        assert_eq!(places, [expected]);
    }

    #[test]
    fn a_call_that_changes_very_much_teaches_little() {
        let mut forecast = Forecast::default();
        let input = words([0, 0]);
        let call = Call { sender: SENDER, to: CONTRACT, input: &input };
        forecast.introduce((CONTRACT, call.selector()), Some(1));
        for lesson in 0..100_u64 {
            let slots = (0..20_000_u64).map(|slot| U256::from((lesson << 32) + slot));
            let changed = slots.map(|slot| Seen { address: CONTRACT, slot: Some(slot) });
            forecast.learn(call, 1, changed, &Preimages::default());
            assert!(forecast.profiles[0].rules.len() <= 4 * RULES_KEPT);
        }
    }

    #[test]
    fn whatever_calldata_begins_with_profiles_stay_few() {
        let mut forecast = Forecast::default();
        for selector in 1..10_000_u32 {
            forecast.introduce((CONTRACT, selector.to_be_bytes()), Some(1));
            forecast.introduce((SENDER, selector.to_be_bytes()), None);
        }
        assert_eq!(forecast.profiles.len(), SELECTORS_MAX + 2);
    }

    #[test]
    fn enough_samples_are_enough_until_a_forecast_is_wrong() {
        let mut forecast = Forecast::default();
        let input = words([0, 0]);
        let call = Call { sender: SENDER, to: CONTRACT, input: &input };
        assert!(!forecast.wants(call), "nobody knows its code");
        forecast.introduce((CONTRACT, call.selector()), Some(1));
        let samples = |forecast: &mut Forecast| {
            let mut count = 0;
            while forecast.wants(call) {
                forecast.learn(call, 1, std::iter::empty(), &Preimages::default());
                count += 1;
            }
            count
        };
        assert_eq!(samples(&mut forecast), SAMPLES);
        forecast.next_window();
        forecast.was_wrong(call);
        assert_eq!(samples(&mut forecast), SAMPLES_AGAIN);
    }
}
