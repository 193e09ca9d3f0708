//! The words of a call that what it does may depend on: what tells one call of a function from the next.

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, TxKind};
use millrace_types::Transaction;

/// Words of calldata that are looked at.
const ARGUMENTS: usize = 8;

/// What the ABI tells functions apart by.
pub(crate) type Selector = [u8; 4];

/// A function of whichever contracts have some code.
pub(crate) type CodeFunction = (CodeName, Selector);

/// Tells code apart, well enough for what proves nothing: the beginning of its hash.
pub(crate) type CodeName = u64;

/// A call of a contract.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) sender: Address,
    pub(crate) to: Address,
    pub(crate) input: &'a [u8],
}

/// Where a word comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Sender,
    /// The contract that was called: others may keep balances of it.
    Called,
    Argument(usize),
}

/// Whose storage something lies in, as calls of a function have it in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Named(Word),
    /// One that no word of the call names.
    Contract(Address),
}

impl<'a> Call<'a> {
    /// The call that a transaction makes, if it calls a function.
    pub(crate) fn of(transaction: &'a Transaction) -> Option<Self> {
        let TxKind::Call(to) = transaction.kind() else { return None };
        let input = transaction.input();
        (input.len() >= 4).then_some(Self { sender: transaction.sender(), to, input })
    }

    /// Which function of the contract is called.
    pub(crate) fn selector(&self) -> Selector {
        self.input.first_chunk().copied().unwrap_or_default()
    }

    /// One of the call's words, if it is that long.
    pub(crate) fn word(&self, word: Word) -> Option<B256> {
        match word {
            Word::Sender => Some(self.sender.into_word()),
            Word::Called => Some(self.to.into_word()),
            Word::Argument(index) => {
                self.input.get(4 + 32 * index..)?.first_chunk().map(|word| B256::new(*word))
            }
        }
    }

    /// Which of the call's words this is.
    pub(crate) fn find(&self, value: B256) -> Option<Word> {
        Word::all().find(|word| self.word(*word) == Some(value))
    }

    /// How a call like this one tells whose storage it is.
    pub(crate) fn owner_of(&self, address: Address) -> Owner {
        self.find(address.into_word()).map_or(Owner::Contract(address), Owner::Named)
    }

    /// Whose storage it is for this call.
    pub(crate) fn owner(&self, owner: Owner) -> Option<Address> {
        match owner {
            Owner::Contract(address) => Some(address),
            Owner::Named(word) => self.word(word).map(Address::from_word),
        }
    }
}

/// The name of code that has this hash.
pub(crate) fn code_name(hash: &B256) -> CodeName {
    hash.first_chunk().map_or(0, |beginning| u64::from_le_bytes(*beginning))
}

impl Word {
    fn all() -> impl Iterator<Item = Self> {
        [Self::Sender, Self::Called].into_iter().chain((0..ARGUMENTS).map(Self::Argument))
    }
}
