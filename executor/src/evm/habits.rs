//! What functions of contracts will probably hash and load, learned from calls that ran.
//!
//! Solidity keeps `balances[to]` at `keccak(to ‖ position)`. Whoever sees that hash asked for, and the argument `to` beside
//! it, can tell it for the next call before that runs: the hashes of several calls are then worked out together, and what
//! lies there is read while nobody waits. A habit that does not come true costs a little time and nothing else.

use alloy_primitives::{Address, B256, U256, map::HashMap};

use super::{
    calldata::{Call, CodeFunction, Owner, Word},
    hashes::{Hashes, Mapped, Miss},
};

/// Functions that were called lately, and what calls of them look for.
#[derive(Debug, Default)]
pub(crate) struct Habits {
    functions: HashMap<CodeFunction, Vec<Habit>>,
    ahead: Ahead,
}

/// Past this many functions everything is learned anew, which takes two calls each.
const FUNCTIONS_MAX: usize = 1 << 12;

/// Habits of one function.
const HABITS_MAX: usize = 12;

/// Calls that must have shown a habit before anybody relies on it.
const SEEN_MIN: u8 = 2;

/// A value of a mapping that calls of a function look for.
#[derive(Debug, Clone, Copy)]
struct Habit {
    /// Whose mapping it is.
    owner: Owner,
    mapping: Mapping,
    key: Word,
    seen: u8,
    /// The value lies right there: it is no mapping itself, and no struct whose first word nobody looks at.
    is_loaded: bool,
}

/// Where a mapping is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mapping {
    /// At this position of the contract.
    At(B256),
    /// Within another one: it is the value that this habit of the function looks for.
    Within(usize),
}

/// Memory for looking ahead, kept from one time to the next.
#[derive(Debug, Default)]
struct Ahead {
    outer: Vec<Mapped>,
    inner: Vec<Mapped>,
    hashes: Vec<B256>,
    /// Whose mapping each hash belongs to, if its value will be loaded.
    loaded_from: Vec<Option<Address>>,
    inner_loaded_from: Vec<Option<Address>>,
    /// Which outer hash each inner message waits for.
    within: Vec<usize>,
}

impl Habits {
    /// Hashes what calls will probably ask for.
    pub(super) fn hash_ahead<'a>(
        &mut self,
        calls: impl Iterator<Item = (CodeFunction, Call<'a>)>,
        hashes: &mut Hashes,
    ) {
        let Self { functions, ahead } = self;
        ahead.clear();
        for (function, call) in calls {
            if let Some(habits) = functions.get(&function) {
                ahead.add(call, habits);
            }
        }
        ahead.hash(hashes);
    }

    /// The slots that these calls will load.
    pub(super) fn slots_ahead(&self) -> impl Iterator<Item = (Address, U256)> {
        let slots = self.ahead.loaded_from.iter().zip(&self.ahead.hashes);
        slots.filter_map(|(owner, hash)| Some(((*owner)?, U256::from_be_bytes(hash.0))))
    }

    /// Learns from hashes that a call asked for and nobody had foreseen.
    pub(super) fn learn(
        &mut self,
        function: CodeFunction,
        call: Call<'_>,
        misses: &[Miss],
        is_loaded: impl Fn(&Miss) -> bool,
    ) {
        if self.functions.len() >= FUNCTIONS_MAX {
            self.functions.clear();
        }
        let habits = self.functions.entry(function).or_default();
        // What habits that show in this call came to.
        let mut shown = [None; HABITS_MAX];
        for miss in misses {
            let (word, position) = miss.parts();
            let Some(key) = call.find(word) else { continue };
            let within = shown.iter().position(|hash| *hash == Some(position));
            let mapping = within.map_or(Mapping::At(position), Mapping::Within);
            let owner = call.owner_of(miss.owner);
            let same =
                |habit: &Habit| (habit.owner, habit.mapping, habit.key) == (owner, mapping, key);
            let Some(index) = habits.iter().position(same).or_else(|| room(habits)) else {
                continue;
            };
            let new = Habit { owner, mapping, key, seen: 0, is_loaded: false };
            if index == habits.len() {
                habits.push(new);
            } else if !same(&habits[index]) {
                habits[index] = new;
            }
            let habit = &mut habits[index];
            habit.seen = habit.seen.saturating_add(1);
            habit.is_loaded |= is_loaded(miss);
            shown[index] = Some(miss.hash);
        }
    }
}

/// Where one more habit finds room: at the end, or in place of one that was seen once and perhaps by chance.
fn room(habits: &[Habit]) -> Option<usize> {
    if habits.len() < HABITS_MAX {
        return Some(habits.len());
    }
    habits.iter().position(|habit| habit.seen < SEEN_MIN)
}

