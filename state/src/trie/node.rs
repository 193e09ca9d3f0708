//! Nodes in the arena: what the bytes of a block mean.
//!
//! ```text
//! leaf       form 1 · length 1 · key 32 · payload
//! extension  end 1 · flags 1 · - 2 · child 4 · key 32 · reference 32
//! branch     mask 2 · stale 2 · inline 2 · unsaved 2 · flags 1 · - 3 · child 4 × n · reference 32 × n
//! ```
//!
//! A branch keeps its children's references beside the links to them, so that encoding it touches no child; the links
//! come first, so that a descent touches one cache line a level. Leaves and extensions carry their whole key (an
//! extension: that of its child, as far as `end`), which makes a node the same bytes at every depth: splitting and
//! collapsing move links and never rewrite a node.

use alloy_primitives::B256;

use super::{
    arena::Arena,
    rlp::{Branch, Extension, Leaf, Reference},
    value::{Form, Value, ValueRef},
};

const LEAF_HEAD_BYTES: usize = 34;
const EXTENSION_BYTES: usize = 72;
const BRANCH_HEAD_BYTES: usize = 12;
const CHILD_BYTES: usize = 4 + 32;

/// A link to a node: its kind in the low two bits, its block above them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct NodeRef(u32);

/// What a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Empty,
    /// A branch that is in the store only. (At a trie's root: any node.)
    Stub,
    Leaf(u32),
    Branch(u32),
    Extension(u32),
}

impl NodeRef {
    pub(super) const EMPTY: Self = Self(0);
    pub(super) const STUB: Self = Self(4);

    pub(super) const fn leaf(block: u32) -> Self {
        Self(block << 2 | 1)
    }

    pub(super) const fn branch(block: u32) -> Self {
        Self(block << 2 | 2)
    }

    pub(super) const fn extension(block: u32) -> Self {
        Self(block << 2 | 3)
    }

    #[inline]
    pub(super) const fn kind(self) -> Kind {
        let block = self.0 >> 2;
        match self.0 & 3 {
            1 => Kind::Leaf(block),
            2 => Kind::Branch(block),
            3 => Kind::Extension(block),
            _ if block == 0 => Kind::Empty,
            _ => Kind::Stub,
        }
    }

    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self == Self::EMPTY
    }
}

/// A link with all that a parent knows about the child.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Link {
    pub(super) node: NodeRef,
    /// Meaningless while stale.
    pub(super) reference: Reference,
    /// The child has changed since it was last hashed.
    pub(super) stale: bool,
    /// The records at or beneath the child are not what the store has.
    pub(super) unsaved: bool,
}

impl Link {
    pub(super) const EMPTY: Self = Self {
        node: NodeRef::EMPTY,
        reference: Reference { bytes: B256::ZERO, inline: false },
        stale: false,
        unsaved: false,
    };

    /// A link to a node that is in the store as the reference says.
    pub(super) const fn stored(node: NodeRef, reference: Reference) -> Self {
        Self { node, reference, stale: false, unsaved: false }
    }

    /// A link to a node that was just made or changed.
    pub(super) const fn changed(node: NodeRef) -> Self {
        Self { node, reference: Self::EMPTY.reference, stale: true, unsaved: true }
    }
}

/// What a branch knows about itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct BranchFlags(u8);

impl BranchFlags {
    /// Its record is not what the store has.
    pub(super) const UNSAVED: Self = Self(1);
    /// The store has a record of it, current or not.
    pub(super) const STORED: Self = Self(2);
    /// It was passed since the clock's hand last went by.
    pub(super) const TOUCHED: Self = Self(4);

    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    #[must_use]
    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// The first bytes of a branch. The masks have a bit for each child nibble.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BranchHead {
    pub(super) mask: u16,
    pub(super) stale: u16,
    pub(super) inline: u16,
    pub(super) unsaved: u16,
    pub(super) flags: BranchFlags,
}

impl BranchHead {
    pub(super) fn children(&self) -> usize {
        self.mask.count_ones() as usize
    }

