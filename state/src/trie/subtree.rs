//! A subtree in one arena: the unit that one core works on. A small trie is one subtree; a large one is 256.

use alloy_primitives::{B256, Bytes};

use super::{
    arena::Arena,
    node::{BranchFlags, Kind, Link, NodeRef, bits},
    path::{NibblePath, common_nibbles, nibble},
    rlp::{Leaf, Reference},
};

/// Nodes at and below one path.
#[derive(Debug)]
pub(super) struct Subtree {
    pub(super) arena: Arena,
    pub(super) root: Link,
    /// The depth of the root.
    pub(super) base: usize,
    /// Branches that the store has and the trie has no longer (or has again).
    pub(super) removed: Vec<NibblePath>,
    /// How many stubs there are: with none, nothing needs loading, and every key's way is known to be there.
    pub(super) stubs: usize,
    /// About how many changes were applied since it was last hashed.
    pub(super) changes: usize,
}

impl Subtree {
    /// A subtree of which nothing is in memory.
    pub(super) fn new(base: usize, root: Link) -> Self {
        let stubs = usize::from(root.node == NodeRef::STUB);
        Self { arena: Arena::new(), root, base, removed: Vec::new(), stubs, changes: 0 }
    }

    /// A subtree with nothing in it.
    pub(super) fn empty(base: usize) -> Self {
        Self::new(base, Link::EMPTY)
    }

