//! The pool against its model, and each rule by itself.

use std::collections::{BTreeSet, VecDeque};

use alloy_primitives::{Address, TxHash, U256};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use crate::mempool::{
    Admitted, DropReason, Event, Inserted, Limits, Mempool, Outcome, SenderCode, SenderState,
    SubmitError,
    entry::Place,
    model::Model,
    testing::{Transfer, World, address, rich},
};

/// A chain, a builder and senders who do anything at all to a pool and its model.
struct Simulation {
    rng: StdRng,
    world: World,
    pool: Mempool,
    model: Model,
    now_ms: u64,
    /// What the builder holds, in order.
    taken: VecDeque<Admitted>,
    /// What was included, with the account before.
    history: Vec<(Admitted, SenderState)>,
    /// The names of the errors and drop reasons met.
    seen: BTreeSet<String>,
}

const SENDERS: u8 = 6;

impl Simulation {
    fn new(seed: u64) -> Self {
        let limits = Limits {
            count_max: 14,
            bytes_max: 1_600,
            sender_count_max: 6,
            sender_queued_max: 3,
            price_bump_percent: 10,
            queued_lifetime_ms: 1_000,
        };
        let mut world = World::default();
        for sender in 1..=SENDERS {
            world.accounts.insert(address(sender), rich(0));
        }
        Self {
            rng: StdRng::seed_from_u64(seed),
            world,
            pool: Mempool::new(limits.clone(), 10),
            model: Model::new(limits, 10),
            now_ms: 0,
            taken: VecDeque::new(),
            history: Vec::new(),
            seen: BTreeSet::new(),
        }
    }

    fn step(&mut self) {
        self.now_ms += self.rng.random_range(0..40);
        match self.rng.random_range(0..100) {
            0..45 => self.insert(),
            45..60 => self.take(),
            60..78 => self.commit(),
            78..84 => self.disturb(),
            84..92 => {
                let base_fee = self.rng.random_range(0..40);
                self.pool.open_block(base_fee);
                self.model.open_block(base_fee);
            }
            92..97 => {
                self.now_ms += self.rng.random_range(0..600);
                self.pool.expire(self.now_ms);
                self.model.expire(self.now_ms);
            }
            _ => self.roll_back(),
        }
        self.compare();
    }

    fn insert(&mut self) {
        let group: Vec<_> = (0..self.rng.random_range(1..4)).map(|_| self.transaction()).collect();
        let expected: Vec<_> = group
            .iter()
            .map(|admitted| self.model.insert(admitted.clone(), &self.world, self.now_ms))
            .collect();
        assert_eq!(self.pool.insert_many(group, &self.world, self.now_ms), expected);
        self.seen.extend(expected.iter().filter_map(|answer| answer.as_ref().err()).map(name));
    }

    fn transaction(&mut self) -> Admitted {
        if self.rng.random_bool(0.05)
            && let Some(known) = self.model.txs.choose(&mut self.rng)
        {
            return known.admitted.clone();
        }
        let sender = self.rng.random_range(1..=SENDERS);
        let nonce = self.world.get(&address(sender)).nonce;
        let max_fee = self.rng.random_range(1..60);
        Transfer {
            sender,
            nonce: (nonce + self.rng.random_range(0..5))
                .saturating_sub(self.rng.random_range(0..2)),
            tip: self.rng.random_range(0..=max_fee),
            max_fee,
            gas: *[21_000, 21_000, 90_000].choose(&mut self.rng).unwrap(),
            value: self.rng.random_range(0..1 << 40),
        }
        .admitted()
    }

    fn take(&mut self) {
        let count = self.rng.random_range(0..5);
        let gas = self.rng.random_range(0..250_000);
        let taken = self.pool.take_best(count, gas);
        let hashes: Vec<_> = taken.iter().map(|tx| tx.hash()).collect();
        assert_eq!(hashes, self.model.take_best(count, gas));
        for hash in hashes {
            let tx = self.model.txs.iter().find(|tx| tx.hash() == hash).unwrap();
            self.taken.push_back(tx.admitted.clone());
        }
    }

