//! Changing the structure: a sorted batch goes down the tree, split by nibble at every branch.
//!
//! Nothing is hashed here and nothing can fail: `load` has brought in every node on the way. That includes collapses,
//! which need nothing else: a stub is always a branch, so a lone child that is a stub gets an extension above it as
//! any branch would.

use alloy_primitives::B256;

use super::{
    batch::Keyed,
    node::{BranchFlags, Kind, Link, NodeRef, bits},
    path::{NibblePath, common_nibbles, nibble, with_nibble},
    subtree::Subtree,
    value::{Value, ValueRef},
};

/// What happens to one key.
pub(super) trait Change: Keyed {
    /// Whether the key goes.
    fn is_delete(&self) -> bool;

    /// The key's new value, when it stays or comes: `old` is the one that it has.
    fn value(&self, old: Option<ValueRef<'_>>) -> Value;
}

/// A leaf that is there already and joins those of the batch.
#[derive(Clone, Copy)]
struct Resident {
    node: NodeRef,
    key: B256,
}

impl Subtree {
    /// Applies the changes of `items`, which are sorted by key, unique, beneath this subtree, and loaded.
    pub(super) fn update<C: Change>(&mut self, items: &[C]) {
        if items.is_empty() {
            return;
        }
        let old = self.root.node;
        if let Some(node) = self.apply(old, self.base, items) {
            self.root = Link::changed(node);
            self.changes += items.len();
        }
    }

    /// The node that takes the place of `node`, which begins at `depth`; `None` when nothing changed.
    fn apply<C: Change>(&mut self, node: NodeRef, depth: usize, items: &[C]) -> Option<NodeRef> {
        match node.kind() {
            Kind::Stub => unreachable!("loaded before it is changed"),
            Kind::Empty => {
                let new = self.build(depth, items, None);
                (!new.is_empty()).then_some(new)
            }
            Kind::Leaf(block) => self.apply_leaf(block, depth, items),
            Kind::Extension(block) => self.apply_extension(block, depth, items),
            Kind::Branch(block) => self.apply_branch(block, depth, items),
        }
    }

    fn apply_leaf<C: Change>(&mut self, block: u32, depth: usize, items: &[C]) -> Option<NodeRef> {
        let leaf = self.arena.leaf(block);
        let (key, old) = (*leaf.key, NodeRef::leaf(block));
        let Ok(at) = items.binary_search_by(|item| item.key().cmp(&key)) else {
            let new = self.build(depth, items, Some(Resident { node: old, key }));
            return (new != old).then_some(new);
        };
        let change = &items[at];
        if change.is_delete() {
            self.arena.release_leaf(block);
            return Some(self.build(depth, items, None));
        }
        let value = change.value(Some(leaf.value));
        let same = value.as_ref() == leaf.value;
        let node = if same { old } else { self.arena.set_leaf(block, &value) };
        if items.len() > 1 {
            let new = self.build(depth, items, Some(Resident { node, key }));
            return (new != old || !same).then_some(new);
        }
        (!same).then_some(node)
    }

    /// A new subtree of what `items` put, and of a leaf that is there already.
    fn build<C: Change>(
        &mut self,
        depth: usize,
        mut items: &[C],
        resident: Option<Resident>,
    ) -> NodeRef {
        let is_delete = |item: &C| item.is_delete();
        while let [first, rest @ ..] = items
            && is_delete(first)
        {
            items = rest;
        }
        while let [rest @ .., last] = items
            && is_delete(last)
        {
            items = rest;
        }
        let (Some(first), Some(last)) = (items.first(), items.last()) else {
            return resident.map_or(NodeRef::EMPTY, |leaf| leaf.node);
        };
        let low = resident.map_or(*first.key(), |leaf| leaf.key.min(*first.key()));
        let high = resident.map_or(*last.key(), |leaf| leaf.key.max(*last.key()));
        let shared = common_nibbles(&low, &high);
        if low == high {
            // One key. A resident that has it was given its new value already.
            return resident.map_or_else(
                || {
                    let value = first.value(None);
                    self.arena.new_leaf(first.key(), value.as_ref())
                },
                |leaf| leaf.node,
            );
        }
        let mut links = [Link::EMPTY; 16];
        let mut resident_at = resident.map(|leaf| nibble(&leaf.key, shared));
        for (nibble, group) in groups(items, shared) {
            let here =
                if resident_at == Some(nibble) { resident_at.take().and(resident) } else { None };
            links[nibble] = Link::changed(self.build(shared + 1, group, here));
        }
        if let (Some(nibble), Some(leaf)) = (resident_at, resident) {
            links[nibble] = Link::changed(leaf.node);
        }
        let branch = self.arena.new_branch(&links, BranchFlags::UNSAVED.with(BranchFlags::TOUCHED));
        self.below_extension(depth, &low, shared, branch)
    }