impl Ahead {
    fn clear(&mut self) {
        self.outer.clear();
        self.inner.clear();
        self.hashes.clear();
        self.loaded_from.clear();
        self.inner_loaded_from.clear();
        self.within.clear();
    }

    fn add(&mut self, call: Call<'_>, habits: &[Habit]) {
        let mut places = [None; HABITS_MAX];
        for (index, habit) in habits.iter().enumerate() {
            if habit.seen < SEEN_MIN {
                continue;
            }
            let Some(word) = call.word(habit.key) else { continue };
            let owner = if habit.is_loaded { call.owner(habit.owner) } else { None };
            let mut message = [0; 64];
            message[..32].copy_from_slice(word.as_slice());
            match habit.mapping {
                Mapping::At(position) => {
                    message[32..].copy_from_slice(position.as_slice());
                    places[index] = Some(self.outer.len());
                    self.outer.push(message);
                    self.loaded_from.push(owner);
                }
                Mapping::Within(outer) => {
                    let Some(outer) = places[outer] else { continue };
                    self.inner.push(message);
                    self.inner_loaded_from.push(owner);
                    self.within.push(outer);
                }
            }
        }
    }

    fn hash(&mut self, hashes: &mut Hashes) {
        hashes.hash_ahead(&self.outer, &mut self.hashes);
        for (message, outer) in self.inner.iter_mut().zip(&self.within) {
            message[32..].copy_from_slice(self.hashes[*outer].as_slice());
        }
        hashes.hash_ahead(&self.inner, &mut self.hashes);
        self.loaded_from.append(&mut self.inner_loaded_from);
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;

    use super::*;

    const TOKEN: Address = Address::repeat_byte(0x70);
    const FUNCTION: CodeFunction = (7, [1, 2, 3, 4]);

    fn input(words: &[u64]) -> Vec<u8> {
        let words = words.iter().flat_map(|word| U256::from(*word).to_be_bytes::<32>());
        [1, 2, 3, 4].into_iter().chain(words).collect()
    }

    fn value_of(key: B256, position: B256) -> Miss {
        let mut message = [0; 64];
        message[..32].copy_from_slice(key.as_slice());
        message[32..].copy_from_slice(position.as_slice());
        Miss { owner: TOKEN, message, hash: keccak256(message) }
    }

    /// What a call looks for: the balance of an argument, and the sender's allowance for it.
    fn call(habits: &mut Habits, sender: u8, argument: u64) -> [Miss; 3] {
        let input = input(&[argument]);
        let call = Call { sender: Address::repeat_byte(sender), to: TOKEN, input: &input };
        let argument = B256::from(U256::from(argument));
        let balance = value_of(argument, B256::with_last_byte(1));
        let allowances = value_of(call.sender.into_word(), B256::with_last_byte(2));
        let allowance = value_of(argument, allowances.hash);
        let misses = [balance, allowances, allowance];
        habits.learn(FUNCTION, call, &misses, |miss| miss.hash != allowances.hash);
        misses
    }

    #[test]
    fn what_two_calls_did_is_foreseen_for_the_third() {
        let mut habits = Habits::default();
        call(&mut habits, 1, 100);
        call(&mut habits, 2, 200);
        let third = input(&[300]);
        let sender = Address::repeat_byte(3);
        let expected = call(&mut Habits::default(), 3, 300);

        let learned = &habits.functions[&FUNCTION];
        let mut hashes = Hashes::default();
        let mut ahead = Ahead::default();
        ahead.add(Call { sender, to: TOKEN, input: &third }, learned);
        ahead.hash(&mut hashes);
        assert_eq!(ahead.hashes, expected.map(|miss| miss.hash));
        assert_eq!(ahead.loaded_from, [Some(TOKEN), None, Some(TOKEN)]);
        for miss in expected {
            assert_eq!(hashes.hash(TOKEN, &miss.message), miss.hash);
        }
        assert!(hashes.misses().is_empty());
    }

    #[test]
    fn what_never_comes_again_makes_room() {
        let mut habits = Habits::default();
        let input = input(&[7]);
        let call = Call { sender: Address::ZERO, to: TOKEN, input: &input };
        for position in 0..100 {
            let miss = value_of(B256::with_last_byte(7), B256::repeat_byte(position));
            habits.learn(FUNCTION, call, &[miss], |_| true);
        }
        let often = value_of(B256::with_last_byte(7), B256::repeat_byte(200));
        habits.learn(FUNCTION, call, &[often], |_| true);
        habits.learn(FUNCTION, call, &[often], |_| true);
        let learned = &habits.functions[&FUNCTION];
        assert_eq!(learned.len(), HABITS_MAX);
        assert_eq!(learned.iter().filter(|habit| habit.seen >= SEEN_MIN).count(), 1);
    }
}