    /// The builder executes some of what it holds.
    fn commit(&mut self) {
        let mut outcomes = Vec::new();
        let mut changed = Vec::new();
        for _ in 0..self.rng.random_range(0..5) {
            let Some(admitted) = self.taken.pop_front() else { break };
            let (hash, sender) = (admitted.tx.hash(), admitted.tx.sender());
            let state = self.world.get(&sender);
            let outcome = match self.rng.random_range(0..10) {
                0 => Outcome::Rejected("bad luck".into()),
                1 | 2 => Outcome::Deferred,
                _ if admitted.nonce > state.nonce => Outcome::Deferred,
                _ if admitted.nonce < state.nonce => Outcome::Rejected("nonce too low".into()),
                _ => {
                    let spent = U256::from(self.rng.random_range(0..1u64 << 40));
                    let after = SenderState {
                        nonce: state.nonce + 1,
                        balance: state.balance.saturating_sub(spent.min(admitted.cost)),
                        ..state
                    };
                    self.world.accounts.insert(sender, after);
                    self.history.push((admitted, state));
                    Outcome::Included
                }
            };
            outcomes.push((hash, outcome));
            changed.push(sender);
        }
        self.tell(outcomes, &changed);
    }

    fn tell(&mut self, outcomes: Vec<(TxHash, Outcome)>, changed: &[Address]) {
        let accounts: Vec<_> = changed.iter().map(|who| (*who, self.world.get(who))).collect();
        self.model.committed(&outcomes, &accounts);
        self.pool.committed(outcomes, accounts);
    }

    /// Somebody else changes an account: a deposit, a transfer, a delegation.
    fn disturb(&mut self) {
        let sender = address(self.rng.random_range(1..=SENDERS));
        let mut state = self.world.get(&sender);
        match self.rng.random_range(0..6) {
            0 => state.nonce += self.rng.random_range(1..3),
            1 => state.balance = U256::from(self.rng.random_range(0..1u64 << 42)),
            2 => state.code = SenderCode::Delegated,
            3 => state.code = SenderCode::Contract,
            _ => state = rich(state.nonce),
        }
        self.world.accounts.insert(sender, state);
        self.tell(Vec::new(), &[sender]);
    }

    fn roll_back(&mut self) {
        let keep = self.history.len().saturating_sub(self.rng.random_range(0..5));
        let undone = self.history.split_off(keep);
        for (admitted, before) in undone.iter().rev() {
            self.world.accounts.insert(admitted.tx.sender(), *before);
        }
        self.taken.clear();
        let rolled_back: Vec<_> = undone.into_iter().map(|(admitted, _)| admitted).collect();
        self.model.reset(rolled_back.clone(), &self.world, self.now_ms);
        self.pool.reset(rolled_back, &self.world, self.now_ms).unwrap();
    }

    fn compare(&mut self) {
        check_invariants(&self.pool);
        let (pool, model) = (&self.pool, &self.model);
        for sender in (1..=SENDERS).map(address) {
            let mine = model.of(&sender);
            let hashes: Vec<_> = mine.iter().map(|tx| tx.hash()).collect();
            let (pending, queued) = hashes.split_at(model.run(&sender));
            let content = pool.content_from(&sender);
            assert_eq!(content.is_some(), !mine.is_empty());
            let content = content.map_or((vec![], vec![]), |content| {
                let hashes = |txs: Vec<&std::sync::Arc<millrace_types::Transaction>>| {
                    txs.into_iter().map(|tx| tx.hash()).collect::<Vec<_>>()
                };
                (hashes(content.pending), hashes(content.queued))
            });
            assert_eq!(content, (pending.to_vec(), queued.to_vec()), "{sender}");
            let next = model.known.get(&sender).map(|state| state.nonce + pending.len() as u64);
            assert_eq!(pool.next_nonce(&sender), next);
        }
        let count = |test: &dyn Fn(&crate::mempool::model::ModelTx) -> bool| {
            model.txs.iter().filter(|tx| test(tx)).count()
        };
        let stats = pool.stats();
        assert_eq!(stats.pending, count(&|tx| model.is_pending(tx)));
        assert_eq!(stats.queued, count(&|tx| model.is_queued(tx)));
        assert_eq!(stats.in_flight, count(&|tx| tx.in_flight));
        assert_eq!(stats.bytes, model.bytes());
        assert_eq!(stats.senders, model.known.len());
        assert_eq!(stats.count(), model.txs.len());
        assert_eq!(pool.content().count(), stats.senders);
        let oldest = model.txs.iter().map(|tx| tx.arrived_ms).min();
        assert_eq!(pool.oldest_arrival_ms(), oldest);
        assert!(model.txs.iter().all(|tx| pool.get(&tx.hash()) == Some(&tx.admitted.tx)));

        let mut dropped: Vec<_> = self.pool.take_events().into_iter().filter_map(dropped).collect();
        let mut expected = std::mem::take(&mut self.model.dropped);
        // Which of several goes first within one step is nobody's business.
        dropped.sort_by_key(|(hash, reason)| (*hash, reason.to_string()));
        expected.sort_by_key(|(hash, reason)| (*hash, reason.to_string()));
        assert_eq!(dropped, expected);
        self.seen.extend(dropped.iter().map(|(_, reason)| name(reason)));
    }
}