    /// The position of a child among those that there are.
    #[inline]
    pub(super) fn rank(&self, nibble: usize) -> usize {
        (self.mask & ((1 << nibble) - 1)).count_ones() as usize
    }

    #[inline]
    pub(super) fn has(&self, nibble: usize) -> bool {
        self.mask & 1 << nibble != 0
    }
}

/// The nibbles whose bits are set.
pub(super) fn bits(mut mask: u16) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (mask != 0).then(|| mask.trailing_zeros() as usize)?;
        mask &= mask - 1;
        Some(bit)
    })
}

#[inline]
fn read<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("a node lies within the slab")
}

fn key_at(bytes: &[u8], at: usize) -> &B256 {
    let key: &[u8; 32] = bytes[at..].first_chunk().expect("a node lies within the slab");
    key.into()
}

/// Bytes that come from memory together.
const CACHE_LINE_BYTES: usize = 64;

impl Arena {
    /// Has a node brought into the cache: its links alone, or all of it. Some time later it is there, and nobody
    /// waited; a descent that reads one node after the other waits for each.
    #[inline]
    pub(super) fn prefetch(&self, node: NodeRef, links_only: bool) {
        let (block, len) = match node.kind() {
            Kind::Empty | Kind::Stub => return,
            Kind::Leaf(_) if links_only => return,
            Kind::Leaf(block) => (block, LEAF_HEAD_BYTES + 16),
            Kind::Extension(block) => (block, EXTENSION_BYTES),
            // As far as a branch of ten children goes.
            Kind::Branch(block) if links_only => (block, BRANCH_HEAD_BYTES + 4 * 10),
            Kind::Branch(block) => (block, BRANCH_HEAD_BYTES + CHILD_BYTES * 10),
        };
        let bytes = self.at(block);
        let bytes = &bytes[..len.min(bytes.len())];
        for line in bytes.chunks(CACHE_LINE_BYTES) {
            prefetch(&line[0]);
        }
        prefetch(&bytes[bytes.len() - 1]);
    }
}

/// Asks for the cache line of `byte`.
#[inline(always)]
fn prefetch(byte: &u8) {
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "the instruction has no safe form")]
    // SAFETY: every x86-64 processor has this instruction, it changes no memory, and the address is of a live byte.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(byte).cast());
    }
    // Elsewhere a read ahead is next best.
    #[cfg(not(target_arch = "x86_64"))]
    std::hint::black_box(*byte);
}

/// Leaves.
impl Arena {
    pub(super) fn new_leaf(&mut self, key: &B256, value: ValueRef<'_>) -> NodeRef {
        let block = self.allocate(LEAF_HEAD_BYTES + value.payload.len());
        self.fill_leaf(block, key, value);
        NodeRef::leaf(block)
    }

    fn fill_leaf(&mut self, block: u32, key: &B256, value: ValueRef<'_>) {
        let bytes = &mut self.at_mut(block)[..LEAF_HEAD_BYTES + value.payload.len()];
        bytes[0] = value.form as u8;
        bytes[1] = value.payload.len() as u8;
        bytes[2..LEAF_HEAD_BYTES].copy_from_slice(key.as_slice());
        bytes[LEAF_HEAD_BYTES..].copy_from_slice(value.payload);
    }

    #[inline]
    pub(super) fn leaf(&self, block: u32) -> Leaf<'_> {
        let bytes = self.at(block);
        let form = Form::from_byte(bytes[0]).expect("only forms are written");
        let payload = &bytes[LEAF_HEAD_BYTES..][..usize::from(bytes[1])];
        Leaf { key: key_at(bytes, 2), value: ValueRef { form, payload } }
    }

    /// Gives a leaf another value: in place, when it fits as the old one did.
    pub(super) fn set_leaf(&mut self, block: u32, value: &Value) -> NodeRef {
        let leaf = self.leaf(block);
        let (key, value) = (*leaf.key, value.as_ref());
        let old = LEAF_HEAD_BYTES + leaf.value.payload.len();
        if Self::same_block(old, LEAF_HEAD_BYTES + value.payload.len()) {
            self.fill_leaf(block, &key, value);
            return NodeRef::leaf(block);
        }
        self.release(block, old);
        self.new_leaf(&key, value)
    }

    pub(super) fn release_leaf(&mut self, block: u32) {
        let len = LEAF_HEAD_BYTES + self.leaf(block).value.payload.len();
        self.release(block, len);
    }
}