    /// A node at depth `end`, such that it can stand at `depth`.
    fn below_extension(&mut self, depth: usize, key: &B256, end: usize, node: NodeRef) -> NodeRef {
        match node.kind() {
            Kind::Branch(_) if depth < end => {
                self.arena.new_extension(key, end, &Link::changed(node))
            }
            // Leaves and extensions know their whole key.
            _ => node,
        }
    }

    fn apply_extension<C: Change>(
        &mut self,
        block: u32,
        depth: usize,
        mut items: &[C],
    ) -> Option<NodeRef> {
        let key = *self.arena.extension_key(block);
        let end = self.arena.extension_end(block);
        let shared = |item: &C| common_nibbles(item.key(), &key).min(end);
        // What is deleted beside the extension was never there.
        let absent = |item: &C| item.is_delete() && shared(item) < end;
        while let [first, rest @ ..] = items
            && absent(first)
        {
            items = rest;
        }
        while let [rest @ .., last] = items
            && absent(last)
        {
            items = rest;
        }
        let fork = shared(items.first()?).min(shared(items.last()?));
        let link = self.arena.extension_link(block);
        if fork == end {
            let new = self.apply(link.node, end, items)?;
            if let Kind::Branch(_) = new.kind() {
                self.arena.set_extension_link(block, &Link::changed(new));
                return Some(NodeRef::extension(block));
            }
            self.arena.release_extension(block);
            return Some(new);
        }
        // A branch within the extension: with one child at first, but some item beside it is put.
        let mut links = [Link::EMPTY; 16];
        links[nibble(&key, fork)] = if fork + 1 == end {
            self.arena.release_extension(block);
            link
        } else {
            Link::changed(NodeRef::extension(block))
        };
        let branch = self.arena.new_branch(&links, BranchFlags::UNSAVED.with(BranchFlags::TOUCHED));
        let new = self.apply(branch, fork, items).unwrap_or(branch);
        Some(self.below_extension(depth, &key, fork, new))
    }

    fn apply_branch<C: Change>(
        &mut self,
        block: u32,
        depth: usize,
        items: &[C],
    ) -> Option<NodeRef> {
        let head = self.arena.branch_head(block);
        let (mut changed, mut mask) = (0u16, head.mask);
        let mut nodes = [NodeRef::EMPTY; 16];
        for (nibble, group) in groups(items, depth) {
            let old = if head.has(nibble) {
                self.arena.child(block, head.rank(nibble))
            } else {
                NodeRef::EMPTY
            };
            let Some(new) = self.apply(old, depth + 1, group) else { continue };
            let bit = 1 << nibble;
            changed |= bit;
            mask = if new.is_empty() { mask & !bit } else { mask | bit };
            nodes[nibble] = new;
        }
        if changed == 0 {
            return None;
        }
        if mask == head.mask {
            for nibble in bits(changed) {
                self.arena.set_child(block, head.rank(nibble), nodes[nibble]);
            }
            let mut head = head;
            head.stale |= changed;
            head.unsaved |= changed;
            head.flags = head.flags.with(BranchFlags::UNSAVED).with(BranchFlags::TOUCHED);
            self.arena.set_branch_head(block, &head);
            return Some(NodeRef::branch(block));
        }
        let mut links = self.arena.branch_links(block, &head);
        for nibble in bits(changed) {
            links[nibble] = Link::changed(nodes[nibble]);
        }
        self.arena.release_branch(block);
        if mask.count_ones() > 1 {
            return Some(self.arena.new_branch(&links, head.flags.with(BranchFlags::UNSAVED)));
        }
        let path = items[0].key();
        if head.flags.has(BranchFlags::STORED) {
            self.removed.push(NibblePath::prefix(path, depth));
        }
        let Some(nibble) = bits(mask).next() else { return Some(NodeRef::EMPTY) };
        let link = links[nibble];
        Some(match link.node.kind() {
            Kind::Branch(_) | Kind::Stub => {
                let key = with_nibble(*path, depth, nibble);
                self.arena.new_extension(&key, depth + 1, &link)
            }
            _ => link.node,
        })
    }
}

/// Sorted items by their nibble at `depth`: those that have one, in order.
fn groups<C: Keyed>(items: &[C], depth: usize) -> impl Iterator<Item = (usize, &[C])> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let at = nibble(rest.first()?.key(), depth);
        let len = match rest {
            [_] => 1,
            _ => rest.iter().take_while(|item| nibble(item.key(), depth) == at).count(),
        };
        let (group, after) = rest.split_at(len);
        rest = after;
        Some((at, group))
    })
}