/// A variant without its fields.
fn name(variant: &impl std::fmt::Debug) -> String {
    let debug = format!("{variant:?}");
    debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

fn dropped(event: Event) -> Option<(TxHash, DropReason)> {
    match event {
        Event::Dropped { hash, reason, .. } => Some((hash, reason)),
        Event::Pending(_) => None,
    }
}

/// What must hold between the books, whatever happened.
fn check_invariants(pool: &Mempool) {
    let stats = pool.stats();
    assert_eq!(pool.entries.len(), stats.count());
    assert_eq!(pool.by_hash.len(), stats.count());
    assert_eq!(pool.by_address.len(), stats.senders);
    assert_eq!(pool.worst_pending.len(), stats.pending);
    assert_eq!(pool.worst_queued.len(), stats.queued);
    assert!(stats.count() <= pool.limits.count_max);
    assert!(stats.bytes <= pool.limits.bytes_max);
    let mut offered = 0;
    let mut listed = 0;
    for owner in pool.senders.ids() {
        let sender = &pool.senders[owner];
        assert_eq!(pool.by_address[&sender.address], owner);
        assert!(!sender.txs.is_empty());
        assert!(sender.txs.len() <= pool.limits.sender_count_max);
        assert!(sender.txs.iter().map(|(nonce, _)| nonce).is_sorted_by(|a, b| a < b));
        assert!(sender.txs[0].0 >= sender.state.nonce);
        let mut cost = U256::ZERO;
        let mut first_free = None;
        for (index, (nonce, id)) in sender.txs.iter().enumerate() {
            let entry = &pool.entries[*id];
            assert_eq!((entry.sender, entry.nonce), (owner, *nonce));
            let in_run = *nonce == sender.state.nonce + index as u64;
            assert_eq!(in_run, index < sender.run, "the run is as long as it can be");
            match entry.place {
                Place::Pending => assert!(in_run),
                Place::Queued => assert!(!in_run),
                Place::InFlight => {}
            }
            if in_run && entry.place == Place::Pending {
                first_free = first_free.or(Some(*id));
            }
            cost += entry.cost;
        }
        assert_eq!(sender.cost, cost);
        assert_eq!(sender.offered, first_free);
        offered += usize::from(first_free.is_some());
        listed += sender.txs.len();
    }
    assert_eq!(listed, stats.count());
    assert_eq!(pool.offers.len(), offered);
}

/// A simulation that never meets a rule says nothing about it.
const RULES_TO_MEET: [&str; 19] = [
    "AccountLimit",
    "AlreadyKnown",
    "BumpOverdraft",
    "DelegatedGap",
    "DelegatedLimit",
    "Evicted",
    "Expired",
    "InsufficientFunds",
    "NonceTooLow",
    "Overdraft",
    "PoolFull",
    "Refused",
    "Rejected",
    "Replaced",
    "ReplacementUnderpriced",
    "SenderNotEoa",
    "Stale",
    "Unaffordable",
    "Underpriced",
];

#[test]
fn agrees_with_the_model() {
    let first: u64 = rand::rng().random();
    let mut met = BTreeSet::new();
    let everything_met =
        |met: &BTreeSet<String>| RULES_TO_MEET.iter().all(|rule| met.contains(*rule));
    for round in 0..200 {
        if round >= 12 && everything_met(&met) {
            break;
        }
        let seed = first.wrapping_add(round);
        // Shown when the test fails.
        eprintln!("seed {seed}");
        let mut simulation = Simulation::new(seed);
        for _ in 0..400 {
            simulation.step();
        }
        met.append(&mut simulation.seen);
    }
    assert!(everything_met(&met), "met only {met:?}");
}

/// A pool of this many with the usual rest.
fn pool_of(count_max: usize) -> Mempool {
    Mempool::new(Limits { count_max, ..Limits::default() }, 10)
}

fn insert(pool: &mut Mempool, world: &World, transfer: Transfer) -> Result<Inserted, SubmitError> {
    let inserted = pool.insert(transfer.admitted(), world, 0);
    check_invariants(pool);
    inserted
}

fn nonces(taken: &[std::sync::Arc<millrace_types::Transaction>]) -> Vec<(u8, u64)> {
    use alloy_consensus::Transaction as _;
    taken.iter().map(|tx| (tx.sender()[19], tx.nonce())).collect()
}

#[test]
fn a_gap_waits_and_closes() {
    let (mut pool, world) = (pool_of(10), World::default());
    let second = Transfer { nonce: 1, ..Default::default() };
    assert_eq!(insert(&mut pool, &world, second), Ok(Inserted::Queued));
    assert_eq!(pool.take_best(9, u64::MAX), []);
    assert_eq!(pool.take_events(), []);
    assert_eq!(insert(&mut pool, &world, Transfer::default()), Ok(Inserted::Pending));
    let (first, second) = (Transfer::default().admitted(), second.admitted());
    let became = |admitted: &Admitted| Event::Pending(admitted.tx.hash());
    assert_eq!(pool.take_events(), [became(&first), became(&second)]);
    assert_eq!(pool.next_nonce(&address(1)), Some(2));
    assert_eq!(nonces(&pool.take_best(9, u64::MAX)), [(1, 0), (1, 1)]);
}

#[test]
fn the_best_tip_comes_first_and_then_the_first_to_arrive() {
    let (mut pool, world) = (pool_of(10), World::default());
    for (sender, nonce, tip) in [(1, 0, 1), (1, 1, 50), (2, 0, 7), (3, 0, 7), (4, 0, 8)] {
        insert(&mut pool, &world, Transfer { sender, nonce, tip, ..Default::default() }).unwrap();
    }
    let taken = pool.take_best(9, u64::MAX);
    assert_eq!(nonces(&taken), [(4, 0), (2, 0), (3, 0), (1, 0), (1, 1)]);
}

#[test]
fn parks_below_the_base_fee_and_returns_when_it_falls() {
    let (mut pool, world) = (pool_of(10), World::default());
    insert(&mut pool, &world, Transfer { sender: 1, tip: 30, max_fee: 40, ..Default::default() })
        .unwrap();
    insert(&mut pool, &world, Transfer { sender: 2, tip: 5, max_fee: 90, ..Default::default() })
        .unwrap();
    let mut order_at = |base_fee| {
        pool.open_block(base_fee);
        let taken = pool.take_best(9, u64::MAX);
        let outcomes = taken.iter().map(|tx| (tx.hash(), Outcome::Deferred));
        pool.committed(outcomes, []);
        check_invariants(&pool);
        nonces(&taken)
    };
    assert_eq!(order_at(10), [(1, 0), (2, 0)]);
    // At 37 the first pays 3 above it; at 41 its cap is too low; at 91 both are.
    assert_eq!(order_at(37), [(2, 0), (1, 0)]);
    assert_eq!(order_at(41), [(2, 0)]);
    assert_eq!(order_at(91), []);
    assert_eq!(order_at(40), [(2, 0), (1, 0)]);
    assert_eq!(order_at(0), [(1, 0), (2, 0)]);
    assert_eq!(pool.stats().pending, 2);
}

#[test]
fn a_replacement_pays_a_tenth_more_in_both_fees() {
    let (mut pool, world) = (pool_of(10), World::default());
    let old = Transfer { tip: 20, max_fee: 105, ..Default::default() };
    insert(&mut pool, &world, old).unwrap();
    for (tip, max_fee) in [(21, 200), (22, 114), (20, 200)] {
        let underpriced = Transfer { tip, max_fee, ..old };
        let refused = insert(&mut pool, &world, underpriced);
        assert_eq!(refused, Err(SubmitError::ReplacementUnderpriced), "{tip} {max_fee}");
    }
    let new = Transfer { tip: 22, max_fee: 115, ..old };
    assert_eq!(insert(&mut pool, &world, new), Ok(Inserted::Pending));
    let (old, new) = (old.admitted().tx.hash(), new.admitted().tx.hash());
    assert!(!pool.contains(&old) && pool.contains(&new));
    let reasons: Vec<_> = pool.take_events().into_iter().filter_map(dropped).collect();
    assert_eq!(reasons, [(old, DropReason::Replaced(new))]);

    pool.take_best(1, u64::MAX);
    let late = Transfer { tip: 90, max_fee: 900, ..Default::default() };
    let refused = insert(&mut pool, &world, late);
    assert_eq!(
        refused,
        Err(SubmitError::NonceTooLow { next: 1, nonce: 0 }),
        "it is being executed"
    );
}

#[test]
fn an_evicted_transaction_takes_its_successors_along() {
    let (mut pool, world) = (pool_of(3), World::default());
    for (nonce, tip) in [(0, 3), (1, 1), (2, 9)] {
        insert(&mut pool, &world, Transfer { nonce, tip, ..Default::default() }).unwrap();
    }
    insert(&mut pool, &world, Transfer { sender: 2, tip: 2, ..Default::default() }).unwrap();
    assert_eq!((pool.stats().pending, pool.stats().queued), (2, 1));
    // The one behind the gap pays best, and goes first.
    insert(&mut pool, &world, Transfer { sender: 3, tip: 1, ..Default::default() }).unwrap();
    assert_eq!((pool.stats().pending, pool.stats().queued), (3, 0));
    let full = insert(&mut pool, &world, Transfer { sender: 4, tip: 1, ..Default::default() });
    assert_eq!(full, Err(SubmitError::Underpriced));
    let gapped = Transfer { sender: 4, nonce: 1, tip: 99, ..Default::default() };
    assert_eq!(insert(&mut pool, &world, gapped), Err(SubmitError::PoolFull));
}

#[test]
fn what_does_not_fit_is_passed_over() {
    let (mut pool, world) = (pool_of(10), World::default());
    insert(&mut pool, &world, Transfer { sender: 1, tip: 9, gas: 500_000, ..Default::default() })
        .unwrap();
    insert(&mut pool, &world, Transfer { sender: 2, tip: 1, ..Default::default() }).unwrap();
    assert_eq!(nonces(&pool.take_best(9, 100_000)), [(2, 0)]);
    check_invariants(&pool);
    // Gas only becomes less within a block, so it is not looked at again before the next one.
    assert_eq!(nonces(&pool.take_best(9, 500_000)), []);
    pool.open_block(0);
    assert_eq!(nonces(&pool.take_best(9, 500_000)), [(1, 0)]);
}

/// Whoever fills the pool's head with transactions that fit no block must not keep others out of it.
#[test]
fn any_number_of_misfits_stands_in_nobodys_way() {
    let (mut pool, world) = (pool_of(1_000), World::default());
    for sender in 2..200 {
        let misfit = Transfer { sender, tip: 9, gas: 500_000, ..Default::default() };
        insert(&mut pool, &world, misfit).unwrap();
    }
    insert(&mut pool, &world, Transfer { sender: 1, tip: 1, ..Default::default() }).unwrap();
    for _ in 0..3 {
        pool.open_block(0);
        let taken = pool.take_best(9, 100_000);
        assert_eq!(nonces(&taken), [(1, 0)]);
        pool.committed([(taken[0].hash(), Outcome::Deferred)], []);
        check_invariants(&pool);
    }
}

#[test]
fn nothing_changes_when_the_state_cannot_be_read() {
    let (mut pool, world) = (pool_of(10), World::default());
    insert(&mut pool, &world, Transfer::default()).unwrap();
    let taken = pool.take_best(1, u64::MAX);
    world.unavailable.set(true);
    assert!(pool.reset([], &world, 0).is_err());
    assert_eq!(pool.stats().in_flight, taken.len());
    let unknown = insert(&mut pool, &world, Transfer { sender: 2, ..Default::default() });
    assert!(matches!(unknown, Err(SubmitError::Accounts(_))), "{unknown:?}");
    check_invariants(&pool);
}

#[test]
fn events_are_bounded_and_the_lost_are_counted() {
    let (mut pool, world) = (pool_of(10), World::default());
    let mut fees = 1;
    for _ in 0..crate::mempool::limits::EVENTS_MAX {
        pool.emit(Event::Pending(TxHash::ZERO));
        fees += 1;
    }
    insert(&mut pool, &world, Transfer { tip: fees, max_fee: fees, ..Default::default() }).unwrap();
    assert_eq!(pool.events_lost(), 1);
    assert_eq!(pool.take_events().len(), crate::mempool::limits::EVENTS_MAX);
}

#[test]
fn expiry_counts_from_when_waiting_began_and_never_runs_backwards() {
    let (mut pool, world) = (pool_of(10), World::default());
    let lifetime = pool.limits.queued_lifetime_ms;
    let gapped = Transfer { nonce: 1, ..Default::default() }.admitted();
    let pending = Transfer { sender: 2, ..Default::default() }.admitted();
    pool.insert_many([gapped.clone(), pending], &world, 500).into_iter().for_each(|r| {
        r.unwrap();
    });
    assert_eq!(pool.expire(0), 0);
    assert_eq!(pool.expire(499 + lifetime), 0);
    assert_eq!(pool.expire(500 + lifetime), 1);
    assert!(!pool.contains(&gapped.tx.hash()));
    assert_eq!(pool.stats().count(), 1);
}

#[test]
fn what_fits_no_block_any_more_leaves_and_its_successors_wait() {
    let world = World::default();
    let mut pool = Mempool::new(Limits::default(), 10);
    let of = |sender, nonce, gas| Transfer { sender, nonce, gas, ..Transfer::default() }.admitted();
    let offered =
        [of(1, 0, 21_000), of(1, 1, 90_000), of(1, 2, 21_000), of(2, 0, 90_000), of(3, 0, 90_000)];
    let hashes = offered.each_ref().map(|admitted| admitted.transaction().hash());
    for admitted in offered {
        pool.insert(admitted, &world, 0).unwrap();
    }
    // The builder has what it took, however large it is.
    let taken = pool.take_best(1, 1_000_000);
    pool.drop_larger_than(90_000);
    pool.take_events();
    pool.drop_larger_than(50_000);
    let dropped = pool.take_events().into_iter().filter_map(|event| match event {
        Event::Dropped {
            hash, reason: DropReason::Refused(SubmitError::BlockGasLimit), ..
        } => Some(hash),
        _ => None,
    });
    let dropped: BTreeSet<_> = dropped.collect();
    let large = [hashes[1], hashes[3], hashes[4]].into_iter();
    let expected: BTreeSet<_> = large.filter(|hash| *hash != taken[0].hash()).collect();
    assert_eq!(dropped, expected);
    // Without its predecessor the third of the first sender cannot be executed.
    pool.open_block(10);
    let left: Vec<_> = pool.take_best(10, 1_000_000).iter().map(|tx| tx.hash()).collect();
    let first = [hashes[0]].into_iter().filter(|hash| *hash != taken[0].hash());
    assert_eq!(left, first.collect::<Vec<_>>());
}
