//! Bringing in what a batch will need, before anything changes: so that a failing disk leaves the trie as it was.
//!
//! All keys go down together, a level at a time. Beside reading stubs this is what makes a large batch fast: each
//! level is a run of independent reads, which the processor overlaps, and the update after it finds its nodes in the
//! cache. (One key after the other, every level of every key waits for memory in turn.)

use alloy_primitives::B256;

use super::{
    batch::Keyed,
    node::{Kind, NodeRef},
    path::{NibblePath, common_nibbles, nibble},
    record::Record,
    rlp::Reference,
    source::{NoSource, NodeSource, TrieError, TrieId},
    subtree::Subtree,
};

/// A key on its way down.
#[derive(Clone, Copy)]
struct Cursor {
    item: u32,
    node: NodeRef,
    depth: u32,
}

impl Subtree {
    /// Loads every node on the way to every key: afterwards, each way ends in a leaf or in nothing.
    pub(super) fn load<K: Keyed, S: NodeSource>(
        &mut self,
        id: TrieId,
        items: &[K],
        source: &S,
    ) -> Result<(), TrieError<S::Error>> {
        if self.stubs > 0 { self.descend(id, items, source) } else { Ok(()) }
    }

    fn descend<K: Keyed, S: NodeSource>(
        &mut self,
        id: TrieId,
        items: &[K],
        source: &S,
    ) -> Result<(), TrieError<S::Error>> {
        let Some(first) = items.first() else { return Ok(()) };
        if self.root.node == NodeRef::STUB {
            self.root.node =
                self.load_stub(id, first.key(), self.base, &self.root.reference.clone(), source)?;
        }
        let start =
            |item| Cursor { item: item as u32, node: self.root.node, depth: self.base as u32 };
        let mut cursors: Vec<Cursor> = (0..items.len()).map(start).collect();
        while !cursors.is_empty() {
            let mut kept = 0;
            for at in 0..cursors.len() {
                let Cursor { item, node, depth } = cursors[at];
                let key = items[item as usize].key();
                let depth = depth as usize;
                let (node, depth) = match node.kind() {
                    Kind::Empty => continue,
                    Kind::Stub => unreachable!("loaded where the link to it was read"),
                    Kind::Leaf(_) => continue,
                    Kind::Branch(block) => {
                        let head = self.arena.branch_head(block);
                        let nibble = nibble(key, depth);
                        if !head.has(nibble) {
                            self.arena.touch_branch(block, &head);
                            continue;
                        }
                        let rank = head.rank(nibble);
                        let mut node = self.arena.child(block, rank);
                        self.arena.touch_branch(block, &head);
                        if node == NodeRef::STUB {
                            let link = self.arena.branch_link(block, &head, nibble);
                            node = self.load_stub(id, key, depth + 1, &link.reference, source)?;
                            self.arena.set_child(block, rank, node);
                        }
                        (node, depth + 1)
                    }
                    Kind::Extension(block) => {
                        let end = self.arena.extension_end(block);
                        if common_nibbles(key, self.arena.extension_key(block)) < end {
                            continue;
                        }
                        let mut link = self.arena.extension_link(block);
                        if link.node == NodeRef::STUB {
                            link.node = self.load_stub(id, key, end, &link.reference, source)?;
                            self.arena.set_extension_link(block, &link);
                        }
                        (link.node, end)
                    }
                };
                let is_leaf = matches!(node.kind(), Kind::Leaf(_));
                self.arena.prefetch(node, !is_leaf);
                if is_leaf {
                    continue;
                }
                cursors[kept] = Cursor { item, node, depth: depth as u32 };
                kept += 1;
            }
            cursors.truncate(kept);
        }
        Ok(())
    }

    /// Has all of a large batch's way in the cache before one change after the other goes down it: again, if some of it
    /// had to be loaded, as by the time that the last shard is loaded the first one is not there any more.
    pub(super) fn warm<K: Keyed>(&mut self, id: TrieId, items: &[K]) {
        let loaded = self.descend(id, items, &NoSource);
        assert!(loaded.is_ok(), "a batch is loaded before it is applied");
    }

    /// Loads the node that `key` leads to at `depth`.
    fn load_stub<S: NodeSource>(
        &mut self,
        trie: TrieId,
        key: &B256,
        depth: usize,
        expected: &Reference,
        source: &S,
    ) -> Result<NodeRef, TrieError<S::Error>> {
        let path = NibblePath::prefix(key, depth);
        let record = source
            .node(trie, &path)
            .map_err(|source| TrieError::Source { trie, path, source })?
            .ok_or(TrieError::Missing { trie, path })?;
        let corrupt = |reason| TrieError::Corrupt { trie, path, reason };
        let record = Record::decode(&record, &path).map_err(corrupt)?;
        let node = record.load(depth, expected, &mut self.arena).map_err(corrupt)?;
        self.stubs = self.stubs - 1 + record.stubs();
        Ok(node)
    }
}