const STALE: u8 = 1;
const INLINE: u8 = 2;
const UNSAVED: u8 = 4;

/// Extensions.
impl Arena {
    pub(super) fn new_extension(&mut self, key: &B256, end: usize, child: &Link) -> NodeRef {
        let block = self.allocate(EXTENSION_BYTES);
        let bytes = self.at_mut(block);
        bytes[0] = end as u8;
        bytes[8..40].copy_from_slice(key.as_slice());
        self.set_extension_link(block, child);
        NodeRef::extension(block)
    }

    pub(super) fn extension_key(&self, block: u32) -> &B256 {
        key_at(self.at(block), 8)
    }

    /// The depth of an extension's child.
    pub(super) fn extension_end(&self, block: u32) -> usize {
        usize::from(self.at(block)[0])
    }

    pub(super) fn extension_link(&self, block: u32) -> Link {
        let bytes = self.at(block);
        let flags = bytes[1];
        Link {
            node: NodeRef(u32::from_le_bytes(read(bytes, 4))),
            reference: Reference { bytes: *key_at(bytes, 40), inline: flags & INLINE != 0 },
            stale: flags & STALE != 0,
            unsaved: flags & UNSAVED != 0,
        }
    }

    pub(super) fn set_extension_link(&mut self, block: u32, child: &Link) {
        let bytes = self.at_mut(block);
        bytes[1] = if child.stale { STALE } else { 0 }
            | if child.reference.inline { INLINE } else { 0 }
            | if child.unsaved { UNSAVED } else { 0 };
        bytes[4..8].copy_from_slice(&child.node.0.to_le_bytes());
        bytes[40..72].copy_from_slice(child.reference.bytes.as_slice());
    }

    /// The extension as Ethereum sees it.
    pub(super) fn extension(&self, block: u32) -> Extension<'_> {
        Extension {
            key: self.extension_key(block),
            end: self.extension_end(block),
            child: self.extension_link(block).reference,
        }
    }

    pub(super) fn release_extension(&mut self, block: u32) {
        self.release(block, EXTENSION_BYTES);
    }
}

/// Branches.
impl Arena {
    /// A branch with these children; an empty link is no child.
    pub(super) fn new_branch(&mut self, links: &[Link; 16], flags: BranchFlags) -> NodeRef {
        let mut head = BranchHead { flags, ..BranchHead::default() };
        for (nibble, link) in links.iter().enumerate().filter(|(_, link)| !link.node.is_empty()) {
            let bit = 1 << nibble;
            head.mask |= bit;
            head.stale |= if link.stale { bit } else { 0 };
            head.inline |= if link.reference.inline { bit } else { 0 };
            head.unsaved |= if link.unsaved { bit } else { 0 };
        }
        let children = head.children();
        let block = self.allocate(BRANCH_HEAD_BYTES + CHILD_BYTES * children);
        self.set_branch_head(block, &head);
        let bytes = self.at_mut(block);
        for (rank, nibble) in bits(head.mask).enumerate() {
            let link = &links[nibble];
            bytes[BRANCH_HEAD_BYTES + 4 * rank..][..4].copy_from_slice(&link.node.0.to_le_bytes());
            bytes[BRANCH_HEAD_BYTES + 4 * children + 32 * rank..][..32]
                .copy_from_slice(link.reference.bytes.as_slice());
        }
        NodeRef::branch(block)
    }

