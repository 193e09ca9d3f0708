//! Transactions that are looked at together: who is connected with whom, and in which lanes they would run.

use alloy_primitives::map::{HashMap, HashSet};

use crate::trace::{Access, Key, Traced};

/// As the executor has it: what a window holds at most, and what a plain transfer weighs.
const WINDOW_MAX: usize = 4_096;
const WINDOW_GAS_MAX: u64 = 512_000_000;
const TRANSFER_WEIGHT: u64 = 4_000;

/// A window, whatever the number of lanes.
pub(super) struct Window<'a> {
    transactions: &'a [Traced],
    /// For each transaction, which one stands for all that it is connected with.
    names: Vec<u32>,
    /// What the baseline takes for it, in microseconds.
    pub(super) cost: f64,
    pub(super) weight: u64,
}

/// How a window would be spread over lanes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    pub(super) weight_max: u64,
    /// What the baseline takes for the transactions of the lane that takes longest.
    pub(super) longest: f64,
    /// What all lanes touch; what two lanes touch counts twice.
    pub(super) keys: f64,
}

/// Cuts a block into windows.
pub(super) fn windows(block: &[Traced]) -> Vec<Window<'_>> {
    let mut windows = Vec::new();
    let mut rest = block;
    while !rest.is_empty() {
        let mut gas = 0_u64;
        let fitting = rest.iter().take(WINDOW_MAX).take_while(|traced| {
            gas = gas.saturating_add(traced.gas_limit);
            gas <= WINDOW_GAS_MAX
        });
        let (transactions, later) = rest.split_at(fitting.count().max(1));
        windows.push(Window::new(transactions));
        rest = later;
    }
    windows
}

impl<'a> Window<'a> {
    fn new(transactions: &'a [Traced]) -> Self {
        Self {
            transactions,
            names: connect(transactions),
            cost: transactions.iter().map(cost).sum(),
            weight: transactions.iter().map(weigh).sum(),
        }
    }

    pub(super) fn transactions(&self) -> f64 {
        self.transactions.len() as f64
    }

    /// Whatever is connected goes to one lane: the heavy first, each to where least is.
    pub(super) fn spread(&self, lanes: usize) -> Spread {
        let mut weights = vec![0_u64; self.transactions.len()];
        for (traced, name) in self.transactions.iter().zip(&self.names) {
            weights[*name as usize] += weigh(traced);
        }
        let mut sets: Vec<usize> = (0..weights.len()).filter(|set| weights[*set] > 0).collect();
        sets.sort_by_key(|set| std::cmp::Reverse(weights[*set]));
        let mut loads = vec![0_u64; lanes];
        let mut lane_of_set = vec![0; weights.len()];
        for set in sets {
            let lane = (0..lanes).min_by_key(|lane| loads[*lane]).unwrap_or_default();
            loads[lane] += weights[set];
            lane_of_set[set] = lane;
        }
        let mut times = vec![0.0; lanes];
        let mut keys: HashSet<(usize, Key)> = HashSet::default();
        for (traced, name) in self.transactions.iter().zip(&self.names) {
            let lane = lane_of_set[*name as usize];
            times[lane] += cost(traced);
            keys.extend(traced.touched.iter().map(|(key, _)| (lane, *key)));
        }
        Spread {
            weight_max: loads.into_iter().max().unwrap_or_default(),
            longest: times.into_iter().fold(0.0, f64::max),
            keys: keys.len() as f64,
        }
    }
}

/// Connects transactions that touch the same thing, if one of them changes it.
fn connect(transactions: &[Traced]) -> Vec<u32> {
    let touched = || {
        (0_u32..).zip(transactions).flat_map(|(index, traced)| {
            traced.touched.iter().map(move |(key, access)| (index, *key, *access))
        })
    };
    let mut changers: HashMap<Key, u32> = HashMap::default();
    for (index, key, access) in touched() {
        if access == Access::Changed {
            changers.entry(key).or_insert(index);
        }
    }
    let mut parents: Vec<u32> = (0..transactions.len() as u32).collect();
    for (index, key, _) in touched() {
        if let Some(changer) = changers.get(&key) {
            let (one, other) = (root(&mut parents, index), root(&mut parents, *changer));
            parents[one.max(other) as usize] = one.min(other);
        }
    }
    (0..transactions.len() as u32).map(|index| root(&mut parents, index)).collect()
}

fn root(parents: &mut [u32], mut index: u32) -> u32 {
    while parents[index as usize] != index {
        let grandparent = parents[parents[index as usize] as usize];
        parents[index as usize] = grandparent;
        index = grandparent;
    }
    index
}

fn weigh(traced: &Traced) -> u64 {
    if traced.is_transfer { TRANSFER_WEIGHT } else { traced.gas_used.max(1) }
}

/// In microseconds.
fn cost(traced: &Traced) -> f64 {
    traced.cost.as_secs_f64() * 1e6
}