    /// The leaf with this key, if it is in memory.
    pub(super) fn leaf(&self, key: &B256) -> Option<Leaf<'_>> {
        let (mut node, mut depth) = (self.root.node, self.base);
        loop {
            match node.kind() {
                Kind::Empty | Kind::Stub => return None,
                Kind::Leaf(block) => {
                    let leaf = self.arena.leaf(block);
                    return (leaf.key == key).then_some(leaf);
                }
                Kind::Extension(block) => {
                    depth = self.arena.extension_end(block);
                    if common_nibbles(self.arena.extension_key(block), key) < depth {
                        return None;
                    }
                    node = self.arena.extension_link(block).node;
                }
                Kind::Branch(block) => {
                    let head = self.arena.branch_head(block);
                    let nibble = nibble(key, depth);
                    if !head.has(nibble) {
                        return None;
                    }
                    node = self.arena.child(block, head.rank(nibble));
                    depth += 1;
                }
            }
        }
    }

    /// The branch at this path, if it is in memory.
    pub(super) fn branch_at(&self, path: &NibblePath) -> Option<u32> {
        let (mut node, mut depth) = (self.root.node, self.base);
        let key = path.as_key();
        while depth <= path.len() {
            match node.kind() {
                Kind::Empty | Kind::Stub | Kind::Leaf(_) => return None,
                Kind::Extension(block) => {
                    depth = self.arena.extension_end(block);
                    if common_nibbles(self.arena.extension_key(block), key) < depth {
                        return None;
                    }
                    node = self.arena.extension_link(block).node;
                }
                Kind::Branch(block) if depth == path.len() => return Some(block),
                Kind::Branch(block) => {
                    let head = self.arena.branch_head(block);
                    let nibble = nibble(key, depth);
                    if !head.has(nibble) {
                        return None;
                    }
                    node = self.arena.child(block, head.rank(nibble));
                    depth += 1;
                }
            }
        }
        None
    }

    /// The encoding that Ethereum hashes of a node that begins at `depth`.
    pub(super) fn encode(&self, node: NodeRef, depth: usize) -> Vec<u8> {
        let mut encoding = vec![0; self.encoded_len(node, depth)];
        self.write(node, depth, &mut encoding);
        encoding
    }

    #[inline]
    pub(super) fn encoded_len(&self, node: NodeRef, depth: usize) -> usize {
        match node.kind() {
            Kind::Leaf(block) => self.arena.leaf(block).len(depth),
            Kind::Branch(block) => self.arena.branch(block).len(),
            Kind::Extension(block) => self.arena.extension(block).len(depth),
            Kind::Empty | Kind::Stub => unreachable!("nothing to encode"),
        }
    }

    #[inline]
    pub(super) fn write(&self, node: NodeRef, depth: usize, out: &mut [u8]) {
        match node.kind() {
            Kind::Leaf(block) => self.arena.leaf(block).write(depth, out),
            Kind::Branch(block) => self.arena.branch(block).write(out),
            Kind::Extension(block) => self.arena.extension(block).write(depth, out),
            Kind::Empty | Kind::Stub => unreachable!("nothing to encode"),
        }
    }

    /// Appends the encodings of the nodes from the root to this key, or to where it would be, but for those that their
    /// parents inline.
    pub(super) fn prove(&self, key: &B256, proof: &mut Vec<Bytes>) {
        let (mut node, mut depth) = (self.root.node, self.base);
        loop {
            if matches!(node.kind(), Kind::Empty | Kind::Stub) {
                return;
            }
            let encoding = self.encode(node, depth);
            if encoding.len() >= 32 || depth == 0 {
                proof.push(encoding.into());
            }
            match node.kind() {
                Kind::Empty | Kind::Stub | Kind::Leaf(_) => return,
                Kind::Extension(block) => {
                    depth = self.arena.extension_end(block);
                    if common_nibbles(self.arena.extension_key(block), key) < depth {
                        return;
                    }
                    node = self.arena.extension_link(block).node;
                }
                Kind::Branch(block) => {
                    let head = self.arena.branch_head(block);
                    let nibble = nibble(key, depth);
                    if !head.has(nibble) {
                        return;
                    }
                    node = self.arena.child(block, head.rank(nibble));
                    depth += 1;
                }
            }
        }
    }

    /// Memory that this takes, besides itself.
    pub(super) fn memory_bytes(&self) -> usize {
        self.arena.memory_bytes() + self.removed.capacity() * size_of::<NibblePath>()
    }

    /// Copies the nodes at and below `node` from another arena. With `evict`, branches that are as the store has them
    /// and were not touched since the last such copy stay behind, as stubs.
    fn copy_from(&mut self, from: &Arena, node: NodeRef, evict: bool) -> NodeRef {
        match node.kind() {
            Kind::Empty => node,
            Kind::Stub => self.stub(),
            Kind::Leaf(block) => {
                let leaf = from.leaf(block);
                self.arena.new_leaf(leaf.key, leaf.value)
            }
            Kind::Extension(block) => {
                let mut link = from.extension_link(block);
                link.node = self.copy_from(from, link.node, evict);
                let key = from.extension_key(block);
                self.arena.new_extension(key, from.extension_end(block), &link)
            }
            Kind::Branch(block) => {
                let head = from.branch_head(block);
                let mut flags = head.flags;
                if evict {
                    let needed = BranchFlags::UNSAVED.with(BranchFlags::TOUCHED);
                    if !flags.has(needed) {
                        return self.stub();
                    }
                    flags = flags.without(BranchFlags::TOUCHED);
                }
                let links = from.branch_links(block, &head);
                // The branch first and its leaves next to it: whoever comes by wants these together.
                let copy = self.arena.new_branch(&links, flags);
                let Kind::Branch(into) = copy.kind() else { unreachable!("just made") };
                let leaf = |link: &Link| matches!(link.node.kind(), Kind::Leaf(_));
                for leaves in [true, false] {
                    for (rank, nibble) in bits(head.mask).enumerate() {
                        let link = &links[nibble];
                        if leaf(link) == leaves {
                            let child = self.copy_from(from, link.node, evict);
                            self.arena.set_child(into, rank, child);
                        }
                    }
                }
                copy
            }
        }
    }

    /// One more stub.
    fn stub(&mut self) -> NodeRef {
        self.stubs += 1;
        NodeRef::STUB
    }

    /// Copies another subtree's nodes in, at and below `link`, all of them, and links to the copy.
    pub(super) fn adopt(&mut self, from: &Arena, link: Link) -> Link {
        Link { node: self.copy_from(from, link.node, false), ..link }
    }

    /// Moves what is worth keeping to a new arena: everything that was touched since the last time or that the store
    /// does not have. Only for a subtree that is hashed.
    pub(super) fn evict(&mut self) {
        debug_assert!(!self.root.stale, "an unhashed subtree is not evicted");
        let from = std::mem::replace(&mut self.arena, Arena::new());
        self.arena = Arena::with_capacity(from.live_bytes());
        self.stubs = 0;
        self.root.node = match self.root.node.kind() {
            // Leaves and extensions have no record of their own: they live and die with the branch above.
            Kind::Leaf(_) | Kind::Extension(_) if self.base == 0 && !self.root.unsaved => {
                self.stub()
            }
            _ => self.copy_from(&from, self.root.node, true),
        };
        self.arena.shrink();
    }

    /// The reference to the root, once it is hashed.
    pub(super) fn root_reference(&self) -> Reference {
        assert!(!self.root.stale, "asked for the reference of a subtree that is not hashed");
        self.root.reference
    }
}
