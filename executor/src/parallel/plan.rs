//! Which candidates of a window run in which lane.

use std::hash::{BuildHasherDefault, Hasher};

use super::{
    DisjointSets, Forecast,
    forecast::{Expected, Function},
    place::Place,
};
use crate::Candidate;

/// The candidates of a window, in lanes that will probably not meet. Within a lane they keep their order.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Places in the window, ascending.
    pub(crate) lanes: Vec<Vec<u32>>,
    /// The lane of each candidate.
    pub(crate) lane_of: Vec<u8>,
    /// What all candidates weigh together, and the heaviest lane.
    pub(crate) weight: u64,
    pub(crate) weight_max: u64,
    /// Functions that candidates call and nothing is known of, perhaps repeatedly.
    pub(crate) strangers: Vec<Function>,
}

/// Memory of the planner, kept from one window to the next.
#[derive(Debug, Default)]
pub(crate) struct Planner {
    /// Who first said that it would change a place.
    changers: std::collections::HashMap<u64, u32, BuildHasherDefault<Mixed>>,
    expected: Expected,
    /// Ether that candidates give to accounts: it matters only if somebody changes or spends from them.
    all_credits: Vec<(u32, Place)>,
    weights: Vec<u64>,
}

impl Planner {
    /// Puts together what belongs together, then spreads it over so many lanes, the heaviest first.
    pub(crate) fn plan(
        &mut self,
        candidates: &[Candidate],
        forecast: &Forecast,
        lanes: usize,
    ) -> Plan {
        self.changers.clear();
        self.all_credits.clear();
        self.weights.clear();
        let mut sets = DisjointSets::new(candidates.len());
        for (index, candidate) in candidates.iter().enumerate() {
            let weight = forecast.of(&candidate.transaction, &mut self.expected);
            self.weights.push(weight);
            for place in self.expected.changes.drain(..) {
                let first = *self.changers.entry(place.bits()).or_insert(index as u32);
                if first as usize != index {
                    sets.union(first as usize, index);
                }
            }
            let credits = self.expected.credits.drain(..);
            self.all_credits.extend(credits.map(|place| (index as u32, place)));
        }
        for (index, place) in &self.all_credits {
            if let Some(first) = self.changers.get(&place.bits()) {
                sets.union(*first as usize, *index as usize);
            }
        }
        self.spread(sets, lanes)
    }

    fn spread(&mut self, mut sets: DisjointSets, lanes: usize) -> Plan {
        let count = self.weights.len();
        let weight: u64 = self.weights.iter().sum();
        // The weight of a set gathers at the number that stands for it, which is its smallest.
        let names: Vec<u32> = (0..count).map(|index| sets.find(index) as u32).collect();
        for (index, name) in names.iter().enumerate() {
            if *name as usize != index {
                let moved = std::mem::take(&mut self.weights[index]);
                self.weights[*name as usize] += moved;
            }
        }
        // Only sets large enough to tip the balance are sorted: the many small ones fill up what is left.
        let large = weight / (16 * lanes as u64);
        let mut heavy: Vec<u32> =
            (0..count as u32).filter(|index| self.weights[*index as usize] > large).collect();
        heavy.sort_by_key(|index| std::cmp::Reverse(self.weights[*index as usize]));
        let mut loads = vec![0_u64; lanes];
        const NONE: u8 = u8::MAX;
        let mut lane_of = vec![NONE; count];
        let mut load = |weight: u64| {
            let lane = (0..lanes).min_by_key(|lane| loads[*lane]).unwrap_or_default();
            loads[lane] += weight;
            lane as u8
        };
        for index in heavy {
            lane_of[index as usize] = load(self.weights[index as usize]);
        }
        let mut picks = vec![Vec::with_capacity(count / lanes + 1); lanes];
        for index in 0..count {
            let name = names[index] as usize;
            if lane_of[name] == NONE {
                lane_of[name] = load(self.weights[name]);
            }
            lane_of[index] = lane_of[name];
            picks[lane_of[index] as usize].push(index as u32);
        }
        let weight_max = loads.into_iter().max().unwrap_or_default();
        let strangers = std::mem::take(&mut self.expected.strangers);
        Plan { lanes: picks, lane_of, weight, weight_max, strangers }
    }
}

/// Names of places are mixed well enough already.
#[derive(Debug, Default)]
pub(crate) struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
