//! Which of many things belong together, told pair by pair.

/// Numbers from zero on, in sets that only grow together.
#[derive(Debug, Default)]
pub(crate) struct DisjointSets {
    parents: Vec<u32>,
}

impl DisjointSets {
    /// Each of so many numbers in a set of its own.
    pub(crate) fn new(count: usize) -> Self {
        Self { parents: (0..count as u32).collect() }
    }

    /// The number that stands for another one's set: the smallest in it.
    pub(crate) fn find(&mut self, number: usize) -> usize {
        let mut number = number as u32;
        loop {
            let parent = self.parents[number as usize];
            if parent == number {
                return number as usize;
            }
            // Halving the path on the way makes the next search short.
            let grandparent = self.parents[parent as usize];
            self.parents[number as usize] = grandparent;
            number = grandparent;
        }
    }

    /// Makes one set of two.
    pub(crate) fn union(&mut self, one: usize, other: usize) {
        let (one, other) = (self.find(one), self.find(other));
        self.parents[one.max(other)] = one.min(other) as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_grow_together_and_are_named_by_their_smallest() {
        let mut sets = DisjointSets::new(6);
        sets.union(4, 2);
        sets.union(5, 4);
        sets.union(1, 0);
        let names: Vec<_> = (0..6).map(|number| sets.find(number)).collect();
        assert_eq!(names, [0, 0, 2, 3, 2, 2]);
    }
}
