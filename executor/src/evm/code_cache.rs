//! Analysed code, one cache a lane.

use alloy_primitives::{B256, Bytes, map::B256Map};
use revm::{
    bytecode::{JumpTable, opcode},
    state::Bytecode,
};

use crate::StateError;

/// Code by its hash, ready to run.
///
/// Each lane has its own, with its own copy of every byte: a reference count that two cores share costs more than most
/// of what a transfer does, and revm touches that of an account's code each time it loads the account. The same holds
/// for the code of accounts without any, which revm keeps in one place for the whole process.
#[derive(Debug)]
pub(crate) struct CodeCache {
    codes: B256Map<Bytecode>,
    bytes: usize,
    empty: Bytecode,
}

/// Past this much code the cache starts anew: enough for all that a chain calls often, and a bound on what deploying
/// and calling ever new contracts can take.
const BYTES_MAX: usize = 64 << 20;

/// What a piece of code takes besides its bytes, about: a delegation has 23 of these.
const OVERHEAD: usize = 256;

impl Default for CodeCache {
    fn default() -> Self {
        Self { codes: B256Map::default(), bytes: 0, empty: empty() }
    }
}

impl CodeCache {
    /// The code of an account without code.
    pub(crate) fn empty(&self) -> Bytecode {
        self.empty.clone()
    }

    /// Code that may have been seen before, and is fetched otherwise.
    pub(crate) fn get(
        &mut self,
        hash: B256,
        fetch: impl FnOnce() -> Result<Bytes, StateError>,
    ) -> Result<Bytecode, StateError> {
        if let Some(code) = self.codes.get(&hash) {
            return Ok(code.clone());
        }
        // The bytes are copied on purpose, see above.
        let bytes = Bytes::copy_from_slice(&fetch()?);
        let code = Bytecode::new_raw_checked(bytes).map_err(StateError::new)?;
        self.insert(hash, code.clone());
        Ok(code)
    }

    /// Adds code that is at hand anyway.
    pub(crate) fn insert(&mut self, hash: B256, code: Bytecode) {
        if self.bytes > BYTES_MAX {
            self.codes.clear();
            self.bytes = 0;
        }
        self.bytes += code.len() + OVERHEAD;
        self.codes.insert(hash, code);
    }
}

/// A copy of revm's empty code that nobody else counts references of.
fn empty() -> Bytecode {
    let stop = Bytes::copy_from_slice(&[opcode::STOP]);
    #[expect(unsafe_code, reason = "the safe constructors all share one empty code")]
    // SAFETY: the interpreter needs code that ends in STOP, a length within it and a jump table for that length. One STOP,
    // no length and the empty table are what `Bytecode::default` is made of; a test below compares the two.
    unsafe {
        Bytecode::new_analyzed(stop, 0, JumpTable::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_empty_code_is_that_of_revm() {
        assert_eq!(empty(), Bytecode::default());
        assert_eq!(empty().hash_slow(), Bytecode::default().hash_slow());
        assert!(empty().is_empty());
    }
}