    #[inline]
    pub(super) fn branch_head(&self, block: u32) -> BranchHead {
        let bytes: [u8; BRANCH_HEAD_BYTES] = read(self.at(block), 0);
        let mask = |at| u16::from_le_bytes(read(&bytes, at));
        BranchHead {
            mask: mask(0),
            stale: mask(2),
            inline: mask(4),
            unsaved: mask(6),
            flags: BranchFlags(bytes[8]),
        }
    }

    #[inline]
    pub(super) fn set_branch_head(&mut self, block: u32, head: &BranchHead) {
        let bytes = &mut self.at_mut(block)[..BRANCH_HEAD_BYTES];
        bytes[0..2].copy_from_slice(&head.mask.to_le_bytes());
        bytes[2..4].copy_from_slice(&head.stale.to_le_bytes());
        bytes[4..6].copy_from_slice(&head.inline.to_le_bytes());
        bytes[6..8].copy_from_slice(&head.unsaved.to_le_bytes());
        bytes[8] = head.flags.0;
    }

    /// Notes that a branch was passed.
    #[inline]
    pub(super) fn touch_branch(&mut self, block: u32, head: &BranchHead) {
        if !head.flags.has(BranchFlags::TOUCHED) {
            self.at_mut(block)[8] = head.flags.with(BranchFlags::TOUCHED).0;
        }
    }

    #[inline]
    pub(super) fn child(&self, block: u32, rank: usize) -> NodeRef {
        NodeRef(u32::from_le_bytes(read(self.at(block), BRANCH_HEAD_BYTES + 4 * rank)))
    }

    #[inline]
    pub(super) fn set_child(&mut self, block: u32, rank: usize, node: NodeRef) {
        self.at_mut(block)[BRANCH_HEAD_BYTES + 4 * rank..][..4]
            .copy_from_slice(&node.0.to_le_bytes());
    }

    /// The references to a branch's children, in order.
    #[inline]
    fn references(&self, block: u32, children: usize) -> &[[u8; 32]] {
        let bytes = &self.at(block)[BRANCH_HEAD_BYTES + 4 * children..][..32 * children];
        bytes.as_chunks().0
    }

    /// Notes the reference to a child that was just hashed.
    #[inline]
    pub(super) fn set_child_reference(&mut self, block: u32, nibble: usize, reference: &Reference) {
        let mut head = self.branch_head(block);
        let (bit, inline) = (1 << nibble, head.inline);
        head.inline = if reference.inline { inline | bit } else { inline & !bit };
        if head.inline != inline {
            self.set_branch_head(block, &head);
        }
        let at = BRANCH_HEAD_BYTES + 4 * head.children() + 32 * head.rank(nibble);
        self.at_mut(block)[at..][..32].copy_from_slice(reference.bytes.as_slice());
    }

    /// All that a branch knows about one of its children.
    pub(super) fn branch_link(&self, block: u32, head: &BranchHead, nibble: usize) -> Link {
        let (rank, bit) = (head.rank(nibble), 1 << nibble);
        let bytes = B256::from(self.references(block, head.children())[rank]);
        Link {
            node: self.child(block, rank),
            reference: Reference { bytes, inline: head.inline & bit != 0 },
            stale: head.stale & bit != 0,
            unsaved: head.unsaved & bit != 0,
        }
    }

    /// All that a branch knows about its children.
    pub(super) fn branch_links(&self, block: u32, head: &BranchHead) -> [Link; 16] {
        let mut links = [Link::EMPTY; 16];
        for nibble in bits(head.mask) {
            links[nibble] = self.branch_link(block, head, nibble);
        }
        links
    }

    /// The branch as Ethereum sees it.
    #[inline]
    pub(super) fn branch(&self, block: u32) -> Branch<'_> {
        let head = self.branch_head(block);
        let references = self.references(block, head.children());
        Branch { mask: head.mask, inline: head.inline, references }
    }

    pub(super) fn release_branch(&mut self, block: u32) {
        let children = self.branch_head(block).children();
        self.release(block, BRANCH_HEAD_BYTES + CHILD_BYTES * children);
    }
}
