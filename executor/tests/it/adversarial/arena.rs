//! Where blocks are built on one executor after the other, and compared with the oracle.

use std::{collections::HashMap, sync::Arc};

use alloy_consensus::{TxEip1559, TxEip7702};
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use millrace_executor::{BlockAttributes, Candidate, Executor, ExecutorConfig, Limits};
use millrace_types::{Header, SealedHeader};
use rand::{SeedableRng, rngs::StdRng};

use crate::{
    differential::{executor, scene::found},
    oracle::{Build, Family, Memory, build, check, check_replay},
    world::{CHAIN_ID, GAS_LIMIT, attributes, delegating, signed},
};

/// How many send in a block to which everybody comes.
pub(super) const USERS: usize = 48;

/// One of those who send, or, past [`USERS`], somebody who has nothing.
pub(super) fn user(index: usize) -> Address {
    Address::with_last_byte(0xad).create(index as u64)
}

/// Plays a scene on chains of both families, on two to eight threads.
pub(super) fn on_any_number_of_threads(play: impl Fn(&mut Arena)) {
    for family in [Family::Ethereum, Family::Rollup] {
        for (threads, eager) in [(2, true), (3, true), (8, true), (4, false)] {
            play(&mut Arena::new(family, threads, eager));
        }
    }
}

pub(super) struct Arena {
    family: Family,
    pub(super) executor: Executor,
    pub(super) state: Arc<Memory>,
    pub(super) attributes: BlockAttributes,
    nonces: HashMap<usize, u64>,
}

impl Arena {
    pub(super) fn new(family: Family, threads: usize, eager: bool) -> Self {
        let users: Vec<_> = (0..USERS).map(user).collect();
        let mut state = found(&users, &mut StdRng::seed_from_u64(1));
        let mut attributes = attributes();
        attributes.gas_limit = 100 * GAS_LIMIT;
        if family == Family::Ethereum {
            attributes.beneficiary = user(1);
        }
        state.set_block_hash(attributes.parent.number, attributes.parent.hash());
        let config = ExecutorConfig { threads, eager, ..ExecutorConfig::default() };
        let (executor, state) = (executor(family, config), Arc::new(state));
        Self { family, executor, state, attributes, nonces: HashMap::new() }
    }

    pub(super) fn beneficiary(&self) -> Address {
        self.attributes.beneficiary
    }

    pub(super) fn call(&mut self, sender: usize, to: Address, input: Bytes) -> Candidate {
        self.send(sender, to, 0, input)
    }

    pub(super) fn send(
        &mut self,
        sender: usize,
        to: Address,
        value: u64,
        input: Bytes,
    ) -> Candidate {
        self.transact(sender, TxKind::Call(to), value, input)
    }

    pub(super) fn transact(
        &mut self,
        sender: usize,
        to: TxKind,
        value: u64,
        input: Bytes,
    ) -> Candidate {
        let tx = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: self.take_nonce(sender),
            gas_limit: 900_000,
            max_fee_per_gas: 3_000,
            max_priority_fee_per_gas: 500,
            to,
            value: U256::from(value),
            input,
            ..TxEip1559::default()
        };
        Candidate::new(signed(tx, user(sender)))
    }

    pub(super) fn delegate(
        &mut self,
        sender: usize,
        authorizations: impl Iterator<Item = SignedAuthorization>,
    ) -> Candidate {
        let tx = TxEip7702 {
            chain_id: CHAIN_ID,
            nonce: self.take_nonce(sender),
            gas_limit: 900_000,
            max_fee_per_gas: 3_000,
            max_priority_fee_per_gas: 500,
            to: user(0),
            authorization_list: authorizations.collect(),
            ..TxEip7702::default()
        };
        Candidate::new(delegating(tx, user(sender)))
    }

    pub(super) fn nonce(&self, sender: usize) -> u64 {
        self.nonces.get(&sender).copied().unwrap_or_default()
    }

    fn take_nonce(&mut self, sender: usize) -> u64 {
        let next = self.nonces.entry(sender).or_default();
        *next += 1;
        *next - 1
    }

    pub(super) fn skip_nonce(&mut self, sender: usize) {
        self.take_nonce(sender);
    }

    /// A block of one group, in which everybody sends one transaction.
    pub(super) fn crowd(&mut self, mut act: impl FnMut(&mut Self, usize) -> Candidate) {
        let group: Vec<_> = (0..USERS).map(|sender| act(self, sender)).collect();
        let built = self.run(vec![group]);
        assert_eq!(built.executed.transactions.len(), USERS);
    }

    /// Builds the next block, compares it with the oracle, and executes it again in other ways.
    pub(super) fn run(&mut self, groups: Vec<Vec<Candidate>>) -> Build {
        let groups = groups.into_iter().map(|group| (group, Limits::NONE)).collect();
        let before = self.state.clone();
        let built = build(&self.executor, &self.attributes, before.clone(), &[], groups);
        self.settle(&before, &built);
        assert_eq!(self.executor.stats().panics, 0);
        built
    }

    /// Compares a block with the oracle, and goes on to the next.
    pub(super) fn settle(&mut self, before: &Arc<Memory>, built: &Build) {
        let mut after = check(self.family, before, built);
        let executed = &built.executed;
        let config = ExecutorConfig { threads: 4, eager: true, ..ExecutorConfig::default() };
        let other = executor(self.family, config);
        for replayer in [&self.executor, &other] {
            for waypoints in [&executed.waypoints[..], &[]] {
                let attributes = built.attributes.clone();
                let transactions = &executed.transactions;
                let again =
                    replayer.replay(attributes, transactions, waypoints, before.clone()).unwrap();
                check_replay(before, executed, &after, &again);
            }
        }
        let header = Header {
            number: self.attributes.number(),
            timestamp: self.attributes.timestamp,
            parent_hash: self.attributes.parent.hash(),
            mix_hash: B256::from(U256::from(self.attributes.timestamp)),
            ..Header::default()
        };
        self.attributes.parent = SealedHeader::seal_slow(header);
        self.attributes.timestamp += 2;
        let parent = &self.attributes.parent;
        after.set_block_hash(parent.number, parent.hash());
        self.state = Arc::new(after);
    }
}
