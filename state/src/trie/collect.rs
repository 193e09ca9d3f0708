//! What a checkpoint writes: walking down only where something is unsaved.

use super::{
    node::{BranchFlags, Kind, Link, NodeRef, bits},
    path::{NibblePath, with_nibble},
    record,
    source::TrieId,
    subtree::Subtree,
};

/// Changes of records, as [`TrieChanges`](super::TrieChanges) has them.
pub(super) type Records = Vec<(TrieId, NibblePath, Option<Vec<u8>>)>;

impl Subtree {
    /// Appends the unsaved records at and below the root, which is at `path`, and takes them for saved. What the root
    /// is told by, beside a branch, is its parent's concern.
    pub(super) fn take_records(&mut self, id: TrieId, path: &NibblePath, records: &mut Records) {
        assert!(!self.root.stale, "only a hashed trie is stored");
        let first = records.len();
        if std::mem::take(&mut self.root.unsaved) {
            self.take_below(id, self.root.node, path, records);
        }
        let mut removed = std::mem::take(&mut self.removed);
        removed.sort_unstable();
        removed.dedup();
        // Some of them are back: they are among the branches, if they still are in memory at all, and unsaved.
        removed.retain(|path| !path.is_empty() && self.branch_at(path).is_none());
        records.extend(removed.into_iter().map(|path| (id, path, None)));
        debug_assert!(records[first..].iter().all(|record| record.0 == id));
    }

    fn take_below(&mut self, id: TrieId, node: NodeRef, path: &NibblePath, records: &mut Records) {
        match node.kind() {
            Kind::Branch(block) => {
                let mut head = self.arena.branch_head(block);
                if head.flags.has(BranchFlags::UNSAVED) {
                    let record = self.encode_record(block, path.len());
                    records.push((id, *path, Some(record)));
                }
                let unsaved = std::mem::take(&mut head.unsaved);
                head.flags = head.flags.without(BranchFlags::UNSAVED).with(BranchFlags::STORED);
                self.arena.set_branch_head(block, &head);
                for nibble in bits(unsaved & head.mask) {
                    let child = self.arena.child(block, head.rank(nibble));
                    if let Kind::Leaf(_) = child.kind() {
                        continue;
                    }
                    let key = with_nibble(*path.as_key(), path.len(), nibble);
                    self.take_below(id, child, &NibblePath::prefix(&key, path.len() + 1), records);
                }
            }
            Kind::Extension(block) => {
                let mut link = self.arena.extension_link(block);
                if std::mem::take(&mut link.unsaved) {
                    self.arena.set_extension_link(block, &link);
                    let end = self.arena.extension_end(block);
                    let path = NibblePath::prefix(self.arena.extension_key(block), end);
                    self.take_below(id, link.node, &path, records);
                }
            }
            Kind::Empty | Kind::Stub | Kind::Leaf(_) => {}
        }
    }

    /// The record of a branch in memory.
    pub(super) fn encode_record(&self, block: u32, depth: usize) -> Vec<u8> {
        let head = self.arena.branch_head(block);
        record::encode_branch(depth + 1, head.mask, |nibble| -> (_, Link) {
            (&self.arena, self.arena.branch_link(block, &head, nibble))
        })
    }
}
